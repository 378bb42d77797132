"""What the doctor says: something that goes wrong in a stage, what was seen of it, and what usually helps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from r1kit.report.read.values import Row

__all__ = ["Example", "Illness", "Severity"]

Severity = Literal["serious", "warning"]
"""``serious``: going on as it is wastes the time; ``warning``: worth a look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A completion that shows the illness."""

    completion: str
    """As the model wrote it; never to be trusted as HTML."""
    says: str
    """What is to be seen in it: ``</think> is missing``."""
    step: int | None = None
    prompt_id: str = ""

    @classmethod
    def of(cls, row: Row, says: str) -> Example:
        """A training rollout."""
        prompt_id = str(row.get("prompt_id", ""))
        return cls(completion=row["completion"], says=says, step=int(row["step"]), prompt_id=prompt_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Illness:
    """One finding. ``as_json`` hands it to a page as it is."""

    name: str
    """Of the illness: ``flat reward``; the same in every run."""
    stage: str
    """Empty: of the run as a whole."""
    severity: Severity
    seen: str
    """What was seen, with its numbers: a sentence without its stop."""
    since: int | None
    """Step since which it is so; None where no step tells."""
    helps: str
    """What usually helps: one or two sentences."""
    setting: str = ""
    """The setting to change, as ``--set`` takes it: ``r1_zero.sampling.max_tokens``; empty: there is none."""
    value: object = None
    """What it is set to; None where the resolved recipe does not say."""
    metric: str = ""
    """Field of ``metrics.jsonl`` whose curve shows it; empty: there is none."""
    example: Example | None = None
