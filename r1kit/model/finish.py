"""What comes between the head's product and the logits: a bias, a scale, a soft cap, in the families that have them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["PLAIN", "Finish"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """``logits = cap(scale * (product + bias))``, the bias being the model's own ``head_bias``."""

    scale: float = 1.0
    """Cohere multiplies by ``logit_scale``, Granite divides by ``logits_scaling``."""
    cap: float = 0.0
    """Gemma 2 takes ``cap * tanh(logit / cap)``; 0: nothing."""

    def __call__(self, products: Tensor) -> Tensor:
        """Logits from products that have their bias, [m, V]; not in place."""
        logits = products if self.scale == 1.0 else products * self.scale
        return logits if not self.cap else torch.tanh(logits / self.cap) * self.cap


PLAIN = Finish()
"""Logits are the head's product: most families."""
