"""Group-relative advantages (GRPO; R1 paper, equation 3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from r1kit.maths.settings import Std

__all__ = ["Advantages", "group_relative"]

Advantages = Sequence[Sequence[Tensor] | Tensor]
"""Of each group, of each of its completions: one number, float32 [G], or one a token, float32 [n] each."""


def group_relative(rewards: Tensor, std: Std = "sample", eps: float = 1e-6) -> Tensor:
    """``A_i = (R_i - mean) / (std + eps)`` over one whole group.

    Args:
        rewards: float [G].
        std: ``sample`` divides by G - 1, ``population`` by G; ``none`` leaves A = R - mean (Dr. GRPO, 2503.20783).
        eps: added to the std.

    Returns:
        float32 [G]. A flat group gives exactly 0, and so does a group of one.
    """
    rewards = rewards.double()
    if rewards.numel() < 2 or bool((rewards == rewards[0]).all()):
        return torch.zeros(rewards.shape)
    centred = rewards - rewards.mean()
    if std == "none":
        return centred.float()
    return (centred / (rewards.std(correction=1 if std == "sample" else 0) + eps)).float()
