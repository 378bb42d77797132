"""``r1 review``: the page where people decide on cold-start samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from r1kit.commands.options import Folder

if TYPE_CHECKING:
    from r1kit.factory.review_run import Reviewed

__all__ = ["review"]

PORT = 7862


def review(
    folder: Folder,
    stage: Annotated[str, typer.Option(help="Whose queue, where the run has several.")] = "",
    host: Annotated[str, typer.Option(help="Address; another than 127.0.0.1 needs a token.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(min=0, max=65535, help=f"By default {PORT} or the next free one.")] = None,
    name: Annotated[str, typer.Option(help="Who decides; the page asks otherwise.")] = "",
    twice: Annotated[
        float, typer.Option(min=0.0, max=1.0, metavar="SHARE", help="Share of what nobody decided that two people get.")
    ] = 0.0,
) -> None:
    """Decide on the cold start's samples in a browser: accept, edit, reject; several people at once."""
    from r1kit.factory.review_run import open_queue

    reviewed = open_queue(folder, stage)
    reviewed.file.items()
    if twice:
        two = reviewed.file.share_out(twice, reviewed.recipe.seed if reviewed.recipe else 1)
        typer.echo(f"{two} of {len(reviewed.file.items())} samples go to two people")
    _serve(reviewed, host, port, name)


def _serve(reviewed: Reviewed, host: str, port: int | None, name: str) -> None:
    from r1kit.web.listen import bind, listen, rules_for
    from r1kit.web.review.app import LIMIT, app
    from r1kit.web.review.desk import Desk

    bound = bind(host, port, PORT)
    rules = rules_for(host, limit=LIMIT)
    items = reviewed.file.items().values()
    what = f"{sum(item.open for item in items)} of {len(items)} samples of {reviewed.stage} to decide"
    listen(app(Desk(reviewed, name=name), rules), bound, what=what, rules=rules)
