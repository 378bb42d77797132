"""What a terminal shows of a run: the summary that ends it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from r1kit.report.chain import StageTable, TableLine, alias, blocks, chain_verdict, stage_table
from r1kit.report.chart import Line, draw
from r1kit.report.figures import rolling, series
from r1kit.report.findings import Comparison, compare, main_curves, share, short, table
from r1kit.report.printing import indented, plain, printable, spelled
from r1kit.report.run_folder import Row, RunFolder, StageFolder, number
from r1kit.report.samples import Pair, is_right, pairs, showcase, turned
from r1kit.report.stage_sections import side_names
from r1kit.report.status import print_status

__all__ = ["print_status", "print_summary"]

WIDEST = 100


def print_summary(path: Path, console: Console) -> None:
    """The result of a run: verdict, what each stage bought, two curves, one chain before and after, the report's path.

    Before stage ``evaluate``, and in a run of R1-Zero alone, base against R1-Zero stands in the stages' place.

    Raises:
        InputError: the path is no run folder.
    """
    run = RunFolder(path)
    with printable(console):
        _summary(run, console, min(console.width, WIDEST))


def _summary(run: RunFolder, console: Console, width: int) -> None:
    console.print(Text(spelled(chain_verdict(run), console), "bold"), width=width)
    stage, judged = run.headline, stage_table(run)
    names = side_names(run, stage) if stage is not None else ("before", "after")
    shown: list[Table | Group | Text | None] = []
    if judged is not None:
        shown.append(_stages(judged, width))
    elif stage is not None:
        shown += [_comparison(comparison, names) for comparison in compare(stage)]
    if stage is not None:
        shown += [_accuracy(stage, width, console), _length(stage, width, console)]
    shown.append(_before_and_after(run, judged, names))
    for drawn in shown:
        if drawn is not None:
            console.print()
            console.print(drawn, width=width)
    report = run.path / "report.html"
    if report.is_file():
        console.print(f"\nThe whole report: {report}", soft_wrap=True, markup=False, highlight=False)


def _before_and_after(run: RunFolder, judged: StageTable | None, names: tuple[str, str]) -> Group | None:
    """One chain of the first and of the last checkpoint that were judged; of R1-Zero where none was."""
    evaluation, stage = run.stage("evaluate"), run.headline
    if judged is not None and evaluation is not None:
        ends = (judged.checkpoints[0], judged.checkpoints[-1])
        if ends[0] != ends[1] and (pair := turned(evaluation, *ends)) is not None:
            return _chain(pair, (alias(ends[0]), alias(ends[1])))
    pair = showcase(pairs(stage)) if stage is not None else None
    return None if pair is None else _chain(pair, names)


def _stages(judged: StageTable, width: int) -> Table:
    """The stage table: accuracy of every task, then what the responses of the first one are like."""
    shown = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    shown.add_column(f"avg@{judged.k}", overflow="fold")
    for name in judged.checkpoints:
        shown.add_column(alias(name), justify="right", no_wrap=True)
    held = {block.title: block.lines for block in blocks(judged)}
    accuracy = held.get(f"avg@{judged.k}", ())
    longest = max((len(line.name) for line in accuracy), default=0)
    wide = max(longest, 20) + 9 * len(judged.checkpoints) <= width
    rows = [(line.name, line) for line in accuracy]
    rows += [(title, held[title][0]) for title in (*held,) if title != f"avg@{judged.k}"]
    for place, (name, line) in enumerate(rows):
        if place == len(accuracy):
            shown.add_row(Text(f"on {judged.tasks[0]}:", "dim"))
        cells = [_cell(line, at, wide=wide) for at in range(len(judged.checkpoints))]
        shown.add_row(name, *cells)
    return shown


def _cell(line: TableLine, at: int, *, wide: bool) -> Text:
    """``.91±.02``, half of the interval after the sign; the best of a line is bold."""
    cell = line.cells[at]
    if cell is None:
        return Text("–", "dim")
    if not line.is_share:
        return Text(short(round(cell.value)))
    half = "" if cell.ends is None or not wide else f"±{share((cell.ends[1] - cell.ends[0]) / 2, 2)}"
    return Text(share(cell.value, 2) + half, "bold" if at in line.best else "")


def _comparison(comparison: Comparison, names: tuple[str, str]) -> Table:
    curve = comparison.curve
    of = f"{curve.task}, {curve.split} split" if curve.split else curve.task
    shown = Table(title=of, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    shown.add_column("")
    for name in (*names, "change"):
        shown.add_column(name, justify="right")
    for index, row in enumerate(table(comparison)):
        shown.add_row(row.name, row.before, row.after, row.change, style="bold" if index == 0 else "")
    return shown


def _points(rows: Sequence[Row], key: str) -> list[tuple[float, float]]:
    return list(zip(*series(rows, key), strict=True))


def _legend(lines: Sequence[Line], title: str, *, ascii_only: bool) -> Text:
    text = Text(title + "   ", "bold")
    for line in lines:
        text.append(f"{line.mark if ascii_only else '──'} {line.name}   ", f"not bold {line.style}")
    return text


def _accuracy(stage: StageFolder, width: int, console: Console) -> Group | None:
    """Figure 2 of the paper: avg@k and cons@k over steps, for the first task."""
    found = [curve for curve in main_curves(stage) if len(curve.rows) > 1][:1]
    if not found:
        return None
    curve, ascii_only = found[0], plain(console)
    lines = [
        Line(name=f"cons@{curve.k}", points=_points(curve.rows, "cons_at_k"), style="yellow", mark="o"),
        Line(name=f"avg@{curve.k}", points=_points(curve.rows, "avg_at_k"), style="blue", mark="*"),
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
    return Group(_legend(lines, f"Accuracy on {curve.task}", ascii_only=ascii_only), picture)


def _length(stage: StageFolder, width: int, console: Console) -> Group | None:
    """Figure 3 of the paper: response length over steps, in training (its running mean) and in the evaluations."""
    xs, ys = series(stage.metrics, "response_tokens")
    training = list(zip(xs, rolling(ys) if len(ys) >= 30 else ys, strict=True))
    judged = [point for curve in main_curves(stage)[:1] for point in _points(curve.rows, "response_tokens")]
    if len(training) < 2 and len(judged) < 2:
        return None
    ascii_only = plain(console)
    lines = [Line(name="training", points=training, style="green", mark="*")] if len(training) >= 2 else []
    if not lines:
        lines = [Line(name="evaluation", points=judged, style="green", mark="*")]
    top = max(y for line in lines for _, y in line.points)
    high = math.ceil(top / 20) * 20 if top <= 200 else math.ceil(top / 100) * 100
    picture = draw(
        lines, width=width, height=7, low=0, high=high, label=short, x_title="RL step", ascii_only=ascii_only
    )
    return Group(_legend(lines, "Tokens in a response", ascii_only=ascii_only), picture)


def _chain(pair: Pair, names: tuple[str, str]) -> Group:
    """One prompt and the chain before and after; says how it was picked."""
    righted = is_right(pair.before) is False and is_right(pair.after) is True
    how = "the first prompt that went from wrong to right" if righted else "the first prompt sampled at both ends"
    parts: list[Text | Padding] = []
    if pair.same_prompt:
        parts += [Text(f"One chain, before and after ({how})", "bold"), indented(str(pair.after.get("prompt", "")))]
    else:
        parts.append(Text("One chain of the first step, one of the last (different prompts)", "bold"))
    for name, row in zip(names, (pair.before, pair.after), strict=True):
        right = is_right(row)
        said = {True: "right", False: "wrong", None: "not judged"}[right]
        head = Text(f"{name}: ", "bold").append(said, {True: "green", False: "red", None: "dim"}[right])
        if (tokens := number(row, "tokens")) is not None:
            head.append(f", {tokens:.0f} tokens", "not bold")
        own = "" if pair.same_prompt else f"{row.get('prompt', '')}\n"
        parts += [head, indented(own + str(row.get("completion", "")))]
    return Group(*parts)
