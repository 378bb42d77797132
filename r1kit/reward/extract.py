"""Take the final answer and the thinking part out of a completion. Nothing is judged here."""

from __future__ import annotations

import re

from r1kit.reward.last_number import last_number
from r1kit.reward.settings import ANSWER_STYLES, AnswerStyle, check_style
from r1kit.text.seen import in_tags

__all__ = [
    "ANSWER_STYLES", "AnswerStyle", "after_thinking", "extract_answer", "last_boxed", "marked", "survives_truncation",
    "thinking",
]  # fmt: skip


MOST_BOXES = 100
"""From the end, that are looked at for one that closes."""
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_BOX = re.compile(
    r"\\(?:boxed|fbox)(?:\s*(?P<brace>\{)"
    r"|(?:\s+|(?=[-−+]?\.?\d|\\[A-Za-z]))(?P<bare>(?:[^\s${}\\]|\\(?!boxed|fbox|begin|end|[hv]?space|q?quad)[A-Za-z]+)"
    r"(?:[^\s${}\\]|\\(?![()\[\]\\])|\{(?:[^{}]|\{[^{}]*\})*\})*))"
)


def extract_answer(text: str, style: AnswerStyle) -> str | None:
    r"""The final answer as written, stripped; None if there is none.

    ``tag``: the inside of the one ``<answer>…</answer>``; none or several pairs, or a stray tag, give None.
    ``boxed``: the inside of the last ``\boxed{…}`` or ``\fbox{…}`` whose braces balance.
    ``last_number``: the last number, without what groups its thousands: ``18`` of ``18 m``, ``3/4``, ``2.5e3``.
    ``last_line``: the last line that is not blank.

    But for ``tag``, only what follows the thinking is looked at; thinking that never ends has no answer.

    Raises:
        InputError: an unknown style.
    """
    check_style("answer", style, ANSWER_STYLES)
    if style == "tag":
        return _tagged(text)
    said = after_thinking(text)
    if style == "boxed":
        return last_boxed(said)
    if style == "last_number":
        return last_number(said)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else None


def marked(answer: str, style: AnswerStyle) -> str:
    """An answer alone, written with the mark that its style wants around it."""
    return {"tag": f"<answer> {answer} </answer>", "boxed": f"\\boxed{{{answer}}}"}.get(style, answer)


def survives_truncation(style: AnswerStyle) -> bool:
    """Whether an answer of this style, once extracted, is known to be complete although the text was cut after it."""
    return style in ("tag", "boxed")


def _tagged(text: str) -> str | None:
    if text.count("<answer>") != 1 or text.count("</answer>") != 1:
        return None
    found = _ANSWER.search(text)
    return found.group(1).strip() if found else None


def after_thinking(text: str) -> str:
    """What follows the last ``</think>``; nothing while a ``<think>`` stands open; the whole text without tags."""
    closed = text.rfind("</think>")
    if closed >= 0:
        return text[closed + len("</think>") :]
    return "" if "<think>" in text else text


def last_boxed(text: str) -> str | None:
    r"""Inside of the last ``\boxed{…}``, ``\boxed {…}``, ``\boxed 7``, ``\boxed7``, ``\boxed\frac12`` or ``\fbox{…}``
    with balanced braces; escaped braces (``\{``) do not count as braces."""
    boxes = list(_BOX.finditer(text))[-MOST_BOXES:]
    ends = _closing_braces(text, boxes[0].start()) if boxes else {}
    for found in reversed(boxes):
        if found["bare"]:
            return found["bare"].rstrip(".,;:!?。，")
        end = ends.get(found.end() - 1)
        if end is not None:
            return text[found.end() : end].strip()
    return None


def _closing_braces(text: str, start: int) -> dict[int, int]:
    """Place of each opening brace from ``start`` on that is closed -> place of the brace that closes it."""
    closed: dict[int, int] = {}
    open_at: list[int] = []
    for found in _BRACE.finditer(text, start):
        if found[0] == "{":
            open_at.append(found.start())
        elif found[0] == "}" and open_at:
            closed[open_at.pop()] = found.start()
    return closed


def thinking(text: str) -> str:
    """The chain of thought: inside ``<think>…</think>``; before ``</think>`` when the opening tag was prefilled;
    after ``<think>`` when it was never closed; otherwise everything before ``<answer>``."""
    text = in_tags(text)
    opened, closed = text.find("<think>"), text.find("</think>")
    start = opened + len("<think>") if opened >= 0 and (closed < 0 or opened < closed) else 0
    if closed >= 0:
        return text[start:closed]
    if opened >= 0:
        return text[start:]
    answer = text.find("<answer>")
    return text[:answer] if answer >= 0 else text
