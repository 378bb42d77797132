"""How a field of a log has gone lately: means over a few lines, and since when they are what they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from r1kit.report.read.values import Row, number

__all__ = ["WINDOW", "Line", "line_of"]

WINDOW = 5
"""Lines of a log whose mean is looked at. One step of a healthy run may be far off; on the nano runs the mean of five
was never. Fewer lines give no verdict."""


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
