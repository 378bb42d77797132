"""The models of a run by name: a stage, or one of its students' (``distill/NAME``, ``distill/NAME/rl``)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from r1kit.errors import InputError, nearest

__all__ = ["checkpoint_of", "checkpoints", "result_of"]

DISTILLED = "distilled"
"""What a student's name alone stands for, out of the folders in ``NN_STAGE/NAME``."""


def checkpoint_of(run: Path, name: str) -> Path:
    """The folder of one of the run's models.

    Raises:
        InputError: there is none of that name; the line says which there are.
    """
    found = checkpoints(run)
    if name in found:
        return found[name]
    stage, part, _ = name.partition("/")
    folder = next((entry for entry in _stage_folders(run) if entry.name[3:] == stage), None)
    students = [each for each in found if each.count("/") == 1 and each.startswith(f"{stage}/")]
    stages = [each for each in found if "/" not in each]
    if part and students:
        told = f"{run} has no model {name!r}; models of stage {stage!r} are {', '.join(students)}"
        raise InputError(f"{told}, each with /base, /distilled or /rl where it was made.{nearest(name, found)}")
    if folder is None:
        what = f"{run} has no stage {stage!r}"
    else:
        what = f"stage {stage!r} of {run} " + ("makes no model" if result_of(folder) else "has no checkpoint yet")
    allowed = f"stages with a checkpoint are {', '.join(stages)}" if stages else "no stage has a checkpoint"
    raise InputError(f"{what}; {allowed}.{nearest(name, stages) if folder is None else ''}")


def checkpoints(run: Path) -> dict[str, Path]:
    """Every name that has a model, in the order of the stages."""
    found: dict[str, Path] = {}
    for folder in _stage_folders(run):
        stage, first = folder.name[3:], result_of(folder).get("checkpoint")
        if (folder / "checkpoint").is_dir():
            found[stage] = folder / "checkpoint"
        elif isinstance(first, str) and (run / first).is_dir():
            found[stage] = run / first
        for path in sorted(folder.glob("*/*/checkpoint")):
            student, made = path.parts[-3:-1]
            found[f"{stage}/{student}/{made}"] = path
            if made == DISTILLED:
                found[f"{stage}/{student}"] = path
    return found


def _stage_folders(run: Path) -> list[Path]:
    if not run.is_dir():
        return []
    return sorted(
        entry
        for entry in run.iterdir()
        if re.fullmatch(r"\d{2,}_[A-Za-z][A-Za-z0-9_-]*", entry.name) and entry.is_dir()
    )


def result_of(folder: Path) -> dict[str, Any]:
    """``result.json`` of a stage or a part of one; empty until it is done, and where it is damaged."""
    try:
        found = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
