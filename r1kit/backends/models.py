"""A language model on its rank's device, read from a folder or drawn afresh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from r1kit.checkpoint.source import resolve_model
from r1kit.checkpoint.streamed import StoredWeights
from r1kit.model.decoder import Decoder
from r1kit.model.experts import Experts
from r1kit.model.families import fresh_family
from r1kit.model.families.fallback import HubModel
from r1kit.model.language_model import LanguageModel
from r1kit.model.layout import DrawnWeights
from r1kit.model.load import load_model, save_model
from r1kit.model.weights import Chosen, NamedWeights, WeightStream
from r1kit.rollout.streams import stream_seed
from r1kit.text.ends import as_ids, as_setting
from r1kit.text.habits import end_of_turn, habits_of, opens_think
from r1kit.text.template import Template, prompt_text, render

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from r1kit.contracts import Model
    from r1kit.records import Message, Prompt

__all__ = ["LoadedModel", "draw_model", "multiplied_parameters", "read_model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model, its tokenizer, and how a question becomes its prompt.

    A learner takes ``model`` over: from then on what it has learnt leaves through the learner alone.
    """

    model: LanguageModel
    tokenizer: PreTrainedTokenizerBase
    template: Template
    folder: Path | None = None
    """Where it was read from; None: drawn afresh."""
    stored: WeightStream | None = None
    """Its weights as they are read, or drawn, when they are asked for, where a learner shares them out: ``model`` then
    stays without numbers (on the ``meta`` device), or is what the learner left of one that `transformers` runs. None:
    ``model`` holds them all."""
    at: torch.device | None = None
    """Where it computes, with ``stored``."""

    @property
    def device(self) -> torch.device:
        return self.at or self.model.head.device

    @property
    def weights(self) -> WeightStream:
        """As it was loaded, or, where ``model`` holds them, as they are now; under the names of ``model.hub_weights``
        and no others, whatever a folder holds besides."""
        if self.stored is None or isinstance(self.model, HubModel):
            return NamedWeights(self.whole().hub_weights())
        return Chosen(self.stored, self.model.hub_weights())

    def whole(self) -> LanguageModel:
        """``model`` with all of its numbers, read once more where it does not hold them."""
        if self.stored is None:
            return self.model
        assert self.folder is not None, "every engine of a drawn model takes a stream"
        return cast(LanguageModel, load_model(self.folder)[0].to(self.device))

    def bare(self) -> LoadedModel:
        """The same for a process that sees no folder of it and gets its weights as a stream (``model.skeleton``)."""
        model = self.model if self.stored is None or self.model.head.is_meta else self.whole()
        return replace(self, model=model, folder=None, stored=None, at=None)

    @property
    def native_engine(self) -> str:
        """The engine that ``auto`` takes: ours where it can run the model, else `transformers`."""
        return "local" if isinstance(self.model, Decoder) else "transformers"

    @property
    def positions(self) -> int:
        """Most tokens of a prompt and its completion."""
        return self.model.config.max_positions

    @property
    def opens_think(self) -> bool:
        """Whether its prompts end in ``<think>``, so that a completion begins inside the thinking."""
        return opens_think(prompt_text(self.template, self.tokenizer, "what is 7 and 5?"))

    @property
    def turn_end(self) -> tuple[int, ...]:
        """Tokens that close a response: what the chat template writes where prompts go through it, else the end token.

        Empty for a model that has no end token at all.
        """
        own = self.tokenizer.eos_token_id
        if self.template.name == "chat":
            named = self._named_ends
            return end_of_turn(self.tokenizer, self.template.arguments, self._texts(named)) or named[:1]
        return self._named_ends[:1] if own is None else (own,)

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """Tokens that end a completion: the union of what the tokenizer, config.json and generation_config.json name,
        and what closes a turn. None: completions go on to their limit."""
        ids = dict.fromkeys((*self._named_ends, *self.turn_end[-1:]))
        return tuple(token for token in ids if token < self.model.config.vocab_size)

    def until_end(self, response: str) -> str:
        """A response as far as sampling would have gone: up to the first end token that is spelled out in it."""
        for end in self.ends:
            response = response.partition(end)[0]
        return response

    @property
    def ends(self) -> tuple[str, ...]:
        """``stop_ids`` as text."""
        return self._texts(self.stop_ids)

    def _texts(self, ids: Sequence[int]) -> tuple[str, ...]:
        return tuple(str(self.tokenizer.convert_ids_to_tokens(token)) for token in ids)

    def keep_ends(self) -> None:
        """Save every token of ``stop_ids`` as an end from now on: for a model that is taught to close turns."""
        self.model.generation["eos_token_id"] = as_setting(self.stop_ids)

    @property
    def _named_ends(self) -> tuple[int, ...]:
        own = self.tokenizer.eos_token_id
        found = as_ids(self.model.generation.get("eos_token_id"), "generation_config.json")
        return tuple(dict.fromkeys(found if own is None else (*found, own)))

    @property
    def parameters(self) -> int:
        """N of the usual 6 N operations a token, see ``multiplied_parameters``."""
        return multiplied_parameters(self.model)

    def remarks(self) -> list[str]:
        """What a user should know of how it is prompted and how it ends, a line each."""
        found = []
        if not self.stop_ids:
            found.append("the model has no end token: every completion runs to its limit")
        elif not self._named_ends:
            found.append("the model names no end token: completions that do not close their turn run to their limit")
        if self.opens_think:
            found.append("prompts end in <think>: rewards read a completion with the tag put back")
        if self.template.name == "chat":
            habits = habits_of(self.tokenizer, self.template.arguments)
            if habits.closes_think:
                found.append(
                    "the chat template closes the thinking before it began: a form that asks for <think> is never met; "
                    "template.arguments or reward.format_style can change that"
                )
            if habits.dated and not self.template.date:
                found.append(
                    "the chat template writes today's date: prompts differ from day to day; template.date keeps one"
                )
            if self.template.system and habits.system != "taken":
                found.append("the chat template takes no system prompt: it goes before the question")
        return found

    def encode(self, question: str, history: Sequence[Message] | None = None) -> list[int]:
        """Token ids of a prompt that asks it, template applied; ``history``: what stands before it in a chat."""
        return render(self.template, self.tokenizer, question, history)

    def render(self, prompt: Prompt) -> list[int]:
        """``encode`` of a task's prompt."""
        return self.encode(prompt.question, prompt.history)

    def count(self, text: str) -> int:
        """Tokens of a text as it stands."""
        return len(self.tokenizer.encode(text, add_special_tokens=False))

    def save(self, folder: Path) -> None:
        """Write a hub-format folder."""
        save_model(folder, self.model, self.tokenizer, weights=self.stored and self.weights)


def read_model(
    name: str, device: torch.device, dtype: torch.dtype, template: Template, stored: bool = False
) -> LoadedModel:
    """A model by the name a user writes (see ``model.source``), in ``dtype``, on the device.

    ``stored``: its numbers are left where they are, see ``LoadedModel.stored``.
    """
    folder = resolve_model(name)
    model, tokenizer = load_model(folder, dtype, empty=stored)
    if stored:
        weights = StoredWeights(folder)
        return LoadedModel(
            model=model, tokenizer=tokenizer, template=template, folder=folder, stored=weights, at=device
        )
    model.to(device)
    return LoadedModel(model=model, tokenizer=tokenizer, template=template, folder=folder)


def draw_model(
    shape: Model, tokenizer: PreTrainedTokenizerBase, seed: int, device: torch.device, stored: bool = False
) -> LoadedModel:
    """A model of this shape with float32 weights drawn from the run's seed, for this tokenizer.

    The weights are drawn on the CPU and then moved, so that every device starts from the same ones. ``stored``: they
    are drawn when they are asked for, one parameter at a time, see ``LoadedModel.stored``.
    """
    family, drawn = fresh_family(shape.family, "model"), stream_seed(seed, "initialise") % 2**62
    if stored:
        with torch.device("meta"):
            model = family.fresh(shape.shape, len(tokenizer))
        weights = DrawnWeights(model, drawn)
        return LoadedModel(model=model, tokenizer=tokenizer, template=shape.template, stored=weights, at=device)
    model = family.fresh(shape.shape, len(tokenizer))
    model.initialise(torch.Generator().manual_seed(drawn))
    model.to(device)
    return LoadedModel(model=model, tokenizer=tokenizer, template=shape.template)


def multiplied_parameters(model: LanguageModel) -> int:
    """Parameters that a token is multiplied with: not an embedding that is not the head too, nor idle experts."""
    looked_up = 0 if model.table is None or model.table is model.head else model.table.numel()
    idle = sum(module.idle for module in model.modules() if isinstance(module, Experts))
    return sum(weight.numel() for weight in model.parameters()) - looked_up - idle
