"""A recipe: TOML -> frozen dataclasses. An unknown key is an error that names the nearest; no torch here.

A recipe holds a ``[model]``, ``[tasks.NAME]`` tables and one ``[stages.NAME]`` table a stage, in the order they run.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from r1kit import stages, tasks
from r1kit.backends import AUTO, check_names
from r1kit.errors import InputError, nearest
from r1kit.model.template import Template
from r1kit.structure import plain, structure

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "BASE",
    "BASE_STAGE",
    "Model",
    "Recipe",
    "as_toml",
    "fingerprint",
    "load_recipe",
    "parse_recipe",
    "recipe_name",
    "shipped_recipes",
]

RECIPES = next(
    (folder for folder in (Path(__file__).with_name("_recipes"),) if folder.is_dir()),
    Path(__file__).resolve().parent.parent / "recipes",
)
"""Inside an installed package, else beside it in the repository."""

BESIDE = "{recipe}/"
"""A text of a recipe file that begins so is a path beside that file; any other path is taken from where ``r1`` runs."""

BASE, BASE_STAGE = "base", "pretrain"
"""What a stage writes to start from the base model: the checkpoint of ``pretrain``, or ``model.name`` without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What the first stage starts from: a name, or the shape of a fresh decoder that ``pretrain`` trains."""

    name: str = ""
    """Hub name, hub-format folder, GGUF file or ``pypi:PACKAGE``; empty: a fresh decoder of the shape below."""
    family: Literal["llama", "qwen2", "qwen3"] = "llama"
    hidden_size: int = 96
    intermediate_size: int = 256
    num_layers: int = 3
    num_heads: int = 4
    num_kv_heads: int = 4
    max_positions: int = 512
    tie_embeddings: bool = True
    template: Template = field(default_factory=Template)
    """How a question becomes a prompt, in every stage."""

    def __post_init__(self) -> None:
        names = ("hidden_size", "intermediate_size", "num_layers", "num_heads", "num_kv_heads", "max_positions")
        for name, value in ((name, getattr(self, name)) for name in names):
            if value < 1:
                raise InputError(f"model.{name} = {value}: must be at least 1")
        if self.hidden_size % self.num_heads or self.num_heads % self.num_kv_heads:
            raise InputError(
                f"model: num_heads = {self.num_heads} must divide hidden_size = {self.hidden_size} and be a multiple "
                f"of num_kv_heads = {self.num_kv_heads}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    name: str
    summary: str = ""
    """One line for ``r1 recipes``."""
    hardware: str = ""
    time: str = ""
    expect: str = ""
    """The result to expect, as measured."""
    seed: int = 1
    ranks: int = 0
    """Processes that sample and learn side by side; 0: one a GPU, or one a core where there is none (at most 8)."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    engine: str = AUTO
    """What samples: ``local``, ``transformers``, or ``auto``, the first of them that can run the model."""
    learner: str = AUTO
    """What trains: ``local``, the whole model on every rank, or ``auto``."""
    model: Model = field(default_factory=Model)
    tasks: Mapping[str, Any] = field(default_factory=dict)
    """Task configs by name (see ``r1 tasks``)."""
    stages: Mapping[str, Any] = field(default_factory=dict)
    """Stage configs by name, in the order they run."""

    def __post_init__(self) -> None:
        if self.ranks < 0:
            raise InputError(f"ranks = {self.ranks}: must be at least 1, or 0 for one a core or GPU")
        check_names(self.engine, self.learner)
        if not 0 <= self.seed < 2**63:
            raise InputError(f"seed = {self.seed}: must be from 0 to 2^63 - 1")

    def inputs(self, stage: str) -> tuple[str, ...]:
        """Earlier stages that a stage takes in, each once; ``base`` is ``pretrain``, or nothing without it."""
        named = (BASE_STAGE if source == BASE else source for source in self.stages[stage].inputs)
        return tuple(dict.fromkeys(source for source in named if source in self.stages))

    def tasks_of(self, stage: str) -> tuple[str, ...]:
        """Tasks that a stage trains on or is judged by, each once."""
        return tuple(dict.fromkeys(self.stages[stage].uses(self)))


def shipped_recipes() -> dict[str, Path]:
    """Name -> TOML file of every recipe that ships."""
    return {path.stem: path for path in sorted(RECIPES.glob("*.toml"))}


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """A shipped recipe's name or a TOML path, with ``KEY=VALUE`` overrides, fully resolved.

    Raises:
        InputError: unknown recipe, key, task, stage or a value of the wrong type; names the nearest allowed.
    """
    path = shipped_recipes().get(name) or Path(name)
    if not path.is_file():
        shipped = sorted(shipped_recipes())
        raise InputError(
            f"recipe {name!r} is neither a shipped recipe ({', '.join(shipped)}) nor a TOML file."
            f"{nearest(name, shipped)}"
        )
    table = _read(path)
    for override in overrides:
        _override(table, override)
    return parse_recipe(table)


def recipe_name(path: Path) -> str:
    """The name in a recipe file, whatever else it says."""
    return str(_read(path)["name"])


def _read(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None
    table.setdefault("name", path.stem)
    return {key: _beside(path.absolute().parent, value) for key, value in table.items()}


def _beside(folder: Path, value: Any) -> Any:
    """The value with every path beside the recipe file spelled out."""
    if isinstance(value, str) and value.startswith(BESIDE):
        return str(folder / value.removeprefix(BESIDE))
    if isinstance(value, dict):
        return {key: _beside(folder, item) for key, item in value.items()}
    return [_beside(folder, item) for item in value] if isinstance(value, list) else value


def parse_recipe(table: Mapping[str, Any]) -> Recipe:
    """A recipe from its TOML table."""
    table = dict(table)
    stage_tables, task_tables = table.pop("stages", {}), table.pop("tasks", {})
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
        stages={name: _stage(name, entry) for name, entry in stage_tables.items()},
    )
    _check_references(recipe)
    return recipe


def _stage(name: str, table: Mapping[str, Any]) -> Any:
    if name not in stages.STAGES:
        raise InputError(
            f"stage {name!r} is unknown; stages are {', '.join(stages.STAGES)}.{nearest(name, stages.STAGES)}"
        )
    return structure(stages.load(name).Config, table, f"stages.{name}")


def _task(name: str, table: Mapping[str, Any]) -> Any:
    table = dict(table)
    kind, _, generator = str(table.pop("kind", name)).partition("/")
    if kind not in tasks.KINDS:
        raise InputError(
            f"tasks.{name}: kind {kind!r} is unknown; kinds are {', '.join(tasks.KINDS)}.{nearest(kind, tasks.KINDS)}"
        )
    if generator:
        table["generator"] = generator
    return structure(tasks.KINDS[kind], table, f"tasks.{name}")


def _check_references(recipe: Recipe) -> None:
    """Every task and stage that a stage names must be there."""
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
                if not recipe.model.name and BASE_STAGE not in earlier:
                    raise InputError(
                        f"stage {name!r} has no model to start from; set model.name or put [stages.pretrain] first"
                    )
            elif source not in earlier:
                raise InputError(
                    f"stage {name!r} takes in {source!r}; earlier stages are "
                    f"{', '.join(earlier) or 'none'}.{nearest(source, (*earlier, BASE))}"
                )
        earlier.append(name)


def _override(table: dict[str, Any], text: str) -> None:
    """Put ``a.b.c=value`` into the table; a key that starts with a stage's name means that stage."""
    key, equals, value = text.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise InputError(f"--set {text!r}: write KEY=VALUE, for example --set stages.r1_zero.steps=20")
    present = list(table["stages"]) if isinstance(table.get("stages"), dict) else []
    if path[0] in stages.STAGES:
        path = ["stages", *path]
    known = [f.name for f in dataclasses.fields(Recipe)] + present
    if path[0] not in known:
        raise InputError(
            f"--set {text!r}: no key {path[0]!r}; keys start with {', '.join(known)}.{nearest(path[0], known)}"
        )
    if path[0] == "stages" and len(path) > 1 and path[1] not in present:
        raise InputError(
            f"--set {text!r}: the recipe has no stage {path[1]!r}; its stages are {', '.join(present)}."
            f"{nearest(path[1], present)}"
        )
    for part in path[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise InputError(f"--set {text!r}: {part!r} is not a table")
    try:
        table[path[-1]] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        table[path[-1]] = value.strip()


def as_toml(recipe: Recipe) -> str:
    """The resolved recipe, every default filled in; ``load_recipe`` reads it back to an equal recipe."""
    import tomli_w

    table = plain(recipe)
    for name, config in recipe.tasks.items():
        table["tasks"][name] = {"kind": tasks.kind_of(config), **table["tasks"][name]}
    return tomli_w.dumps(table)


def fingerprint(*parts: Any) -> str:
    """16 hex digits of the parts' canonical JSON."""
    text = json.dumps([plain(part) for part in parts], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
