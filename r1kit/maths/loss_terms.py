"""What a loss sees of a batch, and the type of a loss. The learner fills it in, once for each run of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

__all__ = ["LossTerms", "TokenLoss"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LossTerms:
    """What a loss sees: M tokens of some rows, flat, in row order."""

    logprobs: Tensor
    """float32 [M], with gradient."""
    old_logprobs: Tensor
    """float32 [M], no gradient; equal to ``logprobs`` when on policy."""
    sampler_logprobs: Tensor | None
    """float32 [M]."""
    reference_logprobs: Tensor | None
    """float32 [M]."""
    advantages: Tensor
    """float32 [M]: the row's advantage at each of its tokens, or each token's own."""
    row_ids: Tensor
    """int64 [M]: 0-based row within this call, non-decreasing; whole rows only."""


TokenLoss = Callable[[LossTerms], tuple[Tensor, Mapping[str, Tensor]]]
"""Loss of each token [M] (not yet weighted), and detached per-token quantities [M] to log (kl, ratio ...)."""
