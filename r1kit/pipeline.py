"""A run: for each stage of the recipe, already done? skip : run it, write its result."""

from __future__ import annotations

import json
import platform
import shutil
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from r1kit import __version__, stages
from r1kit.cluster.ranks import Ranks
from r1kit.recipe import Recipe, fingerprint, plain
from r1kit.workspace import Workspace, write_atomic

__all__ = ["run", "stage_states"]


def run(recipe: Recipe, folder: Path, ranks: Ranks, until: str = "", say: Callable[[str], None] = print) -> None:
    """Run every stage that is not done, up to and including ``until``; each starts where it stopped."""
    checkpoints: dict[str, str] = {}
    keys: dict[str, str] = {}
    for index, (name, config) in enumerate(recipe.stages.items(), start=1):
        workspace = Workspace(
            run=folder, stage=name, index=index, recipe=recipe, ranks=ranks, checkpoints=dict(checkpoints)
        )
        workspace.key = keys[name] = stage_key(recipe, name, keys)
        result = ranks.broadcast_object(_result(workspace) if workspace.is_writer else None)
        if result is None:
            if workspace.is_writer:
                _make_room(workspace, say)
                say(f"{name}: {stages.STAGES[name]}")
            began = time.time()
            outcome = stages.load(name).run(config, workspace)
            workspace.finish(outcome)
            result = {"checkpoint": outcome.checkpoint}
            if workspace.is_writer:
                _record_lineage(folder, workspace, outcome.inputs, outcome.checkpoint)
                say(f"{name}: done in {time.time() - began:.0f} s")
        else:
            say(f"{name}: done before") if workspace.is_writer else None
        if result["checkpoint"]:
            checkpoints[name] = result["checkpoint"]
        if name == until:
            break


def stage_key(recipe: Recipe, name: str, keys: dict[str, str]) -> str:
    """Fingerprint of all that decides a stage's result: its settings, the model, the tasks, the seed, its inputs."""
    return fingerprint(name, recipe.stages[name], recipe.model, recipe.tasks, recipe.seed, list(keys.values()))


def stage_states(recipe: Recipe, folder: Path) -> dict[str, str]:
    """Stage -> ``done``, ``running`` (has a resume point or logs), ``changed`` (settings differ now) or ``waiting``."""
    states, keys = {}, dict[str, str]()
    for index, name in enumerate(recipe.stages, start=1):
        place = Workspace(run=folder, stage=name, index=index, recipe=recipe).folder
        keys[name] = stage_key(recipe, name, keys)
        found = _stored_key(place)
        if found and found != keys[name]:
            states[name] = "changed"
        elif (place / "result.json").is_file():
            states[name] = "done"
        else:
            states[name] = "running" if place.is_dir() else "waiting"
    return states


def _result(workspace: Workspace) -> dict[str, Any] | None:
    path = workspace.folder / "result.json"
    if not path.is_file():
        return None
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result if result["key"] == workspace.key else None


def _stored_key(folder: Path) -> str:
    for path in (folder / "result.json", folder / "resume" / "state.json", folder / "key.json"):
        if path.is_file():
            return str(json.loads(path.read_text(encoding="utf-8"))["key"])
    return ""


def _make_room(workspace: Workspace, say: Callable[[str], None]) -> None:
    """Create the stage's folder; what other settings left there is moved aside, never deleted."""
    folder = workspace.folder
    found = _stored_key(folder)
    if found and found != workspace.key:
        aside = next(
            path for n in range(1, 10_000) if not (path := folder.with_name(f"{folder.name}.before-{n}")).exists()
        )
        shutil.move(folder, aside)
        say(f"{workspace.stage}: its settings or inputs changed; the earlier result is kept in {aside.name}")
    folder.mkdir(parents=True, exist_ok=True)
    workspace.write("key.json", {"key": workspace.key})


def write_manifest(recipe: Recipe, folder: Path) -> None:
    """``manifest.json``: versions, hardware, seed, recipe hash; lineage is added as stages end."""
    path = folder / "manifest.json"
    if path.is_file():
        return
    packages = ("torch", "transformers", "tokenizers", "numpy", "reasoning-gym", "math-verify")
    manifest = {
        "recipe": recipe.name,
        "recipe_hash": fingerprint(recipe),
        "seed": recipe.seed,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "versions": {
            "r1kit": __version__,
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in packages},
        },
        "hardware": {"processor": _processor(), "ranks": recipe.ranks, "device": recipe.device},
        "lineage": {},
    }
    write_atomic(path, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def _record_lineage(folder: Path, workspace: Workspace, inputs: Any, checkpoint: str | None) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["lineage"][workspace.stage] = {
        "inputs": plain(list(inputs)),
        "checkpoint": checkpoint,
        "seconds": round(workspace.seconds, 1),
        "key": workspace.key,
    }
    write_atomic(path, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
