"""Dates and times of the day, each in one spelling: ``4th of July, 1776``, ``3:15 in the afternoon``."""

from __future__ import annotations

import re
from collections.abc import Callable

from r1kit.answers.words import words

__all__ = ["DATES", "clock"]

_MONTHS = {
    name: number
    for number, name in enumerate(
        words("january february march april may june july august september october november december"), 1
    )
}
_MONTH = "|".join((*_MONTHS, "(?:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\\.?"))
_DAY, _YEAR = r"(?P<day>[0-3]?\d)(?:st|nd|rd|th)?", r"(?P<year>\d{4})"
_PARTS = {"上午": "am", "早上": "am", "下午": "pm", "morning": "am", "afternoon": "pm", "evening": "pm"}
_TIME = re.compile(r"(\d{1,2}):([0-5]\d) ?([ap]m)?", re.IGNORECASE)


def clock(text: str) -> int | None:
    """Minutes since midnight of a time that says which half of the day it is in: ``3:15 PM``, ``15:15``; else None."""
    found = _TIME.fullmatch(text)
    hour = int(found[1]) if found else 0
    if not found or not (1 <= hour <= 12 if found[3] else 13 <= hour <= 23):
        return None
    return (hour % 12 + 12 * (found[3].lower() == "pm") if found[3] else hour) * 60 + int(found[2])


def _date(found: re.Match[str]) -> str:
    """In a spelling that nothing else has: ``@7-4 1776``."""
    named = found.groupdict()
    month = named["month"].lower().rstrip(".")
    number = int(month) if month.isdigit() else next(_MONTHS[name] for name in _MONTHS if name.startswith(month[:3]))
    day = int(named["day"])
    known = 1 <= number <= 12 and 1 <= day <= 31
    return f"@{number}-{day} {named.get('year') or ''}".rstrip() if known else found[0]


DATES: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (rf"(?i)^(?:on )?(?P<month>{_MONTH}) {_DAY}(?: ?,? ?(?<=[ ,]){_YEAR})?$", _date),
    (rf"(?i)^(?:on )?(?:the )?{_DAY}(?: of)? (?P<month>{_MONTH})(?: ?,? ?(?<=[ ,]){_YEAR})?$", _date),
    (rf"^{_YEAR} ?- ?(?P<month>[01]\d) ?- ?(?P<day>[0-3]\d)$", _date),
    (r"^(?:(?P<year>\d{4})年)?(?P<month>\d{1,2})月(?P<day>\d{1,2})[日号]$", _date),
    (r"^(?:in )?(?:the year |year )?(?<= )(\d{4})$", r"\1"),
    (r"(?i)^on (?=(?:mon|tues|wednes|thurs|fri|satur|sun)day$)", ""),
    (r"^(\d{1,2}(?::\d\d)?),? in the (morning|afternoon|evening)$", lambda found: f"{found[1]} {_PARTS[found[2]]}"),
    (r"^(\d{1,2}) o'?clock$", r"\1:00"),
    (r"^(上午|早上|下午)\s*(\d{1,2})(?:[时点]整?(?:([0-5]?\d)分)?|:(\d\d))$",
     lambda found: f"{found[2]}:{found[3] or found[4] or '00':0>2} {_PARTS[found[1]]}"),
    (r"(?<=[\d零〇一二两三四五六七八九十半])个(?=小时|月|星期|钟头)", ""),
)  # fmt: skip
"""Of a whole answer."""
