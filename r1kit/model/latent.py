"""Multi-head latent attention: queries, keys and values of all heads by way of compressed ones.

Attention itself is that of the other families: heads of one size, zeros behind what is shorter.

Axes: N tokens, d hidden, H heads, p plain and r rotary numbers of a query and of a key, v of a value, D of the longer.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from r1kit.model.elementwise import rms_norm

if TYPE_CHECKING:
    from r1kit.model.families.dense import DecoderConfig, Latent

__all__ = ["EPS", "LatentHeads"]

EPS = 1e-6
"""Of the norms behind the compressions, whatever the model's other norms have."""


class LatentHeads(nn.Module):
    """What ``Block.qkv`` is in other families."""

    def __init__(self, config: DecoderConfig, of: Latent) -> None:
        super().__init__()
        d, H = config.hidden_size, config.num_heads
        self.of, self.heads = of, H
        self.factor = of.scale * math.sqrt(of.size / (of.plain + of.rotary))
        """On queries, since attention scales scores by the size that heads have here."""
        self.query_down = nn.Linear(d, of.query, bias=False) if of.query else None
        self.query_norm = nn.RMSNorm(of.query, eps=EPS) if of.query else None
        self.query_up = nn.Linear(of.query or d, H * (of.plain + of.rotary), bias=False)
        self.kept_down = nn.Linear(d, of.kept + of.rotary, bias=False)
        self.kept_norm = nn.RMSNorm(of.kept, eps=EPS)
        self.kept_up = nn.Linear(of.kept, H * (of.plain + of.value), bias=False)

    def forward(self, x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
        """[N, d] and cos, sin [N, 1, r / 2] -> [N, 3 H D]: queries and keys, rotated, and values."""
        of = self.of
        if self.query_down is None or self.query_norm is None:
            q = self.query_up(x)
        else:
            q = self.query_up(rms_norm(self.query_down(x), self.query_norm))
        kept, key = self.kept_down(x).split([of.kept, of.rotary], 1)
        made = self.kept_up(rms_norm(kept, self.kept_norm))
        q, made = (one.view(len(x), self.heads, -1) for one in (q, made))
        if self.factor != 1.0:
            q = q * self.factor
        laid: Tensor = _Laid.apply(q, made, key, *turns, of)  # type: ignore[no-untyped-call]
        return laid

    def hub_weights(self) -> dict[str, Tensor]:
        """Under their hub names within the layer."""
        down = {"q_a_proj": self.query_down, "q_a_layernorm": self.query_norm}
        names = {
            **{name: module for name, module in down.items() if module is not None},
            "q_b_proj" if self.query_down is not None else "q_proj": self.query_up,
            "kv_a_proj_with_mqa": self.kept_down,
            "kv_a_layernorm": self.kept_norm,
            "kv_b_proj": self.kept_up,
        }
        return {f"self_attn.{name}.weight": module.weight for name, module in names.items()}


class _Laid(torch.autograd.Function):
    """Rotated and laid side by side, [N, 3 H D], without a copy a piece."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, q: Tensor, made: Tensor, key: Tensor, cos: Tensor, sin: Tensor, of: Latent
    ) -> Tensor:
        ctx.of = of
        ctx.save_for_backward(cos, sin)
        N, H, p, end = *q.shape[:2], of.plain, of.plain + of.rotary
        out = q.new_zeros(N, 3, H, of.size)
        out[:, 0, :, :p], out[:, 1, :, :p], out[:, 2, :, : of.value] = q[..., :p], made[..., :p], made[..., p:]
        for place, x in ((0, q[..., p:]), (1, key[:, None])):
            first, second = _halves(x, of.interleaved)
            half = p + of.rotary // 2
            out[:, place, :, p:half] = first * cos - second * sin
            out[:, place, :, half:end] = second * cos + first * sin
        return out.view(N, -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        of: Latent = ctx.of
        cos, sin = ctx.saved_tensors
        p, end = of.plain, of.plain + of.rotary
        q, k, v = grad.view(len(grad), 3, -1, of.size).unbind(1)
        made_grad = torch.cat([k[..., :p], v[..., : of.value]], -1)
        q_grad, key_grad = q[..., :end].clone(), k.new_empty(len(grad), 1, of.rotary)
        for given, back in ((q[..., p:end], q_grad[..., p:]), (k[..., p:end].sum(1, keepdim=True), key_grad)):
            first, second = given.chunk(2, -1)
            into = _halves(back, of.interleaved)
            into[0].copy_(first * cos + second * sin)
            into[1].copy_(second * cos - first * sin)
        return q_grad, made_grad, key_grad[:, 0], None, None, None


def _halves(x: Tensor, interleaved: bool) -> tuple[Tensor, Tensor]:
    """Views of the first and of the second of each rotary pair."""
    if interleaved:
        return x[..., 0::2], x[..., 1::2]
    first, second = x.chunk(2, -1)
    return first, second
