"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Folder", "JsonFile", "Overrides", "RecipeName", "spelled_out"]


def spelled_out(path: Path | None) -> Path | None:
    """``~`` as the home folder: a shell leaves it alone in ``--to=~/x``."""
    return path and path.expanduser()


RecipeName = Annotated[str, typer.Argument(help="A shipped recipe's name or a TOML path.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe key.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.")]
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", callback=spelled_out, help="Write all numbers here.")
]
