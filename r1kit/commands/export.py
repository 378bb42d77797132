"""``r1 export``: a run's model as a folder that others can open, with a card that says where it comes from."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

from r1kit.commands.options import spelled_out
from r1kit.errors import InputError

__all__ = ["export"]


def export(
    model: Annotated[str, typer.Argument(metavar="DIR:STAGE", help="A run's stage; any other model works too.")],
    to: Annotated[Path, typer.Option(metavar="DIR2", callback=spelled_out, help="A folder that is new or empty.")],
) -> None:
    """Write a hub-format folder: weights, config, tokenizer, chat template, generation config and a model card."""
    from r1kit.checkpoint.folder import give_usual_modes
    from r1kit.checkpoint.source import resolve_model

    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise InputError(f"{to} is there already; name a folder that does not exist yet")
    to = to.resolve()
    new = to.with_name(f".{to.name}.{os.getpid()}")
    try:
        new.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"cannot write {to}: {error.strerror}; choose another --to") from None
    try:
        shutil.copytree(resolve_model(model), new, copy_function=shutil.copyfile, dirs_exist_ok=True)
        give_usual_modes(new)
        notes = _finish(new, model)
        if to.is_dir():
            to.rmdir()
        new.rename(to)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    typer.echo(f"{to}: {', '.join(sorted(file.name for file in to.iterdir()))}")
    for note in notes:
        typer.echo(f"note: {note}")


def _finish(folder: Path, model: str) -> list[str]:
    """Chat template and card; what a user of the folder should know."""
    from r1kit.commands.arguments import split_stage
    from r1kit.recipe import load_recipe
    from r1kit.report.model_card import model_card, stage_of_run
    from r1kit.text.chat_template import put_chat_template, put_generation_config

    stage = split_stage(model)
    notes = put_chat_template(folder, load_recipe(str(stage[0] / "recipe.toml")).model.template) if stage else []
    put_generation_config(folder)
    described = stage_of_run(*stage) if stage else None
    (folder / "README.md").write_text(model_card(model, described, notes), encoding="utf-8")
    return notes
