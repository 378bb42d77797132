"""The learner of a reward model: whole rows through `transformers`' own classifier, the gradient summed over ranks.

AdamW, fused; weights, gradient and optimiser are float32. Only matrices are decayed, as in ``optim.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from r1kit.checkpoint.folder import replacing
from r1kit.cluster.ranks import Ranks
from r1kit.errors import R1Error
from r1kit.maths.preference import bradley_terry, pointwise
from r1kit.model.reward_model import RewardModel, alike
from r1kit.update.optim import squares
from r1kit.update.settings import OptimiserSettings

__all__ = ["Item", "RewardLearner"]

STATE = "state.pt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One example as the model sees it."""

    rows: tuple[tuple[int, ...], ...]
    """Token ids: chosen and rejected of a pair; one row with a label."""
    label: float | None = None
    """1 or 0; None for a pair, and for a row whose steps are labelled."""
    ends: tuple[int, ...] = ()
    """Of one row whose steps are labelled: tokens up to the end of each."""
    labels: tuple[float, ...] = ()
    """Of each step, from 0 to 1."""


class RewardLearner:
    """Owns the reward model's weights and the optimiser; ``save`` and ``load`` go on bit for bit."""

    def __init__(self, model: RewardModel, settings: OptimiserSettings, ranks: Ranks, budget: int = 16384) -> None:
        """``budget``: most tokens in one forward and backward, padding counted; bounds memory."""
        self.model, self.settings, self.ranks, self.budget = model, settings, ranks, budget
        self.weights = [weight for weight in model.model.parameters() if weight.requires_grad]
        self.grad = torch.zeros(sum(weight.numel() for weight in self.weights), device=self.weights[0].device)
        for weight, piece in zip(self.weights, self.grad.split([w.numel() for w in self.weights]), strict=True):
            weight.grad = piece.view_as(weight)
        groups = [[w for w in self.weights if w.dim() > 1], [w for w in self.weights if w.dim() < 2]]
        decays = (settings.weight_decay, 0.0)
        self.adamw = torch.optim.AdamW(
            [{"params": group, "weight_decay": decay} for group, decay in zip(groups, decays, strict=True) if group],
            lr=0.0,
            betas=(settings.betas[0], settings.betas[1]),
            eps=settings.eps,
            fused=True,
        )

    def update(self, items: Sequence[Item], count: int, lr: float) -> dict[str, float]:
        """One step on the mean loss of ``count`` examples, of which ``items`` are this rank's; metrics of all.

        Of rows whose steps are labelled, each step is an example.

        Raises:
            R1Error: the gradient is not finite; weights and optimiser are untouched.
        """
        self.grad.zero_()
        sums = torch.zeros(4, dtype=torch.float64)  # loss, right, margin, tokens
        for places in alike([_tokens(item) for item in items], self.budget):
            batch = [items[place] for place in places]
            loss, right, margin = self._judged(batch)
            (loss.sum() / count).backward()
            tokens = float(sum(len(row) for item in batch for row in item.rows))
            totals = [loss.detach().double().sum(), right.double().sum(), margin.double().sum()]
            sums += torch.tensor([*(float(total) for total in totals), tokens], dtype=torch.float64)
        self.ranks.all_reduce_sum_(self.grad)
        self.ranks.all_reduce_sum_(sums)
        norm = float(squares(self.grad).sqrt())
        if not math.isfinite(norm):
            raise R1Error("the reward model's gradient is not finite; lower its learning rate")
        if 0 < self.settings.max_grad_norm < norm:
            self.grad.mul_(self.settings.max_grad_norm / norm)
        for group in self.adamw.param_groups:
            group["lr"] = lr
        self.adamw.step()
        loss_sum, right_sum, margin_sum, tokens = sums.tolist()
        means = {"loss": loss_sum / count, "accuracy": right_sum / count, "margin": margin_sum / count}
        return {**means, "grad_norm": norm, "tokens": tokens}

    def _judged(self, batch: Sequence[Item]) -> tuple[Tensor, Tensor, Tensor]:
        rows = [row for item in batch for row in item.rows]
        if batch[0].ends:
            return judged_steps(batch, self.model.forward_steps(rows, [item.ends for item in batch]))
        return judged(batch, self.model.forward(rows))

    def save(self, folder: Path) -> None:
        """Write a folder that ``load`` goes on from, whole or not at all: all ranks hold the same, so rank 0 does."""
        if self.ranks.rank:
            return
        state = {"weights": [weight.detach() for weight in self.weights], "adamw": self.adamw.state_dict()}
        with replacing(folder) as new:
            torch.save(state, new / STATE)

    @torch.no_grad()
    def load(self, folder: Path) -> None:
        state: dict[str, Any] = torch.load(folder / STATE, map_location="cpu", weights_only=True)
        for own, saved in zip(self.weights, state["weights"], strict=True):
            own.copy_(saved)
        self.adamw.load_state_dict(state["adamw"])


def judged(items: Sequence[Item], scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Loss with gradient, whether it is right, and by how much, each [items]; all items are of one kind.

    Args:
        items: pairs, or labelled rows.
        scores: float [rows], in the order of the items.
    """
    if items[0].label is None:
        chosen, rejected = scores.view(-1, 2).unbind(1)
        margin = (chosen - rejected).detach()
        return bradley_terry(chosen, rejected), margin > 0, margin
    labels = torch.tensor([item.label for item in items], device=scores.device)
    margin = (scores * (2 * labels - 1)).detach()
    return pointwise(scores, labels), margin > 0, margin


def judged_steps(items: Sequence[Item], scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As ``judged``, each [steps]; a label of .5 counts as 0 where it says which is right."""
    labels = torch.tensor([label for item in items for label in item.labels], device=scores.device)
    margin = (scores * (2 * (labels > 0.5).float() - 1)).detach()
    return pointwise(scores, labels), margin > 0, margin


def _tokens(item: Item) -> int:
    return len(item.rows) * max(len(row) for row in item.rows)
