"""``r1 export``: a run's model as a folder that others can open, with a card that says where it comes from."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

from r1kit.checkpoint.gguf import KINDS
from r1kit.commands.options import spelled_out
from r1kit.errors import InputError, nearest
from r1kit.files import check_utf8

__all__ = ["export"]


def export(
    model: Annotated[str, typer.Argument(metavar="DIR:STAGE", help="A run's stage; any other model works too.")],
    to: Annotated[Path, typer.Option(metavar="DIR2", callback=spelled_out, help="A folder that is new or empty.")],
    gguf: Annotated[str, typer.Option(help=f"A GGUF file beside the weights: {', '.join(KINDS)}.")] = "",
    adapter: Annotated[
        bool, typer.Option("--adapter", help="The stage's LoRA adapter alone, in peft's format.")
    ] = False,
) -> None:
    """Write a hub-format folder: weights, config, tokenizer, chat template, generation config and a model card."""
    from r1kit.checkpoint.folder import give_usual_modes
    from r1kit.checkpoint.gguf import converter
    from r1kit.checkpoint.source import resolve_model

    if gguf and gguf not in KINDS:
        raise InputError(f"--gguf {gguf!r} is unknown; kinds are {', '.join(KINDS)}.{nearest(gguf, KINDS)}")
    if gguf and adapter:
        raise InputError("an adapter alone is no GGUF file; leave --adapter out, which merges it")
    if gguf:
        converter()
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise InputError(f"{to} {_held(to)}; name a folder that does not exist yet")
    to = to.resolve()
    check_utf8(to, "--to")
    new = to.with_name(f".{to.name}.{os.getpid()}")
    try:
        new.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"cannot write {to}: {error.strerror}; choose another --to") from None
    try:
        source = _adapter_of(model) if adapter else resolve_model(model)
        _copy(source, new)
        give_usual_modes(new)
        notes = _finish(new, model, whole=not adapter)
        notes += _put_base(new) if adapter else []
        notes += _put_gguf(new, to.name, gguf) if gguf else []
        if to.is_dir():
            to.rmdir()
        new.rename(to)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    typer.echo(f"{to}: {', '.join(sorted(file.name for file in to.iterdir()))}")
    for note in notes:
        typer.echo(f"note: {note}")


def _copy(source: Path, new: Path) -> None:
    """As ``shutil.copytree``, which tells a full disk as no OSError of that number but as a list of texts."""
    for folder, _, files in os.walk(source, followlinks=True):
        there = new / os.path.relpath(folder, source)
        there.mkdir(exist_ok=True)
        for file in files:
            shutil.copyfile(Path(folder, file), there / file)


def _held(to: Path) -> str:
    """What is in the way."""
    from r1kit.text.ends import read_json

    kind = read_json(to / "config.json").get("model_type") if (to / "config.json").is_file() else None
    return f"holds another model already ({kind})" if kind else "is there already"


def _adapter_of(model: str) -> Path:
    from r1kit.checkpoint.checkpoints import checkpoint_of
    from r1kit.commands.arguments import split_stage

    stage = split_stage(model)
    if stage is None:
        raise InputError(f"--adapter is for a run's stage, DIR:STAGE, and {model!r} is none")
    folder = checkpoint_of(*stage).parent / "adapter"
    if not folder.is_dir():
        raise InputError(f"stage {stage[1]!r} of {stage[0]} trained no adapter; leave --adapter out")
    return folder


def _put_base(folder: Path) -> list[str]:
    """An adapter's base by its whole path, where it is a folder here: this one may be opened from anywhere."""
    from r1kit.checkpoint.adapters import CONFIG
    from r1kit.files import write_json
    from r1kit.text.ends import read_json

    config = read_json(folder / CONFIG)
    if not (named := config.get("base_model_name_or_path")) or not Path(named).is_dir():
        return []
    base = str(Path(named).resolve())
    write_json(folder / CONFIG, {**config, "base_model_name_or_path": base})
    return [f"the adapter opens over {base}: hand that on too, and write where it lies then into {CONFIG}"]


def _put_gguf(folder: Path, name: str, kind: str) -> list[str]:
    from r1kit.checkpoint.gguf import convert, read_back

    file = folder / f"{name}-{kind}.gguf"
    convert(folder, file, kind)
    found = read_back(folder, file, kind)
    return [
        f"{file.name} read back: a weight differs by at most {found.weight:.2g} of its tensor's largest, a logit by "
        f"{found.logit:.2g}"
    ]


def _finish(folder: Path, model: str, whole: bool) -> list[str]:
    """Chat template and card; what a user of the folder should know. ``whole``: it is no adapter alone."""
    from r1kit.commands.arguments import split_stage
    from r1kit.recipe import load_recipe
    from r1kit.report.model_card import Origin, licence_notes, model_card, origins_of, stage_of_run
    from r1kit.text.chat_template import put_chat_template, put_generation_config

    stage, notes, origins = split_stage(model), list[str](), list[Origin]()
    if stage:
        recipe = load_recipe(str(stage[0] / "recipe.toml"))
        notes, origins = put_chat_template(folder, recipe.model.template) if whole else [], origins_of(recipe)
    if whole:
        put_generation_config(folder)
    notes += licence_notes(origins)
    described = stage_of_run(*stage) if stage else None
    card = model_card(model, described, notes, origins)
    (folder / "README.md").write_text(card, encoding="utf-8", errors="replace")  # a path may be no text
    return notes
