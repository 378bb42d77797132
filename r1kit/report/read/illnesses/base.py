"""The base is too weak to be lifted by rewards alone: what the gate before RL said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from r1kit.report.read.illnesses.illness import Illness
from r1kit.report.read.illnesses.patient import Patient, line_of
from r1kit.report.read.stage_folder import StageFolder
from r1kit.report.read.values import Row, mapping, number
from r1kit.report.read.wording import share

__all__ = ["weak_base"]

FEWEST = 128
"""Completions that a gate must have seen: of fewer, a tenth may be none by chance."""
HOLLOW = 0.3
"""P(right | the chain claims a hit) below which the gate's warning of it is passed on: bases of .41 and .43 were lifted
from .09 to .75, those of .22 and less were not."""
LIFTED = 0.2
"""Gain of accuracy that proves the gate wrong."""


def weak_base(patient: Patient) -> Iterator[Illness]:
    """One finding a stage, of the tasks that its gate warns of; none once RL has lifted it all the same."""
    warned = [gate for gate in patient.stage.gates if _warnings(gate) and _completions(patient, gate) >= FEWEST]
    if not warned or _is_answered(patient):
        return
    told = [f"{gate.get('task')}: {warning}" for gate in warned for warning in _warnings(gate)]
    reached = {str(gate.get("task")): number(mapping(gate.get("measures")), "accuracy") for gate in warned}
    shares = ", ".join(f"{task} {share(value)}" for task, value in reached.items())
    found = patient.ill(
        "base too weak",
        "warning",
        f"before RL (accuracy: {shares}) {told[0]}" + (f" (and {len(told) - 1} more in gate.json)" if told[1:] else ""),
        since=0,
        helps="Train the base longer or on more of the task's kind, take a stronger model (model.name), or make the "
        "task easier; RL amplifies what a base sometimes does right.",
        metric="accuracy",
    )
    setting, value = _setting(patient)
    yield replace(found, setting=setting, value=value)


def _warnings(gate: Row) -> list[str]:
    """What the gate says, without what was seen to come right."""
    told, claims = gate.get("warnings"), number(mapping(gate.get("measures")), "correct_given_claim")
    if not isinstance(told, list) or claims is None or claims < HOLLOW:
        return [str(one) for one in told] if isinstance(told, list) else []
    from r1kit.evals.gate import HOLLOW_CLAIM  # numpy comes with it, which a page need not wait for

    return [str(one) for one in told if HOLLOW_CLAIM not in str(one)]


def _completions(patient: Patient, gate: Row) -> float:
    """That the gate saw: of the stage's first evaluation of the task."""
    rows = [row for row in patient.stage.evals if row.get("task") == gate.get("task") and row.get("split") != "test"]
    return (number(rows[0], "problems") or 0) * (number(rows[0], "k") or 0) if rows else 0


def _is_answered(patient: Patient) -> bool:
    """RL from this base has lifted it, or has looked again; of a gate that RL itself wrote, only that it lifted."""
    stages = patient.run.stages
    place = [stage.path for stage in stages].index(patient.stage.path)
    if patient.is_rl:
        return _is_lifted(patient.stage)
    return any(stage.gates or _is_lifted(stage) for stage in stages[place + 1 :])


def _is_lifted(stage: StageFolder) -> bool:
    accuracy = line_of(stage.metrics, "accuracy") if stage.metrics and "reward" in stage.metrics[-1] else None
    return accuracy is not None and accuracy.can_tell and accuracy.last >= accuracy.first + LIFTED


def _setting(patient: Patient) -> tuple[str, object]:
    """Steps of the base's training, or the model where it came from elsewhere; and what that is set to."""
    made = patient.run.of_kind("pretrain")
    if made:
        return f"{made[-1].name}.steps", patient.run.settings(made[-1].name).get("steps")
    return "model.name", mapping(patient.run.recipe.get("model")).get("name")
