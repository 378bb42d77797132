"""TensorBoard: event files, written by TensorBoard's own package; no torch."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1kit.trackers.sink import Tracked, as_markdown

__all__ = ["TensorBoard"]


class TensorBoard:
    """A folder of event files for each series, so that a series is a run of TensorBoard's and its numbers share names:
    ``accuracy`` of every stage lies in one chart."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Config:
        folder: str = ""
        """Where the event files go; empty: ``DIR/tensorboard``."""

    def __init__(self, config: Config, run: Tracked) -> None:
        self._folder = Path(config.folder).expanduser() if config.folder else run.folder / "tensorboard"
        self._writers: dict[str, Any] = {}
        self._known: dict[str, set[int]] = {}

    def log(self, series: str, step: int, values: Mapping[str, float]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        found = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._add(series, step, Summary(value=found))

    def table(self, series: str, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        self._text(series, "samples", step, as_markdown(rows))

    def artefact(self, path: Path) -> None:
        """TensorBoard keeps no files: where the report is."""
        self._text("report", "report", 0, f"The report: {path.resolve()}")

    def flush(self) -> None:
        for writer in self._writers.values():
            writer.flush()

    def has(self, series: str, step: int) -> bool | None:
        if series not in self._known:
            from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

            files = sorted((self._folder / series).glob("events.out.*"))
            self._known[series] = {event.step for file in files for event in EventFileLoader(str(file)).Load()
                                   if event.HasField("summary")}  # fmt: skip
        return step in self._known[series]

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _text(self, series: str, tag: str, step: int, text: str) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.plugins.text import metadata
        from tensorboard.util.tensor_util import make_tensor_proto

        told = Summary.Value(
            tag=tag,
            metadata=metadata.create_summary_metadata(display_name=tag, description=""),
            tensor=make_tensor_proto([text.encode("utf-8", "replace")]),
        )
        self._add(series, step, Summary(value=[told]))

    def _add(self, series: str, step: int, summary: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        if series not in self._writers:
            self._writers[series] = EventFileWriter(str(self._folder / series))
        self._writers[series].add_event(Event(wall_time=time.time(), step=step, summary=summary))
