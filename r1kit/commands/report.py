"""``r1 report``: the page of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from r1kit.commands.options import Folder

__all__ = ["report"]


def report(
    folder: Folder,
    without_language: Annotated[
        Path | None,
        typer.Option(metavar="DIR2", help="A run without the language reward, to draw its language consistency too."),
    ] = None,
) -> None:
    """Write DIR/report.html: one file that opens offline."""
    from r1kit.report.page import write_report

    typer.echo(str(write_report(folder, without_language)))
