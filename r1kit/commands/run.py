"""``r1 run``: everything a recipe says, from where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from r1kit.commands.options import Overrides, RecipeName, spelled_out

__all__ = ["run"]


def run(
    recipe: RecipeName = "nano",
    out: Annotated[Path | None, typer.Option(callback=spelled_out, help="Run folder; default runs/RECIPE.")] = None,
    overrides: Overrides = None,
    until: Annotated[str, typer.Option(help="Stop after this stage.")] = "",
    seed: Annotated[int | None, typer.Option(help="Overrides the recipe's seed.")] = None,
    ranks: Annotated[int | None, typer.Option(help="Processes side by side; 0: one a core or GPU.")] = None,
    cluster: Annotated[
        str, typer.Option(metavar="auto|HOST:PORT", help="Place them on a Ray cluster, see docs/scale.md.")
    ] = "",
    track: Annotated[str, typer.Option(metavar="NAME[,NAME]", help="Trackers beside the recipe's, see r1 track.")] = "",
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print warnings, errors and one line at the end.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines, see docs/running.md.")] = False,
) -> None:
    """Run a recipe; a finished or killed run with the same --out goes on where it stopped."""
    from r1kit import launcher

    changes = list(overrides or [])
    changes += [f"seed={seed}"] if seed is not None else []
    changes += [f"ranks={ranks}"] if ranks is not None else []
    trackers = [name.strip() for name in track.split(",") if name.strip()]
    launcher.run(recipe, out, changes, until, cluster, trackers, quiet=quiet, as_json=as_json)
