"""``r1 report``: the page of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR [DIR ...]", help="Run folders.")],
    without_language: Annotated[
        Path | None,
        typer.Option(metavar="DIR2", help="A run without the language reward, to draw its language consistency too."),
    ] = None,
) -> None:
    """Write DIR/report.html: one file that opens offline. Of several runs: print what differs between them and what
    each came to, with intervals; those that differ in their seed alone together."""
    from r1kit.errors import InputError

    if len(folders) > 1:
        from r1kit.report.draw.sweep import draw_sweep
        from r1kit.report.read.run_folder import RunFolder
        from r1kit.report.read.sweep import columns, differing, named

        if without_language:
            raise InputError("--without-language is for the report of one run; name one")
        runs = {name: RunFolder(path) for name, path in named(folders).items()}
        typer.echo(draw_sweep(list(runs), differing(runs), columns(runs)))
        return
    from r1kit.report.page import write_report

    typer.echo(str(write_report(folders[0], without_language)))
