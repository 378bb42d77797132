"""The runs that a dashboard shows, each held open: its folder, the index of its rollouts, what was computed last."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from r1kit.errors import InputError
from r1kit.report.index.rollout_index import RolloutIndex
from r1kit.report.read.illnesses.doctor import Doctor
from r1kit.report.read.live_view import LiveView, live_view, stamps
from r1kit.report.read.rl_stage import RLStage, rl_stage
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.run_view import as_json
from r1kit.report.read.status import Known, run_notes
from r1kit.report.read.sweep import named
from r1kit.report.read.time_left import TimeLeft, time_left

__all__ = ["OpenRun", "open_runs"]

FRESH_SECONDS = 5.0
"""A view is computed again after so long though no file has changed: time goes by in it."""


class OpenRun:
    """One run. Requests come from several threads; one at a time reads the folder."""

    def __init__(self, path: Path, name: str) -> None:
        """
        Args:
            name: what tells it from the other runs.

        Raises:
            InputError: the path is no run folder.
        """
        self.folder = RunFolder(path)
        self.name = name
        self.index = RolloutIndex(path)
        self._doctor = Doctor(self.folder)
        self.lock = threading.Lock()
        """To be held while ``folder`` is read."""
        self._view: LiveView | None = None
        self._seen: tuple[object, ...] = ()
        self._at = 0.0
        self._learning: threading.Thread | None = None
        self._slow: tuple[object, ...] = ()
        self._notes: Sequence[str] = ()
        self._facets: tuple[int, dict[str, Any]] = (-1, {})

    def view(self) -> LiveView:
        """Notes and times left come with a later one: to plan the recipe and to look through its data takes seconds."""
        with self.lock:
            now = time.time()
            seen, slow = stamps(self.folder), stamps(self.folder, slow=True)
            if self._view is None or (seen, self._slow) != self._seen or now - self._at >= FRESH_SECONDS:
                left = time_left(self.folder, now) if self._slow else TimeLeft(stages={})
                known = Known(left=left, notes=self._notes, illnesses=self._doctor.look(now))
                self._view = live_view(self.folder, now, known)
                self._seen, self._at = (seen, self._slow), now
            if slow != self._slow and not (self._learning and self._learning.is_alive()):
                self._learning = threading.Thread(target=self._learn, args=(slow,), daemon=True)
                self._learning.start()
            return self._view

    def _learn(self, slow: tuple[object, ...]) -> None:
        """In a thread of its own: the notes, and the plan that ``time_left`` keeps."""
        folder = RunFolder(self.folder.path)
        notes = run_notes(folder)
        time_left(folder, time.time())
        self._notes, self._slow = notes, slow

    def stage(self, name: str) -> RLStage:
        """
        Raises:
            InputError: the run has no such stage on the disk.
        """
        with self.lock:
            stage = self.folder.curves(name)
            if stage is None:
                there = ", ".join(stage.name for stage in self.folder.stages) or "none yet"
                raise InputError(f"no stage {name!r} in this run; stages with files are {there}")
            return rl_stage(self.folder, stage, samples=False)

    def overview(self) -> dict[str, Any]:
        """The view and how far the index is, as JSON."""
        return {**as_json(self.view()), "name": self.name, "index": as_json(self.index.progress())}

    def facets(self) -> dict[str, Any]:
        newest = self.index.progress().newest
        if self._facets[0] != newest:
            self._facets = newest, self.index.facets()
        return self._facets[1]


def open_runs(paths: Sequence[Path]) -> list[OpenRun]:
    """Named by their folders, with as much of the path as tells them apart.

    Raises:
        InputError: one of them is no run folder, or is there twice.
    """
    return [OpenRun(path, name) for name, path in named(paths).items()]
