"""The value model of PPO: the policy's body with one number a token in the place of the vocabulary's head.

It is trained as the policy is (packed, each prompt once, fp32 master weights), so it costs a second learner's memory
and time: the paper's reason for GRPO (R1 paper, v2, appendix A.3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from r1kit.cluster.ranks import Ranks
from r1kit.errors import R1Error
from r1kit.maths.gae import value_loss
from r1kit.model.language_model import LanguageModel
from r1kit.update.learner import Batch
from r1kit.update.local import LearnerSettings, LocalLearner, predicting
from r1kit.update.pack import MicroBatch, merged, per_row
from r1kit.update.terms import fixed_terms, flat_of

__all__ = ["Critic"]

HEAD = "value_head"


class Critic(LocalLearner):
    """Values of the text before each token of a completion, and their update."""

    def __init__(self, model: LanguageModel, settings: LearnerSettings, ranks: Ranks | None = None) -> None:
        """Takes ``model`` over, the policy's as it was before RL; its head is 0, so values begin at 0."""
        module = cast(nn.Module, model)
        module.register_parameter(
            HEAD, nn.Parameter(torch.zeros(model.config.hidden_size + 1, device=model.head.device))
        )
        super().__init__(model, settings, ranks)

    @torch.no_grad()
    def values(self, batch: Batch) -> list[Tensor]:
        """float32 [n] of every row, on the host: what is expected to be earned still, before each of its tokens."""
        mine: dict[int, Tensor] = {}
        for micro in self._share(batch, range(len(batch.rows))):
            mine |= per_row(batch, micro, self._values(micro).cpu())
        return merged(batch, self.ranks.gather_objects(mine), range(len(batch.rows)))

    def fit(
        self, batch: Batch, old: Sequence[Tensor], returns: Sequence[Tensor], clip: float | None, lr: float
    ) -> dict[str, float]:
        """One optimiser step on ``sum_t weight_t value_loss_t``; metrics equal on every rank.

        Args:
            batch: the rows, with their weights.
            old: float32 [n] of every row, values before the step's updates.
            returns: float32 [n] of every row.
            clip: see ``maths.gae.value_loss``.
            lr: learning rate.

        Raises:
            R1Error: the gradient is not finite; weights and optimiser are untouched.
        """
        self.flat.grad.zero_()
        sums = {"value_loss": 0.0, "value_clip_share": 0.0, "tokens": 0.0}
        for micro in self._share(batch, range(len(batch.rows))):
            _, weights = fixed_terms(batch, micro)
            rows = [batch.rows[row] for row in micro.rows]
            held, wanted = (
                flat_of(rows, [values[row] for row in micro.rows], micro.targets.device) for values in (old, returns)
            )
            with self._passing():
                loss, cut = value_loss(self._values(micro), held, wanted, clip)
                weighted = (loss * weights).sum()
                weighted.backward()  # type: ignore[no-untyped-call]
            sums["value_loss"] += float(weighted.detach())
            sums["value_clip_share"] += float(cut.sum())
            sums["tokens"] += len(cut)
        if self.ranks.size > 1:
            self.ranks.all_reduce_sum_(self.flat.grad)
        total = {name: sum(each[name] for each in self.ranks.gather_objects(sums)) for name in sums}
        norm = self.optimiser.clip()
        if not math.isfinite(norm):
            raise R1Error("the value model's gradient is not finite; lower value_lr")
        self.optimiser.step(lr)
        self.flat.model.after_step()
        self.flat.refresh()
        tokens = max(1.0, total.pop("tokens"))
        return {
            "value_loss": total["value_loss"],
            "value_clip_share": total["value_clip_share"] / tokens,
            "value_grad_norm": norm,
        }

    def _values(self, micro: MicroBatch) -> Tensor:
        """float32 [M], with gradient where it is wanted."""
        hidden = predicting(self.flat.compute.hidden(micro.segments), micro).float()
        head = cast(Tensor, getattr(self.flat.compute, HEAD)).float()
        return hidden @ head[:-1] + head[-1]
