"""What ``r1 run`` shows beside its work: a picture in a terminal, or JSON lines. Its processes write into pipes that a
thread of this one reads; it looks at the run folder, as the dashboard does, and costs the work nothing.
"""

from __future__ import annotations

import json
import os
import selectors
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Protocol, TextIO

from rich.console import Console, RenderableType

from r1kit.errors import InputError
from r1kit.report.draw.ascii import NEAREST, spelled
from r1kit.report.draw.printing import harmless, is_plain
from r1kit.report.draw.progress import draw_progress
from r1kit.report.read.follow import Event, Follower
from r1kit.report.read.progress import Progress, progress_of
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.time_left import time_left

__all__ = ["Area", "Lines", "Picture", "Watch"]


class Area:
    """Used by one thread."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.console = Console(file=stream, force_terminal=True, legacy_windows=False)
        self._rows = 0
        """Lines that are there."""
        self._text = ""

    def draw(self, picture: RenderableType) -> None:
        """Put a picture in the place of the last one; what does not fit into the window is cut off."""
        width, height = self.console.size
        with self.console.capture() as capture:
            self.console.print(picture, width=max(1, width - 1), no_wrap=True, overflow="ellipsis", crop=True)
        lines = capture.get().splitlines()[: max(1, height - 2)]
        text = "".join(line + "\n" for line in lines)
        if text != self._text:
            self._write(self._back() + text)
            self._text, self._rows = text, len(lines)

    def above(self, line: str) -> None:
        """Print a line above the area."""
        text, rows = self._text, self._rows
        self._write(self._back() + line + "\n" + text)
        self._text, self._rows = text, rows

    def erase(self) -> None:
        """Leave nothing of it."""
        self._write(self._back())

    def _back(self) -> str:
        """To the area's first line, everything from there on cleared. Where a window that was made narrower has broken
        its lines in two, the upper ones stay: nothing that was said is ever cleared."""
        rows, self._rows, self._text = self._rows, 0, ""
        return f"\r\x1b[{rows}A\x1b[J" if rows else ""

    def _write(self, text: str) -> None:
        text = spelled(text) if is_plain(self.console) else text
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(text.encode(encoding, errors=NEAREST).decode(encoding))
        self._stream.flush()


Stream = Literal["out", "err"]
TICK_SECONDS = 1.0
SAMPLE_SECONDS = 10.0
"""A sample stays for so long, so that it can be read."""


class Face(Protocol):
    """How a run is shown; every call comes from one thread at a time."""

    def said(self, line: str, stream: Stream) -> None:
        """A line of one of the processes."""
        ...

    def look(self) -> None:
        """Look at the run folder; called every second, and once at the end."""
        ...

    def close(self) -> None: ...


class Watch:
    """The thread and its pipes; ``out`` and ``err`` are what processes write into."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._rest: dict[Stream, bytes] = {"out": b"", "err": b""}
        (self._from_out, self.out), (self._from_err, self.err) = os.pipe(), os.pipe()
        for descriptor in (self._from_out, self._from_err):
            os.set_blocking(descriptor, False)
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def tell(self, line: str) -> None:
        """A line of this process's own."""
        with self._lock:
            self._face.said(line, "out")

    def close(self) -> None:
        """Show what is still to be shown, then nothing more. The processes have ended."""
        if self._over.is_set():
            return
        self._over.set()
        self._thread.join()
        for descriptor in (self.out, self.err):
            os.close(descriptor)
        self._read("out", self._from_out)
        self._read("err", self._from_err)
        for stream, rest in self._rest.items():
            if rest.strip():
                self._face.said(_text(rest), stream)
        self._try(self._face.look)
        self._face.close()
        for descriptor in (self._from_out, self._from_err):
            os.close(descriptor)

    def _run(self) -> None:
        names: dict[int, Stream] = {self._from_out: "out", self._from_err: "err"}
        with selectors.DefaultSelector() as waiting:
            for descriptor in names:
                waiting.register(descriptor, selectors.EVENT_READ)
            due = 0.0
            while not self._over.is_set():
                for key, _ in waiting.select(0.2):
                    with self._lock:
                        self._read(names[key.fd], key.fd)
                if time.monotonic() >= due:
                    with self._lock:
                        self._try(self._face.look)
                    due = time.monotonic() + TICK_SECONDS

    def _read(self, stream: Stream, descriptor: int) -> None:
        """Whatever happens to the picture, the pipes are emptied: the work must not wait for a reader."""
        with suppress(BlockingIOError):
            while piece := os.read(descriptor, 1 << 16):
                *lines, self._rest[stream] = (self._rest[stream] + piece).split(b"\n")
                for line in lines:
                    self._face.said(_text(line), stream)

    @staticmethod
    def _try(look: Callable[[], None]) -> None:
        with suppress(OSError, ValueError, KeyError, TypeError, InputError):  # of a folder that is being written
            look()


def _text(line: bytes) -> str:
    """A progress bar of some library writes over its line: what stands there last."""
    return harmless(line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", errors="replace"))


class Picture:
    """In a terminal: where the run stands, drawn again and again below the lines that are said."""

    def __init__(self, folder: Path, stream: TextIO, errors: TextIO) -> None:
        self._folder, self._stream, self._errors = folder, stream, errors
        self.area = Area(stream)
        self._run: RunFolder | None = None
        self._sample: Any = None
        self._sample_at = 0.0

    def said(self, line: str, stream: Stream) -> None:
        if stream == "err" and not self._errors.isatty():
            print(line, file=self._errors, flush=True)
        else:
            self.area.above(line)

    def look(self) -> None:
        self._run = self._run or RunFolder(self._folder)
        progress = progress_of(self._run, time.time())
        if _in_front(self._stream):
            console = self.area.console
            shown = self._with_sample(progress)
            self.area.draw(draw_progress(shown, console.width, console.height, is_plain(console)))

    def _with_sample(self, progress: Progress) -> Progress:
        from dataclasses import replace

        if progress.now is None:
            return progress
        if time.monotonic() - self._sample_at >= SAMPLE_SECONDS:
            self._sample, self._sample_at = progress.now.sample, time.monotonic()
        return replace(progress, now=replace(progress.now, sample=self._sample))

    def close(self) -> None:
        self.area.erase()


def _in_front(stream: TextIO) -> bool:
    """Whether this process may draw: not while the shell has put it behind another."""
    try:
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except OSError:  # a terminal that is not the one that controls it
        return True


class Lines:
    """JSON lines on stdout: ``run``, ``stage``, ``step``, ``evaluation`` and ``note``."""

    def __init__(self, folder: Path, stream: TextIO) -> None:
        self._folder, self._stream = folder, stream
        self._run: RunFolder | None = None
        self._follower: Follower | None = None
        with suppress(InputError):
            self._open()
            assert self._follower is not None
            self._follower.skip()

    def _open(self) -> RunFolder:
        if self._run is None:
            self._run = RunFolder(self._folder)
            self._follower = Follower(self._run)
        return self._run

    def said(self, line: str, stream: Stream) -> None:
        self.write("note", text=line)

    def look(self) -> None:
        run = self._open()
        assert self._follower is not None
        events = list(self._follower.new())
        left = time_left(run, time.time()) if events else None
        for event in events:
            reckoned: dict[str, Any] = {}
            if left is not None and event.kind in ("begun", "step"):
                reckoned = {"left": left.stages.get(event.stage), "run_left": left.run}
                reckoned = {name: None if value is None else round(value, 1) for name, value in reckoned.items()}
            self.write(*_spelled(event, run), **reckoned)

    def write(self, event: str, table: dict[str, Any] | None = None, **more: Any) -> None:
        line = json.dumps({"event": event, **(table or {}), **more}, ensure_ascii=False)
        print(line, file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing is kept."""


def _spelled(event: Event, run: RunFolder) -> tuple[str, dict[str, Any]]:
    stage: dict[str, Any] = {"stage": event.stage} | ({"part": event.part} if event.part else {})
    if event.kind == "begun":
        return "stage", {**stage, "state": "started", "title": run.title(event.stage)}
    if event.kind == "done":
        kept = {name: event.row.get(name) for name in ("seconds", "checkpoint", "metrics")}
        return "stage", {**stage, "state": "done", **kept}
    if event.kind == "evaluation":
        return "evaluation", {**stage, **{name: value for name, value in event.row.items() if name != "per_problem"}}
    steps = run.planned_steps(event.stage)
    of = {"of": steps} if steps and not event.part else {}
    return "step", {**stage, "step": event.step, **of, "metrics": {k: v for k, v in event.row.items() if k != "step"}}
