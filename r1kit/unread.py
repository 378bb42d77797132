"""Settings that a stage of a kind of ours never reads: set to anything, they would be taken for what they are not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from r1kit.contracts import Recipe
from r1kit.errors import InputError
from r1kit.evals.settings import EvaluationConfig
from r1kit.loops.settings import RL, SFT
from r1kit.recipe import load_recipe
from r1kit.stages import STAGES
from r1kit.suits import predicts_further, trained_models
from r1kit.update.settings import OptimiserSettings

__all__ = ["check_unread", "recipe_of_run"]

INSTEAD: Mapping[str, Mapping[str, str]] = {
    "distill": {
        "rl.start": "", "sft.start": "", "sft.data": "data", "sft.read": "read", "sft.mix": "data",
        "sft.evaluation": "evaluation", "sft.sampling": "rl.sampling", "sft.reward": "rl.reward",
    },
    "prm": {"rl.start": "start"},
    "mcts": {
        "actor.start": "start", "actor.data": "", "actor.read": "", "actor.mix": "", "actor.evaluation": "evaluation",
        "actor.sampling": "sampling", "actor.reward": "reward",
    },
}  # fmt: skip
"""Kind of stage -> setting that it does not read -> the one that it reads in its place; empty: none is."""


def check_unread(recipe: Recipe, before: Recipe | None = None) -> list[str]:
    """Warnings for those that the recipe of a run that goes on, ``before``, set in the same way: nothing that it
    computed depends on them.

    Raises:
        InputError: another is set; the first.
    """
    known = {str(each) for each in _unread(before)} if before else set()
    found = list(_unread(recipe))
    if refused := [each for each in found if str(each) not in known]:
        raise refused[0]
    return [f"warning: {each}; this run, which an earlier version began, goes on as it was" for each in found]


def recipe_of_run(folder: Path) -> Recipe | None:
    """The recipe of the run in a folder; None for none that can be read."""
    with suppress(InputError):
        return load_recipe(str(folder / "recipe.toml")) if (folder / "recipe.toml").is_file() else None
    return None


def _unread(recipe: Recipe) -> Iterator[InputError]:
    for stage, config in recipe.stages.items():
        kind, where = recipe.kinds[stage], f"stages.{stage}"
        if kind not in STAGES:
            continue
        for name, own in INSTEAD.get(kind, {}).items():
            if _is_set(config, name) and not (own and attrgetter(own)(config) == attrgetter(name)(config)):
                instead = f"takes {where}.{own} in its place; set that, and" if own else "knows it itself;"
                yield InputError(f"{where}.{name} is not read: the stage {instead} drop this one")
        for place, settings, learns in _inside(config, where):
            if isinstance(settings, EvaluationConfig) and kind != "evaluate":
                yield from _easy(settings, place)
            if isinstance(settings, OptimiserSettings) and settings.keep_mtp:
                yield from _further(recipe, stage, f"{place}.keep_mtp = {settings.keep_mtp:g}", learns=learns)


def _is_set(config: Any, name: str) -> bool:
    """Whether a setting of a table inside a stage's is another than its default."""
    table, _, key = name.partition(".")
    inner = getattr(config, table)
    field = next(one for one in fields(inner) if one.name == key)
    default = field.default_factory() if field.default_factory is not MISSING else field.default
    return bool(getattr(inner, key) != default)


def _inside(value: Any, where: str, learns: bool = False) -> Iterator[tuple[str, Any, bool]]:
    """(dotted name, settings, whether SFT or RL they are of) of every table in a stage's."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _inside(item, f"{where}.{key}")
    if is_dataclass(value) and not isinstance(value, type):
        yield where, value, learns
        for one in fields(value):
            yield from _inside(getattr(value, one.name), f"{where}.{one.name}", isinstance(value, (SFT, RL)))


def _easy(settings: EvaluationConfig, where: str) -> Iterator[InputError]:
    for name in ("easy_fact", "easy_most", "easy_rate"):
        if (value := getattr(settings, name)) != getattr(EvaluationConfig(), name):
            yield InputError(
                f"{where}.{name} = {value!r} is not read: tokens of solved easy problems are told by stages of kind "
                f"evaluate alone; set it there, and drop it here"
            )


def _further(recipe: Recipe, stage: str, told: str, *, learns: bool) -> Iterator[InputError]:
    """What is kept of what is not there, or where nothing is learnt from responses."""
    if not learns:
        yield InputError(f"{told} is not read: it is of SFT and RL; drop it")
        return
    for model in trained_models(recipe, stage):
        if predicts_further(model) is False:
            name = model.name or f"a fresh {model.family}"
            yield InputError(
                f"{told} is for a model with a layer that predicts a token further, and {name} has none: "
                + ("drop it" if model.name else "set mtp_layers = 1 (family deepseek_v3), or drop it")
            )
