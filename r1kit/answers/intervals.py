"""Readings taken as ranges of numbers: intervals, unions of them, conditions that hold at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from r1kit.answers.kinds import Reading
from r1kit.answers.ranges import Range, common, full_range, outside, overlap, same_ranges, without_point

__all__ = ["as_range", "is_interval", "union_of", "with_points", "without"]

MOST_ITEMS = 12
"""Of a list that is taken as one range."""


def union_of(text: str, parts: list[Reading]) -> Reading | None:
    found = [part if part.kind in ("range", "set") else as_range(part) for part in parts]
    if any(part is None for part in found):
        return None
    if all(part is not None and part.kind == "set" for part in found):
        return Reading(kind="set", text=text, items=tuple(item for part in found if part for item in part.items))
    ranges: list[Range] = []
    for part in found:
        assert part is not None
        ranges += part.ranges or [Range.point(item.node) for item in part.items if item.node is not None]
    names = {part.name for part in found if part is not None and part.name}
    if len(names) > 1:
        return None
    return Reading(kind="range", text=text, ranges=tuple(ranges), name="".join(names))


def without(text: str, whole: Reading, holes: Reading) -> Reading | None:
    """A range without some of its points, or without other ranges."""
    start, nodes = as_range(whole), [item.node for item in holes.items]
    if start is not None and holes.kind != "set" and (cut := as_range(holes)) is not None:
        return _without_ranges(text, start, cut)
    if start is None or holes.kind != "set":
        return None
    ranges: tuple[Range, ...] = start.ranges
    for node in nodes:
        if node is None or (left := without_point(ranges, node)) is None:
            return None
        ranges = left
    return replace(start, text=text, ranges=ranges)


def _without_ranges(text: str, start: Reading, cut: Reading) -> Reading | None:
    left: tuple[Range, ...] = start.ranges
    for hole in cut.ranges:
        rest = outside(hole)
        both = rest if left == (full_range(),) else common(left, rest)
        if both is None:
            return None
        left = both
    return replace(start, text=text, ranges=left) if left else None


def with_points(parts: Sequence[Reading]) -> list[Reading]:
    """``x = 3`` beside ``x < 1`` as the range of one number."""
    return [
        replace(part, kind="range", ranges=(Range.point(part.node),)) if part.name and part.node is not None else part
        for part in parts
    ]


def as_range(reading: Reading, sure: bool = False) -> Reading | None:
    """``(1,2)`` read as an interval, and several intervals or conditions as what they hold together.

    Args:
        sure: several ``(1,2)`` may be points.
    """
    if reading.kind == "range":
        return reading
    if reading.kind == "list":
        return _together(reading, sure)
    nodes = [item.node for item in reading.items]
    if reading.kind != "tuple" or len(nodes) != 2 or nodes[0] is None or nodes[1] is None:
        return None
    found = Range(nodes[0], nodes[1], reading.brackets[0] == "[", reading.brackets[1] == "]")
    return Reading(kind="range", text=reading.text, ranges=(found,), name=reading.name)


def _together(reading: Reading, sure: bool) -> Reading | None:
    """``x \\ge -3, x \\le 2`` holds at once; ``x < -2, x > 2``, which never does, and intervals are a union."""
    if len(reading.items) > MOST_ITEMS or (sure and not all(map(is_interval, reading.items))):
        return None
    if all(item.kind == "range" and item.name == reading.items[0].name for item in reading.items):
        held = _held_at_once([item.ranges for item in reading.items])
        if held is None or any(same_ranges(held, item.ranges) for item in reading.items):
            return None
        if held:
            return Reading(kind="range", text=reading.text, ranges=held, name=reading.items[0].name)
        if re.search(r"\band\b|\\wedge|且", reading.text):
            return None
    return union_of(reading.text, list(reading.items))


def _held_at_once(conditions: Sequence[tuple[Range, ...]]) -> tuple[Range, ...] | None:
    """The numbers for which all of them hold; None where an end is not known, but for two bounds."""
    held = conditions[0]
    for one in conditions[1:]:
        both = common(held, one)
        if both is None:
            bounds = overlap([each for condition in conditions for each in condition])
            return None if bounds is None else (bounds,)
        held = both
    return held


def is_interval(item: Reading) -> bool:
    """``(2,3]``, ``(-\\infty,2)``; ``(2,3)`` may be a point."""
    return (
        item.kind == "range" or (item.brackets in ("(]", "[)", "[]") and len(item.items) == 2) or "\\infty" in item.text
    )
