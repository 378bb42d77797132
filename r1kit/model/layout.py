"""Which part of which parameter each hub weight is: q, k and v lie in one matrix here, an expert in one tensor of all.

Known from a model that holds no numbers too (on the ``meta`` device), so weights can travel one parameter at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from r1kit.model.language_model import LanguageModel
from r1kit.model.weights import Weight

__all__ = ["DrawnWeights", "Place", "places_of"]


class Place(NamedTuple):
    """A view of a whole parameter."""

    parameter: str
    """Its name in the model."""
    shape: tuple[int, ...]
    """Of the hub weight."""
    stride: tuple[int, ...]
    offset: int
    """Elements before its first one in the parameter, which is contiguous."""

    def of(self, whole: Tensor) -> Tensor:
        """The hub weight as a view of the parameter's whole tensor."""
        return whole.as_strided(self.shape, self.stride, self.offset)


def places_of(model: LanguageModel) -> dict[str, Place]:
    """Hub name -> its place, those of one parameter one behind the other; before the parameters are shared out.

    What no parameter holds (a buffer) has none.
    """
    order = {weight.untyped_storage()._cdata: name for name, weight in model.named_parameters()}
    found: dict[str, dict[str, Place]] = {name: {} for name in order.values()}
    for hub, weight in model.hub_weights().items():
        if (name := order.get(weight.untyped_storage()._cdata)) is not None:
            found[name][hub] = Place(name, tuple(weight.shape), tuple(weight.stride()), int(weight.storage_offset()))
    return {hub: place for places in found.values() for hub, place in places.items()}


class DrawnWeights:
    """See ``WeightStream``: what ``initialise`` draws, float32, one parameter at a time and as often as it is asked."""

    def __init__(self, model: LanguageModel, seed: int) -> None:
        """``model`` may hold no numbers; its shapes are read at once."""
        self._draw, self._seed, self._places = model.draw_, seed, places_of(model)
        self._shapes = {name: weight.shape for name, weight in model.named_parameters()}

    def metadata(self) -> Sequence[Weight]:
        """See ``WeightStream``."""
        return [Weight(hub, torch.float32, place.shape) for hub, place in self._places.items()]

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        generator = torch.Generator().manual_seed(self._seed)
        for name, places in groupby(self._places.items(), lambda item: item[1].parameter):
            whole = torch.empty(self._shapes[name])
            self._draw(name, whole, generator)
            for hub, place in places:
                yield hub, place.of(whole)
