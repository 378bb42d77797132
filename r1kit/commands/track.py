"""``r1 track``: send a run's numbers to a tracker, what it has already not again."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from r1kit.commands.options import Folder

__all__ = ["track"]

ORPHAN_SECONDS = 15.0
"""Left to a tracker whose run was killed, to send the rest."""


def track(
    folder: Folder,
    to: Annotated[str, typer.Option(metavar="NAME[,NAME]", help="tensorboard, trackio, wandb, mlflow, FILE.py:NAME.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a setting of the tracker.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", hidden=True, help="Until stdin ends.")] = False,
) -> None:
    """Send a run's numbers, samples and report to trackers; what they have already is not sent again."""
    from r1kit.cluster.last_words import explain_ends
    from r1kit.errors import InputError, R1Error
    from r1kit.report.read.run_folder import RunFolder
    from r1kit.trackers import check_trackers
    from r1kit.trackers.feed import feed, left, place_of

    names = [*dict.fromkeys(name.strip() for name in to.split(",") if name.strip())]
    if not names:
        raise InputError("--to names no tracker; known are tensorboard, trackio, wandb, mlflow and FILE.py:NAME")
    run = RunFolder(folder) if not follow else None
    tables = _tables(run or _waited_for(folder), names, overrides or [])
    check_trackers(tables)
    failed: list[str] = []
    full = [name for name in names if not follow and place_of(folder, name).is_file() and not left(folder, name)]
    with os.fdopen(os.dup(2), "w") as own:

        def tell(line: str) -> None:
            print(line, file=own, flush=True)

        for name, table in tables.items():
            if follow:
                _quiet(folder)
                explain_ends()
                os.nice(5)
                threading.Thread(target=_end_an_orphan, daemon=True).start()
            if feed(folder, name, table, _until_stdin_ends if follow else (lambda seconds: True), tell):
                failed.append(name)
        if follow:
            sys.stdout.flush()
            os._exit(0)  # another's threads may hang
    if failed:  # what a run has logged since is no failure
        told = ", ".join(f"{name}: {left(folder, name)}" for name in failed)
        raise R1Error(f"not all was sent ({told}); run the same command to send the rest")
    for name in names:
        anew = f"{name} was sent every line before; without {place_of(folder, name)} they are sent again"
        typer.echo(anew if name in full else f"sent to {name}")


def _waited_for(folder: Path) -> Any:
    """The run folder, which ``r1 run`` may be about to write."""
    from r1kit.report.read.run_folder import RunFolder

    while not (folder / "recipe.toml").is_file():
        if _until_stdin_ends(0.5):
            os._exit(0)
    return RunFolder(folder)


def _tables(run: Any, names: Sequence[str], overrides: Sequence[str]) -> dict[str, Any]:
    """Name -> its settings: the recipe's, with ``--set KEY=VALUE`` over them."""
    from r1kit.recipe import put_setting
    from r1kit.registry import short

    known = run.recipe.get("trackers")
    own = {short(name): table for name, table in known.items()} if isinstance(known, dict) else {}
    tables: dict[str, Any] = {name: dict(own.get(short(name), {})) for name in names}
    for table in tables.values():
        for override in overrides:
            put_setting(table, override)
    return tables


def _until_stdin_ends(seconds: float) -> bool:
    """Whether whoever started this process has closed its stdin, or is gone."""
    ready, _, _ = select.select([0], [], [], seconds)
    return bool(ready) and not os.read(0, 1024)


def _end_an_orphan() -> None:
    """A run that was killed ends no tracker, and one that hangs would never look at its stdin again."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.5)
    time.sleep(ORPHAN_SECONDS)
    os._exit(1)


def _quiet(folder: Path) -> None:
    """What a tracker's package prints goes into ``DIR/trackers/log.txt``."""
    place = folder / "trackers"
    place.mkdir(exist_ok=True)
    log = os.open(place / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.close(log)
