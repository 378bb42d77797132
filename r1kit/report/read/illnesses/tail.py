"""The newest rollouts of a log that may be long: its end is read, whatever lies before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from r1kit.files import object_of
from r1kit.report.read.illnesses.trend import WINDOW
from r1kit.report.read.values import Row, number

__all__ = ["Recent", "all_the_same"]

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


class Recent:
    """The last training rollouts of a stage; they are read again only when the log has changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int] | None = None
        self._rows: list[Row] = []
        self._read_from = 0

    def rows(self) -> Sequence[Row]:
        """Newest last; empty where there are none."""
        try:
            found = self.path.stat()
        except OSError:
            self._stamp, self._rows = None, []
            return self._rows
        if (stamp := (found.st_size, found.st_mtime_ns)) != self._stamp:
            self._stamp = stamp
            size = TAIL_BYTES
            while True:
                self._read_from = max(0, found.st_size - size)
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
