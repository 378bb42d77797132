"""What a terminal shows of a run: where it stands, and the summary that ends it."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from r1kit.report.draw.printing import printable
from r1kit.report.draw.status import draw_status
from r1kit.report.draw.summary import draw_summary
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.run_view import read_run
from r1kit.report.read.status import run_status

__all__ = ["print_status", "print_summary"]


def print_summary(path: Path, console: Console) -> None:
    """The result of a run: verdict, what each stage bought, two curves, one chain before and after, the report's path.

    Before a stage of kind evaluate stages stand by their own evaluations, and one that is alone against its start.

    Raises:
        InputError: the path is no run folder.
    """
    run = RunFolder(path)
    report = run.path / "report.html"
    with printable(console):
        draw_summary(read_run(run), console)
        if report.is_file():
            console.print(f"\nThe whole report: {report}", soft_wrap=True, markup=False, highlight=False)


def print_status(path: Path, console: Console, now: float | None = None) -> None:
    """Where a run stands, one line a stage: state, steps, time, headline metric.

    Args:
        now: seconds since the epoch, to tell a live run from a stopped one; the clock's by default.

    Raises:
        InputError: the path is no run folder.
    """
    status = run_status(RunFolder(path), time.time() if now is None else now)
    with printable(console):
        draw_status(status, console)
