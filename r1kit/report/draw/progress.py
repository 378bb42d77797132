"""A run at work, in as many lines and columns as a terminal has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import chop_cells
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from r1kit.report.draw.printing import STYLES, harmless
from r1kit.report.read.wording import about, duration, roughly

if TYPE_CHECKING:
    from r1kit.report.read.progress import Now, Progress
    from r1kit.report.read.replies import Reply
    from r1kit.report.read.status import StageStatus

__all__ = ["draw_progress"]

WIDEST, FEW_ROWS = 100, 9
MARKS = {"done": ("✓", "+"), "running": ("▸", ">"), "stopped": ("▸", ">"), "waiting": ("·", ".")}
SAMPLE_ROWS = 3
LONGEST = 2000
"""Characters of a prompt or a completion that are looked at."""


def draw_progress(run: Progress, width: int, height: int, ascii_only: bool = False) -> RenderableType:
    """
    Args:
        width, height: of the window; where rows are few, stages that are done or wait share one, or all are left out.
    """
    width = min(width, WIDEST)
    shown: list[RenderableType] = [_head(run, width)]
    numbers = _numbers(run.now) if run.now else None
    sample = _sample(run.now.sample, width) if run.now and run.now.sample and height >= 12 else []
    room = height - 4 - (numbers is not None) - len(sample)
    if height >= FEW_ROWS:
        shown.append(_stages(run.stages, width, ascii_only, short=len(run.stages) > room))
    if run.now:
        shown.append(_bar(run.now, width, ascii_only))
    shown += [numbers] if numbers else []
    return Group(*shown, *sample)


def _head(run: Progress, width: int) -> Text:
    done = sum(status.state == "done" for status in run.stages)
    left = "" if not run.left else f"{roughly(run.left)} left"
    told = f"{run.recipe}  {done} of {len(run.stages)} stages" + (
        f", {run.share:.0%}" if run.share and width > 50 else ""
    )
    if width - 1 - len(told) - len(left) < 2:
        told = f"{run.recipe}  {done} of {len(run.stages)}"
    gap = width - 1 - len(told) - len(left)
    return Text.assemble((told, "bold"), " " * max(2, gap), left)


def _stages(stages: Sequence[StageStatus], width: int, ascii_only: bool, *, short: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    wide = width >= 60
    for justify in ("left", "right", "left") if wide else ("left", "right"):
        table.add_column(justify=justify, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]
    for status in _in_short(stages) if short else stages:
        if isinstance(status, str):
            table.add_row(Text(status, "dim"), "", *([""] if wide else []))
            continue
        mark = MARKS[status.state][ascii_only]
        dim = status.state == "waiting"
        name = Text.assemble((mark, STYLES[status.state]), " ", (status.name, "dim" if dim else ""))
        cells = [name, Text(_time(status), "dim" if dim else ""), Text(status.reached if not dim else "")]
        table.add_row(*cells[: 3 if wide else 2])
    return table


def _in_short(stages: Sequence[StageStatus]) -> list[StageStatus | str]:
    """Those that are done on one row, those that wait on another."""
    done = [status.name for status in stages if status.state == "done"]
    waiting = [status.name for status in stages if status.state == "waiting"]
    found: list[StageStatus | str] = [f"done: {', '.join(done)}"] if done else []
    found += [status for status in stages if status.state in ("running", "stopped")]
    return [*found, f"then: {', '.join(waiting)}"] if waiting else found


def _time(status: StageStatus) -> str:
    if status.state == "done":
        return duration(status.seconds or 0.0)
    return f"{about(status.left)}{' left' if status.state != 'waiting' else ''}" if status.left is not None else ""


def _bar(now: Now, width: int, ascii_only: bool) -> RenderableType:
    of = f" of {now.steps}" if now.steps else ""
    told = f"{now.part or now.stage.name}: step {now.step}{of}"
    left = max(0, width - len(told) - 3)
    if not now.steps or left < 8:
        return Text(told)
    line = Table.grid(padding=(0, 1, 0, 0))
    bar: RenderableType = ProgressBar(total=now.steps, completed=now.step, width=min(40, left))
    if ascii_only:
        full = round(min(40, left) * min(1.0, now.step / now.steps))
        bar = Text("#" * full + "-" * (min(40, left) - full))
    line.add_row(told, bar)
    return line


def _numbers(now: Now) -> Text | None:
    if not now.numbers:
        return None
    return Text("  ").join(Text.assemble((name, "dim"), " ", value) for name, value in now.numbers.items())


def _sample(reply: Reply, width: int) -> list[RenderableType]:
    """What was asked, and the beginning of the answer."""
    verdict = {True: ("  right", "green"), False: ("  wrong", "red"), None: ("", "")}[reply.right]
    asked = Text.assemble(("sample ", "dim"), _one_line(reply.prompt))
    asked.truncate(max(8, width - 8), overflow="ellipsis")
    rows = chop_cells(_one_line(reply.completion), max(8, width - 4))
    cut = [Text(f"  {row}") for row in rows[:SAMPLE_ROWS]]
    if len(rows) > SAMPLE_ROWS:
        cut[-1].append(" …", "dim")
    return [asked.append(*verdict), *cut]


def _one_line(text: str) -> str:
    return " ".join(harmless(text[:LONGEST]).split())
