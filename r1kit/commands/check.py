"""``r1 check``: whether a recipe can run, in under a second."""

from __future__ import annotations

import typer

from r1kit.commands.options import Overrides, RecipeName

__all__ = ["check"]


def check(recipe: RecipeName, overrides: Overrides = None) -> None:
    """Resolve every name, path, batch division and option without loading a model."""
    from r1kit.checks import check_recipe
    from r1kit.recipe import load_recipe

    found = load_recipe(recipe, overrides or [])
    for warning in check_recipe(found):
        typer.echo(warning, err=True)
    typer.echo(f"{found.name}: ok. Stages: {' -> '.join(found.stages)}. Tasks: {', '.join(found.tasks) or 'none'}.")
