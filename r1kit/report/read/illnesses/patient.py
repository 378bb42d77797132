"""A stage as the doctor sees it: its metrics, its settings, its newest rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from r1kit.report.read.illnesses.illness import Example, Illness, Severity
from r1kit.report.read.illnesses.tail import Recent
from r1kit.report.read.illnesses.trend import Line, line_of
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.stage_folder import StageFolder
from r1kit.report.read.values import Row, mapping

__all__ = ["Patient"]


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
