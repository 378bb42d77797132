"""Curves for a terminal: dots of a braille cell (2 x 4 a character), or marks in plain ASCII."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.text import Text

__all__ = ["ChartLine", "draw"]

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bit of each dot of a braille cell, [row][column]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartLine:
    name: str
    points: Sequence[tuple[float, float]]
    """(x, y), in order of x."""
    style: str
    """Colour for rich."""
    mark: str
    """ASCII mark of the line where braille cannot be printed; leads its name in the legend."""


def draw(
    lines: Sequence[ChartLine],
    *,
    width: int,
    height: int,
    low: float,
    high: float,
    label: Callable[[float], str],
    x_title: str,
    ascii_only: bool = False,
) -> Text:
    """The lines in a frame of ``width`` columns and ``height`` rows (axes not counted in the height).

    Args:
        low, high: ends of the y axis; ``label`` writes a value of it.
    """
    held = [line for line in lines if line.points]
    xs = [x for line in held for x, _ in line.points]
    if not xs:
        return Text("")
    margin = max(len(label(value)) for value in (low, (low + high) / 2, high)) + 2
    columns = max(10, width - margin - 1)
    left, right = min(xs), max(max(xs), min(xs) + 1e-9)
    cells: dict[tuple[int, int], tuple[int, str, str]] = {}
    for line in held:
        for column, row in _trace(line.points, (left, right), (low, high), columns * 2, height * 4):
            cell = (row // 4, column // 2)
            bits = cells[cell][0] if cell in cells else 0
            cells[cell] = (bits | _DOTS[row % 4][column % 2], line.style, line.mark)
    text = _framed(
        cells, columns, height, margin, {0: high, height // 2: (low + high) / 2, height - 1: low}, label, ascii_only
    )
    first, last = f"{left:g}", f"{right:g}"
    gap = columns - len(first) - len(last) - len(x_title)
    text.append(" " * margin + first + " " * (gap // 2) + x_title + " " * (gap - gap // 2) + last, "dim")
    return text


def _framed(
    cells: dict[tuple[int, int], tuple[int, str, str]],
    columns: int,
    height: int,
    margin: int,
    ticks: dict[int, float],
    label: Callable[[float], str],
    ascii_only: bool,
) -> Text:
    """The grid of cells behind a y axis with its tick labels."""
    text = Text()
    bar, tick, corner, floor = ("|", "+", "+", "-") if ascii_only else ("│", "┤", "└", "─")
    for row in range(height):
        said = label(ticks[row]) if row in ticks else ""
        text.append(f"{said:>{margin - 2}} {tick if said else bar}", "dim")
        for column in range(columns):
            if (row, column) in cells:
                bits, style, mark = cells[row, column]
                text.append(mark if ascii_only else chr(0x2800 + bits), style)
            else:
                text.append(" ")
        text.append("\n")
    text.append(" " * (margin - 1) + corner + floor * columns + "\n", "dim")
    return text


def _trace(
    points: Sequence[tuple[float, float]],
    x_ends: tuple[float, float],
    y_ends: tuple[float, float],
    columns: int,
    rows: int,
) -> list[tuple[int, int]]:
    """Dots (column, row from the top) of the straight pieces between the points."""
    span_x, span_y = x_ends[1] - x_ends[0], max(y_ends[1] - y_ends[0], 1e-12)
    placed = [
        (
            (x - x_ends[0]) / span_x * (columns - 1),
            (1 - min(1.0, max(0.0, (y - y_ends[0]) / span_y))) * (rows - 1),
        )
        for x, y in points
    ]
    dots = [(round(placed[0][0]), round(placed[0][1]))]
    for (x0, y0), (x1, y1) in pairwise(placed):
        count = max(1, round(max(abs(x1 - x0), abs(y1 - y0))))
        dots += [
            (round(x0 + (x1 - x0) * part / count), round(y0 + (y1 - y0) * part / count)) for part in range(1, count + 1)
        ]
    return dots
