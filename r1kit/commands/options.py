"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Folder", "JsonFile", "Overrides", "RecipeName"]

RecipeName = Annotated[str, typer.Argument(help="A shipped recipe's name or a TOML path.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe key.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.")]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers here.")]
