"""Reward models on what they have not seen, and their score against the gold check during RL for all scenarios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from r1kit.report.read.evaluations import Curve, main_curves
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.stage_folder import StageFolder
from r1kit.report.read.values import Row, interval_of, mapping, number, objects

__all__ = ["AgainstGold", "Fault", "RewardModel", "against_gold", "reward_models"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Examples of one kind."""

    name: str
    accuracy: float
    count: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardModel:
    name: str
    accuracy: float | None
    interval: tuple[float, float] | None
    calibration_error: float | None
    held_out: float | None
    trained: float | None
    score_mean: float | None
    score_std: float | None
    reliability: Sequence[Row]
    """Bins: ``predicted`` probability, ``observed`` share that came true, ``count``."""
    faults: Sequence[Fault]


def reward_models(run: RunFolder) -> list[RewardModel]:
    """Every reward model of the run, with the stage's name where two stages trained some."""
    stages = run.of_kind("reward_models")
    return [
        _model(f"{name} ({stage.name})" if len(stages) > 1 else str(name), mapping(row))
        for stage in stages
        for name, row in stage.numbers.items()
        if number(mapping(row), "accuracy") is not None
    ]


def _model(name: str, row: Row) -> RewardModel:
    faults = {str(fault).replace("_", " "): mapping(found) for fault, found in mapping(row.get("by_fault")).items()}
    keys = ("accuracy", "calibration_error", "held_out", "trained", "score_mean", "score_std")
    return RewardModel(
        name=name,
        interval=interval_of(row),
        reliability=objects(row.get("reliability")),
        faults=[
            Fault(name=fault, accuracy=accuracy, count=number(found, "count"))
            for fault, found in faults.items()
            if (accuracy := number(found, "accuracy")) is not None
        ],
        **{key: number(row, key) for key in keys},
    )


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
