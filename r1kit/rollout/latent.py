"""Latent attention over a cache that holds a token's compressed vector and its rotated key, and nothing a head.

While decoding, the matrices that would expand the compressed vectors are taken into the queries and out of the results
instead (DeepSeek-V2, 2405.04434, section 2.1.2): every head then attends to the same keys, which are the values too. A
prompt's heads are expanded, since there are as many queries as keys.

Axes: n tokens, H heads, p plain and r rotary numbers of a query, c of a compressed vector, v of a value; W = c + r.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from r1kit.model.families.dense import Latent
from r1kit.model.latent import EPS
from r1kit.rollout.linear import Linear

__all__ = ["PackedLatent", "scale_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedLatent:
    """Gains of the norms are in the matrices behind them; rotary pairs are side by side."""

    of: Latent
    heads: int
    query_up: Linear | None
    """From compressed queries to H heads; None where ``PackedBlock.qkv`` gives the heads."""
    up: Tensor
    """[H, p + v, c]: from compressed vectors to keys and values."""

    def queries(self, made: Tensor, turn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From what ``PackedBlock.qkv`` makes of tokens [n, ...] and complex [n, 1, r / 2]: plain [n, H, p] and rotated
        queries [n, H, r], and what is kept, [n, W]."""
        of = self.of
        first, kept, key = made.split([made.shape[1] - of.kept - of.rotary, of.kept, of.rotary], 1)
        q = first if self.query_up is None else self.query_up(_norm(first))
        plain, turning = q.view(len(made), self.heads, -1).split([of.plain, of.rotary], -1)
        kept = torch.cat([_norm(kept), _turned(key[:, None], turn)[:, 0]], 1)
        return plain, _turned(turning, turn), kept

    def absorbed(self, plain: Tensor, turned: Tensor) -> Tensor:
        """Queries of the cache, [n, H, W]."""
        over = torch.bmm(plain.transpose(0, 1), self.up[:, : self.of.plain])
        return torch.cat([over.transpose(0, 1), turned], -1)

    def values(self, mixed: Tensor) -> Tensor:
        """Rows of the cache, mixed by attention, [n, H W] -> heads [n, H v]."""
        latent = mixed.view(len(mixed), self.heads, -1)[..., : self.of.kept]
        found = torch.bmm(latent.transpose(0, 1), self.up[:, self.of.plain :].mT)
        return found.transpose(0, 1).reshape(len(mixed), -1)

    def prompt(self, plain: Tensor, turned: Tensor, kept: Tensor, prompts: int) -> Tensor:
        """Causal attention of whole prompts, [n, H v], for queries [n, H, p] and [n, H, r] and their own [n, W]."""
        of, H = self.of, self.heads
        latent, key = kept.split([of.kept, of.rotary], 1)
        made = (latent @ self.up.flatten(0, 1).t()).view(len(kept), H, -1)
        keys = torch.cat([made[..., : of.plain], key[:, None].expand(-1, H, -1)], -1)
        q, k, v = (
            one.unflatten(0, (prompts, -1)).transpose(1, 2)
            for one in (torch.cat([plain, turned], -1), keys, made[..., of.plain :])
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale_of(of))
        return y.transpose(1, 2).reshape(len(kept), -1)


def scale_of(of: Latent) -> float:
    """What scores are multiplied by."""
    return float(of.scale * (of.plain + of.rotary) ** -0.5)


def _norm(x: Tensor) -> Tensor:
    return F.rms_norm(x.float(), x.shape[-1:], None, EPS).to(x.dtype)


def _turned(x: Tensor, turn: Tensor) -> Tensor:
    """[n, heads, r] with every pair turned."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * turn).flatten(-2).to(x.dtype)
