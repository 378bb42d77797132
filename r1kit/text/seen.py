"""What a reward model sees of a response. No torch: the data factory and rewards read this."""

from __future__ import annotations

from typing import Literal

__all__ = ["Sees", "in_tags", "seen", "summary", "unclosed", "with_opening", "without_thinking"]

Sees = Literal["summary", "response"]
"""``summary``: what a user reads, so that the thinking is left free; ``response``: all of it."""


MARKED = (
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ("<|channel>thought", "<channel|>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
)
"""What stands before and behind the thinking of gpt-oss, Gemma 4, Seed-OSS and Magistral."""
FINAL = "<|channel|>final<|message|>"
"""In front of an answer of gpt-oss without thinking."""


def in_tags(text: str, *marked: tuple[str, str]) -> str:
    """A completion whose thinking stands between marks of the model's own, with it in ``<think>`` tags; any other text
    as it is.

    Args:
        marked: further marks than those of the models that are known.
    """
    for opening, closing in (*MARKED, *marked):
        begun = text.lstrip()
        if begun.startswith(opening.strip()):
            thought, closed, answer = begun.removeprefix(opening.strip()).partition(closing.strip())
            return f"<think>{thought}</think>{answer}" if closed else f"<think>{thought}"
    return text.removeprefix(FINAL)


def summary(text: str) -> str:
    """What comes after the thinking part, answer tags taken out.

    All of a text without thinking tags; nothing of one whose thinking was never closed.
    """
    text = in_tags(text)
    _, closed, after = text.partition("</think>")
    if not closed:
        after = "" if "<think>" in text else text
    return after.replace("<answer>", "").replace("</answer>", "").strip()


def with_opening(text: str) -> str:
    """A completion whose prompt ended in ``<think>``, whole: with the tag that the prompt wrote."""
    return ("<think>" if text.startswith("\n") else "<think>\n") + text


def without_thinking(text: str) -> str:
    """What is said behind the thinking that a text begins with; nothing where that never ends."""
    return text.partition("</think>")[2] if text.lstrip().startswith("<think>") else text


def unclosed(text: str) -> bool:
    """Whether a text is thinking to its end."""
    return "<think>" in text and "</think>" not in text


def seen(text: str, sees: Sees) -> str:
    """The part of a response that a reward model is given."""
    return summary(text) if sees == "summary" else text
