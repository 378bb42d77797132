r"""What is said around a value, or in place of it: ``the point (2, 3)``, ``only 7``, ``Yes, it is``, ``noon``."""

from __future__ import annotations

import re
from collections.abc import Callable

from r1kit.answers.words import DENOMINATORS, MULTIPLES, NAMES, NUMBERS, POWERS

__all__ = ["PHRASES"]

_WHO = r"(?:it|he|she|they|this|that|there|we|you|I)"
_DOES = r"(?:is|are|was|were|do|does|did|can|could|will|would|has|have)"
_PARTS = frozenset((*NUMBERS, *DENOMINATORS, *MULTIPLES, *POWERS, *NAMES))


def _portion(found: re.Match[str]) -> str:
    """``\\frac{3}{8} of the cake``; of a number it would be another number."""
    said = found[1].lower().split()
    return found[0] if not _PARTS.isdisjoint((*said, *(word.removesuffix("s") for word in said))) else ""


def _residue(found: re.Match[str]) -> str:
    """``204 \\modulo{1000}`` of ``1204 \\equiv 204``, if that is so."""
    number, rest, modulus = (int(found[place]) for place in (1, 2, 3))
    known = 0 <= rest < modulus and (number - rest) % modulus == 0
    return rf"{rest} \modulo{{{modulus}}}" if known else found[0]


def _sorted(found: re.Match[str]) -> str:
    """``B \\cup A`` in the order of the alphabet."""
    sign = r"\cup" if r"\cup" in found[0] else r"\cap"
    return f" {sign} ".join(sorted(re.findall("[A-Z]", found[0])))


PHRASES: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (rf"(?i)^yes,? {_WHO} {_DOES}$", "yes"),
    (rf"(?i)^no,? {_WHO} (?:{_DOES} not|{_DOES}n['’]t|can['’]?t|cannot|won['’]t)$", "no"),
    (r"(?i)^(?:there (?:are|is) )?(?:infinitely many|infinite|an infinite number of)(?: (?:real )?solutions?)?$",
     r"\\infty"),
    (r"(?i)^(?:at )?(?:12 )?noon$", "12:00 pm"),
    (r"(?i)^(?:at )?(?:12 )?midnight$", "12:00 am"),
    (r"^0(?=\d:[0-5]\d(?: ?[apAP][mM])?$)", ""),
    (r"^(\d{1,2})\s*:\s*([0-5]\d)\s*(?=[apAP][mM]$)", r"\1:\2 "),
    (r"^(\d+) ?h(?:rs?)? (\d+) ?m$", r"\1 h \2 min"),
    (r"^(\d+) ?m (\d+) ?s$", r"\1 min \2 s"),
    (r"^(\d+)' ?(\d+)(?:''|\")$", r"\1 ft \2 in"),
    (r"^(?:星期|礼拜|周)([一二三四五六日天])$", lambda found: f"星期{found[1].replace('天', '日')}"),
    (r"^第\s*(\d+|[一二三四五六七八九十百]+)[名个位项次]?$", r"\1"),
    (r"^负(?=[\d\\])", "-"),
    (r"(?i)^(?:at )?(?:the )?(?:point|ordered pair|pair|coordinates|vertex|cent(?:er|re)|focus)(?: at)? (?=\()", ""),
    (r"(?i)^only (?=[-\d\\])", ""),
    (r"(?<=[\d}])\s*\( ?(?:exact(?:ly)?|as (?:required|desired|needed)) ?\)$", ""),
    (r"(?<=[\d}]) of (?:the|an?|his|her|its|their)((?: [A-Za-z][a-z'-]{2,}){1,4})$", _portion),
    (r"^(\d+)-to-(\d+)$", r"\1:\2"),
    (r"(?<![\d.,])(\d+),(\d\d)(?= ?(?:€|euros?\b|EUR\b)$)|^(€ ?\d+),(\d\d)$",
     lambda found: f"{found[1] or found[3]}.{found[2] or found[4]}"),
    (r"^([^{}=,]+?)\s*\\over(?![A-Za-z])\s*([^{}=,]+)$", r"\\frac{\1}{\2}"),
    (r"^(-?\d{1,18}) ?\\equiv ?(-?\d{1,18}) \\modulo\{(\d{1,18})\}$", _residue),
    (r"^(?:x ?\\in ?)?\\mathbb\{R\} ?(?:\^ ?\{?\+\}?|_ ?\{? ?> ?0\}?)$"
     r"|^(?:all )?(?:the )?positive (?:real numbers|reals)$", r"(0, \\infty)"),
    (r"^(?:x ?\\in ?)?\\mathbb\{R\} ?_ ?\{? ?\\ge ?0\}?$|^(?:all )?(?:the )?non-?negative (?:real numbers|reals)$",
     r"[0, \\infty)"),
    (r"^(?:x ?\\in ?)?\\mathbb\{R\} ?\^ ?\{?-\}?$|^(?:all )?(?:the )?negative (?:real numbers|reals)$",
     r"(-\\infty, 0)"),
    (r"^[A-Z](?: ?\\cup ?[A-Z])+$|^[A-Z](?: ?\\cap ?[A-Z])+$", _sorted),
    (r"^(?:\\Delta|\\triangle|[Tt]riangle) ?(?=[A-Z]{3}$)", r"\\triangle "),
    (r"^d([a-z]) ?/ ?d([a-z])(?= ?=)", r"\\frac{d\1}{d\2}"),
    (r"^([A-Za-z] ?\( ?([a-z]) ?\) ?=.*?) ?, ?\2 ?\\in ?\\mathbb\{R\}$", r"\1"),
    (r"^([fgh] ?\( ?([a-z]) ?\) ?=.*?) ?,? for (?:all|every|any) "
     r"(?:(?:positive |natural |non-negative )?(?:integers?|numbers?) )?"
     r"\2(?: ?\\in ?\\mathbb\{[NZQ]\}(?:[\^_] ?\{?[+*]\}?)?)?$", r"\1"),
    (r" ?,? ?(?:(?:where )?([cC])(?: is an? (?:arbitrary |real )*constant| ?\\in ?\\mathbb\{R\})"
     r"|(?:for|with) (?:any|some|every|an?) (?:arbitrary |real )*constant ([cC]))$", ""),
    (r"(?<=[\d}]) ?(?:\\text\{)?(k?m)s\}? ?\^ ?\{?-([12])\}?$", r" \1/s^{\2}"),
    (r"(?<=[\d}]) ?kilowatt[- ]?hours?$", " kWh"),
    (r"(?<=[\d}]) ?electron[- ]?volts?$", " eV"),
    (r"(?<=[\d}]) ?light-?\s?years?$", " ly"),
    (r"(?<=[\d}]) ?(?:\\text\{)?mm\}? ?(?:\\text\{)?Hg\}?$", " mmHg"),
)  # fmt: skip
"""Of a whole answer, once nothing stands around it."""
