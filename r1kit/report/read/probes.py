"""What stage ``probe`` found of each checkpoint: drafts that hit, and the gap between engine and learner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.values import Row, mapping, number

__all__ = ["Probe", "Probed", "probed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One checkpoint in one dtype."""

    checkpoint: str
    dtype: str
    numbers: Row

    @property
    def speed(self) -> float | None:
        """Tokens a second with drafts, over those without."""
        with_drafts, plain = (number(self.numbers, key) for key in ("drafted_tokens_per_second", "tokens_per_second"))
        return with_drafts / plain if with_drafts and plain else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """A stage of kind probe."""

    title: str
    held: Sequence[Probe]

    @property
    def dtypes(self) -> list[str]:
        """In the order of the stage."""
        return list(dict.fromkeys(one.dtype for one in self.held))

    def has(self, key: str) -> bool:
        """Whether any checkpoint has the field."""
        return any(number(one.numbers, key) is not None for one in self.held)


def probed(run: RunFolder) -> list[Probed]:
    """Every such stage that is done."""
    return [
        Probed(
            title=run.title(stage.name),
            held=[
                Probe(checkpoint=run.alias(str(checkpoint)), dtype=str(dtype), numbers=mapping(row))
                for checkpoint, found in stage.numbers.items()
                for dtype, row in mapping(found).items()
            ],
        )
        for stage in run.of_kind("probe")
        if stage.numbers
    ]
