"""Advantages from a value model, and its loss (PPO, 1707.06347; generalised advantage estimation, 1506.02438)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["advantages_and_returns", "explained_variance", "value_loss", "whitened"]


def advantages_and_returns(
    rewards: Tensor, values: Tensor, *, discount: float = 1.0, gae_lambda: float = 1.0
) -> tuple[Tensor, Tensor]:
    """``A_t = sum_l (discount lambda)^l delta_{t+l}`` with ``delta_t = r_t + discount V_{t+1} - V_t``; ``R = A + V``.

    The completion ends with its last token, so the value after it is 0. With both at 1, A is what is still earned less
    the value; with lambda 0 it is one step's surprise.

    Args:
        rewards: float [n], of each token of one completion.
        values: float [n], of the text before each token.

    Returns:
        Advantages and returns, float32 [n] each.
    """
    rewards, values = rewards.double(), values.double()
    following = torch.cat([values[1:], values.new_zeros(1)])
    deltas = rewards + discount * following - values
    found, kept = torch.empty_like(deltas), 0.0
    for t in range(len(deltas) - 1, -1, -1):
        kept = float(deltas[t]) + discount * gae_lambda * kept
        found[t] = kept
    return found.float(), (found + values).float()


def whitened(advantages: Sequence[Tensor], eps: float = 1e-8) -> list[Tensor]:
    """Less their mean, over their standard deviation, both over every token of the batch; float32 [n] each.

    Of fewer than two tokens, or where all are equal, only the mean goes.
    """
    every = torch.cat([one.double() for one in advantages])
    centre = every.mean()
    spread = every.std() if len(every) > 1 else every.new_zeros(())
    scale = 1.0 if float(spread) == 0 else float(spread) + eps
    return [((one.double() - centre) / scale).float() for one in advantages]


def value_loss(values: Tensor, old: Tensor, returns: Tensor, clip: float | None) -> tuple[Tensor, Tensor]:
    """``max((V - R)^2, (clip(V, old - c, old + c) - R)^2) / 2`` of each token [M], and 1 where the clip decides [M].

    Args:
        values: float [M], with gradient.
        old: float [M], of the value model before the step's updates.
        returns: float [M].
        clip: c, in units of reward; None: no clip.
    """
    plain = (values - returns).square()
    if clip is None:
        return plain / 2, torch.zeros_like(returns)
    held = (old + (values - old).clamp(-clip, clip) - returns).square()
    return torch.maximum(plain, held) / 2, (held > plain).float()


def explained_variance(values: Sequence[Tensor], returns: Sequence[Tensor]) -> float:
    """``1 - Var(R - V) / Var(R)`` over tokens: 1 foretells all, 0 is as good as a constant; NaN where R is one."""
    v, r = torch.cat([one.double() for one in values]), torch.cat([one.double() for one in returns])
    spread = float(r.var(correction=0))
    return float("nan") if spread == 0 else 1 - float((r - v).var(correction=0)) / spread
