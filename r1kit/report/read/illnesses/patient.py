"""A stage as the doctor sees it: its metrics, its settings, its newest rollouts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r1kit.files import object_of
from r1kit.report.read.illnesses.illness import Example, Illness, Severity
from r1kit.report.read.logs import stamp
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.stage_folder import StageFolder
from r1kit.report.read.values import Row, mapping, number

__all__ = ["WINDOW", "Line", "Patient", "Recent", "all_the_same", "line_of"]

WINDOW = 5
"""Lines of a log whose mean is looked at. One step of a healthy run may be far off; on the nano runs the mean of five
was never. Fewer lines give no verdict."""
TAIL_BYTES, MOST_BYTES = 1_000_000, 16_000_000
"""Read from the end of ``rollouts.jsonl`` at first, and at most: long completions with what is kept of each token take
half a megabyte each."""
MOST, ENOUGH = 128, 64
"""Training rollouts that are looked at (a share of .2 is then told to within .07), and those that will do."""
PROBES, PROBE_ROWS, STRIDE = 8, 32, 8
"""Places looked at, and rollouts at each, to find the step at which something began; and from one to the next among
the newest."""
OTHERS = 0.1
"""Share of a group's completions that differ from those before: in the healthy runs .38 and more on the mean of five
groups, where most prompts were answered."""


# ---- rollouts: the end of a log that may be long is read, whatever lies before it ---------------------------------


class Recent:
    """The last training rollouts of a stage; they are read again only when the log has changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int] | None = None
        self._rows: list[Row] = []
        self._read_from = 0

    def rows(self) -> Sequence[Row]:
        """Newest last; empty where there are none."""
        found = stamp(self.path)
        if found is None:
            self._stamp, self._rows = None, []
        elif found != self._stamp:
            self._stamp, size = found, TAIL_BYTES
            while True:
                self._read_from = max(0, found[0] - size)
                self._rows = self._read(self._read_from, size)[-MOST:]
                if len(self._rows) >= ENOUGH or not self._read_from or size >= MOST_BYTES:
                    break
                size *= 4
        return self._rows

    def since(self, ill: Callable[[Sequence[Row]], bool]) -> int | None:
        """About the step at which ``ill`` began to be true: back over the newest rollouts, and where it is true of all
        of them by halving the log before."""
        rows = self.rows()
        if not rows or self._stamp is None:
            return None
        start = max(0, len(rows) - PROBE_ROWS)
        while start and ill(rows[max(0, start - STRIDE) :][:PROBE_ROWS]):
            start = max(0, start - STRIDE)
        begun, low, high = int(rows[start]["step"]), 0, 0 if start else self._read_from
        size = 2 * PROBE_ROWS * (self._stamp[0] - self._read_from) // len(rows)
        for probe in range(PROBES):
            if low == high:
                break
            at = 0 if probe == 0 else (low + high) // 2
            found = self._read(at, size)[:PROBE_ROWS]
            if found and ill(found):
                high, begun = at, min(begun, int(found[0]["step"]))
            else:
                low = at
        return begun

    def _read(self, start: int, size: int) -> list[Row]:
        """Training rollouts in whole lines of a piece of the log."""
        with self.path.open("rb") as stream:
            stream.seek(start)
            lines = stream.read(size).split(b"\n")
        lines = lines[1:-1] if start else lines[:-1]
        parsed = (object_of(line.decode("utf-8", errors="replace")) for line in lines if b'"train"' in line)
        return [row for row in parsed if row is not None and _is_training(row)]


def _is_training(row: Row) -> bool:
    return row.get("kind") == "train" and isinstance(row.get("completion"), str) and number(row, "step") is not None


def all_the_same(rows: Sequence[Row], least: int = WINDOW) -> bool:
    """Whether the newest groups, so many of them at least, hold one completion each, again and again."""
    groups: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        groups.setdefault((str(row["step"]), str(row.get("prompt_id"))), []).append(row["completion"])
    held = [texts for texts in groups.values() if len(texts) > 1][-WINDOW:]
    others = [(len(set(texts)) - 1) / (len(texts) - 1) for texts in held]
    return len(held) >= least and sum(others) <= OTHERS * len(held)


# ---- metrics: means over a few lines, and since when they are what they are -----------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """A field over the steps that have it, in order."""

    steps: Sequence[int]
    values: Sequence[float]

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def can_tell(self) -> bool:
        return len(self) >= WINDOW

    @property
    def first(self) -> float:
        """Mean of the first lines."""
        return _mean(self.values[:WINDOW])

    @property
    def last(self) -> float:
        """Mean of the last lines."""
        return _mean(self.values[-WINDOW:])

    @property
    def means(self) -> list[float]:
        """Running means: the i-th is over lines i to i + WINDOW - 1."""
        total = sum(self.values[:WINDOW])
        found = [total / WINDOW] if self.can_tell else []
        for place in range(WINDOW, len(self)):
            total += self.values[place] - self.values[place - WINDOW]
            found.append(total / WINDOW)
        return found

    def since(self, ill: Callable[[float], bool]) -> int | None:
        """Where the run of means began, up to the last one, that are all ill: the first step of the first of them that
        is ill by itself. None where the last mean is not ill."""
        start = None
        for place in range(len(self) - WINDOW, -1, -1):
            if not ill(_mean(self.values[place : place + WINDOW])):
                break
            start = place
        if start is None:
            return None
        first = range(start, start + WINDOW)
        return self.steps[next((place for place in first if ill(self.values[place])), start)]


def line_of(rows: Sequence[Row], key: str) -> Line:
    """A field of ``metrics.jsonl``."""
    held = [(int(row["step"]), value) for row in rows if (value := number(row, key)) is not None]
    return Line([step for step, _ in held], [value for _, value in held])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))


# ---- the stage -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Patient:
    """One look at one stage."""

    run: RunFolder
    stage: StageFolder
    recent: Recent
    """Its newest training rollouts."""
    now: float
    """Seconds since the epoch."""
    rows: Sequence[Row] = ()
    """``metrics.jsonl``."""
    lines: dict[str, Line] = field(default_factory=dict)

    @property
    def is_rl(self) -> bool:
        return bool(self.rows) and "reward" in self.rows[-1]

    @property
    def settings(self) -> Row:
        return self.run.settings(self.stage.name)

    def line(self, key: str) -> Line:
        """A field of the metrics."""
        if key not in self.lines:
            self.lines[key] = line_of(self.rows, key)
        return self.lines[key]

    def learnt(self, key: str) -> Line:
        """A field that says nothing of a step that learnt from no token, as when all groups are flat."""
        if f"{key} learnt" not in self.lines:
            self.lines[f"{key} learnt"] = line_of([row for row in self.rows if row.get("tokens", 1)], key)
        return self.lines[f"{key} learnt"]

    def setting(self, key: str) -> Any:
        """``sampling.max_tokens`` of the stage in the resolved recipe; None where it does not say."""
        value: Any = self.settings
        for name in key.split("."):
            value = mapping(value).get(name)
        return value

    def pays(self, part: str) -> bool:
        """Whether a part of the reward has a weight."""
        return bool(mapping(mapping(self.settings.get("reward")).get("parts")).get(part))

    def ill(
        self, name: str, severity: Severity, seen: str, *, since: int | None, helps: str, setting: str = "",
        metric: str = "", example: Example | None = None,
    ) -> Illness:  # fmt: skip
        """A finding about this stage; ``setting`` is one of the stage's own."""
        return Illness(
            name=name,
            stage=self.stage.name,
            severity=severity,
            seen=seen,
            since=since,
            helps=helps,
            setting=f"{self.stage.name}.{setting}" if setting else "",
            value=self.setting(setting) if setting else None,
            metric=metric,
            example=example,
        )
