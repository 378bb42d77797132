r"""Numbers in words, as digits: ``25`` of ``twenty-five``, ``\frac{2}{3}`` of ``two-thirds``, ``60`` of ``5 dozen``."""

from __future__ import annotations

import re
from fractions import Fraction

from r1kit.answers.words import DENOMINATORS, MULTIPLES, NUMBERS, POWERS

__all__ = ["in_digits", "split_scale", "words_in_digits"]

_NUMBER = re.compile(r"(?P<minus>-?)(?P<word>[a-z]+)(?:-(?P<ones>[a-z]+))?(?P<rest>(?:\s+[a-z]+){0,3})", re.IGNORECASE)
_PART = re.compile(
    rf"(?P<above>-?\d{{1,9}})[\s-]+(?P<below>{'|'.join(DENOMINATORS)})(?P<many>s?)\b\s*(?P<rest>.*)", re.DOTALL
)
_WORDS = frozenset((*NUMBERS, "a", "hundred", "thousand", "million", "billion"))
_JOINED = re.compile(r"\b(hundred|thousand|million|billion) and\b(?= )|\b(?:(thousand|million|billion)),(?= )")
_HALF = re.compile(r"(?:half|an?\s+(?P<word>half|third|quarter))", re.IGNORECASE)
_FACTORIAL = re.compile(r"(\d+)\s+factorial")
_SCALE = re.compile(
    rf"(?P<body>[\d.,]+)\s*(?P<word>(?:{'|'.join(word for word in POWERS | MULTIPLES if word.isascii())})(?=s?\b)"
    rf"|万亿|[十百千]?[万亿]|千(?![米克瓦卡焦帕分]))s?\s*(?P<rest>.*)"
)


def in_digits(text: str) -> str:
    """With a number in words that begins a text, or a part of one (``2 thirds``), in digits."""
    if half := _HALF.fullmatch(text):
        return rf"\frac{{1}}{{{DENOMINATORS[(half['word'] or 'half').lower()]}}}"
    if factorial := _FACTORIAL.fullmatch(text):
        return f"{factorial[1]}!"
    spelled = _NUMBER.fullmatch(text)
    if spelled and (value := NUMBERS.get(spelled["word"].lower())) is not None:
        ones = (spelled["ones"] or "zero").lower()
        if ones in NUMBERS:
            text = f"{spelled['minus']}{value + NUMBERS[ones]}{spelled['rest']}"
        elif ones in DENOMINATORS or ones[:-1] in DENOMINATORS:
            text = f"{spelled['minus']}{value} {ones}{spelled['rest']}"
    part = _PART.fullmatch(text)
    if not part or (spelled is None and part["below"] == "quarter"):  # 5 quarters are coins
        return text
    if bool(part["many"] or part["below"] == "halves") == (part["above"].lstrip("-") == "1"):
        return text
    above, sign = part["above"].lstrip("-"), "-" if part["above"].startswith("-") else ""
    return rf"{sign}\frac{{{above}}}{{{DENOMINATORS[part['below']]}}} {part['rest']}".rstrip()


def words_in_digits(text: str) -> str:
    """``225`` of ``two hundred and twenty five``, also with nouns behind it; any other text as it is."""
    found = _JOINED.sub(r"\1\2", text.lower()).replace("-", " ").split()
    end = next((place for place, word in enumerate(found) if word not in _WORDS), len(found))
    rest = found[end:]
    if not 2 <= end <= 12 or len(rest) > 3 or not all(word.isalpha() for word in rest):
        return text
    if not (DENOMINATORS.keys() | {"and", "or", "a"}).isdisjoint(word.removesuffix("s") for word in rest):
        return text
    value = _worth(found[:end])
    return text if value is None else " ".join((str(value), *rest))


def _worth(found: list[str]) -> int | None:
    """None where each is a number of its own: ``five six``."""
    total = group = 0
    small, scale = 10**4, 10**12
    """What the next word, and the next scale, must be smaller than."""
    for place, word in enumerate(found):
        value = 10 ** POWERS[word] if word in POWERS else NUMBERS.get(word, 1)
        if word == "hundred" and 0 < group < 20:
            group, small = group * 100, 100
        elif word in POWERS and word != "hundred" and group > 0 and value < scale:
            total, group, small, scale = total + group * value, 0, 10**4, value
        elif word not in POWERS and 0 < value < small and (word != "a" or place == 0):
            group, small = group + value, 10 if value >= 20 else 1
        else:
            return None
    return total + group


def split_scale(text: str) -> tuple[str, str] | None:
    """(the number, what follows) of ``5 thousand euros``, ``5 dozen eggs``, ``5万元``; else None."""
    found = _SCALE.fullmatch(text)
    if not found:
        return None
    word = found["word"]
    if word in MULTIPLES:
        if not re.fullmatch(r"\d+(?:\.\d+)?", found["body"]):
            return None
        value = Fraction(found["body"]) * MULTIPLES[word]
        return (str(value) if value.denominator == 1 else str(float(value))), found["rest"]
    return rf"{found['body']} \cdot 10^{{{POWERS[word]}}}", found["rest"]
