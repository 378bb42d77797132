"""Rules that judge an answer: as mathematics, as text, as a choice's letter, as a Countdown expression."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence
from typing import Literal

from r1kit.answers.expression import LONGEST, keeps, read_answer, value_of
from r1kit.records import Prompt
from r1kit.tasks.split import evened
from r1kit.tasks.task import Grade

__all__ = ["Rule", "chosen_letter", "grade_by", "graded", "plain_text", "plain_words"]

_MARKS = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|boxed)\s*\{([^{}]*)\}|\\[()\[\]]|\$")

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def graded(references: Sequence[str], answer: str, rule: str = "math") -> Grade:
    """The grade of an answer, which is right if it is any of the references; right ones are one vote.

    Args:
        rule: ``math``; ``exact``: equal as text, case and spaces aside; ``words``: punctuation and articles aside too.
    """
    if rule != "math":
        plain = plain_text if rule == "exact" else plain_words
        given = plain(answer)
        right = given in map(plain, references)
        return Grade(correct=float(right), canonical=plain(references[0]) if right else given)
    from r1kit.answers.grade import equal, vote

    right = any(equal(reference, answer) for reference in references)
    return Grade(correct=float(right), canonical=vote(references[0], answer, right))


def plain_text(text: str) -> str:
    r"""Text for comparison by equality: no ``\text{}`` and dollar signs, NFKC, one space, case folded, no last stop."""
    return evened(_MARKS.sub(lambda found: found[1] or "", text)).removesuffix(".").rstrip()


def plain_words(text: str) -> str:
    """Text as SQuAD's exact match compares it: no punctuation, no ``a``, ``an`` and ``the`` either (Rajpurkar et al.
    2016, section 6.1). An answer of nothing else, ``+`` say, is left as it is."""
    plain = plain_text(text)
    return " ".join(_ARTICLES.sub(" ", plain.translate(_NO_PUNCTUATION)).split()) or plain


Rule = Literal["math", "exact", "words", "choice", "countdown"]
_LETTER = re.compile(r"\(?([A-Z])\)?(?:[.):]*|[.):]+\s*(.*))", re.DOTALL | re.IGNORECASE)
_ANOTHER = re.compile(r"(?<![\w'])(?![AI]\s+(?!or\b|and\b)[a-z])([A-Z])(?![\w'])|(?<![\w.])([a-z])(?:[).:](?!\w)|\Z)")
"""A letter that stands as a choice's in what follows one; "A hen" and "I think" are words."""
_SAID = re.compile(
    r"(?:the )?(?:(?:final|correct|right) )?(?:answer|choice|option)(?: is)?:?\s+(.*)"
    r"|(?:正确)?(?:答案|选项|选择|故选|应选|选)(?:是|为|选)?:?\s*([a-z(].*)",
    re.DOTALL,
)
_STOPS = str.maketrans({"。": ".", "、": ". "})
_AROUND = re.compile(r"\\(?:boxed|fbox|text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}|\*\*|\$|\\[()\[\]]")


def grade_by(rule: Rule, prompt: Prompt, answer: str) -> Grade:
    """1 or 0."""
    if rule == "countdown":
        tree = read_answer(answer)
        value = value_of(tree) if tree is not None and keeps(tree, prompt.facts["numbers"], "+-*/") else None
        right = value is not None and value == prompt.facts["target"]
        return Grade(correct=float(right), canonical=" ".join(answer.split()) if value is None else str(value))
    assert prompt.answer is not None
    if rule == "choice":
        letter = chosen_letter(answer, prompt.facts.get("choices", ()))
        right = letter in prompt.answers
        return Grade(correct=float(right), canonical=(prompt.answer if right else letter) or plain_text(answer))
    return graded(prompt.answers, answer, rule)


def chosen_letter(answer: str, choices: Sequence[str]) -> str | None:
    """The letter that an answer names, ``B``, ``(b)``, ``B. hen``, or whose choice it repeats; None for neither, for a
    letter that no choice has, and for one with another choice's text or letter."""
    text = _unmarked(unicodedata.normalize("NFKC", answer).translate(_STOPS)).rstrip(".").strip()
    if said := _SAID.fullmatch(evened(text)):
        text = said[1] or said[2] or text
    texts = [evened(choice) for choice in choices]
    if evened(text) in texts:
        return string.ascii_uppercase[texts.index(evened(text))]
    found = _LETTER.fullmatch(text)
    if found is None:
        return None
    letter, more = found[1].upper(), found[2] or ""
    letters = string.ascii_uppercase[: len(choices) or None]
    named = {letters[texts.index(evened(more))]} if evened(more) in texts else _named(more) & set(letters)
    if letter not in letters or named - {letter}:
        return None
    return letter


def _named(text: str) -> set[str]:
    return {(one or other).upper() for one, other in _ANOTHER.findall(text)}


def _unmarked(text: str) -> str:
    """Without boxes, dollar signs and bold around it; what is longer than any answer is left as it is."""
    if len(text) > 10 * LONGEST:
        return text
    while (inside := _AROUND.sub(lambda found: found[1] or "", text)) != text:
        text = inside
    return text.strip()
