"""``r1 dashboard``: the live page of one or more runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["dashboard"]

PORT = 8601


def dashboard(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR [DIR ...]", help="Run folders.")],
    host: Annotated[str, typer.Option(help="Address to listen on; another than this machine's own asks a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help=f"Port; left out, {PORT} or the next free one.")
    ] = None,
) -> None:
    """Live page of a run: curves, samples with reward parts, lineage, doctor; several runs are compared."""
    from r1kit.web.dashboard.routes import dashboard_app
    from r1kit.web.dashboard.runs import open_runs
    from r1kit.web.listen import bind, listen, rules_for

    rules = rules_for(host)
    app = dashboard_app(open_runs(folders), rules)
    listen(app, bind(host, port, PORT), what="dashboard", rules=rules)
