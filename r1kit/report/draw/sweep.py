"""Several runs in tables of Markdown, as a terminal, an issue and a paper's notes take them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from r1kit.report.read.sweep import Column, Seen
from r1kit.report.read.wording import bracket, share

__all__ = ["draw_sweep"]


def draw_sweep(runs: Sequence[str], apart: Mapping[str, Mapping[str, str]], held: Sequence[Column]) -> str:
    """What differs between runs, setting by setting, and what each came to.

    Args:
        runs: their names, two or more.
        apart: see ``read.sweep.differing``.
        held: see ``read.sweep.columns``.
    """
    settings = [[key, *values.values()] for key, values in apart.items()]
    labels = dict.fromkeys(label for column in held for label in column.found)
    results = [[label, *(_cell(column.found.get(label)) for column in held)] for label in labels]
    first = _table(["setting", *runs], settings) if settings else ["All settings are alike."]
    second = _table(["newest accuracy", *map(_head, held)], results) if results else ["No evaluation is there yet."]
    last = "95% intervals: of one run over clusters of problems, of several over their seeds (Student's t)."
    return "\n".join([*first, "", *second, "", last])


def _head(column: Column) -> str:
    names = ", ".join(column.runs)
    return f"{names} ({len(column.runs)} seeds)" if len(column.runs) > 1 else names


def _cell(seen: Seen | None) -> str:
    return "–" if seen is None else share(seen.value) + bracket(seen.ends)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    for row in cells:
        yield f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |"
