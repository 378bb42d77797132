"""Per-token estimators of KL(policy || reference) from samples of the policy (Schulman, joschu.net/blog/kl-approx)."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["k1", "k2", "k3"]

MOST = 80.0
"""Largest log ratio that float32 can raise e to: beyond it a value is infinite and its gradient not a number."""


def k1(logprobs: Tensor, reference: Tensor) -> Tensor:
    """``log policy - log reference`` [M]: unbiased, may be negative; its own gradient is 0 in expectation."""
    return logprobs - reference


def k2(logprobs: Tensor, reference: Tensor) -> Tensor:
    """``(log policy - log reference)^2 / 2`` [M]: biased in value, its gradient is that of the KL on policy."""
    return (logprobs - reference).square() / 2


def k3(
    logprobs: Tensor, reference: Tensor, *, input_clamp: float | None = None, value_clamp: float | None = None
) -> Tensor:
    """``r - log r - 1`` with ``r = reference / policy`` [M]: non-negative, unbiased (R1 paper, equation 2).

    Args:
        logprobs: float [M], of the policy.
        reference: float [M].
        input_clamp: bound on ``abs(log r)`` (verl: 20).
        value_clamp: bound on the value (verl: 10). A clamped token gives no gradient; neither does one whose ``log r``
            is above 80.
    """
    log_r = (reference - logprobs).clamp(max=MOST)
    if input_clamp is not None:
        log_r = log_r.clamp(-input_clamp, input_clamp)
    value = torch.expm1(log_r) - log_r
    return value if value_clamp is None else value.clamp(-value_clamp, value_clamp)
