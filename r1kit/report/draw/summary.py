"""The result of a run in a terminal: the summary that ends it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from r1kit.report.draw.ascii import spelled
from r1kit.report.draw.canvas import smooth
from r1kit.report.draw.chart import ChartLine, draw
from r1kit.report.draw.printing import indented, is_plain
from r1kit.report.read.evaluations import Comparison
from r1kit.report.read.replies import Pair, righted
from r1kit.report.read.rl_stage import RLStage
from r1kit.report.read.run_view import RunView
from r1kit.report.read.series import Series, series
from r1kit.report.read.stage_table import StageTable, TableCell
from r1kit.report.read.wording import share, short

__all__ = ["draw_summary"]

WIDEST = 100


def draw_summary(run: RunView, console: Console) -> None:
    width, ascii_only = min(console.width, WIDEST), is_plain(console)
    console.print(Text(spelled(run.verdict) if ascii_only else run.verdict, "bold"), width=width)
    stage = next((stage for stage in run.learned if stage.name == run.headline), None)
    shown: list[Table | Group | None] = [_stages(view.table, width) for view in run.tables]
    shown += [_stages(run.own, width)] if run.own is not None else []
    if stage is not None:
        shown += [] if shown else [_comparison(comparison, stage.sides) for comparison in stage.comparisons]
        shown += [_accuracy(stage, width, ascii_only), _length(stage, width, ascii_only)]
    if run.showcase is not None:
        shown.append(_chain(run.showcase, run.showcase_sides))
    for drawn in shown:
        if drawn is not None:
            console.print()
            console.print(drawn, width=width)


def _stages(table: StageTable, width: int) -> Table:
    """The stage table: accuracy of every task, then what the responses of the first one are like."""
    shown = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    shown.add_column(f"avg@{table.k or 'k'}" + (f", {table.split} split" if table.split else ""), overflow="fold")
    for name in table.heads:
        shown.add_column(name, justify="right", no_wrap=True)
    accuracy, *others = table.blocks
    longest = max((len(line.name) for line in accuracy.lines), default=0)
    wide = max(longest, 20) + 9 * len(table.heads) <= width
    rows = [(line.name, line) for line in accuracy.lines] + [(block.title, block.lines[0]) for block in others]
    for place, (name, line) in enumerate(rows):
        if place == len(accuracy.lines):
            shown.add_row(Text(f"on {table.tasks[0]}:", "dim"))
        cells = [
            _cell(cell, is_share=line.is_share, best=at in line.best, wide=wide) for at, cell in enumerate(line.cells)
        ]
        shown.add_row(name, *cells)
    return shown


def _cell(cell: TableCell | None, *, is_share: bool, best: bool, wide: bool) -> Text:
    """``.91±.02``, half of the interval after the sign; the best of a line is bold."""
    if cell is None:
        return Text("–", "dim")
    if not is_share:
        return Text(short(round(cell.value)))
    half = "" if cell.ends is None or not wide else f"±{share((cell.ends[1] - cell.ends[0]) / 2, 2)}"
    return Text(share(cell.value, 2) + half, "bold" if best else "")


def _comparison(comparison: Comparison, sides: tuple[str, str]) -> Table:
    curve = comparison.curve
    of = f"{curve.task}, {curve.split} split" if curve.split else curve.task
    shown = Table(title=of, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    shown.add_column("")
    for name in (*sides, "change"):
        shown.add_column(name, justify="right")
    for index, row in enumerate(comparison.changes):
        shown.add_row(row.name, row.before, row.after, row.change, style="bold" if index == 0 else "")
    return shown


def _line(name: str, points: Series, style: str, mark: str) -> ChartLine:
    return ChartLine(name=name, points=list(zip(points.steps, points.values, strict=True)), style=style, mark=mark)


def _legend(lines: Sequence[ChartLine], title: str, ascii_only: bool) -> Text:
    text = Text(title + "   ", "bold")
    for line in lines:
        text.append(f"{line.mark if ascii_only else '──'} {line.name}   ", f"not bold {line.style}")
    return text


def _accuracy(stage: RLStage, width: int, ascii_only: bool) -> Group | None:
    """Figure 2 of the paper: avg@k and cons@k over steps, for the first task."""
    curve = next((curve for curve in stage.curves if len(curve.rows) > 1), None)
    if curve is None:
        return None
    lines = [
        _line(f"cons@{curve.k}", series(curve.rows, "cons_at_k"), "yellow", "o"),
        _line(f"avg@{curve.k}", series(curve.rows, "avg_at_k"), "blue", "*"),
    ]
    picture = draw(
        lines,
        width=width,
        height=11,
        low=0,
        high=1,
        label=lambda y: f"{y:.1f}",
        x_title="RL step",
        ascii_only=ascii_only,
    )
    return Group(_legend(lines, f"Accuracy on {curve.task}", ascii_only), picture)


def _length(stage: RLStage, width: int, ascii_only: bool) -> Group | None:
    """Figure 3 of the paper: response length over steps, in training (its running mean), else in the evaluations."""
    training = stage.metrics.get("response_tokens")
    evaluated = [series(curve.rows, "response_tokens") for curve in stage.curves[:1]]
    if training is not None and len(training) > 1:
        mean = Series(steps=training.steps, values=smooth(training.values))
        line = _line("training", mean, "green", "*")
    elif evaluated and len(evaluated[0]) > 1:
        line = _line("evaluation", evaluated[0], "green", "*")
    else:
        return None
    top = max(y for _, y in line.points)
    high = math.ceil(top / 20) * 20 if top <= 200 else math.ceil(top / 100) * 100
    picture = draw(
        [line], width=width, height=7, low=0, high=high, label=short, x_title="RL step", ascii_only=ascii_only
    )
    return Group(_legend([line], "Tokens in a response", ascii_only), picture)


def _chain(pair: Pair, sides: tuple[str, str]) -> Group:
    """One prompt and the chain before and after; says how it was picked."""
    how = "the first prompt that went from wrong to right" if righted(pair) else "the first prompt sampled at both ends"
    parts: list[Text | Padding] = []
    if pair.same_prompt:
        parts += [Text(f"One chain, before and after ({how})", "bold"), indented(pair.after.prompt)]
    else:
        parts.append(Text("One chain of the first step, one of the last (different prompts)", "bold"))
    for name, reply in zip(sides, (pair.before, pair.after), strict=True):
        said = {True: "right", False: "wrong", None: "not graded"}[reply.right]
        head = Text(f"{name}: ", "bold").append(said, {True: "green", False: "red", None: "dim"}[reply.right])
        if reply.tokens is not None:
            head.append(f", {reply.tokens:.0f} tokens", "not bold")
        own = "" if pair.same_prompt else f"{reply.prompt}\n"
        parts += [head, indented(own + reply.completion)]
    return Group(*parts)
