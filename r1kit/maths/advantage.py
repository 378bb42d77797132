"""Group-relative advantages, of whole completions (R1 paper, equation 3) and by their steps (DeepSeekMath, 4.1.3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from r1kit.maths.settings import Std

__all__ = ["Advantages", "group_relative", "process_relative"]

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


def process_relative(
    rewards: Sequence[Sequence[float]],
    ends: Sequence[Sequence[int]],
    lengths: Sequence[int],
    std: Std = "sample",
    eps: float = 1e-6,
) -> list[Tensor]:
    """Advantage of each token under process supervision: ``A_t = sum over steps j that end at or after t of r_j'``.

    ``r' = (r - mean) / (std + eps)`` with mean and std over all steps of all completions of one group, so that a
    completion of more steps weighs more, and one of more good steps is paid more.

    Args:
        rewards: of each completion, of each of its steps.
        ends: tokens up to the end of each step, rising; token t (from 0) belongs to steps whose end is above t.
        lengths: tokens of each completion; those after its last step get 0.
        std: as for ``group_relative``.
        eps: added to the std.

    Returns:
        float32 [length] of each completion. A group whose steps all earn the same gives exactly 0.
    """
    pooled = torch.tensor([reward for row in rewards for reward in row], dtype=torch.float64)
    if pooled.numel() < 2 or bool((pooled == pooled[0]).all()):
        return [torch.zeros(length) for length in lengths]
    pooled = pooled - pooled.mean()
    if std != "none":
        pooled = pooled / (pooled.std(correction=1 if std == "sample" else 0) + eps)
    found = []
    parts = pooled.split([len(row) for row in rewards])
    for own, places, length in zip(parts, ends, lengths, strict=True):
        at_end = torch.zeros(length, dtype=torch.float64)
        at_end[torch.tensor(places, dtype=torch.long) - 1] = own
        found.append(at_end.flip(0).cumsum(0).flip(0).float())
    return found
