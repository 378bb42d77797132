"""A model opened for talking to: the engine that prompts join, and how it is prompted."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, cast

import torch

from r1kit.backends.backend import backend_of
from r1kit.cluster.cores import cores
from r1kit.cluster.settings import EngineChoice
from r1kit.errors import InputError
from r1kit.records import Sampling
from r1kit.rollout.hub import HubEngine
from r1kit.rollout.local import LocalEngine
from r1kit.rollout.piece import Open
from r1kit.rollout.session import Session
from r1kit.rollout.waves import Waves
from r1kit.serving.served import Speaking, Speech
from r1kit.serving.writing import Tags
from r1kit.text.habits import TAGS, ChatTokenizer, habits_of, template_text
from r1kit.text.template import Template

if TYPE_CHECKING:
    from r1kit.contracts import Recipe
    from r1kit.update.settings import DtypeSetting

__all__ = ["open_speech", "own_tags", "tags_of", "use_cores"]


def open_speech(
    name: str,
    recipe: Recipe,
    sampling: Sampling,
    *,
    rows: int,
    dtype: DtypeSetting | Literal["exact"],
    tags: Tags | None,
) -> tuple[Open, Speech]:  # fmt: skip
    """A model by the name a user writes, on its device.

    Args:
        recipe: its template is the one to prompt with.
        sampling: its stage's own.
        rows: completions that decode side by side.
        dtype: of the matrix products; ``exact``: float32 on a CPU, where a draw then hardly ever depends on what
            shares its batch, elsewhere ``auto``.

    Raises:
        InputError: the name or the folder is wrong, or no open engine runs the model.
        MissingError: it is not on this machine and cannot be fetched.
    """
    backend = backend_of(replace(recipe, engine=EngineChoice()))
    loaded = backend.load(name)
    if dtype == "exact":
        dtype = "float32" if backend.device.type == "cpu" else "auto"
    engine = backend.open_engine(loaded, dtype=dtype, max_rows=rows)
    speech = Speech(
        tokenizer=cast(Speaking, loaded.tokenizer), template=loaded.template, ends=frozenset(loaded.stop_ids),
        vocab_size=loaded.model.config.vocab_size, positions=loaded.positions, sampling=sampling,
        tags=own_tags(tags, loaded.tokenizer, loaded.template),
        alone=bool(recipe.stages) and not recipe.model.name,
    )  # fmt: skip
    if isinstance(engine, LocalEngine):
        return Session(engine, serving=True), speech
    if isinstance(engine, HubEngine):
        return Waves(engine), speech
    raise InputError(f"{name}: {type(engine).__name__} is no engine that prompts can join while it samples")


def tags_of(text: str) -> Tags | None:
    """``"<think> </think>"``, or ``none``.

    Raises:
        InputError: anything else.
    """
    if text == "none":
        return None
    tags = text.split()
    if len(tags) != 2 or tags[0] == tags[1]:
        raise InputError(f"--thinking {text!r}: give the two tags around it, as '<think> </think>', or none")
    return Tags(open=tags[0], close=tags[1])


def own_tags(tags: Tags | None, tokenizer: ChatTokenizer, template: Template) -> Tags | None:
    """Those that are asked for; where these are the usual ones, the marks that the chat template has in their place."""
    if tags != Tags() or template.name != "chat" or not template_text(tokenizer):
        return tags
    habits = habits_of(tokenizer, template.arguments)
    opens, closes = habits.marks
    return tags if habits.marks == TAGS else Tags(open=opens.strip(), close=closes.strip(), plain=habits.header.strip())


def use_cores() -> None:
    """Let torch use all of this process's cores, or as many as ``OMP_NUM_THREADS`` says."""
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(cores())
