"""Experts that all get their tokens: loads counted over the ranks, the choice's biases moved against them.

DeepSeek-V3 (2412.19437, section 2.1.2) balances so without a loss, but for a very small one within each sequence
(``model.routes``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from r1kit.cluster.ranks import Ranks
from r1kit.model.experts import Experts
from r1kit.model.language_model import LanguageModel
from r1kit.model.routes import Routes
from r1kit.update.learner import Batch
from r1kit.update.settings import ExpertSettings

__all__ = ["Balance", "max_violation", "moved"]


class Balance:
    """Of one model's experts; without any it does nothing. Every method is a collective where there are ranks."""

    def __init__(self, model: LanguageModel, settings: ExpertSettings, ranks: Ranks) -> None:
        self.settings, self.ranks = settings, ranks
        found = cast(nn.Module, model).named_modules()
        self.experts = {name: module for name, module in found if isinstance(module, Experts)}
        self._counts: dict[str, Tensor] = {}

    def watch(self, batch: Batch, rows: int) -> Routes | None:
        """What an update of so many rows is to tell; None for a model without experts."""
        if not self.experts:
            return None
        weight = 0.0
        if self.settings.balance:
            total = sum(self.ranks.gather_objects(rows)) if batch.sharded else rows
            weight = self.settings.balance / max(1, total)
        return Routes(weight=weight)

    def told(self, routes: Routes | None) -> dict[str, float]:
        """Metrics of an update, the same on every rank."""
        if routes is None:
            return {}
        self._counts, loads = {}, []
        for name, module in self.experts.items():
            count = routes.counts.get(module.layer)
            loads.append(torch.zeros(len(module.gate_up)) if count is None else count.float().cpu())
            self._counts[name] = loads[-1]
        together = torch.cat([*loads, torch.tensor([float(routes.loss)])])
        if self.ranks.size > 1:
            self.ranks.all_reduce_sum_(together)
        metrics, start = {}, 0
        for name, module in self.experts.items():
            self._counts[name] = counts = together[start : start + len(module.gate_up)]
            start += len(counts)
            if counts.any():  # not the layer that predicts further, where the update is not of that
                metrics[f"max_violation_layer{module.layer}"] = max_violation(counts)
        if metrics:
            metrics["max_violation"] = sum(metrics.values()) / len(metrics)
        if self.settings.balance:
            metrics["balance_loss"] = float(together[-1])
        return metrics

    def changes(self, routes: Routes | None) -> Iterator[tuple[str, Tensor]]:
        """Parameter and what is added to it, float32 [E], after the update that was told last."""
        if routes is None or not self.settings.bias_speed:
            return
        for name, module in self.experts.items():
            if module.router_bias is not None:
                yield f"{name}.router_bias", moved(self._counts[name], self.settings.bias_speed)


def moved(counts: Tensor, speed: float) -> Tensor:
    """[E] -> what is added to the biases: up for fewer tokens than the mean, down for more."""
    return speed * torch.sign(counts.mean() - counts)


def max_violation(counts: Tensor) -> float:
    """How much more than the mean load the largest is, as a share of the mean (MaxVio of 2408.15664, section 4.1)."""
    mean = float(counts.mean())
    return float(counts.max()) / mean - 1 if mean else 0.0
