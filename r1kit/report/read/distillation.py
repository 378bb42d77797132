"""Distilling against RL on the student: the paper's table 6 in miniature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.stage_folder import StageFolder
from r1kit.report.read.values import Row, interval_of, mapping, number

__all__ = ["AtEqualCompute", "Distilled", "Student", "StudentModel", "distilled"]

BUDGETS = {
    "sft": "RL, at the cost of its SFT",
    "with_sampling": "RL, at that and the teacher's sampling",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentModel:
    """A student before, after the teacher's samples, or after RL of its own."""

    name: str
    lines: Mapping[str, Row]
    """Task -> its evaluation."""
    flops: float | None
    """What it cost beyond its base."""
    steps: float | None
    """RL steps within that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    name: str
    parameters: float | None
    models: Sequence[StudentModel]


@dataclass(frozen=True, slots=True, kw_only=True)
class AtEqualCompute:
    """Distilled minus RL in accuracy, paired by problem."""

    student: str
    task: str
    budget: str
    value: float
    ends: tuple[float, float] | None

    @property
    def verdict(self) -> str:
        if self.ends is None or self.ends[0] <= 0 <= self.ends[1]:
            return "not clear"
        return "distilling is better, as in the paper" if self.ends[0] > 0 else "RL is better, unlike the paper"


@dataclass(frozen=True, slots=True, kw_only=True)
class Distilled:
    """One stage of distillation."""

    title: str
    tasks: Sequence[str]
    k: int | None
    students: Sequence[Student]
    differences: Sequence[AtEqualCompute]
    teacher: Row
    """``sampling_flops``, ``training_flops`` and ``weights``: so that a reader can charge the teacher too."""


def distilled(run: RunFolder) -> list[Distilled]:
    """Every stage of distillation that has taught a student."""
    found = (_distilled(run, stage) for stage in run.of_kind("distill"))
    return [one for one in found if one.students]


def _distilled(run: RunFolder, stage: StageFolder) -> Distilled:
    rows = {str(name): mapping(row) for name, row in stage.numbers.items() if name != "teacher"}
    rows = {name: row for name, row in rows.items() if mapping(row.get("distilled"))}
    lines = [mapping(line) for row in rows.values() for line in mapping(row["distilled"]).values()]
    k = next((number(line, "k") for line in lines), None)
    return Distilled(
        title=run.title(stage.name),
        tasks=list(dict.fromkeys(str(task) for row in rows.values() for task in mapping(row["distilled"]))),
        k=int(k) if k else None,
        students=[
            Student(name=name, parameters=number(row, "weights"), models=_models(row)) for name, row in rows.items()
        ],
        differences=[one for name, row in rows.items() for one in _differences(name, row)],
        teacher=mapping(stage.numbers.get("teacher")),
    )


def _models(row: Row) -> list[StudentModel]:
    reached, budgets = mapping(row.get("rl_reached")), mapping(row.get("rl_budgets"))
    flops = number(row, "distilled_flops")
    return [
        StudentModel(name="base", lines=_lines(row.get("base")), flops=None, steps=None),
        StudentModel(name="distilled", lines=_lines(row.get("distilled")), flops=flops, steps=None),
        *(
            StudentModel(
                name=BUDGETS.get(str(key), f"RL, {key}"),
                lines=_lines(lines),
                flops=number(budgets, str(key)),
                steps=number(reached, str(key)),
            )
            for key, lines in mapping(row.get("rl")).items()
        ),
    ]


def _lines(value: object) -> dict[str, Row]:
    return {str(task): mapping(line) for task, line in mapping(value).items()}


def _differences(student: str, row: Row) -> list[AtEqualCompute]:
    return [
        AtEqualCompute(
            student=student,
            task=str(task),
            budget=BUDGETS.get(str(budget), str(budget)).removeprefix("RL, "),
            value=value,
            ends=interval_of(mapping(line)),
        )
        for budget, tasks in mapping(row.get("distilled_minus_rl")).items()
        for task, line in mapping(tasks).items()
        if (value := number(mapping(line), "difference")) is not None
    ]
