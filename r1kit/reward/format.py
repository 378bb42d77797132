"""The format reward: reasoning inside ``<think>``, answer inside ``<answer>`` (R1 paper, section 2.2)."""

from __future__ import annotations

import re
from typing import Literal, get_args

from r1kit.errors import InputError, nearest
from r1kit.reward.extract import last_boxed

__all__ = ["FORMAT_STYLES", "TAGS", "FormatStyle", "format_reward"]

FormatStyle = Literal["think_answer", "think_summary", "strict", "boxed", "none"]
FORMAT_STYLES: tuple[str, ...] = get_args(FormatStyle)
TAGS = ("<think>", "</think>", "<answer>", "</answer>")

_LOOSE = re.compile(r"\s*<think>.*</think>\s*<answer>.*</answer>\s*", re.DOTALL)
_SUMMARY = re.compile(r"\s*<think>.*</think>.*<answer>.*</answer>\s*", re.DOTALL)
_STRICT = re.compile(r"<think>\n.*\n</think>\n<answer>\n.*\n</answer>", re.DOTALL)  # open-r1, rewards.py
_STRICT_TAGS = ("<think>\n", "\n</think>\n", "\n<answer>\n", "\n</answer>")


def format_reward(
    text: str, finish: str, style: FormatStyle, *, prefilled: bool = False, partial: bool = False
) -> float:
    r"""1 if the completion has the asked form, else 0.

    ``think_answer``: ``<think>…</think> <answer>…</answer>``, each tag exactly once, only whitespace around them.
    ``think_summary``: the same, but any text may stand between ``</think>`` and ``<answer>``: the summary of a cold
    start's samples (R1 paper, section 2.3), which ends in the answer.
    ``strict``: as ``think_answer``, with open-r1's line breaks around every tag (each tag still exactly once).
    ``boxed``: at least one ``\boxed{…}`` with balanced braces.
    ``none``: nothing is asked: always 1.

    Args:
        text: the completion, special tokens kept, end token left out.
        finish: ``stop`` or ``length``; a completion that did not end by itself has no form (except ``none``).
        style: one of the above.
        prefilled: the prompt ended in ``<think>``, so the completion starts after it.
        partial: pay 0.25 for each tag that occurs exactly once (open-r1's tag count) instead of all or nothing;
            only for the three tagged styles, cut completions included.
    """
    if style not in FORMAT_STYLES:
        hint = nearest(style, FORMAT_STYLES)
        raise InputError(f"format style {style!r} is unknown; allowed are {', '.join(FORMAT_STYLES)}.{hint}")
    if style == "none":
        return 1.0
    if style == "boxed":
        return float(finish == "stop" and last_boxed(text) is not None)
    whole = _with_opening(text, style) if prefilled else text
    if partial:
        tags = _STRICT_TAGS if style == "strict" else TAGS
        return 0.25 * sum(whole.count(tag) == 1 for tag in tags)
    if finish != "stop" or any(whole.count(tag) != 1 for tag in TAGS):
        return 0.0
    pattern = {"think_answer": _LOOSE, "think_summary": _SUMMARY, "strict": _STRICT}[style]
    return float(pattern.fullmatch(whole) is not None)


def _with_opening(text: str, style: FormatStyle) -> str:
    """Put the prefilled tag back; templates prefill ``<think>`` or ``<think>\\n``, so the line break may be there."""
    if style == "strict" and not text.startswith("\n"):
        return "<think>\n" + text
    return "<think>" + text
