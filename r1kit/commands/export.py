"""``r1 export``: a run's model as a folder that others can open, with a card that says where it comes from."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from r1kit.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from r1kit.model.template import Template

__all__ = ["chat_template_of", "export"]


def export(
    model: Annotated[str, typer.Argument(metavar="DIR:STAGE", help="A run's stage; any other model works too.")],
    to: Annotated[Path, typer.Option(metavar="DIR2", help="A folder that does not exist yet, or is empty.")],
) -> None:
    """Write a hub-format folder: weights, config, tokenizer, chat template, generation config and a model card."""
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise InputError(f"{to} is there already; name a folder that does not exist yet")
    parent = to.absolute().parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise InputError(f"{parent} is not a folder that can be written to; choose another --to")
    from r1kit.model.source import resolve_model

    source = resolve_model(model)
    new = to.with_name(f".{to.name}.{os.getpid()}")
    try:
        shutil.copytree(source, new)
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
    from r1kit.commands.card import model_card, stage_of_run
    from r1kit.commands.subject import split_stage

    stage = split_stage(model)
    notes = _put_chat_template(folder, stage[0]) if stage else []
    _put_generation_config(folder)
    described = stage_of_run(*stage) if stage else None
    (folder / "README.md").write_text(model_card(model, described, notes), encoding="utf-8")
    return notes


def _put_chat_template(folder: Path, run: Path) -> list[str]:
    """Make the chat template write what the model was trained on; say so where it cannot."""
    from transformers import AutoTokenizer

    from r1kit.model.template import NAMED, render
    from r1kit.recipe import load_recipe

    template = load_recipe(str(run / "recipe.toml")).model.template
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
    trained = render(template, tokenizer, PROBE)
    if tokenizer.chat_template and _chat_ids(tokenizer) == trained:
        return []
    if template.name == "chat":
        return [
            f"trained with suffix {template.suffix!r} after the question and prefill {template.prefill!r}, which the "
            "chat template does not add; put them in"
        ]
    tokenizer.chat_template = chat_template_of(template, tokenizer.bos_token if _begins(tokenizer, trained) else None)
    if _chat_ids(tokenizer) != trained:
        return [f"no chat template gives the prompt it was trained on; write it yourself: {NAMED.get(template.name)!r}"]
    tokenizer.save_pretrained(folder)
    return ["the chat template is the one of the training prompt: one question, no system prompt, no history"]


PROBE = "use 7 1 5 make 34"


def _chat_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": PROBE}], tokenize=False, add_generation_prompt=True
    )  # fmt: skip
    return list(tokenizer.encode(str(text), add_special_tokens=False))


def _begins(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> bool:
    return tokenizer.bos_token_id is not None and ids[:1] == [tokenizer.bos_token_id]


def chat_template_of(template: Template, begin: str | None) -> str:
    """A Jinja chat template that writes a text template: every user message in its place, answers after it."""
    from r1kit.model.template import NAMED

    before, _, after = NAMED.get(template.name, template.name).partition("{question}")
    opening = json.dumps((begin or "") + before, ensure_ascii=False)
    closing = json.dumps(template.suffix + after, ensure_ascii=False)
    prefill = json.dumps(template.prefill, ensure_ascii=False)
    return (
        "{% for message in messages %}"
        "{% if message['role'] == 'user' %}{{ " + opening + " + message['content'] + " + closing + " }}"
        "{% else %}{{ message['content'] }}{% endif %}"
        "{% endfor %}"
        "{% if add_generation_prompt %}{{ " + prefill + " }}{% endif %}"
    )


def _put_generation_config(folder: Path) -> None:
    """Sample as the paper evaluates, not greedily: long chains repeat themselves when they are decoded greedily."""
    file = folder / "generation_config.json"
    settings = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    settings |= {"do_sample": True, "temperature": 0.6, "top_p": 0.95}
    file.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
