"""A run folder as the report sees it: read only, lazily, and forgiving of a run that is still being written."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from r1kit.depends import changes, read_key, stage_keys, written_key
from r1kit.errors import InputError
from r1kit.recipe import load_recipe
from r1kit.report.stage_folder import Row, StageFolder, mapping, number, read_lines, read_object, stage_title

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Row", "RunFolder", "StageFolder", "mapping", "number", "read_lines", "stage_title"]

_STAGE_FOLDER = re.compile(r"(\d\d)_([a-z][a-z0-9_-]*)")
_ZERO = ("pretrain", "r1_zero")


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
        return read_object(self.path / "manifest.json")

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
            keys = stage_keys(recipe)
            found = {stage.name: read_key(stage.path) for stage in self.stages if stage.done and stage.name in keys}
        except (InputError, ValueError):  # another version's recipe, or a torn key.json
            return {}
        return {
            name: changes({**before, "inputs": mapping(before.get("inputs"))}, written_key(recipe, name, keys))
            for name, before in found.items()
            if before.get("key", keys[name]) != keys[name]
        }

    def settings(self, stage: str) -> Row:
        """``[stages.NAME]`` of the resolved recipe; empty where it says nothing."""
        return mapping(self._stage_tables.get(stage))

    @property
    def is_chain(self) -> bool:
        """Whether it goes, or is to go, beyond R1-Zero."""
        return any(name not in _ZERO for name in self.planned)

    @cached_property
    def preference_tasks(self) -> tuple[str, ...]:
        """Tasks that ask for a good reply and not for a right answer: reward models judge them in RL."""
        tables = {str(name): mapping(table) for name, table in mapping(self.recipe.get("tasks")).items()}
        routed = mapping(self.settings("all_scenarios_rl").get("routes"))
        scored = (row.get("task") for stage in self.stages for row in stage.evals if "model_reward" in row)
        general = (name for name, table in tables.items() if table.get("kind", name) == "general")
        return tuple(dict.fromkeys(str(name) for name in (*general, *routed, *scored)))

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
