"""Any causal language model that the decoder does not cover, run through `transformers` itself: correct and slow.

Axes: N packed tokens, B rows, T their longest length, d hidden, V vocabulary.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from r1kit.checkpoint.context import positions_of, recurrent, refuse_longer, refuse_recurrent
from r1kit.errors import InputError, first_line
from r1kit.model.families import Shape
from r1kit.model.families.fallback_parts import agree, body_of, buffer_dtypes, find_finish, stored_buffers
from r1kit.model.families.published import Published
from r1kit.model.finish import Finish
from r1kit.model.segments import Segments
from r1kit.model.weights import WeightStream, check_finite, copy_weights

if TYPE_CHECKING:
    from transformers import DynamicCache, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["FAMILY", "Fallback", "HubModel", "HubShape", "select_rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HubShape:
    """What the rest of the system asks a model's config for."""

    family: str
    """The hub's ``model_type``."""
    vocab_size: int
    """Rows of the head."""
    hidden_size: int
    """Columns of the head."""
    num_layers: int
    max_positions: int
    lengthens: str = ""
    """See ``model.context``."""


class HubModel(nn.Module):
    """A ``LanguageModel`` around a `transformers` model; always in eval mode, so dropout never blurs a log-prob."""

    table = None

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        body_of(model)
        self.model = model
        self.generation: dict[str, Any] = {}
        nn.Module.train(model, False)
        self.positioned = "position_ids" in inspect.signature(body_of(model).forward).parameters
        text = model.config.get_text_config()
        positions, lengthens = positions_of(text.to_dict())
        self.config = HubShape(
            family=model.config.model_type,
            vocab_size=self.head.shape[0],
            hidden_size=self.head.shape[1],
            num_layers=text.num_hidden_layers,
            max_positions=positions,
            lengthens=lengthens,
        )
        _refuse_other_caches(self)
        self.finish: Finish = find_finish(model)
        _check_logits(self)
        _check_steps(self)

    def train(self, mode: bool = True) -> HubModel:
        """Marks the module, not the model inside it: gradients flow, dropout stays off."""
        self.training = mode
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> HubModel:
        """Buffers get the dtype that `transformers` itself gives them beside weights of the new one.

        Rotary frequencies stay float32: rounded, they turn far positions elsewhere.
        """
        before, kept = self.head.dtype, dict(self.model.named_buffers())
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.head.dtype != before:
            self._take_buffers(kept, self.head.dtype)
        return self

    def cast_buffers(self, dtype: torch.dtype) -> None:
        """As beside weights of this dtype, for a learner whose weights get it only where they compute."""
        if dtype != self.head.dtype:
            self._take_buffers(dict(self.model.named_buffers()), dtype)

    def _take_buffers(self, buffers: Mapping[str, Tensor], dtype: torch.dtype) -> None:
        native = buffer_dtypes(self.model, dtype)
        for name, buffer in buffers.items():
            module, _, own = name.rpartition(".")
            cast = buffer.to(self.head.device, native.get(name, buffer.dtype))
            self.model.get_submodule(module)._buffers[own] = cast

    @property
    def head(self) -> Tensor:
        """[V, d], a parameter of the model itself."""
        return self._output.weight

    @property
    def head_bias(self) -> Tensor | None:
        """[V], a parameter of the model itself."""
        return self._output.bias

    @property
    def _output(self) -> nn.Linear:
        layer = self.model.get_output_embeddings()  # type: ignore[no-untyped-call]
        if not isinstance(layer, nn.Linear):
            raise InputError(f"{self.model.config.model_type} has no linear head, which is not supported")
        return layer

    @property
    def blocks(self) -> list[nn.Module]:
        """The modules that `transformers` itself never splits over devices: the layers."""
        kinds, found = set(self.model._no_split_modules or ()), dict[str, nn.Module]()
        for name, module in self.model.named_modules():
            if type(module).__name__ in kinds and not any(name.startswith(f"{outer}.") for outer in found):
                found[name] = module
        return list(found.values())

    def hidden(self, segments: Segments) -> Tensor:
        """Hidden states before the head, [N, d]: each run is a padded row that begins with its parent's tokens."""
        runs = torch.split(segments.tokens, list(segments.lengths))
        parents = segments.parents
        carrier = {parent: index for index, parent in reversed(list(enumerate(parents))) if parent >= 0}
        rows = [index for index in range(len(runs)) if index not in carrier]
        filled = [torch.cat([runs[parents[i]], runs[i]]) if parents[i] >= 0 else runs[i] for i in rows]
        tokens = nn.utils.rnn.pad_sequence(filled, batch_first=True)
        lengths = torch.tensor([len(row) for row in filled], device=tokens.device)
        columns = torch.arange(tokens.shape[1], device=tokens.device)
        states = self._states(tokens, columns < lengths[:, None], columns.expand_as(tokens))
        outputs = []
        for index, run in enumerate(runs):  # a parent's states are read off its first child's row
            start = segments.lengths[parents[index]] if parents[index] >= 0 else 0
            outputs.append(states[rows.index(carrier.get(index, index)), start : start + len(run)])
        return torch.cat(outputs)

    def transform(self, x: Tensor, segments: Segments) -> Tensor:
        """Not to be had: what a model does to embeddings differs, so ``hidden`` looks them up."""
        raise NotImplementedError("without a table, ask for hidden()")

    def initialise(self, generator: torch.Generator) -> None:
        """Refused: the weights are those that were loaded."""
        raise InputError("a fresh model is drawn of the built-in families only; set model.name to load another")

    def draw_(self, name: str, weight: Tensor, generator: torch.Generator) -> None:
        """Refused, as ``initialise``."""
        self.initialise(generator)

    def after_step(self) -> None:
        """Nothing follows from the weights."""

    def parts(self, role: str, rows: int) -> tuple[int, ...]:
        """Every matrix is taken for one."""
        return (rows,)

    def hub_weights(self) -> dict[str, Tensor]:
        """Every weight, detached, aliasing the model's memory, a tied weight once; and the buffers that checkpoints
        hold. Under their names in `transformers`, see ``published``."""
        weights = {name: weight.detach() for name, weight in self.model.named_parameters()}
        return weights | stored_buffers(self.model)

    def published(self, stream: WeightStream) -> WeightStream:
        """See ``LanguageModel.published``."""
        return Published(self.model, stream)

    def load_hub_weights(self, stream: WeightStream) -> None:
        """Copy weights of these names in; InputError where they do not fit, the model as it was."""
        with torch.no_grad():
            copy_weights(self.hub_weights(), stream, f"{self.config.family}: the checkpoint")

    def save(self, folder: Path, tokenizer: PreTrainedTokenizerBase, weights: WeightStream | None = None) -> None:
        """Config and weights, as `transformers` writes them."""
        from transformers import GenerationConfig

        self.model.generation_config = GenerationConfig()  # one that came with a model may be refused when written
        whole = None if weights is None else {name: weight.clone() for name, weight in weights}
        self.model.save_pretrained(folder, state_dict=whole)

    def hub_config(self) -> PretrainedConfig:
        """See ``LanguageModel.hub_config``."""
        config = copy.deepcopy(self.model.config)
        config.architectures = [type(self.model).__name__]
        return config

    def logits(self, states: Tensor) -> Tensor:
        """[m, d] -> [m, V]"""
        return self.finish(F.linear(states, self.head, self.head_bias))

    def step(
        self, token_ids: Tensor, cache: DynamicCache | None, attention_mask: Tensor, positions: Tensor
    ) -> tuple[Tensor, DynamicCache]:
        """One cached forward pass; rows are padded on the left, so that the last column is every row's newest token.

        Args:
            token_ids: int64 [B, T], the new tokens (the whole prompts, or one token a row).
            cache: what the last step gave back, None at the beginning; it is changed in place.
            attention_mask: bool [B, tokens in the cache + T], False at padding.
            positions: int64 [B, T], each token's position in its row (anything at padding, 0 say).

        Returns:
            Logits of the last column [B, V], and the cache.
        """
        from transformers import DynamicCache

        if cache is None:
            cache = DynamicCache(config=self.model.config)
        states = self._states(token_ids, attention_mask, positions, past_key_values=cache, use_cache=True)
        return self.logits(states[:, -1]), cache

    def _states(self, tokens: Tensor, mask: Tensor, positions: Tensor, **more: Any) -> Tensor:
        """[B, T] -> [B, T, d]"""
        c = self.config
        refuse_longer(c.family, (c.max_positions, c.lengthens), mask.shape[1])
        if self.positioned:
            more["position_ids"] = positions
        more.setdefault("use_cache", False)
        states: Tensor = body_of(self.model)(input_ids=tokens, attention_mask=mask.long(), **more).last_hidden_state
        return states


def select_rows(cache: DynamicCache, rows: Tensor) -> DynamicCache:
    """Keep these rows of the cache, in this order; a row may be named more than once. Changed in place."""
    cache.batch_select_indices(rows)
    return cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """See ``families.Family``: any checkpoint that `transformers` opens; none is drawn afresh."""

    name: str = "transformers"
    shape: type[Shape] = Shape

    def unsupported(self, config: PretrainedConfig) -> str:
        """Nothing is refused before it is loaded."""
        return ""

    def fresh(self, shape: Shape, vocab_size: int) -> HubModel:
        """Refused: `transformers` has hundreds of shapes, and a recipe's ``[model]`` knows none of them."""
        raise InputError("a fresh model is drawn of the built-in families only; set model.name to load another")

    def load(self, folder: Path, config: PretrainedConfig, dtype: torch.dtype, empty: bool = False) -> HubModel:
        """The model of a hub-format folder; InputError where it is quantised or no whole language model.

        Never ``empty``: what was not computed with once cannot be trusted to be computed right.
        """
        from transformers import AutoModelForCausalLM

        if config.to_dict().get("quantization_config"):
            raise InputError(f"{folder} is quantised; take the full-precision checkpoint to train or sample from")
        try:
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, output_loading_info=True, trust_remote_code=False
            )
        except Exception as error:  # what its config asks for, each class looks up in a way of its own
            told = f"it knows no {error}, which config.json names" if isinstance(error, KeyError) else first_line(error)
            raise InputError(f"transformers cannot load {folder}: {told}") from error
        model, loading = loaded
        if missing := sorted(loading["missing_keys"]):
            raise InputError(f"{folder} is no language model that can write: weight {missing[0]!r} is missing")
        check_finite(folder, model)
        return HubModel(model)


FAMILY = Fallback()


def _refuse_other_caches(model: HubModel) -> None:
    """InputError for recurrent and hybrid models: their state cannot be taken apart by rows or left-padded."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    try:
        layers = DynamicCache(config=model.model.config).layers
    except (TypeError, ValueError) as error:  # layers with a window, and no size of it, say
        raise InputError(
            f"transformers cannot make a cache for this {model.config.family}: {first_line(error)}; "
            f"mend layer_types and sliding_window in its config.json"
        ) from error
    if recurrent(model.model.config.get_text_config().to_dict()) or not all(
        isinstance(x, DynamicLayer) for x in layers
    ):
        raise refuse_recurrent(model.config.family)


@torch.no_grad()
def _check_logits(model: HubModel) -> None:
    """InputError unless the head makes the model's own logits of what ``hidden`` gives."""
    tokens = torch.arange(8, device=model.head.device) * 7919 % model.config.vocab_size
    wanted = model.model(input_ids=tokens[None], use_cache=False).logits[0].float()
    given = model.logits(model.hidden(Segments.pack([tokens]))).float()
    if not agree(given, wanted, model.head.dtype):
        raise InputError(f"{model.config.family} does more between its hidden states and its logits than can be done")


@torch.no_grad()
def _check_steps(model: HubModel) -> None:
    """InputError unless rows of several lengths, padded on the left, go on from a cache as each would alone."""
    count, device = model.config.vocab_size, model.head.device
    tokens = torch.arange(1, 7, device=device) * 7919 % count
    prompts, more = (tokens[:2], tokens[:5]), tokens[5:]
    mask = torch.tensor([[0, 0, 0, 1, 1], [1, 1, 1, 1, 1]], dtype=torch.bool, device=device)
    padded = torch.stack([F.pad(prompt, (5 - len(prompt), 0)) for prompt in prompts])
    positions = (mask.cumsum(1) - 1).clamp_min(0)
    try:
        _, cache = model.step(padded, None, mask, positions)
        cache = select_rows(cache, torch.tensor([1, 0], device=device))
        mask = F.pad(mask.flip(0), (0, 1), value=True)
        given, _ = model.step(more.expand(2, 1), cache, mask, torch.tensor([[5], [2]], device=device))
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{model.config.family} cannot go on from a cache: {first_line(error)}") from error
    alone = [torch.cat([prompt, more])[None] for prompt in reversed(prompts)]
    wanted = torch.cat([model.model(input_ids=row, use_cache=False).logits[:, -1] for row in alone])
    if not agree(given, wanted, model.head.dtype, rough=0.5):  # experts in bfloat16 may choose others
        raise InputError(
            f"{model.config.family} computes a row of a batch otherwise than alone, which is not supported"
        )
