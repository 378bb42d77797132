"""AdamW, or Muon for the hidden matrices with AdamW for the rest, on flat weights.

AdamW is torch's fused one. Muon is written here and not ``torch.optim.Muon`` because ours works on q, k, v, gate and up
inside their fused matrices and on all layers in one batched product; the steps are the same (tested against torch's).
Each rank orthogonalises a share of the matrices of a shape; a sum over the ranks, zeros elsewhere, puts the steps
together without changing a bit.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor, nn

from r1kit.cluster.ranks import Ranks, Solo
from r1kit.errors import MissingError
from r1kit.update.flat import FlatWeights, Section
from r1kit.update.settings import OptimiserSettings

__all__ = ["DTYPES", "Optimiser", "canonical", "orthogonalise", "squares"]

BLOCK = 4096
"""Squares that are added up in float32."""
EIGHT = 4096
"""Numbers that torchao keeps in 8 bits come in multiples of 256, and 4,096 at the least; what is left over stays in
32."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Optimiser:
    """Steps the master weights along their gradient."""

    def __init__(
        self, weights: FlatWeights, settings: OptimiserSettings, ranks: Ranks | None = None,
        resting: torch.device | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            ranks: who step the same weights along the same gradient, together.
            resting: where its state is between steps; by default where the weights are.
        """
        assert settings.kind != "muon" or settings.muon_dtype != "auto", "resolve_dtype says what auto means here"
        self.weights, self.settings = weights, settings
        self.ranks: Ranks = ranks or Solo()
        muon = [s for s in weights.sections if s.hidden] if settings.kind == "muon" else []
        self.matrices = muon
        vectors = [s for s in weights.sections if len(s.shape) < 2]
        first = sum(s.size for s in muon)
        last = min((s.start for s in vectors), default=weights.master.numel())
        self.device = weights.master.device
        self.resting = resting or self.device
        self.momentum = torch.zeros(first, device=self.resting)
        whole = first + (last - first) // EIGHT * EIGHT if settings.kind == "adamw8bit" else last
        groups = [
            {"params": _slices(weights, [(first, whole), (whole, last)]), "weight_decay": settings.weight_decay},
            {"params": [_slice(weights, last, weights.master.numel())], "weight_decay": 0.0},
        ]
        betas = settings.betas[0], settings.betas[1]
        if settings.kind == "adamw8bit":
            self.adamw = _in_8_bits()(groups, lr=0.0, betas=betas, eps=settings.eps)
        else:
            self.adamw = torch.optim.AdamW(groups, lr=0.0, betas=betas, eps=settings.eps, fused=True)

    @torch.no_grad()
    def clip(self) -> float:
        """Norm of the whole gradient; scales it to ``max_grad_norm`` where it is longer."""
        norm = float(squares(self.weights.grad).sqrt())
        if 0 < self.settings.max_grad_norm < norm:
            self.weights.grad.mul_(self.settings.max_grad_norm / norm)
        return norm

    @torch.no_grad()
    def step(self, lr: float) -> None:
        for group in self.adamw.param_groups:
            if isinstance(group["lr"], torch.Tensor):  # torchao's, which compiles its step once for all rates
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr
        self.move(self.device)
        self.adamw.step()
        if self.matrices:
            self._muon(lr * self.settings.muon_lr_ratio)
        self.move(self.resting)

    def move(self, device: torch.device) -> None:
        """The state's tensors; a count of steps stays."""
        for state in self.adamw.state.values():
            for name, value in state.items():
                if isinstance(value, torch.Tensor) and value.numel() > 1:
                    state[name] = value.to(device)
        self.momentum = self.momentum.to(device)

    def _muon(self, lr: float) -> None:
        """Nesterov momentum, orthogonalised; step scaled by sqrt(max(1, rows / columns)) (kellerjordan.github.io)."""
        grad, beta = self.weights.grad[: self.momentum.numel()], self.settings.muon_momentum
        self.momentum.lerp_(grad, 1 - beta)
        update = grad.lerp(self.momentum, beta)
        self.weights.master[: self.momentum.numel()].mul_(1 - lr * self.settings.muon_weight_decay)
        groups = _by_shape(self.matrices, self.weights.master, update)
        orthogonal = self._orthogonalised([torch.cat(directions) for _, _, directions in groups])
        for (transposed, matrices, directions), whole in zip(groups, orthogonal, strict=True):
            steps = whole.split([len(piece) for piece in directions])
            for turned, target, step in zip(transposed, matrices, steps, strict=True):
                rows, columns = target.shape[1:]
                target.add_(step.mT if turned else step, alpha=-lr * max(1.0, rows / columns) ** 0.5)

    def _orthogonalised(self, groups: list[Tensor]) -> list[Tensor]:
        """``orthogonalise`` of each [n, rows, columns], the n shared out over the ranks."""
        dtype, (rank, size) = DTYPES[self.settings.muon_dtype], (self.ranks.rank, self.ranks.size)
        if size == 1:
            return [orthogonalise(whole, dtype=dtype) for whole in groups]
        made = torch.zeros(sum(map(Tensor.numel, groups)), dtype=dtype, device=groups[0].device)
        found = [
            flat.view_as(whole) for flat, whole in zip(made.split([g.numel() for g in groups]), groups, strict=True)
        ]
        for place, whole in zip(found, groups, strict=True):
            first, last = len(whole) * rank // size, len(whole) * (rank + 1) // size
            if first < last:
                place[first:last] = orthogonalise(whole[first:last], dtype=dtype)
        self.ranks.all_reduce_sum_(made)
        return found

    def state(self) -> dict[str, Any]:
        """All that ``load_state`` needs to go on bit for bit."""
        return {"adamw": self.adamw.state_dict(), "momentum": self.momentum}

    def load_state(self, state: dict[str, Any]) -> None:
        self.adamw.load_state_dict(state["adamw"])
        self.momentum.copy_(state["momentum"])
        self.move(self.resting)


def canonical(value: Any) -> Any:
    """The value in containers and strings of its own, so that equal states are written as equal bytes: a pickle tells
    apart what is one object twice and what is two equal ones, as they are after ``load_state``."""
    if isinstance(value, str):
        return sys.intern(value)
    if isinstance(value, dict):
        return {canonical(name): canonical(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([canonical(item) for item in value])
    return value


def orthogonalise(matrices: Tensor, steps: int = 5, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """Nearest semi-orthogonal matrix, roughly (singular values in 0.5 .. 1.5), of each of [n, rows, columns].

    The quintic Newton-Schulz iteration of Muon (kellerjordan.github.io/posts/muon) with its coefficients, in bf16 as
    there unless ``dtype`` says otherwise; cheaper where rows <= columns.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x: Tensor = (matrices / torch.linalg.vector_norm(matrices, dim=(1, 2), keepdim=True).clamp(min=1e-7)).to(dtype)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def squares(x: Tensor) -> Tensor:
    """Sum of the squares of a tensor's numbers, a float64 scalar: float32 within blocks alone.

    torch's norm on a CPU adds all squares of a row up in float32, which of the 135M of SmolLM2's gradient loses 1.5%.
    """
    flat = x.reshape(-1)
    whole = len(flat) - len(flat) % BLOCK
    blocks = torch.linalg.vector_norm(flat[:whole].view(whole // BLOCK, BLOCK), dim=1)
    total: Tensor = blocks.double().square().sum() + torch.linalg.vector_norm(flat[whole:]).double().square()
    return total


def _in_8_bits() -> Any:
    """torchao's AdamW whose state is in 8 bits, a scale each 256 numbers (2110.02861)."""
    try:
        from torchao.optim import AdamW8bit
    except ImportError as error:
        raise MissingError(f"adamw8bit needs torchao: pip install 'r1kit[torchao]' ({error})") from None
    return AdamW8bit


def _slices(weights: FlatWeights, spans: list[tuple[int, int]]) -> list[nn.Parameter]:
    """Those that are not empty, the first always."""
    return [_slice(weights, *span) for index, span in enumerate(spans) if not index or span[0] < span[1]]


def _slice(weights: FlatWeights, first: int, last: int) -> nn.Parameter:
    parameter = nn.Parameter(weights.master[first:last])
    parameter.grad = weights.grad[first:last]
    return parameter


def _fused(section: Section, flat: Tensor) -> list[Tensor]:
    """Views [n, rows, columns] of a flat buffer that hold every matrix of a section once."""
    block = flat[section.start : section.start + section.size].view(-1, *section.shape)
    if len(set(section.parts)) == 1:
        return [block.view(-1, section.parts[0], section.shape[1])]
    return list(block.split(section.parts, dim=1))


def _by_shape(
    sections: list[Section], master: Tensor, update: Tensor
) -> list[tuple[list[bool], list[Tensor], list[Tensor]]]:
    """Matrices of one shape, or of its transpose, together: (transposed?, views of the weights, directions).

    Weights are [n, rows, columns]; directions are turned so that rows <= columns.
    """
    shapes: dict[tuple[int, int], tuple[list[bool], list[Tensor], list[Tensor]]] = {}
    for section in sections:
        for target, direction in zip(_fused(section, master), _fused(section, update), strict=True):
            rows, columns = target.shape[1:]
            turned = rows > columns
            flags, targets, directions = shapes.setdefault((min(rows, columns), max(rows, columns)), ([], [], []))
            flags.append(turned)
            targets.append(target)
            directions.append(direction.mT if turned else direction)
    return list(shapes.values())
