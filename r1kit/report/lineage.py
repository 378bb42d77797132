"""The stages of a run as a graph: which fed which, what each left, how long it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from r1kit.report.chain import ALIASES
from r1kit.report.findings import duration
from r1kit.report.run_folder import RunFolder, StageFolder, mapping, number, stage_title

__all__ = ["Node", "lineage_svg", "nodes"]

WIDTH, HEIGHT, GAP_X, GAP_Y = 168, 66, 40, 24
ACROSS = 5
"""Columns side by side; the next ones stand in a band below."""
BAND = 58
"""Between bands, and above the first if an arrow passes there."""
MOST_ARROWS = 3
"""A stage that takes in more gets one arrow, from the newest; its box counts the others."""


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
        record = mapping(run.lineage.get(name))
        seconds = number(record, "seconds")
        if seconds is None and stage is not None:
            seconds = stage.seconds
        spent = "" if seconds is None else duration(seconds)
        state = spent if done else "not run yet" if stage is None else f"unfinished, {spent}" if spent else "unfinished"
        lines = (_left(stage, names) if done and stage else "", state)
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


def _left(stage: StageFolder, inputs: Sequence[str]) -> str:
    """What a done stage left: samples, reward models, students, a table, or a model."""
    if (samples := number(stage.numbers, "samples")) is not None:
        return f"{samples:,.0f} samples"
    if stage.name == "reward_models":
        return ", ".join(str(name) for name in stage.numbers)
    if stage.name == "distill":
        return f"{sum(name != 'teacher' for name in stage.numbers)} students"
    if stage.name == "evaluate":
        return f"judges {len(inputs)} checkpoints"
    return f"a model: {ALIASES[stage.name]}" if stage.name in ALIASES else ""


# ---- places ---------------------------------------------------------------------------------------------------------


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
    """Upper left corner of each node: columns from left to right, ``ACROSS`` of them a band."""
    columns = _columns(found)
    row: dict[str, int] = {}
    for node in found:
        row[node.name] = sum(columns[other] == columns[node.name] for other in row)
    bands = {name: column // ACROSS for name, column in columns.items()}
    rows = {band: 1 + max(row[name] for name in row if bands[name] == band) for band in set(bands.values())}
    top = {band: sum(rows[above] * (HEIGHT + GAP_Y) - GAP_Y + BAND for above in rows if above < band) for band in rows}
    return {
        name: (1 + columns[name] % ACROSS * (WIDTH + GAP_X), 1 + top[bands[name]] + row[name] * (HEIGHT + GAP_Y))
        for name in row
    }


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    """To the next column straight; over a column in a bow above; to a band below from foot to head."""
    (x, y), (to_x, to_y) = start, end
    step = WIDTH + GAP_X
    if to_y > y + HEIGHT and (to_x <= x or to_x > x + step):
        x0, y0, x1, y1 = x + WIDTH // 2, y + HEIGHT, to_x + WIDTH // 2, to_y - 2
        middle = (y0 + y1) // 2
        path = f"M {x0} {y0} C {x0} {middle + 8}, {x1} {middle - 8}, {x1} {y1}"
    elif to_x > x + step:
        x0, x1, over = x + WIDTH // 2 + 24, to_x + WIDTH // 2 - 24, min(y, to_y) - BAND // 2 - 4
        path = f"M {x0} {y} C {x0 + 30} {over}, {x1 - 30} {over}, {x1} {to_y - 2}"
    else:
        x0, y0, x1, y1 = x + WIDTH, y + HEIGHT // 2, to_x - 2, to_y + HEIGHT // 2
        middle = (x0 + x1) // 2
        path = f"M {x0} {y0} C {middle} {y0}, {middle} {y1}, {x1} {y1}"
    return f'<path d="{path}" marker-end="url(#arrow)"/>'


def _arrows(found: Sequence[Node], places: Mapping[str, tuple[int, int]]) -> str:
    drawn = []
    for node in found:
        known = [name for name in node.feeds_on if name in places]
        shown = known if len(known) <= MOST_ARROWS else known[-1:]
        drawn += [_arrow(places[name], places[node.name]) for name in shown]
    return "".join(drawn)


# ---- drawing --------------------------------------------------------------------------------------------------------


def _box(node: Node, x: int, y: int) -> str:
    title = node.name if node.outside else stage_title(node.name)
    kind = "model" if node.outside else "done" if node.done else "open"
    texts = [f'<text x="{x + 12}" y="{y + 22}">{escape(_clipped(title, 21))}</text>']
    for index, line in enumerate(node.lines[:2]):
        clipped = escape(_clipped(line, 25))
        texts.append(f'<text class="soft" x="{x + 12}" y="{y + 40 + 15 * index}">{clipped}</text>')
    told = f"<title>{escape(title)} takes in {escape(', '.join(node.feeds_on) or 'nothing')}</title>"
    box = f'<rect class="{kind}" x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5"/>'
    return f"<g>{told}{box}{''.join(texts)}</g>"


def _clipped(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def lineage_svg(found: Sequence[Node]) -> str:
    """The graph, left to right and then down; an empty string for no node."""
    if not found:
        return ""
    places = _places(found)
    bowed = any(
        places[node.name][0] > places[name][0] + WIDTH + GAP_X and places[node.name][1] == places[name][1] == 1
        for node in found
        for name in node.feeds_on
        if name in places
    )
    above = BAND - 12 if bowed else 0
    width = max(x for x, _ in places.values()) + WIDTH + 1
    height = max(y for _, y in places.values()) + HEIGHT + 1 + above
    boxes = "".join(_box(node, *places[node.name]) for node in found)
    marker = (
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M 0 0 L 8 4 L 0 8 z"/></marker></defs>'
    )
    return (
        f'<div class="scroll"><svg class="lineage" role="img" aria-label="Stages and what fed them" width="{width}" '
        f'height="{height}" viewBox="0 {-above} {width} {height}">{marker}{_arrows(found, places)}{boxes}</svg></div>'
    )
