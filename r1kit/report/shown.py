"""What ``r1 run`` prints: lines, a picture in a terminal, JSON lines, or next to nothing.

The command decides once; its processes are told in ``R1KIT_SHOWS`` and say their lines, the command shows the rest.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, TextIO, cast

from r1kit.errors import InputError, Interrupted, R1Error
from r1kit.interrupts import Stopped

__all__ = ["SHOWS", "Shown", "chosen", "present", "say", "shown", "so_far", "stands"]

SHOWS = "R1KIT_SHOWS"
Way = Literal["lines", "picture", "quiet", "json"]
_stdout: TextIO | None = None
"""Of JSON lines, once ``chosen`` has set it apart."""


def chosen(quiet: bool = False, as_json: bool = False, *, parent: bool = True) -> Way:
    """The way that the options and the terminal ask for, told to every process that is started from now on.

    Args:
        parent: whether this process starts the ranks; it is one itself under torchrun.

    Raises:
        InputError: both options, or JSON lines where nobody could write them.
    """
    if as_json and not parent:
        raise InputError("--json needs a process beside the ranks, which torchrun gives none; read DIR/*/metrics.jsonl")
    if quiet and as_json:
        raise InputError("--quiet and --json exclude each other; --json prints nothing but JSON lines")
    way: Way = "quiet" if quiet else "json" if as_json else "picture" if parent and _can_draw() else "lines"
    os.environ[SHOWS] = way
    if way == "json":
        _keep_stdout()
    return way


def _keep_stdout() -> None:
    """What is printed from here on, by a user's code too, goes to stderr: JSON lines alone have stdout."""
    global _stdout
    sys.stdout.flush()
    with suppress(OSError, ValueError):  # one that is no file: nothing but this process writes there
        if _stdout is None and sys.stdout.fileno() == 1:
            _stdout = open(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115 - to the end
            os.dup2(2, 1)


def _can_draw() -> bool:
    """Whether stdout is a terminal that moves its cursor, with a person before it."""
    term = os.environ.get("TERM", "")
    return sys.stdout.isatty() and term not in ("", "dumb", "unknown") and not os.environ.get("CI")


def _way() -> Way:
    return cast(Way, os.environ.get(SHOWS, "lines"))


def say(line: str) -> None:
    """Print a line at once; where little is wanted, a warning alone."""
    if _way() != "quiet":
        print(line, flush=True)
    elif line.startswith("warning:"):
        print(line, file=sys.stderr, flush=True)


def stands(folder: Path) -> Callable[[str], None]:
    """Says where a running stage stands, and the time left; nothing where the command shows that anyhow."""
    if _way() != "lines":
        return lambda line: None
    return lambda line: say(line + _left(folder))


def _left(folder: Path) -> str:
    """``; about 2 min left of the stage, 12 min of the run``; empty where nobody knows."""
    from r1kit.report.read.run_folder import RunFolder
    from r1kit.report.read.status import stages_of
    from r1kit.report.read.time_left import time_left
    from r1kit.report.read.wording import about, roughly

    try:
        run, now = RunFolder(folder), time.time()
        left = time_left(run, now)
        stage = next((status for status in stages_of(run, now, left) if status.state != "done"), None)
    except (InputError, OSError):
        return ""
    of_stage = [f"{roughly(stage.left)} left of the stage"] if stage and stage.left else []
    of_run = [f"{about(left.run)} of the run"] if left.run and len(left.stages) > 1 else []
    return f"; {', '.join(of_stage + of_run)}" if of_stage else ""


def so_far(folder: Path, stage: str, last: str) -> None:
    """The report after each stage but the last, and its sentence when the stage it is about is done."""
    if stage == last:  # ``present`` follows
        return
    from r1kit.report.page import write_report
    from r1kit.report.read.run_view import sentence

    page = write_report(folder)
    if said := sentence(folder, stage):
        say(f"{said} The report so far: {page}")


def present(folder: Path) -> None:
    """What a person wants to see at the end."""
    from rich.console import Console

    from r1kit.report.page import write_report
    from r1kit.report.read.run_folder import RunFolder
    from r1kit.report.read.run_view import read_run
    from r1kit.report.terminal import print_summary

    page, way = write_report(folder), _way()
    if way == "quiet":
        print(f"{read_run(RunFolder(folder)).verdict} The whole report: {page}", flush=True)
    elif way != "json":
        print_summary(folder, Console())


class Shown:
    """What processes are given to write into, and who takes this process's own lines."""

    def __init__(self, watch: Any = None, *, errors: bool = True) -> None:
        """
        Args:
            watch: a ``Watch``; None: the streams of this process.
            errors: whether it takes stderr, too.
        """
        self._watch = watch
        self.streams: tuple[int, int | None] | None = watch and (watch.out, watch.err if errors else None)

    def tell(self, line: str) -> None:
        self._watch.tell(line) if self._watch else say(line)

    def close(self) -> None:
        """Nothing more is drawn; what follows is printed by this process."""
        if self._watch:
            self._watch.close()


@contextmanager
def shown(folder: Path) -> Iterator[Shown]:
    """Show a run while the block works on it."""
    way = _way()
    if way not in ("picture", "json"):
        yield Shown()
        return
    from r1kit.report.watch import Lines, Picture, Watch

    if way == "picture":
        picture = Shown(Watch(Picture(folder, sys.stdout, sys.stderr)))
        try:
            yield picture
        finally:
            picture.close()
        return
    lines = Lines(folder, _stdout or sys.stdout)
    told = Shown(Watch(lines), errors=False)
    try:
        yield told
    except (R1Error, Stopped) as error:
        told.close()
        state = "interrupted" if isinstance(error, (Interrupted, Stopped)) else "failed"
        lines.write("run", state=state, error=str(error), folder=str(folder))
        raise
    finally:
        told.close()
    lines.write("run", state="done", folder=str(folder), report=str(folder / "report.html"))
