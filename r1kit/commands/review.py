"""``r1 review``: the page where people decide on cold-start samples, and the way to other tools and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from r1kit.commands.options import Folder, spelled_out
from r1kit.errors import InputError

if TYPE_CHECKING:
    from r1kit.factory.review_run import Reviewed

__all__ = ["review"]

PORT, HERE = 7862, "127.0.0.1"


def review(
    folder: Folder,
    stage: Annotated[str, typer.Option(help="Whose queue, where the run has several.")] = "",
    host: Annotated[str, typer.Option(help="Address; another than 127.0.0.1 needs a token.")] = HERE,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help=f"By default {PORT} or the next free one.")] = None,
    name: Annotated[str, typer.Option(help="Who decides; the page asks otherwise.")] = "",
    twice: Annotated[
        float, typer.Option(min=0.0, max=1.0, metavar="SHARE", help="Share of what no person decided that two get.")
    ] = 0.0,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", callback=spelled_out, help="Write the queue for a labelling tool.")
    ] = None,
    import_: Annotated[
        Path | None,
        typer.Option("--import", metavar="FILE", callback=spelled_out, help="Take in what was decided in such a tool."),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="label-studio or argilla; an import needs none.")] = "",
    skip_conflicts: Annotated[
        bool, typer.Option(help="Import what fits; leave out what was decided here since, and unknown samples.")
    ] = False,
) -> None:
    """Decide on the cold start's samples in a browser: accept, edit, reject; several people at once."""
    from r1kit.factory.review_run import open_queue

    if export and import_:
        raise InputError("--export and --import: one at a time")
    if form and not (export or import_):
        raise InputError("--format belongs to --export FILE or --import FILE")
    if skip_conflicts and not import_:
        raise InputError("--skip-conflicts belongs to --import FILE")
    reviewed = open_queue(folder, stage)
    reviewed.file.items()
    if twice:
        two = reviewed.file.share_out(twice, reviewed.recipe.seed if reviewed.recipe else 1)
        typer.echo(f"{two} of {len(reviewed.file.items())} samples go to two people")
    if export:
        _export(reviewed, export, form)
    elif import_:
        _import(reviewed, import_, name, form, skip_conflicts)
    else:
        _serve(reviewed, host, port, name)


def _export(reviewed: Reviewed, path: Path, form: str) -> None:
    from r1kit.factory.review_tools import export_queue

    count, beside = export_queue(reviewed.file, reviewed.rules, path, form)
    typer.echo(f"{path}: {count} samples of {reviewed.stage}; {beside} sets the tool up (docs/pages.md)")


def _import(reviewed: Reviewed, path: Path, name: str, form: str, skip: bool) -> None:
    from r1kit.factory.review_tools import import_file

    try:
        found = import_file(reviewed.file, reviewed.rules, path, name, form=form, skip=skip)
    finally:
        if reviewed.rules:
            reviewed.rules.close()
    by = f" by {', '.join(found.people)}" if found.people else ""
    typer.echo(f"{found.taken} decisions{by} imported from {path}")
    for count, what in (
        (found.known, "were there already"),
        (found.left_out, "did not fit and were left out"),
        (found.faulty, "edits break the stage's rules; they are kept, and the queue says so"),
    ):
        if count:
            typer.echo(f"{count} {what}")
    typer.echo(reviewed.standing(list(reviewed.file.items().values())))


def _serve(reviewed: Reviewed, host: str, port: int | None, name: str) -> None:
    from r1kit.web.listen import bind, listen, rules_for
    from r1kit.web.review.app import LIMIT, app
    from r1kit.web.review.desk import Desk

    bound = bind(host, port, PORT)
    rules = rules_for(host, limit=LIMIT)
    items = reviewed.file.items().values()
    what = f"{sum(item.open for item in items)} of {len(items)} samples of {reviewed.stage} to decide"
    listen(app(Desk(reviewed, name=name), rules), bound, what=what, rules=rules)
