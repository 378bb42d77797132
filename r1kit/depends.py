"""What decides a stage's result: its settings, the model, its tasks, the seed and the stages that feed it.

``key.json`` keeps it beside the stage, so that a later run, or ``r1 status``, can say what has changed since.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from r1kit.recipe import Recipe, fingerprint
from r1kit.structure import plain

__all__ = ["changes", "depends_on", "read_key", "stage_key", "stage_keys", "written_key"]

TOLD = 3
"""Changed settings that are named; more are counted."""


def depends_on(recipe: Recipe, stage: str, keys: Mapping[str, str]) -> dict[str, Any]:
    """All of it, as JSON values; ``keys`` are those of the earlier stages."""
    found: dict[str, Any] = plain(
        {
            "settings": recipe.stages[stage],
            "model": recipe.model,
            "tasks": {name: recipe.tasks[name] for name in recipe.tasks_of(stage)},
            "seed": recipe.seed,
            "inputs": {source: keys[source] for source in recipe.inputs(stage)},
        }
    )
    return found


def stage_key(recipe: Recipe, stage: str, keys: Mapping[str, str]) -> str:
    """Fingerprint of ``depends_on``."""
    return fingerprint(stage, depends_on(recipe, stage, keys))


def stage_keys(recipe: Recipe) -> dict[str, str]:
    """Every stage's key, in the order they run."""
    keys: dict[str, str] = {}
    for stage in recipe.stages:
        keys[stage] = stage_key(recipe, stage, keys)
    return keys


def written_key(recipe: Recipe, stage: str, keys: Mapping[str, str]) -> dict[str, Any]:
    """What ``key.json`` says."""
    return {"key": stage_key(recipe, stage, keys), **depends_on(recipe, stage, keys)}


def read_key(folder: Path) -> dict[str, Any]:
    """``key.json`` of a stage's folder, the key alone where only ``result.json`` is there; empty for a new folder."""
    for name in ("key.json", "result.json"):
        if (path := folder / name).is_file():
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if name == "key.json":
                return found
            return {"key": found["key"]} if "key" in found else {}
    return {}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What differs between two ``key.json``, for a person: ``steps 90 -> 7; cold_start was done again``."""
    told = [
        f"{stage} was done again" if stage in before.get("inputs", {}) else f"it takes in {stage} now"
        for stage, key in after.get("inputs", {}).items()
        if before.get("inputs", {}).get(stage) != key
    ]
    old, new = dict(_leaves(before)), dict(_leaves(after))
    differing = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    told += [f"{name.removeprefix('settings.')} {_spelled(old, name)} -> {_spelled(new, name)}" for name in differing]
    more = len(told) - TOLD
    return "; ".join([*told[:TOLD], f"{more} more"] if more > 0 else told) or "its settings or inputs"


def _spelled(leaves: Mapping[str, Any], name: str) -> str:
    return json.dumps(leaves[name], ensure_ascii=False) if name in leaves else "unset"


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted name and value of everything but the key and the inputs."""
    for name, item in value.items():
        if not prefix and name in ("key", "inputs", "why"):
            continue
        if isinstance(item, Mapping):
            yield from _leaves(item, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", item
