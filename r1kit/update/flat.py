"""All weights of a policy in one flat buffer: one reduction, one norm, one cast and one fused optimiser call a step.

The compute model's parameters are views: of the fp32 master weights themselves, or of one bf16 copy of them.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from r1kit.model.language_model import LanguageModel

__all__ = ["FlatWeights", "Section", "orders_of", "point", "role_of"]

BLOCK = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Parameters of one role (say ``blocks.*.down.weight``) and one shape, back to back, one a layer."""

    role: str
    names: tuple[str, ...]
    shape: tuple[int, ...]
    start: int
    """Offset of the first element in the flat buffer."""
    parts: tuple[int, ...]
    """Rows of each matrix fused into one: (H D, K D, K D) for qkv, (f, f) for gate and up, (rows,) otherwise."""
    hidden: bool
    """A matrix between hidden states: neither an embedding nor the head."""

    @property
    def size(self) -> int:
        size = len(self.names)
        for length in self.shape:
            size *= length
        return size


class FlatWeights:
    """fp32 master weights [P] and their gradient [P], and the model that computes with them, all on its device."""

    def __init__(self, model: LanguageModel, dtype: torch.dtype) -> None:
        """Takes the model over: its parameters become views of the master weights (fp32)."""
        self.model = model
        cast(nn.Module, model).float().requires_grad_()  # a frozen one may be a critic's
        self.sections = _sections(model)
        parameters = dict(model.named_parameters())
        self.master = torch.cat([parameters[name].detach().reshape(-1) for s in self.sections for name in s.names])
        self.grad = torch.zeros_like(self.master)
        self.shadow = self.master if dtype == torch.float32 else self.master.to(dtype)
        """What the compute model's parameters are views of."""
        point(self.model, self.sections, self.master)
        self.compute = self.model
        self.pointed: Named = self.model
        """Whose parameters are views of the shadow."""
        if self.shadow is self.master:
            for name, view in self.views(self.grad):
                parameters[name].grad = view
        else:
            self.compute = copy.deepcopy(self.model)
            cast(nn.Module, self.compute).to(dtype)
            self.pointed = self.compute
            point(self.compute, self.sections, self.shadow)
            _collect_gradients(self.compute, dict(self.views(self.grad)))

    def views(self, flat: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Name and view of each parameter in a flat buffer [P]."""
        return _views(self.sections, flat)

    def refresh(self) -> None:
        """After the master weights changed: cast them for the compute model."""
        if self.shadow is not self.master:
            self.shadow.copy_(self.master)

    @contextmanager
    def computing_with(self, flat: Tensor) -> Iterator[None]:
        """Let the compute model read another flat buffer of its own dtype, say the reference."""
        point(self.pointed, self.sections, flat)
        try:
            yield
        finally:
            point(self.pointed, self.sections, self.shadow)

    def layout(self) -> list[tuple[str, tuple[int, ...]]]:
        """Names and shapes in flat order: what must agree for a saved state to fit."""
        return [(name, s.shape) for s in self.sections for name in s.names]


def orders_of(model: LanguageModel) -> dict[str, int]:
    """Of each parameter: 0 for a matrix between hidden states, 1 for another matrix, 2 for a vector."""
    outer = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    outer.add(id(model.head))
    return {
        name: 2 if parameter.dim() < 2 else 1 if id(parameter) in outer or parameter.dim() > 2 else 0
        for name, parameter in model.named_parameters()
    }


def role_of(name: str) -> str:
    """``blocks.3.down.weight`` -> ``blocks.*.down.weight``."""
    return re.sub(r"\.\d+\.", ".*.", name)


def _views(sections: list[Section], flat: Tensor) -> Iterator[tuple[str, Tensor]]:
    for section in sections:
        block = flat[section.start : section.start + section.size].view(len(section.names), *section.shape)
        yield from zip(section.names, block, strict=True)


class Named(Protocol):
    """What has parameters: a model, an adapter."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...


def point(holder: Named, sections: list[Section], flat: Tensor) -> None:
    """Let its parameters be views of a flat buffer [P]."""
    parameters = dict(holder.named_parameters())
    for name, view in _views(sections, flat):
        parameters[name].data = view


def _collect_gradients(model: LanguageModel, totals: dict[str, Tensor]) -> None:
    """Add each bf16 gradient to its fp32 total as soon as it is there, while it is still in cache, and drop it."""

    def collector(total: Tensor) -> object:
        def collect(parameter: Tensor) -> None:
            assert parameter.grad is not None
            rows = len(total) if total.is_cuda else max(1, BLOCK // max(1, total[0].numel()))
            for at in range(0, len(total), rows):  # on a CPU, the converted copy of a piece stays in cache
                total[at : at + rows].add_(parameter.grad[at : at + rows])
            parameter.grad = None

        return collect

    for name, parameter in model.named_parameters():
        parameter.register_post_accumulate_grad_hook(collector(totals[name]))  # type: ignore[arg-type]


def _sections(model: LanguageModel) -> list[Section]:
    """Hidden matrices first, then the other matrices, then vectors; layers of one role together."""
    orders = orders_of(model)
    roles: dict[tuple[int, str, tuple[int, ...]], list[str]] = {}
    for name, parameter in model.named_parameters():
        roles.setdefault((orders[name], role_of(name), tuple(parameter.shape)), []).append(name)
    sections, start = [], 0
    for (order, role, shape), names in sorted(roles.items(), key=lambda item: item[0][0]):
        section = Section(
            role=role,
            names=tuple(names),
            shape=shape,
            start=start,
            parts=model.parts(role, shape[0]),
            hidden=order == 0,
        )
        sections.append(section)
        start += section.size
    return sections
