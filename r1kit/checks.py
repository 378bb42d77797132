"""What ``r1 check`` and ``r1 run`` verify before anything heavy loads: names, paths, batch divisions, options."""

from __future__ import annotations

from r1kit.errors import InputError, nearest
from r1kit.model.source import check_model
from r1kit.recipe import Recipe
from r1kit.tasks import build_task

__all__ = ["check_recipe", "check_stage", "check_stages"]


def check_recipe(recipe: Recipe) -> None:
    """Raise InputError or MissingError, one line, for the first thing that could not work."""
    check_stages(recipe)
    built = {name: build_task(name, config) for name, config in recipe.tasks.items()}
    for config in recipe.stages.values():
        judged = config.evaluation.tasks or config.tasks or built
        for name in judged:
            for split in config.splits:
                built[name].held_out(split, 1)
    if recipe.model.name:
        check_model(recipe.model.name)


def check_stages(recipe: Recipe) -> None:
    """Each stage's own numbers: batch divisions, ranges."""
    for name, config in recipe.stages.items():
        config.check(name, recipe)


def check_stage(recipe: Recipe, stage: str) -> None:
    if stage not in recipe.stages:
        raise InputError(
            f"stage {stage!r} is not in recipe {recipe.name!r}; its stages are {', '.join(recipe.stages)}."
            f"{nearest(stage, recipe.stages)}"
        )
