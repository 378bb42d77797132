"""What decides a stage's result: its settings, the model, its tasks, the seed, the user's code and the stages before.

``key.json`` keeps it beside the stage, so that a later run, or ``r1 status``, can say what has changed since.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from r1kit.contracts import Recipe
from r1kit.data.settings import Reading
from r1kit.data.source import open_rows
from r1kit.errors import R1Error
from r1kit.recipe import fingerprint
from r1kit.registry import digest, is_reference, short
from r1kit.structure import plain

__all__ = ["changes", "depends_on", "read_key", "stage_key", "stage_keys", "written_key"]

TOLD = 3
"""Changed settings that are named; more are counted."""


def depends_on(recipe: Recipe, stage: str, keys: Mapping[str, str]) -> dict[str, Any]:
    """All of it, as JSON values; ``keys`` are those of the earlier stages.

    What a user's own code or file decides is told by its content, from wherever it lies: ``my.py:f`` and its digest.
    """
    config = recipe.stages[stage]
    named = {"engine": recipe.engine, "learner": recipe.learner}
    found: dict[str, Any] = plain(
        {
            "kind": recipe.kinds[stage],
            "settings": config,
            "model": recipe.model,
            "tasks": {
                name: {"kind": recipe.task_kinds[name], **plain(recipe.tasks[name])} for name in recipe.tasks_of(stage)
            },
            "seed": recipe.seed,
            "inputs": {source: keys[source] for source in recipe.inputs(stage)},
            "backend": {key: name for key, name in named.items() if name != "auto"} or None,
        }
    )
    own = {short(text): digest(text) for text in sorted(set(_references(found)))}
    files = {Path(file).name: _content(Path(file)) for file in config.files}
    files |= {Path(name).name: _rows(name, read) for name, read in config.data_sources if name not in recipe.stages}
    return {**_shortened(found), **({"code": own} if any(own.values()) else {}), **({"files": files} if files else {})}


def _references(value: Any) -> Iterator[str]:
    """Every ``FILE.py:NAME`` and ``package.module:NAME`` that is a value or a key."""
    if isinstance(value, str):
        if is_reference(value):
            yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _references(name)
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def _shortened(value: Any) -> Any:
    """The value with every reference told without its folders."""
    if isinstance(value, str):
        return short(value)
    if isinstance(value, Mapping):
        return {short(name): _shortened(item) for name, item in value.items()}
    return [_shortened(item) for item in value] if isinstance(value, list) else value


def _content(path: Path) -> str:
    """16 hex digits of a file's content; nothing for a file that is not there, which the stage's check tells."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else ""


def _rows(source: str, reading: Reading) -> str:
    """Digest of the content of a file, a folder or a data set; nothing for one that is not there."""
    try:
        return open_rows(source, reading).digest
    except (R1Error, OSError):
        return ""


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
    edited = [name for name in differing if name.startswith("code.") and name in old and name in new]
    told += dict.fromkeys(f"{name.removeprefix('code.').rpartition(':')[0]} was edited" for name in edited)
    others = [name for name in differing if name not in edited]
    told += [f"{name.removeprefix('settings.')} {_spelled(old, name)} -> {_spelled(new, name)}" for name in others]
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
