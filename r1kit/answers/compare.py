"""Does an answer say what the reference says? The reference decides what an answer may leave out or add.

A unit may be left out; one that the reference does not name may stand there only if it is a unit (``units.py``). Where
the reference is a number, the answer must be one too: a sum left to be worked out would repeat the question.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from r1kit.answers.chains import as_difference, worth
from r1kit.answers.chemistry import same_chemical, same_in_chemistry
from r1kit.answers.dates import clock
from r1kit.answers.intervals import as_range
from r1kit.answers.kinds import Reading
from r1kit.answers.library import library_agrees
from r1kit.answers.nodes import Node, is_number, is_worked_out, number, symbols, walk
from r1kit.answers.ranges import same_ranges
from r1kit.answers.reading import read
from r1kit.answers.same import same, same_up_to_factor
from r1kit.answers.units import CURRENCIES, in_base, same_unit
from r1kit.answers.vectors import coordinates
from r1kit.answers.words import VERDICTS

__all__ = ["agrees"]

_SLOPES = {"f'(x)", "y'", "y'(x)", r"\fracdydx", r"\fracdfdx"}
"""Names of one derivative, without spaces and braces."""


def agrees(reference: Reading, answer: Reading) -> bool:
    """Whether the answer is right by the reference."""
    if reference.label or answer.label:
        return _choices(reference, answer)
    return _bodies(reference, answer)


def _choices(reference: Reading, answer: Reading) -> bool:
    if reference.kind == "choice":
        return answer.label == reference.label
    if answer.kind == "choice":
        return bool(reference.label) and answer.label == reference.label
    if reference.label and answer.label and reference.label != answer.label:
        return False
    return _bodies(reference, answer)


def _bodies(reference: Reading, answer: Reading) -> bool:
    if same_in_chemistry(reference.text, answer.text):
        return True
    if not _named_alike(reference, answer):
        return _as_equations(reference, answer)
    kinds = reference.kind, answer.kind
    if "list" in kinds and "formula" in kinds and _one_of_two(reference, answer):
        return True
    if "range" in kinds or _holds_together(reference, answer):
        left, right = as_range(reference, sure=True), as_range(answer)
        return left is not None and right is not None and same_ranges(left.ranges, right.ranges)
    if kinds == ("formula", "formula"):
        return _formulas(reference, answer) or bool(_as_vectors(reference, answer))
    if "ratio" in kinds and (two := _as_quotients(reference, answer)) is not None:
        return _formulas(*two)
    if kinds == ("ratio", "ratio") and reference.items:
        return _in_order(reference.items, answer.items)
    if kinds == ("text", "text") and library_agrees(reference.text, answer.text):
        return True
    if kinds == ("ratio", "text") and re.fullmatch(rf"{re.escape(reference.text)} ?[ap]m", answer.text.lower()):
        return True
    if (time := clock(reference.text)) is not None and time == clock(answer.text):
        return True
    if same_chemical(reference.text, answer.text):
        return True
    if (vector := _as_vectors(reference, answer)) is not None:
        return vector
    if kinds == ("formula", "relation") and not reference.name and reference.node and is_number(reference.node):
        return (value := worth(answer)) is not None and _nodes(reference.node, value)
    if "relation" in kinds:
        return _as_equations(reference, answer)
    if _letters(reference) and _letters(reference) == _letters(answer):
        return True
    if reference.items or answer.items:
        return _several(reference, answer)
    if "word" in kinds:
        return _folded(reference.text) == _folded(answer.text)
    return reference.kind == answer.kind and (reference.kind == "empty" or _spaceless(reference) == _spaceless(answer))


def _holds_together(reference: Reading, answer: Reading) -> bool:
    """``x \\ge -3, x \\le 2`` against an interval that may be a point."""
    lists = [one for one in (reference, answer) if one.kind == "list"]
    return (
        len(lists) == 1
        and "tuple" in (reference.kind, answer.kind)
        and all(item.kind == "range" for item in lists[0].items)
    )


def _one_of_two(reference: Reading, answer: Reading) -> bool:
    """One value against ``11/2 or 5.5``, which tells it twice, or ``3 and 1/2``, a mixed number."""
    items = answer.items or reference.items
    if re.search(r"\bor\b|或", (answer if answer.items else reference).text):
        pairs = [(reference, item) if answer.items else (item, answer) for item in items]
        return len({item.text for item in items}) == len(items) and all(_bodies(*pair) for pair in pairs)
    whole, part = (items[0].node, items[1].node) if len(items) == 2 else (None, None)
    if whole is None or part is None or not answer.items or not re.search(r"\d and [\d\\]", answer.text):
        return False
    numbers = [whole, *part.parts] if part.kind == "div" else []
    if not numbers or any(each.kind != "number" or each.value.denominator != 1 for each in numbers):
        return False
    return 0 < numbers[1].value < numbers[2].value and _bodies(
        reference, replace(items[1], node=Node("mixed", (whole, part)))
    )


def _as_vectors(reference: Reading, answer: Reading) -> bool | None:
    """A matrix of one column or row against a point; None where they are something else."""
    shapes = {"matrix" if one.node and one.node.kind == "matrix" else one.kind for one in (reference, answer)}
    if shapes not in ({"formula", "tuple"}, {"matrix", "tuple"}, {"matrix", "formula"}):
        return None
    mine, its = coordinates(reference), coordinates(answer)
    return mine is not None and its is not None and len(mine) == len(its) and all(map(_nodes, mine, its))


def _as_quotients(reference: Reading, answer: Reading) -> tuple[Reading, Reading] | None:
    """``3:4`` against ``3/4``; two ratios are compared as they are written."""
    both = reference, answer
    if {one.kind for one in both} != {"ratio", "formula"} or any(one.text.count(":") > 1 for one in both):
        return None
    two = [replace(read(one.text.replace(":", "/")), name=one.name) for one in both]
    if any(one.kind != "formula" for one in two):
        return None
    return two[0], two[1]


def _letters(reading: Reading) -> str:
    """The letters or circled digits of several choices: ``AC``, ``A, C``, ``A and C``, ``①③``."""
    found = re.fullmatch(r"[A-H](?:(?:[\s,;]|and)*[A-H])+|[①-⑳](?:(?:[\s,;和]|and)*[①-⑳])+", reading.text)
    return "".join(sorted(set(re.sub(r"[^A-H①-⑳]", "", reading.text)))) if found else ""


def _folded(text: str) -> str:
    plain = " ".join(text.replace(".", "").casefold().split())
    said = re.sub(r"^(?:the|an?) | solutions?$| wins$| has a winning strategy$|条件$", "", plain)
    if re.fullmatch(r"dne|undefined|(?:(?:limit|value) )?does not exist", said):
        return "does not exist"
    return VERDICTS.get(said, said)


def _spaceless(reading: Reading) -> str:
    text = re.sub(r"(?<=[A-Za-z])\.", "", "".join(reading.text.split()))
    plain = re.sub(r"\\text\{([A-Z][a-z]?)\}", r"\1", text)
    if "\\" in plain or not re.search(r"[A-Za-z]{2}", plain):
        return text
    formula = re.sub(r"(?<=[A-Za-z)])_(?:(\d)|\{(\d+)\})", r"\1\2", plain)  # chemical: SO_4^{2-} is SO4^2-
    return re.sub(r"\^\{(\d*[+-])\}", r"^\1", formula).casefold()


def _named_alike(reference: Reading, answer: Reading) -> bool:
    if not reference.name or not answer.name:
        return True
    mine, its = ("".join(each.name.split()) for each in (reference, answer))
    if mine == its or {mine, its} <= _SLOPES:
        return True
    of = re.fullmatch(r"([a-z])\([a-z]\)", max(mine, its, key=len))
    return reference.kind == answer.kind == "formula" and (
        {mine, its} == {"y", "f(x)"} or (of is not None and of[1] in (mine, its))
    )


# ---- formulas --------------------------------------------------------------------------------------------------------


def _formulas(reference: Reading, answer: Reading) -> bool:
    assert reference.node is not None
    assert answer.node is not None
    if any(_formulas(reference, other) for other in _meant(answer, reference, given=True)):
        return True
    if any(_formulas(other, answer) for other in _meant(reference, answer, given=False)):
        return True
    if answer.whole is not None and symbols(reference.node) and not reference.unit:
        return _nodes(reference.node, answer.whole)  # 6 abc, where the reference has variables
    if reference.whole is not None and symbols(answer.node) and not symbols(reference.node) and not answer.unit:
        return _nodes(reference.whole, answer.node)
    if {reference.unit, answer.unit} in ({"deg", ""}, {"deg", "rad"}):
        angle, other = (reference.node, answer.node) if reference.unit == "deg" else (answer.node, reference.node)
        if any(part.name == "pi" for part in walk(other)):
            return same(Node("degree", (angle,)), other)
    if reference.unit and answer.unit and not same_unit(reference.unit, answer.unit):
        return _converted(reference, answer)
    return _units(reference, answer) and _nodes(reference.node, answer.node)


def _meant(one: Reading, other: Reading, given: bool) -> list[Reading]:
    """What else it may say beside the other side: with a unit that the other side names; thousands beside a number.

    Args:
        given: it is the answer; of references only money is in thousands.
    """
    assert other.node is not None
    return [
        each for each in one.meant
        if (other.unit and in_base(each.unit)[0] == in_base(other.unit)[0] if each.unit and each.unit not in CURRENCIES
            else (given or each.unit) and not symbols(other.node))
    ]  # fmt: skip


def _converted(reference: Reading, answer: Reading) -> bool:
    """Other units of one dimension: ``\\$0.75`` and ``75 cents``."""
    assert reference.node is not None
    assert answer.node is not None
    if reference.counted or answer.counted or (is_number(reference.node) and not is_worked_out(answer.node)):
        return False
    (mine, size), (its, other) = in_base(reference.unit), in_base(answer.unit)
    return mine == its and same(Node("mul", (number(size), reference.node)), Node("mul", (number(other), answer.node)))


def _nodes(reference: Node, answer: Node) -> bool:
    if reference.kind == answer.kind and reference.kind in ("matrix", "row"):
        return len(reference.parts) == len(answer.parts) and all(map(_nodes, reference.parts, answer.parts))
    if is_number(reference) and not is_worked_out(answer):
        return False
    if same(reference, answer):
        return True
    mine, its = _hundredths(reference), _hundredths(answer)
    if (mine is None) != (its is None) and is_number(reference):
        return same(mine or reference, its or answer)
    return False


def _hundredths(node: Node) -> Node | None:
    """``-20`` of ``-20%``; None of what is not in percent."""
    if node.kind == "neg":
        inner = _hundredths(node.parts[0])
        return inner and Node("neg", (inner,))
    return node.parts[0] if node.kind == "percent" else None


def _units(reference: Reading, answer: Reading) -> bool:
    if any(one.node and _hundredths(one.node) for one in (reference, answer)):
        return not reference.unit and not answer.unit
    if not reference.unit and answer.unit:
        return answer.node is not None and (is_worked_out(answer.node) or not answer.counted)
    if not reference.unit or not answer.unit:
        return True
    return same_unit(reference.unit, answer.unit)


def _as_equations(reference: Reading, answer: Reading) -> bool:
    """Both as equations: one is the other times a number. ``y = 3x - 2`` is ``3x - y - 2 = 0``."""
    if reference.kind == answer.kind == "relation":
        if reference.sign != answer.sign:
            return False
        assert reference.node is not None
        assert answer.node is not None
        return same_up_to_factor(reference.node, answer.node, positive=reference.sign in ("<", "\\le"))
    left, right = as_difference(reference), as_difference(answer)
    return left is not None and right is not None and same_up_to_factor(left, right)


# ---- several ---------------------------------------------------------------------------------------------------------


def _several(reference: Reading, answer: Reading) -> bool:
    kinds = {reference.kind, answer.kind}
    if kinds == {"tuple"}:
        return reference.brackets == answer.brackets and _in_order(reference.items, answer.items)
    if kinds == {"list", "tuple"} and (placed := _by_name(reference, answer)) is not None:
        return placed
    if kinds == {"list", "tuple"} and len(answer.items) > 2 and "[]" in (reference.brackets, answer.brackets):
        return _in_order(reference.items, answer.items)
    if kinds == {"list", "tuple"}:
        return reference.kind == "list" and answer.brackets == "()" and _in_order(reference.items, answer.items)
    if kinds == {"set", "tuple"} and len((reference if reference.kind == "set" else answer).items) == 1:
        return all(
            _bodies(one, other)
            for one in (reference.items if reference.kind == "set" else (reference,))
            for other in (answer.items if answer.kind == "set" else (answer,))
        )
    if kinds == {"set", "formula"} and len(reference.items or answer.items) == 1:
        return _bodies((reference.items or (reference,))[0], (answer.items or (answer,))[0])
    if not kinds <= {"list", "set"}:
        return False
    if len(answer.items) > 4 * len(reference.items) or _opposed(reference.text, answer.text):
        return False
    mine, theirs = (_distinct(one) for one in (reference, answer))
    names = {item.name for item in mine if item.name}
    named = [item.name for item in theirs if item.name]
    if len(names) > 1 and (not named or _stems(names) == set(named)):
        return _in_order(mine, [replace(item, name="") for item in theirs])
    if len(names) == 1 and _stems(named) == names:
        theirs = [replace(item, name="") for item in theirs]
    if len(set(named)) > 1 and not names:
        return _in_order(mine, theirs)
    return _matched(mine, theirs)


def _opposed(one: str, other: str) -> bool:
    """``p \\wedge q`` and ``p \\vee q``."""
    return {sign for text in (one, other) for sign in ("\\wedge", "\\vee") if sign in text} == {"\\wedge", "\\vee"}


def _stems(names: Collection[str]) -> set[str]:
    """``x`` of ``x_1`` and ``x_2``."""
    return {name.rpartition("_")[0] for name in names}


def _by_name(reference: Reading, answer: Reading) -> bool | None:
    """A point against ``x = 1, y = 2``; None where the list names no coordinates."""
    point, named = (reference, answer) if reference.kind == "tuple" else (answer, reference)
    values = {item.name: replace(item, name="") for item in named.items}
    order = point.name.strip("()").split(",") if point.name else sorted(values)
    if "" in values or len(values) != len(named.items) or sorted(order) != sorted(values):
        return None
    placed = [values[name] for name in order]
    return point.brackets == "()" and (
        _in_order(point.items, placed) if point is reference else _in_order(placed, point.items)
    )


def _distinct(reading: Reading) -> list[Reading]:
    """The items; those of a set once each."""
    found: list[Reading] = []
    for item in reading.items:
        if reading.kind != "set" or not any(_bodies(other, item) for other in found):
            found.append(item)
    return found


def _in_order(reference: Sequence[Reading], answer: Sequence[Reading]) -> bool:
    return len(reference) == len(answer) and all(map(_bodies, reference, answer))


def _matched(reference: Sequence[Reading], answer: Sequence[Reading]) -> bool:
    """Whether each item of one is an item of the other, in any order."""
    left = list(answer)
    if len(reference) != len(left):
        return False
    for item in reference:
        place = next((place for place, other in enumerate(left) if _bodies(item, other)), None)
        if place is None:
            return False
        left.pop(place)
    return True
