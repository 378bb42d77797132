"""Chinese numerals and sentences: ``十二`` is 12, ``四分之三`` is 3/4, ``小明有5个苹果`` says 5."""

from __future__ import annotations

import re

__all__ = ["chinese_digits", "without_chinese_lead"]

_DIGITS = {sign: value for value, sign in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_TENS = {"十": 10, "百": 100, "千": 1000}
_MYRIADS = {"万": 10**4, "亿": 10**8}
_RUN = "[零〇一二两三四五六七八九十百千万亿]+"
_COUNTED = "(?:平方|立方)?[毫厘分千]?米|[个只条本张人名岁天元倍块支辆页件棵瓶]|小时|分钟"
_NUMERAL = re.compile(rf"(?P<sign>负?)(?P<run>{_RUN})(?P<unit>{_COUNTED})?")
_PARTS = re.compile(
    rf"(?P<sign>负?)(?:(?P<whole>{_RUN}|[0-9]+)又)?(?P<below>{_RUN}|[0-9]+)分之(?P<above>{_RUN}|[0-9]+(?:\.[0-9]+)?)"
)
_THEREFORE = re.compile(r"(?:所以|因此|因而|于是|综上(?:所述)?)[,:\s]*")
_ANSWER = re.compile(
    r"[^\d\\A-Za-z$({\[不非没错]{0,12}?(?:答案|结果|答|故选|应选|选择|选项|选|等于|一共有|一共|共有|共|总计)"
    r"(?:[是为选有:,\s]|等于|应该|应)*(?P<rest>[^\s].*)",
    re.DOTALL,
)
_NAMED = re.compile(r"(?P<name>[A-Za-z]|[A-Z]{2})(?:的值[是为]|(?:的值)?等于)\s*(?P<rest>\S.*)", re.DOTALL)
_SAID = re.compile(
    r"[^\d\\A-Za-z$({\[,;不非没错假如若比因原约少多至大最能许近几超]{0,12}?"
    r"(?:还剩下|还剩|剩下|剩余|剩|还有|有|还需要|需要|每人|为|是)\s*(?P<rest>[-\d\\$(].*)",
    re.DOTALL,
)


def without_chinese_lead(text: str) -> str:
    """What follows words that lead in to it; the text itself where there are none, or where they deny or compare."""
    text = _THEREFORE.sub("", text, count=1) if _THEREFORE.match(text) else text
    if named := _NAMED.fullmatch(text):
        return f"{named['name']} = {named['rest']}"
    found = _ANSWER.fullmatch(text) or _SAID.fullmatch(text)
    return str(found["rest"]) if found else text


def chinese_digits(text: str) -> str:
    """A whole text that is a number in Chinese, with or without a unit, in digits; any other text as it is."""
    if len(text) > 40:
        return text
    if part := _PARTS.fullmatch(text):
        return _fraction(part) or text
    found = _NUMERAL.fullmatch(text)
    value = _value(found["run"]) if found else None
    if found is None or value is None:
        return text
    return f"{'-' if found['sign'] else ''}{value}{found['unit'] or ''}"


def _fraction(part: re.Match[str]) -> str:
    sign = "-" if part["sign"] else ""
    above = part["above"] if part["above"].isascii() else _value(part["above"])
    if part["below"] == "百" and not part["whole"]:
        return "" if above is None else f"{sign}{above}\\%"
    below, whole = (_value(part[name] or "零") for name in ("below", "whole"))
    if above is None or not below or whole is None:
        return ""
    return f"{sign}{whole if part['whole'] else ''}\\frac{{{above}}}{{{below}}}"


def _value(run: str) -> int | None:
    """Of ``一百零五``, and of digits; None for what no one says (``三七``) and for ``一百五``, which may be 150."""
    if run.isascii():
        return int(run)
    if run in _TENS:
        return _TENS[run]
    total = section = digit = 0
    last, open_digit = 10**9, False
    for sign in run:
        if sign in _DIGITS:
            if open_digit:
                return None
            digit, open_digit = _DIGITS[sign], bool(_DIGITS[sign])
            last = last if open_digit else 11
        elif sign in _TENS:
            if (not open_digit and sign != "十") or _TENS[sign] >= last:
                return None
            section, last, digit, open_digit = section + (digit or 1) * _TENS[sign], _TENS[sign], 0, False
        else:
            if sign == "亿":
                total, section = 0, total + section
            if section + digit == 0:
                return None
            total += (section + digit) * _MYRIADS[sign]
            section, digit, last, open_digit = 0, 0, _MYRIADS[sign], False
    if open_digit and 11 < last < 10**9:
        return None
    return total + section + digit
