"""A language model on its rank's device, read from a folder or drawn afresh."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from r1kit.model.decoder import Decoder, DecoderConfig
from r1kit.model.fallback import HubModel, load_model, save_model
from r1kit.model.source import resolve_model
from r1kit.model.template import Template, render
from r1kit.model.tokenizer import build_tokenizer
from r1kit.rollout.streams import stream_seed

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from r1kit.contracts import Model
    from r1kit.records import Prompt

__all__ = ["LoadedModel", "draw_model", "multiplied_parameters", "read_model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model, its tokenizer, and how a question becomes its prompt.

    A learner takes ``model`` over: from then on what it has learnt leaves through the learner alone.
    """

    model: Decoder | HubModel
    tokenizer: PreTrainedTokenizerBase
    template: Template
    folder: Path | None = None
    """Where it was read from; None: drawn afresh."""

    @property
    def device(self) -> torch.device:
        return self.model.head.device

    @property
    def positions(self) -> int:
        """Most tokens of a prompt and its completion."""
        return self.model.config.max_positions

    @property
    def parameters(self) -> int:
        """N of the usual 6 N operations a token, see ``multiplied_parameters``."""
        return multiplied_parameters(self.model)

    def encode(self, question: str) -> list[int]:
        """Token ids of a prompt that asks it, template applied."""
        return render(self.template, self.tokenizer, question)

    def render(self, prompt: Prompt) -> list[int]:
        """``encode`` of a task's prompt."""
        return self.encode(prompt.question)

    def count(self, text: str) -> int:
        """Tokens of a text as it stands."""
        return len(self.tokenizer.encode(text, add_special_tokens=False))

    def save(self, folder: Path) -> None:
        """Write a hub-format folder."""
        save_model(folder, self.model, self.tokenizer)


def read_model(name: str, device: torch.device, dtype: torch.dtype, template: Template) -> LoadedModel:
    """A model by the name a user writes (see ``model.source``), in ``dtype``, on the device."""
    folder = resolve_model(name)
    model, tokenizer = load_model(folder, dtype)
    model.to(device)
    return LoadedModel(model=model, tokenizer=tokenizer, template=template, folder=folder)


def draw_model(shape: Model, vocabulary: Iterable[str], seed: int, device: torch.device) -> LoadedModel:
    """A decoder of this shape with float32 weights drawn from the run's seed, and a tokenizer of whole words.

    The weights are drawn on the CPU and then moved, so that every device starts from the same ones.
    """
    tokenizer = build_tokenizer(list(vocabulary))
    model = Decoder(
        DecoderConfig(
            family=shape.family,
            vocab_size=len(tokenizer),
            hidden_size=shape.hidden_size,
            intermediate_size=shape.intermediate_size,
            num_layers=shape.num_layers,
            num_heads=shape.num_heads,
            num_kv_heads=shape.num_kv_heads,
            head_dim=shape.hidden_size // shape.num_heads,
            max_positions=shape.max_positions,
            tie_embeddings=shape.tie_embeddings,
            qkv_bias=shape.family == "qwen2",
            qk_norm=shape.family == "qwen3",
        )
    )
    model.initialise(torch.Generator().manual_seed(stream_seed(seed, "initialise") % 2**62))
    return LoadedModel(model=model.to(device), tokenizer=tokenizer, template=shape.template)


def multiplied_parameters(model: torch.nn.Module) -> int:
    """Parameters that a token is multiplied with: all but an embedding that is not the head too."""
    own = {id(weight): weight.numel() for weight in model.parameters()}
    embedding = getattr(model, "embedding", None)
    untied = isinstance(embedding, torch.nn.Embedding) and embedding.weight is not getattr(model, "head", None)
    return sum(own.values()) - (embedding.weight.numel() if untied and embedding is not None else 0)
