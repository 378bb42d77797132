"""The same question asked in other words, inside whatever template a model has: prompt sensitivity (R1 paper, 5)."""

from __future__ import annotations

from collections.abc import Sequence

from r1kit.errors import InputError, nearest

__all__ = ["PLAIN", "SETS", "paraphrased", "paraphrases"]

PLAIN = "{question}"
"""As the task asks it."""

SETS = {
    "nano": (
        PLAIN,
        "so {question}",
        "try {question}",
        "{question} answer",
        "then {question} check again",
        "the answer , {question}",
        "再 {question} 所以",
        "{question} again {question}",
        "the old cat sat near the river and then it ran {question}",
        "{question} and the dog saw the moon on a small red tree",
    ),
    "english": (
        PLAIN,
        "Problem: {question}",
        "Please solve the following problem.\n\n{question}",
        "Question: {question}\nAnswer it with care.",
        "I need your help with this one: {question}",
        "{question}\n\nThink it through before you answer.",
        "Here is a task for you.\n{question}\nWhat is the answer?",
        "hey can u work this out?? {question}",
        "{question}\n\nOnce more: {question}",
        "It rained all morning, so my sister stayed in and gave me this. {question}",
    ),
}
"""Ten each: in the nano world's words, and for models of text. What the template asks for, tags or a box, stays."""


def paraphrases(given: Sequence[str], where: str) -> tuple[str, ...]:
    """Texts with ``{question}``, each once: those that are given, and of a set that is named all of its own.

    Raises:
        InputError: neither a set nor a text with ``{question}``.
    """
    found: list[str] = []
    for text in given:
        if text not in SETS and PLAIN not in text:
            raise InputError(
                f"{where} names {text!r}; allowed are the sets {', '.join(SETS)}, and texts with {{question}} in them."
                f"{nearest(text, SETS)}"
            )
        found += SETS.get(text, (text,))
    return tuple(dict.fromkeys(found))


def paraphrased(text: str, question: str) -> str:
    """A question in the words of one of them."""
    return text.replace(PLAIN, question)
