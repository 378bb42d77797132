"""A run folder as the report sees it: read only, and forgiving of a run that is still being written."""

from __future__ import annotations

import fcntl
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from r1kit.contracts import BASE
from r1kit.errors import InputError
from r1kit.report.read.logs import Log, Rows, SmallFile, read_object
from r1kit.report.read.stage_folder import StageFolder
from r1kit.report.read.values import Row, mapping, number
from r1kit.stages import STAGES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["RunFolder"]

_STAGE_FOLDER = re.compile(r"(\d\d)_([a-zA-Z][a-zA-Z0-9_-]*)")


class RunFolder:
    """``DIR`` of ``r1 run --out DIR``. Each look at a field sees what is on disk now; only what is new is read."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            InputError: the path is no folder, or holds neither a recipe, nor a manifest, nor a stage.
        """
        self.path = Path(path)
        self._manifest = SmallFile(self.path / "manifest.json", json.loads)
        self._recipe = SmallFile(self.path / "recipe.toml", tomllib.loads)
        self._arithmetic = SmallFile(self.path / "arithmetic.json", json.loads)
        self._helpers = Log(self.path / "helpers.jsonl", Rows)
        self._stages: dict[Path, StageFolder] = {}
        if not self.path.is_dir():
            raise InputError(f"no run folder at '{self.path}'; give the folder that 'r1 run --out DIR' wrote")
        marks = [(self.path / name).is_file() for name in ("manifest.json", "recipe.toml")]
        if not any(marks) and not self.stages:
            raise InputError(
                f"'{self.path}' is no run folder: it holds no recipe.toml, manifest.json or stage folder like "
                "01_pretrain; give the folder that 'r1 run --out DIR' wrote"
            )

    @property
    def is_held(self) -> bool | None:
        """Whether a process works on it now, by the lock that ``r1 run`` holds; None where it has left no lock file."""
        try:
            lock = os.open(self.path / ".lock", os.O_RDONLY)
        except OSError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(lock)
        return False

    @property
    def manifest(self) -> dict[str, Any]:
        return read_object(self._manifest)

    @property
    def recipe_text(self) -> str:
        """The resolved recipe as it stands on disk; empty if there is none."""
        path = self.path / "recipe.toml"
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    @property
    def recipe(self) -> dict[str, Any]:
        """The resolved recipe, parsed; empty if missing or torn."""
        return read_object(self._recipe)

    @property
    def arithmetic(self) -> dict[str, Any]:
        """``arithmetic.json``: what ``dtype = "auto"`` means; empty where nothing was left to it."""
        return read_object(self._arithmetic)

    @property
    def helpers(self) -> list[Row]:
        """``helpers.jsonl``: what became of engines and verifiers in processes of their own, in order."""
        return self._helpers.look()

    @property
    def recipe_name(self) -> str:
        """Name of the recipe, or of the folder where no file says it."""
        name = self.manifest.get("recipe") or self.recipe.get("name")
        return name if isinstance(name, str) else self.path.resolve().name

    @property
    def lineage(self) -> Row:
        """Stage name to ``{"inputs", "checkpoint", "seconds"}``."""
        return mapping(self.manifest.get("lineage"))

    # ---- stages -------------------------------------------------------------------------------------------------

    @property
    def stages(self) -> list[StageFolder]:
        """Stage folders in the order that the recipe lists them, then any others by their number; a stage that was made
        before the recipe was changed may have another number than its place."""
        listed = {name: place for place, name in enumerate(mapping(self.recipe.get("stages")))}
        folders = sorted(path for path in self.path.iterdir() if path.is_dir())
        folders.sort(key=lambda path: listed.get(path.name.partition("_")[2], len(listed)))
        named = {path: match.group(2) for path in folders if (match := _STAGE_FOLDER.fullmatch(path.name))}
        self._stages = {path: self._stages.get(path) or StageFolder(path, name) for path, name in named.items()}
        return list(self._stages.values())

    @property
    def skipped(self) -> dict[str, int]:
        """Log, by its place in the folder -> lines of it that could not be read; of the logs that were looked at."""
        return {f"{stage.path.name}/{log}": n for stage in self.stages for log, n in stage.skipped.items()}

    def stage(self, name: str) -> StageFolder | None:
        return next((stage for stage in self.stages if stage.name == name), None)

    def curves(self, name: str) -> StageFolder | None:
        """A stage by its name, or one of its ``parts``: ``distill/llama-s/rl``."""
        stage, _, part = name.partition("/")
        found = self.stage(stage)
        return found if found is None or not part else next((one for one in found.parts if one.name == part), None)

    def settings(self, stage: str) -> Row:
        """``[stages.NAME]`` of the resolved recipe; empty where it says nothing."""
        return mapping(mapping(self.recipe.get("stages")).get(stage))

    @property
    def planned(self) -> list[str]:
        """Names of the stages that the recipe lists, in the order they run, then any others on disk."""
        listed = list(mapping(self.recipe.get("stages")))
        return listed + [stage.name for stage in self.stages if stage.name not in listed]

    def planned_steps(self, stage: str) -> int | None:
        """The stage's ``steps`` in the resolved recipe; None where it does not say."""
        steps = number(self.settings(stage), "steps")
        return int(steps) if steps else None

    # ---- kinds --------------------------------------------------------------------------------------------------

    def kind(self, stage: str) -> str:
        """What the stage is: ``kind`` of its table in the recipe, else its own name."""
        return str(self.settings(stage).get("kind") or stage)

    def of_kind(self, *kinds: str) -> list[StageFolder]:
        """The stages on disk that are of one of these kinds, in order."""
        return [stage for stage in self.stages if self.kind(stage.name) in kinds]

    def title(self, stage: str) -> str:
        """What a person calls the stage; its name tells apart two of a kind."""
        facts = STAGES.get(self.kind(stage))
        if facts is None:
            return stage.replace("_", " ").capitalize()
        return f"{facts.heading} ({stage})" if self._is_shared(stage) else facts.heading

    def alias(self, checkpoint: str) -> str:
        """What the paper calls a stage's model; the stage's name where two would be called so, and for SFT that learns
        no mixture of rejection sampling, which is no Dev3."""
        facts = STAGES.get(self.kind(checkpoint))
        if checkpoint == BASE or facts is None or not facts.alias:
            return checkpoint if checkpoint == BASE else self.title(checkpoint)
        plain = self.kind(checkpoint) == "sft" and "rejection_sampling" not in map(self.kind, self.planned)
        return checkpoint if plain or self._is_shared(checkpoint) else facts.alias

    def _is_shared(self, stage: str) -> bool:
        kind = self.kind(stage)
        return any(self.kind(other) == kind for other in self.planned if other != stage)

    @property
    def is_chain(self) -> bool:
        """Whether it goes, or is to go, beyond R1-Zero."""
        return any(self.kind(name) not in ("pretrain", "r1_zero") for name in self.planned)

    def is_rl(self, stage: StageFolder) -> bool:
        """Whether it sampled and rewarded: its metrics or its kind say so."""
        return self.kind(stage.name) == "r1_zero" or any("reward" in row for row in stage.metrics[:1])

    @property
    def rl_stages(self) -> list[StageFolder]:
        return [stage for stage in self.stages if self.is_rl(stage)]

    @property
    def headline(self) -> StageFolder | None:
        """The stage that the report is about: R1-Zero, else the last RL stage, else the last with an evaluation."""
        if zero := self.of_kind("r1_zero"):
            return zero[0]
        candidates = self.rl_stages or [stage for stage in self.stages if stage.evals]
        return candidates[-1] if candidates else None

    # ---- what the recipe says -------------------------------------------------------------------------------------

    @property
    def preference_tasks(self) -> tuple[str, ...]:
        """Tasks that ask for a good reply and not for a right answer: reward models score them in RL."""
        compared = (
            mapping(self.settings(name).get(model)).get("task", "")
            for name in self.planned
            if self.kind(name) == "reward_models"
            for model in ("helpfulness", "safety")
        )
        routed = (
            task
            for name in self.planned
            if self.kind(name) == "all_scenarios_rl"
            for task in mapping(self.settings(name).get("routes"))
        )
        scored = (row.get("task") for stage in self.stages for row in stage.evals if "model_reward" in row)
        return tuple(dict.fromkeys(str(name) for name in (*compared, *routed, *scored) if name))
