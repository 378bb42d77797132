"""``r1 recipes``: what ships."""

from __future__ import annotations

import typer

__all__ = ["recipes"]


def recipes() -> None:
    """List the shipped recipes: what, hardware, time, expected result."""
    from r1kit.recipe import load_recipe, shipped_recipes

    for name in shipped_recipes():
        found = load_recipe(name)
        typer.echo(f"{name}: {found.summary}.\n  {found.hardware}, {found.time}; expect: {found.expect}")
