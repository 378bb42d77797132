"""The format reward: reasoning inside ``<think>``, answer inside ``<answer>`` (R1 paper, section 2.2)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from r1kit.records import Prompt
from r1kit.reward.extract import extract_answer
from r1kit.reward.messages import Job
from r1kit.reward.part import Mark, Ours
from r1kit.reward.settings import FORMAT_STYLES, FormatStyle, RewardConfig, check_style
from r1kit.tasks.task import Task

__all__ = ["FORMAT_STYLES", "TAGS", "Format", "FormatStyle", "format_reward"]

TAGS = ("<think>", "</think>", "<answer>", "</answer>")

_UNSEEN = (
    "\\s\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff"
)
"""Space, also of no width, and what else Unicode draws as nothing."""
_NOTHING = f"[{_UNSEEN}]*"
_BLANK_BOX = re.compile(
    rf"(?:[{_UNSEEN}~{{}}$]|\\(?:[,;:!> ]|\Z)|\\(?:q?quad|text|textbf|mathrm|mathbf)\b"
    r"|\\(?:[hv]space|[hv]?phantom)\*?\{[^{}]*\})*"
)
"""What LaTeX draws as nothing."""
_BLANK_ANSWER = re.compile(f"<answer>{_NOTHING}</answer>")
_BLANK = re.compile(rf"<(think|answer)>{_NOTHING}</\1>")
_LOOSE = re.compile(r"\s*<think>.*</think>\s*<answer>.*</answer>\s*", re.DOTALL)
_SUMMARY = re.compile(r"\s*<think>.*</think>.*<answer>.*</answer>\s*", re.DOTALL)
_STRICT = re.compile(r"<think>\n.*\n</think>\n<answer>\n.*\n</answer>", re.DOTALL)  # open-r1, rewards.py
_STRICT_TAGS = ("<think>\n", "\n</think>\n", "\n<answer>\n", "\n</answer>")


def format_reward(
    text: str,
    finish: str,
    style: FormatStyle,
    *,
    partial: bool = False,
    blank_thinking: bool = False,
) -> float:
    r"""1 if the completion has the asked form, else 0. Tags with nothing between them earn nothing.

    ``think_answer``: ``<think>…</think> <answer>…</answer>``, each tag exactly once, only whitespace around them.
    ``think_summary``: the same, but any text may stand between ``</think>`` and ``<answer>``: the summary of a cold
    start's samples (R1 paper, section 2.3), which ends in the answer.
    ``strict``: as ``think_answer``, with open-r1's line breaks around every tag (each tag still exactly once).
    ``boxed``: a ``\boxed{…}`` with balanced braces after the thinking, where there is any.
    ``none``: nothing is asked: always 1.

    Args:
        text: the completion, special tokens kept, end token left out, behind ``<think>`` where the prompt ended in it.
        finish: ``stop`` or ``length``; a completion that did not end by itself has no form (except ``none``).
        style: one of the above.
        partial: pay 0.25 for each tag that occurs exactly once, in order (open-r1's tag count) instead of all or
            nothing; only for the three tagged styles, cut completions included.
        blank_thinking: nothing but space between ``<think>`` and ``</think>`` is allowed.
    """
    check_style("format", style, FORMAT_STYLES)
    if style == "none":
        return 1.0
    if style == "boxed":
        boxed = extract_answer(text, "boxed")
        return float(finish == "stop" and boxed is not None and _BLANK_BOX.fullmatch(boxed) is None)
    blank = _BLANK_ANSWER if blank_thinking else _BLANK
    if partial:
        return 0.25 * _in_order(blank.sub("", text), _STRICT_TAGS if style == "strict" else TAGS)
    if finish != "stop" or any(text.count(tag) != 1 for tag in TAGS) or blank.search(text):
        return 0.0
    pattern = {"think_answer": _LOOSE, "think_summary": _SUMMARY, "strict": _STRICT}[style]
    return float(pattern.fullmatch(text) is not None)


def _in_order(text: str, tags: Sequence[str]) -> int:
    """How many tags occur exactly once and after those before them."""
    count = place = 0
    for tag in tags:
        if text.count(tag) == 1 and text.index(tag) >= place:
            count, place = count + 1, text.index(tag)
    return count


class Format(Ours):
    """``format_reward`` with a reward's settings; a tag that the prompt wrote is in the job's text already."""

    def __init__(self, config: RewardConfig, task: Task) -> None:
        self.config = config

    def __call__(self, prompt: Prompt, jobs: Sequence[Job]) -> list[Mark]:
        style, partial, blank = self.config.format_style, self.config.format_partial, self.config.blank_thinking
        return [Mark(format_reward(job.text, job.finish, style, partial=partial, blank_thinking=blank)) for job in jobs]
