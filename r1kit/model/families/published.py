"""Weights under the names that folders on the hub have: `transformers` keeps all experts of a layer in one tensor, and
renames some; it puts both back when it writes a folder, and whoever reads such folders (vLLM) knows no other names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from r1kit.errors import InputError
from r1kit.model.weights import Weight, WeightStream

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["Published"]


class Published:
    """See ``WeightStream``: a stream of a `transformers` model's own weights, each put back by itself."""

    def __init__(self, model: PreTrainedModel, weights: WeightStream) -> None:
        """``model``: asked for its shapes and for how it was read, never for its numbers."""
        self._read, self._weights = _read_of(model), weights

    def metadata(self) -> Sequence[Weight]:
        """See ``WeightStream``.

        Raises:
            InputError: a tensor of the hub's is made of several, so that one at a time does not do.
        """
        own = {x.name: torch.empty(x.shape, dtype=x.dtype, device="meta") for x in self._weights.metadata()}
        found = {name: x for one in own.items() for name, x in self._back(dict([one])).items()}
        if found.keys() != self._back(own).keys():
            kind = self._read.config.model_type
            raise InputError(f"{kind} has weights that transformers cuts up, which cannot be handed over one by one")
        return [Weight(name, x.dtype, tuple(x.shape)) for name, x in found.items()]

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        for name, weight in self._weights:
            yield from self._back({name: weight}).items()

    def _back(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        from transformers.core_model_loading import revert_weight_conversion

        found: dict[str, Tensor] = revert_weight_conversion(self._read, dict(weights))
        return found


def _read_of(model: PreTrainedModel) -> Any:
    """What ``revert_weight_conversion`` asks a model for; prefixes stay as the model's own class has them, which is
    the class that its config names, whatever a folder of more than text put before them."""
    from transformers import core_model_loading
    from transformers.conversion_mapping import get_model_conversion_mapping

    prefixes: Any = getattr(core_model_loading, "PrefixChange", ())  # transformers 5.0 has none
    known = getattr(model, "_weight_conversions", None) or get_model_conversion_mapping(model, add_legacy=False)
    kept = [one for one in known if not isinstance(one, prefixes)]
    return SimpleNamespace(_weight_conversions=kept, config=model.config, get_parameter=model.get_parameter)
