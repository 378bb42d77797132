"""A run folder as the report sees it: read only, lazily, and forgiving of a run that is still being written.

Every file but the folder itself may be missing, and the last line of a growing file may be torn.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from r1kit.depends import changes, read_key, stage_keys, written_key
from r1kit.errors import InputError
from r1kit.recipe import load_recipe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Row", "RunFolder", "StageFolder", "number", "read_lines", "stage_title"]

Row = Mapping[str, Any]
"""One parsed line of a JSON-lines file."""

_STAGE_FOLDER = re.compile(r"(\d\d)_([a-z][a-z0-9_-]*)")
_TITLES = {
    "pretrain": "Pretraining",
    "r1_zero": "R1-Zero",
    "cold_start": "Cold start",
    "cold_start_sft": "Cold-start SFT",
    "reasoning_rl": "Reasoning RL",
    "rejection_sampling": "Rejection sampling",
    "sft": "SFT",
    "reward_models": "Reward models",
    "all_scenarios_rl": "All-scenarios RL",
    "distill": "Distillation",
    "evaluate": "Evaluation",
    "prm": "PRM",
    "mcts": "MCTS",
    "ppo": "PPO",
}


def stage_title(name: str) -> str:
    """What a person calls the stage: ``r1_zero`` is R1-Zero."""
    return _TITLES.get(name, name.replace("_", " ").capitalize())


def number(row: Mapping[str, Any], key: str) -> float | None:
    """The field as a finite float; None if it is missing, not a number, or NaN or infinite."""
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) < float("inf") else None


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Objects of a JSON-lines file, in order; a line that is torn or no object is left out; no file gives nothing."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict):
                yield row


def _read_json(path: Path) -> Any:
    """The parsed file; None if it is missing or torn."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def _read_object(path: Path) -> dict[str, Any]:
    found = _read_json(path)
    return found if isinstance(found, dict) else {}


def _last_wins(rows: Iterator[dict[str, Any]], keys: Sequence[str]) -> list[Row]:
    """Rows with a step, one for each value of the keys, in order of step: a log may repeat a step."""
    kept: dict[Hashable, Row] = {}
    for row in rows:
        if number(row, "step") is not None:
            kept[tuple(str(row.get(key)) for key in keys)] = row
    return sorted(kept.values(), key=lambda row: float(row["step"]))


@dataclass(frozen=True)
class StageFolder:
    """``DIR/NN_STAGE``. Fields are read when first asked for, and once."""

    path: Path
    name: str
    """Stage name without its number, for example ``r1_zero``."""

    @property
    def title(self) -> str:
        return stage_title(self.name)

    @cached_property
    def result(self) -> dict[str, Any]:
        """``result.json``; empty until the stage is done."""
        return _read_object(self.path / "result.json")

    @property
    def done(self) -> bool:
        return bool(self.result)

    @cached_property
    def metrics(self) -> list[Row]:
        """``metrics.jsonl``, one row a step."""
        return _last_wins(read_lines(self.path / "metrics.jsonl"), ["step"])

    @cached_property
    def evals(self) -> list[Row]:
        """``eval.jsonl``, one row for each step, task, split and k."""
        return _last_wins(read_lines(self.path / "eval.jsonl"), ["step", "task", "split", "k"])

    @cached_property
    def gates(self) -> list[Row]:
        """``gate.json``: the base gate of each task; empty if there is none."""
        found = _read_json(self.path / "gate.json")
        return [gate for gate in (found if isinstance(found, list) else [found]) if isinstance(gate, dict)]

    @cached_property
    def aha(self) -> list[Row]:
        """``aha.json``: candidates, each a question, the last turn of its chain and the text around it."""
        found = _read_json(self.path / "aha.json")
        return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []

    def rollouts(self) -> Iterator[Row]:
        """Sampled completions of ``rollouts.jsonl``, streamed: the file may be large."""
        for row in read_lines(self.path / "rollouts.jsonl"):
            if isinstance(row.get("completion"), str) and number(row, "step") is not None:
                yield row

    @property
    def steps_done(self) -> int:
        """Steps that the metrics cover."""
        return int(self.metrics[-1]["step"]) if self.metrics else 0

    @cached_property
    def why(self) -> str:
        """Why the stage was done again; empty where it was not."""
        return str(_read_object(self.path / "key.json").get("why", ""))

    @property
    def set_aside(self) -> list[str]:
        """Folders that hold what other settings left here (``NN_STAGE.before-1``), oldest first."""
        return sorted(path.name for path in self.path.parent.glob(f"{self.path.name}.before-*"))

    @property
    def seconds(self) -> float | None:
        """Training seconds so far, or of the whole stage once done."""
        if self.done and number(self.result, "seconds") is not None:
            return number(self.result, "seconds")
        return number(self.metrics[-1], "seconds") if self.metrics else None

    @property
    def is_rl(self) -> bool:
        """Whether it sampled and rewarded: its metrics or its name say so."""
        return self.name == "r1_zero" or any("reward" in row for row in self.metrics[:1])


@dataclass(frozen=True)
class RunFolder:
    """``DIR`` of ``r1 run --out DIR``.

    Raises:
        InputError: the path is no folder, or holds neither a recipe, nor a manifest, nor a stage.
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        if not self.path.is_dir():
            raise InputError(f"no run folder at '{self.path}'; give the folder that 'r1 run --out DIR' wrote")
        marks = [(self.path / name).is_file() for name in ("manifest.json", "recipe.toml")]
        if not any(marks) and not self.stages:
            raise InputError(
                f"'{self.path}' is no run folder: it holds no recipe.toml, manifest.json or stage folder like "
                "01_pretrain; give the folder that 'r1 run --out DIR' wrote"
            )

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return _read_object(self.path / "manifest.json")

    @cached_property
    def recipe_text(self) -> str:
        """The resolved recipe as it stands on disk; empty if there is none."""
        path = self.path / "recipe.toml"
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The resolved recipe, parsed; empty if missing or torn."""
        try:
            return tomllib.loads(self.recipe_text)
        except tomllib.TOMLDecodeError:
            return {}

    @cached_property
    def stages(self) -> list[StageFolder]:
        """Stage folders in order of their number."""
        folders = sorted(path for path in self.path.iterdir() if path.is_dir())
        found = ((path, _STAGE_FOLDER.fullmatch(path.name)) for path in folders)
        return [StageFolder(path, match.group(2)) for path, match in found if match]

    @property
    def lineage(self) -> dict[str, Any]:
        """Stage name to ``{"inputs", "checkpoint", "seconds"}``."""
        found = self.manifest.get("lineage")
        return found if isinstance(found, dict) else {}

    @property
    def recipe_name(self) -> str:
        """Name of the recipe, or of the folder where no file says it."""
        name = self.manifest.get("recipe") or self.recipe.get("name")
        return name if isinstance(name, str) else self.path.resolve().name

    @property
    def _stage_tables(self) -> dict[str, Any]:
        """``[stages.NAME]`` of the resolved recipe, in the order they run."""
        found = self.recipe.get("stages")
        return found if isinstance(found, dict) else {}

    @property
    def planned(self) -> list[str]:
        """Names of the stages that the recipe lists, in order, then any others on disk."""
        listed = list(self._stage_tables)
        return listed + [stage.name for stage in self.stages if stage.name not in listed]

    def planned_steps(self, stage: str) -> int | None:
        """The stage's ``steps`` in the resolved recipe; None where it does not say."""
        table = self._stage_tables.get(stage)
        steps = number(table, "steps") if isinstance(table, dict) else None
        return int(steps) if steps else None

    @cached_property
    def outdated(self) -> dict[str, str]:
        """Done stages that the recipe as it stands would do again, and why."""
        try:
            recipe = load_recipe(str(self.path / "recipe.toml"))
        except InputError:
            return {}
        keys = stage_keys(recipe)
        found = {stage.name: read_key(stage.path) for stage in self.stages if stage.done and stage.name in keys}
        return {
            name: changes(before, written_key(recipe, name, keys))
            for name, before in found.items()
            if before["key"] != keys[name]
        }

    def stage(self, name: str) -> StageFolder | None:
        return next((stage for stage in self.stages if stage.name == name), None)

    @property
    def headline(self) -> StageFolder | None:
        """The stage that the report is about: R1-Zero, else the last RL stage, else the last with an evaluation."""
        zero = self.stage("r1_zero")
        if zero is not None:
            return zero
        learned = [stage for stage in self.stages if stage.is_rl]
        judged = [stage for stage in self.stages if stage.evals]
        found = learned or judged
        return found[-1] if found else None
