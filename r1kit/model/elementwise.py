"""Elementwise pieces of a block with their gradients written out: fewer passes over memory than autograd makes."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["swiglu"]


def swiglu(gate_up: Tensor) -> Tensor:
    """``silu(gate) * up`` of [N, 2 f], gate first -> [N, f]."""
    out: Tensor = SwiGLU.apply(gate_up)  # type: ignore[no-untyped-call]
    return out


class SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate_up: Tensor) -> Tensor:
        ctx.save_for_backward(gate_up)
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        (gate_up,) = ctx.saved_tensors
        gate, up = gate_up.chunk(2, dim=-1)
        out = torch.empty_like(gate_up)
        gate_grad, up_grad = out.chunk(2, dim=-1)
        torch.mul(grad, up, out=up_grad)
        torch.ops.aten.silu_backward.grad_input(up_grad, gate, grad_input=gate_grad)
        torch.mul(F.silu(gate), grad, out=up_grad)
        return out
