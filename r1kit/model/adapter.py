"""Low-rank adapters beside a model's linear layers (LoRA, 2106.09685): ``y = W x + s B A x``, W as it was.

Our decoder keeps q, k, v and gate, up as one matrix each; the hub has them apart, and so has peft. An adapter is of the
hub's matrix: of the rows of ours that it is. The model itself never changes: A and B join in while they are
``applied``.

Axes: i in, o out, r rank.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from r1kit.model.language_model import LanguageModel
from r1kit.model.layout import places_of
from r1kit.model.weights import Weight, WeightStream

__all__ = ["Adapter", "Linear", "MergedWeights", "linears_of"]

ROUTERS = ("gate", "router")
"""Ends of the hub names of what chooses experts."""
DOWN, UP = "lora_A.weight", "lora_B.weight"
"""What peft calls A and B, after the layer's name."""

Drop = Callable[[str, Tensor], Tensor]
"""Layer and what enters its A -> the same with some of it left out."""


class Linear(NamedTuple):
    """A hub matrix, as it lies in the model."""

    name: str
    """The hub's, without ``.weight``."""
    module: nn.Linear
    first: int
    """Row of the module's weight that is its first."""
    shape: tuple[int, ...]
    """[o, i]"""


def linears_of(model: LanguageModel) -> dict[str, Linear]:
    """Every linear layer inside the model's blocks by its hub name; no router, and no experts, which are no layers."""
    modules = {
        id(module.weight): module
        for block in model.blocks
        for module in block.modules()
        if isinstance(module, nn.Linear)
    }
    own = {name: modules[id(weight)] for name, weight in model.named_parameters() if id(weight) in modules}
    found = {}
    for hub, place in places_of(model).items():
        name, _, kind = hub.rpartition(".")
        if kind == "weight" and place.parameter in own and name.rpartition(".")[2] not in ROUTERS:
            found[name] = Linear(name, own[place.parameter], place.offset // place.shape[1], place.shape)
    return found


class Adapter:
    """A and B of some of a model's linear layers, float32, on the model's device."""

    def __init__(self, linears: Sequence[Linear], rank: int, scale: float, seed: int) -> None:
        """As peft begins: A uniform within 1 / sqrt(i), B zero, so that the model is what it was.

        Args:
            linears: of one model.
            rank: r.
            scale: s.
            seed: of A.
        """
        self.linears, self.scale = list(linears), scale
        generator = torch.Generator().manual_seed(seed)
        self._parameters: dict[str, nn.Parameter] = {}
        for one in self.linears:
            (rows, columns), device = one.shape, one.module.weight.device
            down = (torch.rand(rank, columns, generator=generator) * 2 - 1) / math.sqrt(columns)
            self._parameters[f"{one.name}.{DOWN}"] = nn.Parameter(down.to(device))
            self._parameters[f"{one.name}.{UP}"] = nn.Parameter(torch.zeros(rows, rank, device=device))

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """A [r, i] and B [o, r] of every layer, named as peft names them after its prefix."""
        yield from self._parameters.items()

    @property
    def count(self) -> int:
        """Weights that are trained."""
        return sum(weight.numel() for weight in self._parameters.values())

    @property
    def is_learnt(self) -> bool:
        """Whether any B is not zero."""
        return any(bool(weight.any()) for name, weight in self._parameters.items() if name.endswith(UP))

    def merged(self, weights: WeightStream) -> MergedWeights:
        """The model's weights with the adapter in them; views of the present A and B."""
        return MergedWeights(weights, {name: weight.detach() for name, weight in self._parameters.items()}, self.scale)

    @contextmanager
    def applied(self, drop: Drop | None = None) -> Iterator[None]:
        """Within it the model computes with the adapter; its weights, and copies made of it before, know nothing of it.

        Args:
            drop: dropout on what enters A.
        """
        of: dict[nn.Linear, list[Linear]] = {}
        for one in self.linears:
            of.setdefault(one.module, []).append(one)
        with ExitStack() as stack:
            for module, parts in of.items():
                stack.enter_context(module.register_forward_hook(self._adding(parts, drop)))
            yield

    def _adding(self, parts: Sequence[Linear], drop: Drop | None) -> Callable[..., Tensor]:
        def add(module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> Tensor:
            added, at = [], 0
            for name, _, first, (rows, _columns) in parts:
                x = given[0] if drop is None else drop(name, given[0])
                down, up = (self._parameters[f"{name}.{which}"].to(x.dtype) for which in (DOWN, UP))
                if first > at:
                    added.append(out.new_zeros(*out.shape[:-1], first - at))
                added.append(F.linear(F.linear(x, down) * self.scale, up))
                at = first + rows
            if at < out.shape[-1]:
                added.append(out.new_zeros(*out.shape[:-1], out.shape[-1] - at))
            return out + (torch.cat(added, -1) if len(added) > 1 else added[0])

        return add


class MergedWeights:
    """A model's weights with ``W + s B A`` in the place of every W that has an adapter; float32, whatever W is."""

    def __init__(self, weights: WeightStream, adapter: Mapping[str, Tensor], scale: float) -> None:
        """``adapter``: as ``Adapter.named_parameters``; ``weights`` has all of its layers."""
        self._weights, self._adapter, self._scale = weights, adapter, scale

    def metadata(self) -> Sequence[Weight]:
        """See ``WeightStream``."""
        return [Weight(one.name, torch.float32, one.shape) for one in self._weights.metadata()]

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        for hub, weight in self._weights:
            whole, name = weight.float(), hub.removesuffix(".weight")
            if (up := self._adapter.get(f"{name}.{UP}")) is not None:
                whole = whole + (up @ self._adapter[f"{name}.{DOWN}"]) * self._scale
            yield hub, whole
