"""A recipe: TOML -> frozen dataclasses. An unknown key is an error that names the nearest; no torch here.

A recipe holds a ``[model]``, ``[tasks.NAME]`` tables and one ``[stages.NAME]`` table a stage, in the order they run. A
table's ``kind`` says what task or stage it is; without one the name is the kind.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from r1kit import stages, tasks
from r1kit.backends import check_names
from r1kit.contracts import BASE, Model, Recipe
from r1kit.data.source import is_path
from r1kit.errors import InputError, nearest
from r1kit.files import check_text
from r1kit.structure import NotText, plain, structure
from r1kit.update.settings import DtypeSetting, settled

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "BASE",
    "Model",
    "Recipe",
    "as_toml",
    "fingerprint",
    "load_recipe",
    "parse_recipe",
    "put_setting",
    "recipe_name",
    "shipped_recipes",
    "with_texts",
]

_T = TypeVar("_T")

RECIPES = next(
    (folder for folder in (Path(__file__).with_name("_recipes"),) if folder.is_dir()),
    Path(__file__).resolve().parent.parent / "recipes",
)
"""Inside an installed package, else beside it in the repository."""

BESIDE = "{recipe}/"
"""A text of a recipe file that begins so is a path beside that file; any other path is taken from where ``r1`` runs."""

STAGE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
OWN_FIELDS = ("task_kinds", "kinds", "about")
"""Of a recipe, not of its file: there a kind stands in its table."""


def shipped_recipes() -> dict[str, Path]:
    """Name -> TOML file of every recipe that ships."""
    return {path.stem: path for path in sorted(RECIPES.glob("*.toml"))}


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """A shipped recipe's name or a TOML path, with ``KEY=VALUE`` overrides, fully resolved.

    Raises:
        InputError: unknown recipe, key, task, stage or a value of the wrong type; names the nearest allowed.
    """
    path = shipped_recipes().get(name) or Path(name)
    if name == "-" or (path.exists() and not path.is_file() and not path.is_dir()):
        raise InputError(f"recipe {name!r}: a recipe is read more than once and cannot come through a pipe; save it")
    if not path.is_file():
        shipped = sorted(shipped_recipes())
        raise InputError(
            f"recipe {name!r} is neither a shipped recipe ({', '.join(shipped)}) nor a TOML file."
            f"{nearest(name, shipped + [each.name for each in Path().glob('*.toml')])}"
        )
    table = _read(path)
    written = dict(_override(table, override, path.absolute().parent) for override in overrides)
    return with_texts(table, written, lambda: parse_recipe(table))


def with_texts(table: dict[str, Any], written: dict[str, tuple[list[str], str]], read: Callable[[], _T]) -> _T:
    """What ``read`` makes of the table, with the text of an override wherever a setting wants text: ``123`` is a name
    where a name belongs.

    Args:
        written: dotted setting, as an error names it -> (its keys in the table, its value as it was written).
    """
    while True:
        try:
            return read()
        except NotText as error:
            if error.where not in written:
                raise
            path, value = written.pop(error.where)
            _put(table, path, value, value)


def recipe_name(path: Path) -> str:
    """The name in a recipe file, whatever else it says."""
    return str(_read(path)["name"])


def _read(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from None
    except (ValueError, RecursionError, OSError) as error:  # RecursionError: tables too deep for Python
        raise InputError(f"{path}: not valid TOML: {error}") from None
    table.setdefault("name", path.stem)
    return {key: _beside(path.absolute().parent, value) for key, value in table.items()}


def _beside(folder: Path, value: Any) -> Any:
    """The value with every path beside the recipe file spelled out."""
    if isinstance(value, str) and value.startswith(BESIDE):
        return str(folder / value.removeprefix(BESIDE))
    if isinstance(value, dict):
        return {_beside(folder, key): _beside(folder, item) for key, item in value.items()}
    return [_beside(folder, item) for item in value] if isinstance(value, list) else value


def parse_recipe(table: Mapping[str, Any]) -> Recipe:
    """A recipe from its TOML table."""
    table = dict(table)
    stage_tables, task_tables = table.pop("stages", {}), table.pop("tasks", {})
    for name in OWN_FIELDS:
        if name in table:
            raise InputError(f"recipe: unknown key {name!r}; a stage's or task's kind stands in its own table")
    recipe: Recipe = structure(Recipe, table, "")
    for where, tables in (("stages", stage_tables), ("tasks", task_tables)):
        if not isinstance(tables, Mapping):
            raise InputError(f"{where} = {tables!r}: expected tables [{where}.NAME]")
        for name, entry in tables.items():
            if not isinstance(entry, Mapping):
                raise InputError(f"{where}.{name}: expected a table [{where}.{name}], got {entry!r}")
    recipe = dataclasses.replace(
        recipe,
        tasks={name: _task(name, entry) for name, entry in task_tables.items()},
        task_kinds={name: str(entry.get("kind", name)) for name, entry in task_tables.items()},
        **_stages(stage_tables, recipe.dtype),
    )
    recipe = dataclasses.replace(recipe, stages={n: config.resolved(n, recipe) for n, config in recipe.stages.items()})
    _check_references(recipe)
    return recipe


def _stages(tables: Mapping[str, Any], dtype: DtypeSetting) -> dict[str, Any]:
    """The recipe's fields that say which stages there are; ``dtype`` is theirs where they name none."""
    settings, kinds, about = {}, {}, {}
    for name, table in tables.items():
        kind = kinds[name] = str(table.get("kind", name))
        if not STAGE_NAME.fullmatch(name) or name == BASE:
            raise InputError(
                f"[stages.{name}]: a stage's name has letters, digits, _ and -, begins with a letter, is not {BASE!r}"
            )
        about[name] = stages.find(kind, name)
        config, _ = about[name].load()
        rest = {key: value for key, value in table.items() if key != "kind"}
        settings[name] = settled(structure(config, rest, f"stages.{name}"), dtype)
    return {"stages": settings, "kinds": kinds, "about": about}


def _task(name: str, table: Mapping[str, Any]) -> Any:
    rest = {key: value for key, value in table.items() if key != "kind"}
    return tasks.settings(name, str(table.get("kind", name)), rest)


def _check_references(recipe: Recipe) -> None:
    """Every task and stage that a stage names must be there, and what opens engines and learners be known."""
    check_names(recipe.engine.kind, recipe.learner.kind)
    earlier: list[str] = []
    if not recipe.stages:
        raise InputError(f"recipe {recipe.name!r} has no stages; add one, for example [stages.r1_zero]")
    for name, config in recipe.stages.items():
        for task in config.uses(recipe):
            if task not in recipe.tasks:
                raise InputError(
                    f"stage {name!r} uses task {task!r}; the recipe's tasks are "
                    f"{', '.join(recipe.tasks) or 'none'}.{nearest(task, recipe.tasks)}"
                )
        for source in config.inputs:
            if source == BASE:
                if not recipe.model.name and recipe.base_stage not in earlier:
                    raise InputError(
                        f"stage {name!r} has no model to start from; set model.name or put [stages.pretrain] first"
                    )
            elif source not in earlier:
                told = nearest(source, (*earlier, BASE)) or _start(name, config, source)
                raise InputError(
                    f"stage {name!r} takes in {source!r}; earlier stages are {', '.join(earlier) or 'none'}.{told}"
                )
        for source in config.model_sources:
            _check_model(source, name, earlier, recipe)
        for source, _ in config.data_sources:
            _check_data(source, name, earlier, recipe)
        earlier.append(name)


def _start(name: str, config: Any, source: str) -> str:
    """What to set where the stage that a kind begins from by default is not there."""
    found = source == getattr(config, "start", "")
    return f' Set stages.{name}.start = "base" to begin from the model itself, or name a stage.' if found else ""


def _check_model(source: str, name: str, earlier: Sequence[str], recipe: Recipe) -> None:
    """A source that may be an earlier stage or a model by name: a stage's name misspelt is told as one."""
    if source in earlier or (source == BASE and (recipe.model.name or recipe.base_stage in earlier)):
        return
    may_be_model = any(mark in source for mark in "/:.") or Path(source).exists()
    if source == BASE or source in recipe.stages or (not may_be_model and nearest(source, earlier)):
        raise InputError(
            f"stage {name!r} takes in {source!r}; earlier stages are {', '.join(earlier) or 'none'}."
            f"{nearest(source, (*earlier, BASE))}"
        )


def _check_data(source: str, name: str, earlier: Sequence[str], recipe: Recipe) -> None:
    """A source that may be an earlier stage, or a file or data set by name: a stage's name misspelt is told as one."""
    if source in earlier:
        return
    a_source = source not in recipe.stages and (is_path(source) or "/" in source)
    if not a_source and (source in {*recipe.stages, *stages.STAGES} or nearest(source, earlier)):
        raise InputError(
            f"stage {name!r} takes in {source!r}; earlier stages are {', '.join(earlier) or 'none'}, or name a file, a "
            f"folder or a hub data set.{nearest(source, earlier)}"
        )


def _override(table: dict[str, Any], text: str, folder: Path) -> tuple[str, tuple[list[str], str]]:
    """Put ``a.b.c=value`` into the table; a key that starts with a stage's name means that stage, and ``{recipe}/`` the
    recipe's folder, as in the recipe itself.

    The dotted key with its parts and the value as it is written: what a setting that is text means by ``123``.
    """
    check_text(text, f"--set {text!r}")
    key, equals, value = text.partition("=")
    path = [_beside(folder, part) for part in _key_path(key.strip())]
    if not equals or not all(path):
        raise InputError(f"--set {text!r}: write KEY=VALUE, for example --set stages.r1_zero.steps=20")
    present = list(table["stages"]) if isinstance(table.get("stages"), dict) else []
    known = [f.name for f in dataclasses.fields(Recipe) if f.name not in OWN_FIELDS]
    if path[0] in present or (path[0] in stages.STAGES and path[0] not in known):
        path = ["stages", *path]
    known += present
    if path[0] not in known:
        raise InputError(
            f"--set {text!r}: no key {path[0]!r}; keys start with {', '.join(known)}.{nearest(path[0], known)}"
        )
    if path[0] == "stages" and len(path) > 1 and path[1] not in present:
        raise InputError(
            f"--set {text!r}: the recipe has no stage {path[1]!r}; its stages are {', '.join(present)}."
            f"{nearest(path[1], present)}"
        )
    _put(table, path, _beside(folder, _value_of(value)), text)
    return ".".join(path), (path, value.strip())


def put_setting(
    table: dict[str, Any], text: str, option: str = "--set", example: str = "rule=exact"
) -> tuple[str, tuple[list[str], str]]:
    """Put ``a.b.c=value`` into a table of settings; the same as of a recipe's override."""
    check_text(text, f"{option} {text!r}")
    key, equals, value = text.partition("=")
    path = _key_path(key.strip())
    if not equals or not all(path):
        raise InputError(f"{option} {text!r}: write KEY=VALUE, for example {option} {example}")
    _put(table, path, _value_of(value), text, option)
    return ".".join(path), (path, value.strip())


def _put(table: dict[str, Any], path: Sequence[str], value: Any, text: str, option: str = "--set") -> None:
    for part in path[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise InputError(f"{option} {text!r}: {part!r} is not a table")
    table[path[-1]] = value


def _value_of(text: str) -> Any:
    """A value as TOML reads it, and ``.5`` as a number; what else TOML cannot read is text."""
    text = re.sub(r"^(\s*[+-]?)(\.\d+(e[+-]?\d+)?\s*)$", r"\g<1>0\2", text, flags=re.IGNORECASE)
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text.strip()
    return table["value"] if len(table) == 1 else text.strip()  # a text of several lines


def _key_path(key: str) -> list[str]:
    """``a."my.py:f".b`` -> its parts, as TOML reads a dotted key; what TOML cannot read is split at its dots."""
    try:
        table = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        return key.split(".")
    path: list[str] = []
    while isinstance(table, dict):
        if len(table) != 1:  # a comment
            return key.split(".")
        ((part, table),) = table.items()
        path.append(part)
    return path


def as_toml(recipe: Recipe) -> str:
    """The resolved recipe, every default filled in; ``load_recipe`` reads it back to an equal recipe."""
    import tomli_w

    table = {key: value for key, value in plain(recipe).items() if key not in OWN_FIELDS}
    for where, kinds in (("tasks", recipe.task_kinds), ("stages", recipe.kinds)):
        table[where] = {name: {"kind": kinds[name], **rest} for name, rest in table[where].items()}
    return tomli_w.dumps(table)


def fingerprint(*parts: Any) -> str:
    """16 hex digits of the parts' canonical JSON."""
    text = json.dumps([plain(part) for part in parts], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
