"""What learners, engines and checkpoints ask of a language model. A family of models is whatever gives this.

Axes: N packed tokens, d hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from r1kit.model.finish import Finish
from r1kit.model.segments import Segments
from r1kit.model.weights import WeightStream

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

__all__ = ["LanguageModel", "ModelConfig"]


class ModelConfig(Protocol):
    """What the rest of the system reads of a model's config."""

    @property
    def family(self) -> str:
        """The hub's ``model_type``."""
        ...

    @property
    def vocab_size(self) -> int:
        """V, the rows of the head."""
        ...

    @property
    def hidden_size(self) -> int:
        """d, the columns of the head."""
        ...

    @property
    def num_layers(self) -> int: ...

    @property
    def max_positions(self) -> int:
        """Most tokens of a prompt and its completion."""
        ...


class LanguageModel(Protocol):
    """An ``nn.Module`` whose logits are its hidden states times its head, and what its family does to them there."""

    generation: dict[str, Any]
    """``generation_config.json`` as it was read, ``eos_token_id`` with every end token of the folder; kept on saving.
    Empty for a fresh model."""

    @property
    def config(self) -> ModelConfig:
        """A family's own settings are beside what every family has."""
        ...

    @property
    def head(self) -> Tensor:
        """[V, d], a parameter of the module."""
        ...

    @property
    def head_bias(self) -> Tensor | None:
        """[V], a parameter of the module that is added to the head's products; None in most families."""
        ...

    @property
    def finish(self) -> Finish:
        """From the head's products to logits."""
        ...

    @property
    def blocks(self) -> Iterable[nn.Module]:
        """Its layers, each a module that is called once in ``hidden``: what is kept or gathered one at a time."""
        ...

    @property
    def table(self) -> Tensor | None:
        """[V, d], the parameter that ``transform`` takes embeddings of; None where only ``hidden`` can look them up."""
        ...

    def hidden(self, segments: Segments) -> Tensor:
        """Hidden states before the head, [N, d], for tokens packed as ``segments``."""
        ...

    def transform(self, x: Tensor, segments: Segments) -> Tensor:
        """``hidden`` from embeddings [N, d] that were already looked up in ``table``."""
        ...

    def parts(self, role: str, rows: int) -> tuple[int, ...]:
        """Rows of each matrix that is fused into the one of this role, which has ``rows``.

        Args:
            role: a parameter's name with ``*`` for the number of its layer.
        """
        ...

    def initialise(self, generator: torch.Generator) -> None:
        """Draw fresh weights; InputError for a family of which no model is drawn."""
        ...

    def draw_(self, name: str, weight: Tensor, generator: torch.Generator) -> None:
        """Draw one parameter's into a tensor of its shape; ``initialise`` is this for all of them in turn."""
        ...

    def after_step(self) -> None:
        """Called when an update has changed the weights: for what follows from them, or is no gradient's to change."""
        ...

    def hub_weights(self) -> dict[str, Tensor]:
        """All that a checkpoint holds, detached, views of the model's own memory: every weight, a tied one once, and
        what is stored beside them and no update changes (the bias by which GLM-4.5 chooses experts)."""
        ...

    def published(self, stream: WeightStream) -> WeightStream:
        """A stream of ``hub_weights``'s names under those of a folder on the hub, and cut as there, for readers of such
        folders."""
        ...

    def load_hub_weights(self, stream: WeightStream) -> None:
        """Copy weights of these names in.

        Raises:
            InputError: they do not fit; the model is as it was.
        """
        ...

    def save(self, folder: Path, tokenizer: PreTrainedTokenizerBase, weights: WeightStream | None = None) -> None:
        """Write config and weights into a folder that exists, as `transformers` names them.

        Args:
            weights: instead of the model's own; gone through once.
        """
        ...

    def hub_config(self) -> PretrainedConfig:
        """What its ``config.json`` says, a copy, its architecture named."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...

    def modules(self) -> Iterator[nn.Module]: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """As ``nn.Module.to``: in place."""
        ...
