"""Elementwise pieces of a block with their gradients written out; on a CPU a few rows at a time, so that all stays in
cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["OffsetNorm", "gain_of", "geglu", "rms_norm", "swiglu"]

BLOCK = 1 << 18
"""Elements worked on at a time: 1 MB in fp32."""


class OffsetNorm(nn.RMSNorm):
    """Gemma's: times ``1 + weight``, in fp32 whatever comes in."""

    def forward(self, x: Tensor) -> Tensor:
        """Over the last axis, of any shape."""
        return F.rms_norm(x.float(), self.normalized_shape, gain_of(self), self.eps).to(x.dtype)


def gain_of(norm: nn.RMSNorm) -> Tensor:
    """[d]: what a norm multiplies by."""
    return 1 + norm.weight.float() if isinstance(norm, OffsetNorm) else norm.weight


def rms_norm(x: Tensor, norm: nn.RMSNorm) -> Tensor:
    """``x / sqrt(mean(x^2) + eps) * gain`` over the last axis of [N, d], inside in fp32."""
    if x.is_cuda:  # one fused kernel each way
        fused: Tensor = norm(x)
        return fused
    out: Tensor = RmsNorm.apply(x, gain_of(norm), norm.eps)  # type: ignore[no-untyped-call]
    return out


def geglu(gate_up: Tensor) -> Tensor:
    """As ``swiglu`` with the tanh form of GELU."""
    gate, up = gate_up.chunk(2, dim=-1)
    return F.gelu(gate, approximate="tanh") * up


def swiglu(gate_up: Tensor) -> Tensor:
    """``silu(gate) * up`` of [N, 2 f], gate first -> [N, f]."""
    out: Tensor = SwiGLU.apply(gate_up)  # type: ignore[no-untyped-call]
    return out


class RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        out, inverse = torch.empty_like(x), torch.empty(len(x), 1, device=x.device)
        for rows in _rows(x):
            z = x[rows].float()
            norm = torch.linalg.vector_norm(z, dim=-1, keepdim=True)
            scale = torch.rsqrt(norm.square_().div_(x.shape[1]).add_(eps), out=inverse[rows])
            torch.mul(z * scale, weight, out=out[rows]) if z.dtype == out.dtype else out[rows].copy_(
                (z * scale) * weight
            )
        ctx.save_for_backward(x, weight, inverse)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        x, weight, inverse = ctx.saved_tensors
        x_grad, weight_grad = torch.empty_like(x), torch.zeros(x.shape[1], device=x.device)
        w = weight.float()
        for rows in _rows(x):
            z, g = x[rows].float() * inverse[rows], grad[rows].float()
            weighted = g * z
            weight_grad += weighted.sum(0)
            mean = (weighted @ w).div_(x.shape[1])
            x_grad[rows] = (g * w).addcmul_(z, mean[:, None], value=-1).mul_(inverse[rows])
        return x_grad, weight_grad.to(weight.dtype), None


class SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate_up: Tensor) -> Tensor:
        ctx.save_for_backward(gate_up)
        f = gate_up.shape[1] // 2
        out = gate_up.new_empty(len(gate_up), f)
        for rows in _rows(gate_up):
            torch.mul(F.silu(gate_up[rows, :f]), gate_up[rows, f:], out=out[rows])
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        (gate_up,) = ctx.saved_tensors
        f = gate_up.shape[1] // 2
        out = torch.empty_like(gate_up)
        for rows in _rows(gate_up):
            gate, up, g = gate_up[rows, :f], gate_up[rows, f:], grad[rows]
            torch.ops.aten.silu_backward.grad_input(g * up, gate, grad_input=out[rows, :f])
            torch.mul(F.silu(gate), g, out=out[rows, f:])
        return out


def _rows(x: Tensor) -> Iterator[slice]:
    step = len(x) if x.is_cuda else max(1, BLOCK // x.shape[1])
    for at in range(0, len(x), max(1, step)):
        yield slice(at, at + step)
