"""Settings of the optimiser as recipes hold them. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["OptimiserSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserSettings:
    kind: Literal["adamw", "muon"] = "adamw"
    """``muon``: the hidden matrices by Muon, embedding, head and vectors by AdamW."""
    lr: float = 3e-4
    """Peak rate of AdamW."""
    betas: tuple[float, ...] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.0
    """AdamW's, on matrices and embeddings; vectors are never decayed."""
    muon_lr_ratio: float = 10.0
    """Muon's rate is this times AdamW's."""
    muon_momentum: float = 0.95
    muon_weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm, over all weights; 0: never."""
