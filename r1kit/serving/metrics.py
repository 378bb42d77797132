"""Counts and durations of a server in Prometheus's text format (version 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from r1kit.serving.batcher import Batcher
from r1kit.serving.served import Served

__all__ = ["TEXT", "Metrics"]

TEXT = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Histogram:
    counts: list[int] = field(default_factory=lambda: [0] * (len(_SECONDS) + 1))
    total: float = 0.0

    def note(self, seconds: float) -> None:
        self.counts[bisect_left(_SECONDS, seconds)] += 1
        self.total += seconds

    def lines(self, name: str, labels: Labels) -> Iterator[str]:
        running = 0
        for bound, count in zip((*map(str, _SECONDS), "+Inf"), self.counts, strict=True):
            running += count
            yield f"{name}_bucket{_shown((*labels, ('le', bound)))} {running}"
        yield f"{name}_sum{_shown(labels)} {self.total:.6f}"
        yield f"{name}_count{_shown(labels)} {running}"


class Metrics:
    """What a server has done; the event loop's alone."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[Labels, int]] = {}
        self._times: dict[str, dict[Labels, _Histogram]] = {}

    def count(self, name: str, by: int = 1, **labels: str) -> None:
        """``name``: a key of ``_COUNTED``."""
        counts = self._counts.setdefault(name, {})
        key = tuple(sorted(labels.items()))
        counts[key] = counts.get(key, 0) + by

    def time(self, name: str, seconds: float, **labels: str) -> None:
        """``name``: a key of ``_TIMED``."""
        self._times.setdefault(name, {}).setdefault(tuple(sorted(labels.items())), _Histogram()).note(seconds)

    def text(self, models: Mapping[str, Served]) -> str:
        """Everything, with what is under way now."""
        lines: list[str] = []
        for name, about in _COUNTED.items():
            lines += _head(name, "counter", about)
            lines += [f"{name}{_shown(labels)} {value}" for labels, value in self._counts.get(name, {}).items()]
        for name, about in _TIMED.items():
            lines += _head(name, "histogram", about)
            for labels, histogram in self._times.get(name, {}).items():
                lines += histogram.lines(name, labels)
        for name, (about, value) in _NOW.items():
            lines += _head(name, "gauge", about)
            lines += [f"{name}{_shown((('model', key),))} {value(one.batcher)}" for key, one in models.items()]
        return "\n".join(lines) + "\n"


_COUNTED = {
    "r1_requests_total": "Requests that were answered, by address and status.",
    "r1_requests_gone_total": "Requests whose client went away before the answer was whole.",
    "r1_prompt_tokens_total": "Tokens of prompts.",
    "r1_completion_tokens_total": "Tokens that were sampled for a completion, end tokens included.",
}
_TIMED = {
    "r1_first_token_seconds": "From a request to the first text that it was told, streamed or not.",
    "r1_request_seconds": "From a request to the end of its answer.",
}

_NOW: dict[str, tuple[str, Callable[[Batcher], int]]] = {
    "r1_completions_running": ("Completions in flight.", lambda one: one.running),
    "r1_completions_waiting": ("Completions that wait for a row.", lambda one: max(0, one.open - one.running)),
    "r1_up": ("1 while the model answers, 0 once sampling has failed.", lambda one: int(not one.failed)),
}


def _head(name: str, kind: str, about: str) -> Iterable[str]:
    return (f"# HELP {name} {about}", f"# TYPE {name} {kind}")


def _shown(labels: Labels) -> str:
    if not labels:
        return ""
    escaped = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}
    parts = [f'{name}="{"".join(escaped.get(one, one) for one in value)}"' for name, value in labels]
    return "{" + ",".join(parts) + "}"
