"""What a terminal shows of a run: the summary that ends a demo, and where a run stands."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from r1kit.report.chart import Line, draw
from r1kit.report.figures import rolling, series
from r1kit.report.findings import (
    Comparison,
    compare,
    duration,
    main_curves,
    share,
    short,
    table,
    verdict,
)
from r1kit.report.run_folder import Row, RunFolder, StageFolder, number
from r1kit.report.samples import Pair, is_right, pairs, showcase
from r1kit.report.sections import side_names

__all__ = ["print_status", "print_summary"]

QUIET_SECONDS = 120
"""A stage whose logs have not moved for so long is called stopped, not running."""
WIDEST = 100
_ASCII = str.maketrans({"→": "->", "×": "x", "−": "-", "–": "-", "…": "...", "\u2019": "'"})


def print_summary(path: Path, console: Console) -> None:
    """The result of a run: verdict, base against R1-Zero, two curves, one chain before and after, the report's path.

    Raises:
        InputError: the path is no run folder.
    """
    run = RunFolder(path)
    with _printable(console):
        _summary(run, console, min(console.width, WIDEST))


def _summary(run: RunFolder, console: Console, width: int) -> None:
    console.print(Text(verdict(run), "bold"), width=width)
    stage = run.headline
    if stage is not None:
        names = side_names(run, stage)
        for comparison in compare(stage):
            console.print()
            console.print(_comparison(comparison, names))
        for drawn in (_accuracy(stage, width, console), _length(stage, width, console)):
            if drawn is not None:
                console.print()
                console.print(drawn)
        pair = showcase(pairs(stage))
        if pair is not None:
            console.print()
            console.print(_chain(pair, names), width=width)
    report = run.path / "report.html"
    if report.is_file():
        console.print(f"\nThe whole report: {report}", soft_wrap=True, markup=False, highlight=False)


@contextmanager
def _printable(console: Console) -> Iterator[None]:
    """On a console that is not UTF-8, what it cannot print becomes its nearest ASCII, or a question mark."""
    if not _plain(console):
        yield
        return
    with console.capture() as capture:
        yield
    text = capture.get().translate(_ASCII)
    console.file.write(text.encode(console.encoding, errors="replace").decode(console.encoding))


def _plain(console: Console) -> bool:
    """Whether only ASCII can be printed here."""
    return not console.encoding.lower().startswith("utf")


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
    curve, plain = found[0], _plain(console)
    lines = [
        Line(name=f"cons@{curve.k}", points=_points(curve.rows, "cons_at_k"), style="yellow", mark="o"),
        Line(name=f"avg@{curve.k}", points=_points(curve.rows, "avg_at_k"), style="blue", mark="*"),
    ]
    picture = draw(
        lines, width=width, height=11, low=0, high=1, label=lambda y: f"{y:.1f}", x_title="RL step", ascii_only=plain
    )
    return Group(_legend(lines, f"Accuracy on {curve.task}", ascii_only=plain), picture)


def _length(stage: StageFolder, width: int, console: Console) -> Group | None:
    """Figure 3 of the paper: response length over steps, in training (its running mean) and in the evaluations."""
    xs, ys = series(stage.metrics, "response_tokens")
    training = list(zip(xs, rolling(ys) if len(ys) >= 30 else ys, strict=True))
    judged = [point for curve in main_curves(stage)[:1] for point in _points(curve.rows, "response_tokens")]
    if len(training) < 2 and len(judged) < 2:
        return None
    plain = _plain(console)
    lines = [Line(name="training", points=training, style="green", mark="*")] if len(training) >= 2 else []
    if not lines:
        lines = [Line(name="evaluation", points=judged, style="green", mark="*")]
    top = max(y for line in lines for _, y in line.points)
    high = math.ceil(top / 20) * 20 if top <= 200 else math.ceil(top / 100) * 100
    picture = draw(lines, width=width, height=7, low=0, high=high, label=short, x_title="RL step", ascii_only=plain)
    return Group(_legend(lines, "Tokens in a response", ascii_only=plain), picture)


def _chain(pair: Pair, names: tuple[str, str]) -> Group:
    """One prompt and the chain before and after; says how it was picked."""
    turned = is_right(pair.before) is False and is_right(pair.after) is True
    how = "the first prompt that went from wrong to right" if turned else "the first prompt sampled at both ends"
    parts: list[Text | Padding] = []
    if pair.same_prompt:
        parts += [Text(f"One chain, before and after ({how})", "bold"), _indented(str(pair.after.get("prompt", "")))]
    else:
        parts.append(Text("One chain of the first step, one of the last (different prompts)", "bold"))
    for name, row in zip(names, (pair.before, pair.after), strict=True):
        right = is_right(row)
        said = {True: "right", False: "wrong", None: "not judged"}[right]
        head = Text(f"{name}: ", "bold").append(said, {True: "green", False: "red", None: "dim"}[right])
        if (tokens := number(row, "tokens")) is not None:
            head.append(f", {tokens:.0f} tokens", "not bold")
        own = "" if pair.same_prompt else f"{row.get('prompt', '')}\n"
        parts += [head, _indented(own + str(row.get("completion", "")))]
    return Group(*parts)


def _indented(text: str) -> Padding:
    """Text of a run, control characters dropped: a completion must not steer the terminal."""
    return Padding(Text("".join(sign for sign in text if sign == "\n" or sign.isprintable()).strip()), (0, 0, 0, 2))


def print_status(path: Path, console: Console, now: float | None = None) -> None:
    """Where a run stands, one line a stage: state, steps, time, headline metric.

    Args:
        now: seconds since the epoch, to tell a live run from a stopped one; the clock's by default.

    Raises:
        InputError: the path is no run folder.
    """
    run = RunFolder(path)
    with _printable(console):
        _status(run, console, time.time() if now is None else now)


def _status(run: RunFolder, console: Console, clock: float) -> None:
    seed = run.manifest.get("seed")
    console.print(
        Text(f"{run.path}: recipe {run.recipe_name}" + (f", seed {seed}" if seed is not None else ""), "bold")
    )
    shown = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name, justify in (("stage", "left"), ("state", "left"), ("time", "right"), ("result", "left")):
        shown.add_column(name, justify="right" if justify == "right" else "left", overflow="fold")
    notes = []
    waiting = False
    for name in run.planned:
        stage = run.stage(name)
        state, style = ("waiting", "dim") if waiting else _state(run, stage, clock)
        waiting = waiting or stage is None or not stage.done
        seconds = stage.seconds if stage else None
        time_spent = "" if seconds is None or state == "waiting" else duration(seconds)
        shown.add_row(name, Text(state, style), time_spent, Text(_headline(stage)))
        if stage is not None and stage.set_aside:
            kept = ", ".join(stage.set_aside)
            notes.append(f"{name} was done again: {stage.why or 'changed'}; the earlier result is kept in {kept}")
    notes += [f"{name} will be done again by the next run: {why}" for name, why in run.outdated.items()]
    console.print(shown)
    for note in notes:
        console.print(Text(note))


def _state(run: RunFolder, stage: StageFolder | None, clock: float) -> tuple[str, str]:
    """``done``, ``running, step 40 of 110``, ``stopped at step 40 of 110`` or ``waiting``, and its colour."""
    if stage is None:
        return "waiting", "dim"
    if stage.done:
        return "done", "green"
    steps = run.planned_steps(stage.name)
    of = f" of {steps}" if steps is not None else ""
    logs = [file.stat().st_mtime for file in stage.path.iterdir() if file.is_file()]
    live = bool(logs) and clock - max(logs) < QUIET_SECONDS
    if live:
        return f"running, step {stage.steps_done}{of}", "yellow"
    return f"stopped at step {stage.steps_done}{of}", "red"


def _headline(stage: StageFolder | None) -> str:
    """What the stage reached, in a few words: its evaluation, else its reward, else its loss."""
    if stage is None:
        return ""
    found = compare(stage)
    if found:
        first, k = found[0], found[0].curve.k
        return f"avg@{k} {share(number(first.before, 'avg_at_k'))} → {share(number(first.after, 'avg_at_k'))}"
    last = stage.metrics[-1] if stage.metrics else {}
    for key in ("accuracy", "reward", "loss"):
        if (value := number(last, key)) is not None:
            return f"{key} {short(value)}"
    return ""
