"""A feed-forward of experts: each token goes through the few that its router scores highest.

Tokens are sorted by expert, so that an expert is one product over its own tokens, and idle ones are none.

Axes: N tokens, d hidden, E experts, k of them a token, f feed-forward of one.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from r1kit.model.elementwise import swiglu
from r1kit.model.families.dense import DecoderConfig

__all__ = ["Experts", "grouped_product"]


class Experts(nn.Module):
    """Qwen3's mixture: softmax over all experts, the k largest, weights renormalised or not."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        E, d, f = config.experts, config.hidden_size, config.intermediate_size
        self.chosen, self.renormalise = config.experts_per_token, config.renormalise_experts
        self.router = nn.Linear(d, E, bias=False)
        self.gate_up = nn.Parameter(torch.empty(E, 2 * f, d))
        self.down = nn.Parameter(torch.empty(E, d, f))

    def forward(self, x: Tensor) -> Tensor:
        """[N, d] -> [N, d]"""
        weights, experts = self.router(x).softmax(-1, dtype=torch.float32).topk(self.chosen, -1)
        if self.renormalise:
            weights = weights / weights.sum(-1, keepdim=True)
        weights = weights.to(x.dtype)
        order = experts.flatten().argsort(stable=True)
        ends = torch.bincount(experts.flatten(), minlength=len(self.gate_up)).cumsum(0)
        rows = order // self.chosen
        made = grouped_product(swiglu(grouped_product(x[rows], self.gate_up, ends)), self.down, ends)
        return torch.zeros_like(x).index_add_(0, rows, made * weights.flatten()[order, None])

    @property
    def idle(self) -> int:
        """Parameters that a token is not multiplied with."""
        each = self.gate_up[0].numel() + self.down[0].numel()
        return (len(self.gate_up) - self.chosen) * each

    def hub_weights(self) -> dict[str, Tensor]:
        """Views, each expert's matrices by themselves as the hub has them."""
        names: dict[str, Tensor] = {"gate.weight": self.router.weight}
        for index, (gate_up, down) in enumerate(zip(self.gate_up.detach(), self.down.detach(), strict=True)):
            gate, up = gate_up.chunk(2)
            prefix = f"experts.{index}."
            names |= {
                f"{prefix}gate_proj.weight": gate,
                f"{prefix}up_proj.weight": up,
                f"{prefix}down_proj.weight": down,
            }
        return names


def grouped_product(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """Rows [M, i] sorted by group, matrices [E, o, i] and where each group ends (int64 [E]) -> [M, o]."""
    if x.is_cuda and x.dtype == torch.bfloat16:
        fused: Tensor = F.grouped_mm(x, weight.mT, offs=ends.int())
        return fused
    out: Tensor = GroupedProduct.apply(x, weight, tuple(ends.tolist()))  # type: ignore[no-untyped-call]
    return out


class GroupedProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, ends: tuple[int, ...]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.ends = ends
        out = x.new_empty(len(x), weight.shape[1])
        for group, rows in _groups(ends):
            torch.mm(x[rows], weight[group].t(), out=out[rows])
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        x_grad, weight_grad = torch.empty_like(x), torch.zeros_like(weight)
        for group, rows in _groups(ctx.ends):
            torch.mm(grad[rows], weight[group], out=x_grad[rows])
            torch.mm(grad[rows].t(), x[rows], out=weight_grad[group])
        return x_grad, weight_grad, None


def _groups(ends: tuple[int, ...]) -> list[tuple[int, slice]]:
    """Groups that have rows, and which."""
    starts = (0, *ends[:-1])
    return [(group, slice(*span)) for group, span in enumerate(zip(starts, ends, strict=True)) if span[0] < span[1]]
