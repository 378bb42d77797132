r"""What an answer says, by kind: a formula with or without a unit, a list, a set, a point, a range, a word.

``read`` goes from the outside in: a choice's letter, a set's braces, a list's commas, an equation's sign, a number's
unit, and then the grammar of formulas (``formula.py``). What none of them knows is text.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from r1kit.answers.chains import difference, formula_of, read_chain, rounds
from r1kit.answers.cursor import DEEPEST
from r1kit.answers.intervals import as_range, is_interval, union_of, with_points, without
from r1kit.answers.kinds import Kind, Reading
from r1kit.answers.labels import split_label
from r1kit.answers.nodes import Node, is_number, symbols
from r1kit.answers.numerals import in_digits, words_in_digits
from r1kit.answers.ranges import full_range, is_name, lone_symbol, overlap, read_range, split_relation
from r1kit.answers.same import same
from r1kit.answers.spelling import LONGEST, respelled
from r1kit.answers.splitting import bracketed, depths, split_list, split_top
from r1kit.answers.units import Quantity, other_quantities, split_measures, split_unit
from r1kit.answers.words import EVERYDAY, FUNCTIONS, NAMES

__all__ = ["read"]

_EMPTY = re.compile(
    r"\\emptyset|\\\{\s*\\\}|\{\s*\}|(?:the )?empty set|no (?:real )?solutions?(?: exists?)?|空集"
    r"|(?:该|此|原)?(?:方程组?|不等式组?)?无(?:实数)?解",
    re.IGNORECASE,
)
_ALL = re.compile(r"\\mathbb\s*\{?R\}?|\\mathbf\s*\{R\}|(?:all |the )?real numbers|all reals", re.IGNORECASE)
_BUILDER = re.compile(r"\\?\{\s*(?P<name>[A-Za-z\\]+)\s*(?:\\in\s*\\mathbb\s*\{?R\}?)?\s*(?:\||:)\s*(?P<rest>.+?)\\?\}")
_FAMILY = re.compile(r"\\?\{\s*(?P<of>[^|:]+?)\s*(?:\||:)\s*(?P<rest>[^|:]*\\in[^|:]*?)\s*\\?\}")
_MEMBER = re.compile(r"(?P<name>[A-Za-z]|\\[a-z]+|\([a-z](?:\s*,\s*[a-z])+\))\s*\\in\s*(?P<rest>.+)", re.DOTALL)
_RATIO = re.compile(r"(\d+(?:\.\d+)?)(?:\s*:\s*|\s+to\s+)(\d+(?:\.\d+)?)(?:(?:\s*:\s*|\s+to\s+)(\d+(?:\.\d+)?))?")
_POINT = re.compile(r"(?P<name>[ABD-Z]'?)\s*(?P<rest>\(.+\))")
_TIME = re.compile(r"\d:\d\d(?!\d)")
_SHORT_WORD = re.compile(
    r"yes|no|dne|on|off|odd|even|red|all|none|any|true|false|east|west|mon|tue|wed|thu|fri|sat|sun|jan|feb|"
    r"mar|apr|may|jun|jul|aug|sep|oct|nov|dec|up|down|[A-Z][a-z]{2}|\\text\{[A-Za-z]+\}"
    r"|(?=[A-Z]*?([A-Z])[A-Z]*\1)[A-Z]{3,}",
)
"""Words that would be products of letters, and outcomes: ``HHT`` is no product, since no one writes H^2 T so."""
_WORDS = re.compile(r"[^\W\d_]+(?:[\s'’-]+[^\W\d_]+)*")
_GOES_ON = re.compile(r"-?(?:\d|\\frac)(?:[^A-Za-z\\]|\\(?:cdot|frac))*\\ldots(?:[^A-Za-z\\]|\\(?:cdot|frac))*$")
"""A sum or product of numbers that is not written out."""
_ASKED = re.compile(r"\\i?int(?![A-Za-z])|\\lim(?![A-Za-z])|\\frac\s*\{d\}\s*\{d[a-z]\}")
"""What begins an integral, a limit, a derivative that is worked out behind an equals sign."""
_CASES = re.compile(r"(?:\\begin\{cases\}|\\\{\s*\\begin\{array\}\s*\{[lcr]+\})(.*)\\end\{(?:cases|array)\}", re.DOTALL)


def read(text: str, thousands: bool = True) -> Reading:
    """The reading of an answer. Never raises.

    Args:
        thousands: ``1,450`` is one number, else it is a list of two.
    """
    if len(text) > LONGEST or max(depths(text), default=0) > DEEPEST:
        return Reading(kind="text", text=" ".join(text.split()))
    return _read(respelled(text, thousands))


@lru_cache(maxsize=8192)
def _read(text: str) -> Reading:
    letter, body = split_label(text)
    if not letter:
        return _body(text)
    return replace(_body(body), label=letter) if body else Reading(kind="choice", text=text, label=letter)


def _body(text: str) -> Reading:
    """Everything but a choice."""
    if _EMPTY.fullmatch(text):
        return Reading(kind="empty", text=text)
    if _ALL.fullmatch(text):
        return Reading(kind="range", text=text, ranges=(full_range(),))
    if cases := _CASES.fullmatch(text):
        rows = [row.strip().rstrip(",") for row in cases[1].split("\\\\") if row.strip()]
        if all(row.count("&") == 1 for row in rows):
            return _of_cases(text, rows)
        return _several("list", text, rows) or Reading(kind="text", text=text)
    if _SHORT_WORD.fullmatch(text) or _SHORT_WORD.fullmatch(text.lower()) or _is_everyday(text):
        return Reading(kind="word", text=re.sub(r"\\text|[{}]", "", text).casefold())
    for attempt in (_of_set, _of_measures, _of_list, _of_relation, _of_tuple, _of_phrase, _of_formula, _of_words):
        found = attempt(text)
        if found is not None:
            return found
    return Reading(kind="text", text=text)


def _is_everyday(text: str) -> bool:
    """``cat``, ``AND``; capitals to H alone may name the corners of a figure: ``BED``."""
    return text.lower() in EVERYDAY and not re.fullmatch("[A-H]+", text)


# ---- several ---------------------------------------------------------------------------------------------------------


def _several(kind: Kind, text: str, parts: list[str], brackets: str = "") -> Reading | None:
    items: list[Reading] = []
    for part in parts:
        item = _body(part) if part else None
        if item is None or item.kind == "text":
            return None
        items += item.items if item.kind == "list" and "\\pm" in part else (item,)
    return Reading(kind=kind, text=text, items=tuple(items), brackets=brackets)


def _of_set(text: str) -> Reading | None:
    if builder := _BUILDER.fullmatch(text):
        inner = _body(builder["rest"].strip())
        inner = (as_range(inner, sure=True) if inner.kind == "list" else None) or inner
        return replace(inner, text=text) if inner.kind == "range" or "\\in" in builder["rest"] else None
    if family := _FAMILY.fullmatch(text):
        return _several("list", text, [family["of"], *split_list(family["rest"])])
    if member := _MEMBER.fullmatch(text):
        inner = _body(member["rest"].strip())
        return replace(inner, text=text, name=member["name"])
    if len(cut := split_top(text, r"\setminus")) == 2:
        return without(text, *map(_body, cut))
    union = split_top(text, r"\cup")
    if len(union) > 1:
        return union_of(text, [_body(part) for part in union])
    inside = bracketed(text, "\\{", "\\}") or bracketed(text, "{", "}")
    return None if inside is None else _several("set", text, split_list(inside, words=False))


def _of_list(text: str) -> Reading | None:
    if "\\pm" in text and len(split_list(text)) == 1:
        both = [text.replace("\\pm", "+").replace("\\mp", "-"), text.replace("\\pm", "-").replace("\\mp", "+")]
        return _several("list", text, [re.sub(r"(^|[=(,{])\s*\+\s*", r"\1", each) for each in both])
    parts = split_list(text)
    if len(parts) < 2:
        return None
    found = _several("list", text, parts)
    if found is not None and re.search(r"\bor\b|或|\\vee", text) and any(map(is_interval, found.items)):
        return union_of(text, with_points(found.items)) or found
    joined = (
        found is not None and re.search(r"\band\b|\\wedge|且", text) and len({each.name for each in found.items}) == 1
    )
    if found is not None and joined and (common := overlap([one for item in found.items for one in item.ranges])):
        return Reading(kind="range", text=text, ranges=(common,), name=found.items[0].name)
    return found


def _of_tuple(text: str) -> Reading | None:
    """A point or an interval: ``(1, 2)``, ``[1; 2)``, and with its name, ``P(1, 2)``; ``C(5, 2)`` is a number."""
    if named := _POINT.fullmatch(text):
        found = _of_tuple(named["rest"])
        return None if found is None else replace(found, text=text, name=named["name"])
    for start, end in (("(", ")"), ("[", "]"), ("(", "]"), ("[", ")"), ("\\langle", "\\rangle")):
        inside = bracketed(text, start, end)
        if inside is None:
            continue
        parts = split_top(inside, ",")
        if len(parts) == 1:
            parts = split_top(inside, ";")
        if len(parts) > 1:
            brackets = "()" if start == "\\langle" else start + end
            found = _several("tuple", text, parts, brackets)
            return found and _nested(found)
    return None


def _nested(reading: Reading) -> Reading:
    """``[[1,2],[3,4]]`` as a matrix."""
    rows = [tuple(cell.node for cell in item.items) for item in reading.items]
    nodes = [node for row in rows for node in row]
    if reading.brackets != "[]" or not all(item.brackets == "[]" for item in reading.items) or None in nodes:
        return reading
    if len({len(row) for row in rows}) != 1:
        return reading
    matrix = Node("matrix", tuple(Node("row", tuple(cell for cell in row if cell is not None)) for row in rows))
    return Reading(kind="formula", text=reading.text, node=matrix)


def _of_cases(text: str, rows: list[str]) -> Reading:
    """``1, & n = 1 \\\\ 2n, & \\text{if } n \\ge 2``: rows of a value and its condition, in any order."""
    cells = [[cell.strip(" ,") for cell in row.split("&")] for row in rows]
    read = [[_body(value), _body(re.sub(r"^(?:if|when|for|where)\b\s*", "", condition))] for value, condition in cells]
    if any(cell.kind == "text" for row in read for cell in row):
        return Reading(kind="text", text=text)
    items = tuple(Reading(kind="tuple", text=text, items=tuple(row), brackets="&") for row in read)
    return Reading(kind="list", text=text, items=items)


# ---- one -------------------------------------------------------------------------------------------------------------


def _of_relation(text: str) -> Reading | None:
    sides, signs = split_relation(text)
    if not signs:
        return None
    if any(not side for side in sides):
        return None
    if set(signs) == {"="} and any(map(_GOES_ON.match, sides[:-1])):  # 1 + 2 + ... + 9 = 45
        sides = [*(side for side in sides[:-1] if not _GOES_ON.match(side)), sides[-1]]
        if len(sides) == 1:
            return _body(sides[0])
    if set(signs) == {"="} or set(signs) <= {"=", "\\approx"}:
        if signs[-1] == "\\approx" and rounds(sides[-2], sides[-1]):
            exact = _body(text[: text.rindex("\\approx")].rstrip())
            return replace(exact, text=text, rounded=sides[-1] if exact.kind == "formula" else "")
        return _of_equation(text, sides)
    if (found := read_range(sides, signs)) is not None:
        return Reading(kind="range", text=text, ranges=found[1], name=found[0])
    if len(signs) > 1:
        return None
    left, right = (formula_of(side) for side in sides)
    if left is None or right is None:
        return None
    sign = signs[0]
    if sign in (">", "\\ge"):
        left, right, sign = right, left, {">": "<", "\\ge": "\\le"}[sign]
    return Reading(kind="relation", text=text, node=difference(left, right), sign=sign)


def _of_equation(text: str, sides: list[str]) -> Reading | None:
    """``x = 5`` is a named 5; ``3 + 4 = 7`` is 7 if that is so, and ``m + n = 3 + 4 = 7`` is ``m + n = 7``; of what
    holds always, ``2(x+1) = 2x+2``, the last side counts; other equations are relations."""
    if len(sides) == 2 and (lone_symbol(sides[1]) or _is_product(sides[1])) and not is_name(sides[0]):
        sides = [sides[1], sides[0]]
    name, rest = ("", sides)
    if is_name(sides[0]):
        name, rest = sides[0], sides[1:]
    if len(rest) == 1:
        inner = _body(rest[0])
        name = "" if re.fullmatch(r"[A-Za-z]{4,}(?: [A-Za-z]+)*", name) else re.sub(r"\\text|[\s{}]", "", name)
        return None if inner.kind == "text" else replace(inner, text=text, name=inner.name or name)
    nodes = [formula_of(side) for side in rest]
    if nodes[0] is None and len(sides) == 2 and _ASKED.match(sides[0]):
        return replace(_body(sides[1]), text=text, name=re.sub(r"[\s{}]", "", sides[0]))
    if any(node is None for node in nodes):
        chain = read_chain(rest)
        return chain and replace(chain, text=text, name=name)
    known = [node for node in nodes if node is not None]
    identity = known[-1] if symbols(known[0]) and not name else None
    value = next((node for node in (known[-1], known[0]) if is_number(node)), identity)
    if value is not None and all(same(known[0], node) for node in known[1:]):
        return Reading(kind="formula", text=text, node=value, name=name)
    if len(known) > 2 and not name and is_number(known[-1]) and all(same(known[1], node) for node in known[2:]):
        return _of_equation(text, [sides[0], sides[-1]])
    if len(known) != 2 or name:
        return None
    return Reading(kind="relation", text=text, node=difference(*known), sign="=")


def _is_product(side: str) -> bool:
    """``AB``, ``abc``: letters that may be named behind the equals sign too."""
    return bool(re.fullmatch("[A-Za-z]{2,3}", side)) and is_name(side) and in_digits(side) == side


def _of_measures(text: str) -> Reading | None:
    found = split_measures(text)
    if found is None:
        return None
    return Reading(kind="formula", text=text, node=formula_of(found.body), unit=found.unit)


def _of_ratio(text: str) -> Reading | None:
    """``3:4`` as it is written, since it may be a time; ``1:\\sqrt{3}:2`` by its parts."""
    if ratio := _RATIO.fullmatch(text):
        return Reading(kind="ratio", text=":".join(part for part in ratio.groups() if part is not None))
    parts = split_top(text, ":")
    if _TIME.search(text) or not 2 <= len(parts) <= 4 or any(formula_of(part) is None for part in parts):
        return None
    return Reading(kind="ratio", text=":".join(f"({part})" for part in parts), items=tuple(map(_body, parts)))


def _of_formula(text: str) -> Reading | None:
    if ":" in text or " to " in text:
        return _of_ratio(text)
    percent = re.fullmatch(r"(.+?)\s*(?:percent(?:age points?)?|per cent|pct)", text)
    text = f"{in_digits(words_in_digits(percent[1]))}\\%" if percent else text
    text = in_digits(text)
    quantity = split_unit(text) or Quantity(text, "")
    node = formula_of(quantity.body)
    if node is None:
        quantity, node = Quantity(text, ""), formula_of(text)
    if node is None:
        return None
    return Reading(
        kind="formula", text=text, node=node, unit=quantity.unit, counted=quantity.counted,
        whole=formula_of(text) if quantity.unit else None, meant=() if quantity.counted else _meant(text),
    )  # fmt: skip


def _meant(text: str) -> tuple[Reading, ...]:
    if not text[-1:].isalpha() and text[-1:] not in "}23":
        return ()
    nodes = ((quantity, formula_of(quantity.body)) for quantity in other_quantities(text))
    return tuple(
        Reading(kind="formula", text=text, node=node, unit=quantity.unit)
        for quantity, node in nodes if node is not None
    )  # fmt: skip


def _of_phrase(text: str) -> Reading | None:
    """Several words, one of three letters or more: ``The cat`` is no product."""
    words = text.split()
    if len(words) < 2 or in_digits(text) != text or not any(len(word) > 2 for word in words):
        return None
    return None if any(word in FUNCTIONS or word in NAMES for word in words) else _of_words(text)


def _of_words(text: str) -> Reading | None:
    if not _WORDS.fullmatch(text):
        return None
    return Reading(kind="word", text=re.sub(r"[\s'’-]+", " ", text).casefold())
