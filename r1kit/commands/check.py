"""``r1 check``: whether a recipe can run, and what its model is."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import typer

from r1kit.commands.options import Overrides, RecipeName

if TYPE_CHECKING:
    from r1kit.contracts import Recipe

__all__ = ["check"]

BEGINS = 60
"""Characters of a response that are shown."""


def check(recipe: RecipeName, overrides: Overrides = None) -> None:
    """Resolve every name, path, batch division and option without loading a model."""
    from r1kit.checks import check_recipe
    from r1kit.recipe import load_recipe

    found = load_recipe(recipe, overrides or [])
    for warning in check_recipe(found):
        typer.echo(warning, err=True)
    typer.echo(f"{found.name}: ok. Stages: {' -> '.join(found.stages)}. Tasks: {', '.join(found.tasks) or 'none'}.")
    for line in _learnt(found):
        typer.echo(line)
    if found.model.name:
        for line in _described(found):
            typer.echo(line)


def _learnt(recipe: Recipe) -> list[str]:
    """Of each source of rows whose responses a stage learns: which columns they are, and how the first one begins."""
    from r1kit.data.layouts import read_examples
    from r1kit.loops.settings import SFT

    found = []
    for stage, config in recipe.stages.items():
        for source, reading in config.data_sources if isinstance(config, SFT) or hasattr(config, "students") else ():
            if source not in recipe.stages:
                examples = read_examples(source, "responses", reading)
                said = [line for line in examples.layout.said() if line.startswith(("layout:", "prompt:", "response:"))]
                begins = (f"the first response learnt begins {one.response[:BEGINS]!r}" for one in islice(examples, 1))
                said.extend(begins)
                found.append(f"{stage} learns {source}: {'; '.join(said)}")
    return found


def _described(recipe: Recipe) -> list[str]:
    """The model that a recipe names, a line for each thing found."""
    from r1kit.checkpoint.description import describe
    from r1kit.checkpoint.source import local_folder

    name = recipe.model.name
    folder = local_folder(name)
    if folder is None:
        return [f"model {name}: not in a folder on this machine yet, so nothing more is known; the first run brings it"]
    computes = _auto(recipe.device) if recipe.dtype == "auto" else recipe.dtype
    found = describe(folder, recipe.model.template)
    told = [f"  {what:<9} {words}" for what, words in found.lines(computes, recipe.engine.kind, recipe.learner.kind)]
    return [f"model {name}:", *told, *_unread(recipe, found.opens_think)]


def _auto(device: str) -> str:
    """What ``dtype = "auto"`` means here; torch is asked only where the processor's list does not tell."""
    from r1kit.backends.processor import auto_dtype

    if told := auto_dtype(device):
        return told
    import torch

    from r1kit.backends.arithmetic import auto

    return auto(torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"))[0]


def _unread(recipe: Recipe, opens: bool) -> list[str]:
    """Stages whose reward reads completions otherwise than the prompts begin them."""
    from r1kit.reward.settings import RewardConfig

    found = []
    for stage, config in recipe.stages.items():
        reward = getattr(config, "reward", None)
        if isinstance(reward, RewardConfig) and reward.prefilled not in ("auto", opens):
            does = "end" if opens else "do not end"
            setting = str(reward.prefilled).lower()
            found.append(
                f"  warning: prompts {does} in <think> and stages.{stage}.reward.prefilled = {setting}: its form "
                f'is never right; "auto" follows the template'
            )
    return found
