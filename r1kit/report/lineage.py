"""The stages of a run as a graph: which fed which, what each left, how long it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from r1kit.report.findings import duration
from r1kit.report.run_folder import RunFolder, number, stage_title

__all__ = ["Node", "lineage_svg", "nodes"]

WIDTH, HEIGHT, GAP_X, GAP_Y = 214, 66, 62, 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A stage, or a model from outside that a stage started from."""

    name: str
    """Stage name, or model name."""
    feeds_on: tuple[str, ...]
    """Names of the nodes it started from."""
    outside: bool
    """A model that this run did not make."""
    done: bool
    lines: tuple[str, ...]
    """What stands under its title."""


def nodes(run: RunFolder) -> list[Node]:
    """The planned stages, in order, after the models from outside that they start from."""
    inputs = {name: _inputs(run, name) for name in run.planned}
    outside = dict.fromkeys(name for names in inputs.values() for name in names if name not in inputs)
    found = [Node(name=name, feeds_on=(), outside=True, done=True, lines=("from outside",)) for name in outside]
    for name, names in inputs.items():
        stage = run.stage(name)
        done = stage is not None and stage.done
        record = run.lineage.get(name)
        seconds = number(record, "seconds") if isinstance(record, dict) else None
        if seconds is None and stage is not None:
            seconds = stage.seconds
        checkpoint = record.get("checkpoint") if isinstance(record, dict) else None
        spent = "" if seconds is None else duration(seconds)
        state = spent if done else "not run yet" if stage is None else f"unfinished, {spent}" if spent else "unfinished"
        lines = (state, str(checkpoint) if checkpoint else "")
        found.append(Node(name=name, feeds_on=names, outside=False, done=done, lines=tuple(filter(None, lines))))
    return found


def _inputs(run: RunFolder, name: str) -> tuple[str, ...]:
    """What the manifest (or the result) says the stage started from."""
    record, stage = run.lineage.get(name), run.stage(name)
    listed = record.get("inputs") if isinstance(record, dict) else None
    if not isinstance(listed, list) and stage is not None:
        listed = stage.result.get("inputs")
    if not isinstance(listed, list):
        return ()
    return tuple(dict.fromkeys(str(item) for item in listed if item and item != name))


def _columns(found: Sequence[Node]) -> dict[str, int]:
    """Column of each node: one right of the rightmost it feeds on; a loop in a broken manifest ends."""
    column = {node.name: 0 for node in found}
    for _ in found:
        for node in found:
            column[node.name] = min(
                max((column[name] + 1 for name in node.feeds_on if name in column), default=0), len(found)
            )
    return column


def _places(found: Sequence[Node]) -> dict[str, tuple[int, int]]:
    """Upper left corner of each node."""
    filled: dict[int, int] = {}
    places = {}
    for node in found:
        column = _columns(found)[node.name]
        row = filled.get(column, 0)
        filled[column] = row + 1
        places[node.name] = (1 + column * (WIDTH + GAP_X), 1 + row * (HEIGHT + GAP_Y))
    return places


def _box(node: Node, x: int, y: int) -> str:
    title = node.name if node.outside else stage_title(node.name)
    kind = "model" if node.outside else "done" if node.done else "open"
    texts = [f'<text x="{x + 12}" y="{y + 22}">{escape(_clipped(title, 28))}</text>']
    for index, line in enumerate(node.lines[:2]):
        clipped = escape(_clipped(line, 32))
        texts.append(f'<text class="soft" x="{x + 12}" y="{y + 40 + 15 * index}">{clipped}</text>')
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5"/>{"".join(texts)}'


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    x0, y0, x1, y1 = start[0] + WIDTH, start[1] + HEIGHT // 2, end[0] - 2, end[1] + HEIGHT // 2
    middle = (x0 + x1) // 2
    return f'<path d="M {x0} {y0} C {middle} {y0}, {middle} {y1}, {x1} {y1}" marker-end="url(#arrow)"/>'


def _clipped(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def lineage_svg(found: Sequence[Node]) -> str:
    """The graph, left to right; an empty string for no node."""
    if not found:
        return ""
    places: Mapping[str, tuple[int, int]] = _places(found)
    width = max(x for x, _ in places.values()) + WIDTH + 1
    height = max(y for _, y in places.values()) + HEIGHT + 1
    arrows = [_arrow(places[name], places[node.name]) for node in found for name in node.feeds_on if name in places]
    boxes = [_box(node, *places[node.name]) for node in found]
    marker = (
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M 0 0 L 8 4 L 0 8 z"/></marker></defs>'
    )
    return (
        f'<div class="scroll"><svg class="lineage" role="img" aria-label="Stages and what fed them" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}">{marker}{"".join(arrows)}{"".join(boxes)}</svg></div>'
    )
