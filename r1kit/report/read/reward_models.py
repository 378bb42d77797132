"""Reward models on what they have not seen, and their score against the gold check during RL for all scenarios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from r1kit.report.read.evaluations import Curve, main_curves
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.stage_folder import StageFolder
from r1kit.report.read.values import Row, mapping, number, objects

__all__ = ["AgainstGold", "RewardModel", "against_gold", "reward_models"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardModel:
    name: str
    numbers: Row
    """What its stage says of it: ``accuracy`` on held-out prompts, ``interval``, ``calibration_error``, ..."""

    @property
    def reliability(self) -> list[Row]:
        """Bins: ``predicted`` probability, ``observed`` share that came true, ``count``."""
        return objects(self.numbers.get("reliability"))

    @property
    def faults(self) -> dict[str, Row]:
        """Kind of example -> ``accuracy`` and ``count``."""
        rows = {str(name): mapping(row) for name, row in mapping(self.numbers.get("by_fault")).items()}
        return {name: row for name, row in rows.items() if number(row, "accuracy") is not None}


def reward_models(run: RunFolder) -> list[RewardModel]:
    """Every reward model of the run, with the stage's name where two stages trained some."""
    stages = run.of_kind("reward_models")
    return [
        RewardModel(name=f"{name} ({stage.name})" if len(stages) > 1 else str(name), numbers=mapping(row))
        for stage in stages
        for name, row in stage.numbers.items()
        if number(mapping(row), "accuracy") is not None
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgainstGold:
    """One stage of RL for all scenarios."""

    title: str
    curves: Sequence[Curve]
    """Tasks with ``model_reward``, the reward models' mean score, beside ``avg_at_k``, the gold check."""
    marks: Mapping[str, int]
    """What happened -> RL step."""
    stopped_at: float | None
    """Step at which the watch for reward hacking ended it."""

    @property
    def ends(self) -> list[tuple[str, Row, Row]]:
        """(task, first and last evaluation that reward models scored)."""
        held = [(c.task, [row for row in c.rows if number(row, "model_reward") is not None]) for c in self.curves]
        return [(task, rows[0], rows[-1]) for task, rows in held]


def against_gold(run: RunFolder) -> list[AgainstGold]:
    """Stages of RL for all scenarios whose replies reward models scored."""
    found = (_against_gold(run, stage) for stage in run.of_kind("all_scenarios_rl"))
    return [one for one in found if one.curves]


def _against_gold(run: RunFolder, stage: StageFolder) -> AgainstGold:
    marks = {}
    steps, last = run.planned_steps(stage.name), number(run.settings(stage.name), "preference_steps")
    if steps and last is not None and 0 < steps - last < steps:
        marks["preference rewards begin"] = int(steps - last)
    stopped = number(stage.numbers, "stopped_at")
    if stopped is not None:
        marks[f"stopped at step {stopped:.0f}"] = int(stopped)
    scored = [
        curve
        for curve in main_curves(stage.evals)
        if any(number(row, "model_reward") is not None for row in curve.rows)
    ]
    return AgainstGold(title=run.title(stage.name), curves=scored, marks=marks, stopped_at=stopped)
