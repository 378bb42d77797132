"""Students by SFT alone, and RL on a student at equal compute (R1 paper, sections 2.4 and 4.1, tables 5 and 6)."""

from __future__ import annotations

from typing import Any

from r1kit.loops.student_settings import Distill as Config
from r1kit.loops.student_settings import Student
from r1kit.records import StageResult
from r1kit.workspace import Workspace

__all__ = ["Config", "Student", "run"]


def run(config: Config, workspace: Workspace) -> StageResult:
    from r1kit.loops import students

    found: dict[str, Any] = {"teacher": students.teacher_cost(config, workspace)}
    for name, student in config.students.items():
        found[name] = students.teach(config, name, student, workspace)
    first = next(iter(config.students))
    checkpoint = str((workspace.folder / first / "distilled" / "checkpoint").relative_to(workspace.run))
    return StageResult(metrics=found, checkpoint=checkpoint, inputs=workspace.recipe.inputs(workspace.stage))
