"""The learner protocol: a batch of scored rollouts in, new weights out. FSDP2 slots in behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from torch import Tensor

from r1kit.maths.loss_terms import TokenLoss
from r1kit.rollout.engine import Engine

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Batch", "Entropic", "Learner", "Row", "Sharing", "Weighed", "shares"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One completion to learn from (or one document: an empty prompt, every token a target but the first)."""

    prompt: int
    """Index into ``Batch.prompts``; -1 for a document without a prompt."""
    tokens: Tensor
    """int64 [n]: the completion."""
    weight: float | Tensor
    """What each token's loss counts in the sum over the batch (see ``maths.aggregate``); float or [n]."""
    advantage: float | Tensor = 1.0
    """Of the whole completion (GRPO), or float32 [n], of each token (PPO)."""
    sampler_logprobs: Tensor | None = None
    """float32 [n], from the engine."""
    old_logprobs: Tensor | None = None
    """float32 [n], of the policy that sampled, computed by the learner; None: on policy, taken from this forward."""
    reference_logprobs: Tensor | None = None
    """float32 [n]; None when there is no KL term."""
    experts: Tensor | None = None
    """int16 [prompt and completion but for the last token, layers with experts, k]: what its tokens are to choose, see
    ``records.Completion.experts``; None: what they score highest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one update learns from: the whole of it on every rank, of which the learner takes this rank's share, or with
    ``sharded`` this rank's share alone."""

    prompts: Sequence[Tensor]
    """int64 [m] each; computed once for all rows that share it."""
    rows: Sequence[Row]
    sharded: bool = False
    """The rows are this rank's share already, maybe none, and weigh what they count over all ranks."""


class Learner(Protocol):
    """Owns the policy's weights and the optimiser."""

    def update(self, batch: Batch, loss: TokenLoss, lr: float) -> dict[str, float]:
        """One optimiser step on ``sum_t weight_t * loss_t`` over all ranks; returns metrics equal on every rank.

        Always among them: ``loss``, ``grad_norm``, ``entropy``, ``tokens``. Logged quantities come back as the mean
        over tokens, ratios also as ``ratio_max``.
        """
        ...

    def logprobs(self, batch: Batch) -> list[Tensor]:
        """float32 [n] for every row of the batch as this rank has it, under the present weights; no gradient."""
        ...

    def refresh_reference(self) -> None:
        """Freeze the present weights as the reference (pi_ref <- pi)."""
        ...

    def reference_logprobs(self, batch: Batch) -> list[Tensor]:
        """As ``logprobs``, under the reference."""
        ...

    def publish(self, engine: Engine, version: int) -> None:
        """Hand the present weights to an engine; its later completions carry ``version``.

        Every rank calls it. The weights go as a stream, tensor by tensor; no rank need ever hold all of them. In one
        process the tensors may be the learner's own memory, which the engine copies.
        """
        ...

    def export(self, folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
        """Write the policy as a hub-format folder, whole or not at all; it is there on every rank's return."""
        ...

    def save(self, folder: Path) -> None:
        """Write all that ``load`` needs to go on bit for bit into a folder: weights, optimiser, reference.

        Every rank calls it and all have written when it returns; what the folder holds is the learner's own business.
        A kill leaves it whole or not there.
        """
        ...

    def load(self, folder: Path) -> None:
        """Go on from what ``save`` wrote; every rank calls it."""
        ...


@runtime_checkable
class Entropic(Protocol):
    """A learner that tells of each token how sure it was, beside how likely the token."""

    def logprobs_and_entropies(self, batch: Batch) -> list[Tensor]:
        """float32 [2, n] for every row: what ``Learner.logprobs`` gives, and the entropy of the distribution that each
        token was one of, in nats. In one pass, and as many."""
        ...


@runtime_checkable
class Weighed(Protocol):
    """A learner that can say what it holds."""

    @property
    def state_bytes(self) -> int:
        """Of this rank's weights, gradient, optimiser state and reference."""
        ...


@runtime_checkable
class Sharing(Protocol):
    """A learner that may take every rank's own rows (``Batch.sharded``) in place of the whole batch on every rank."""

    shares: bool
    """The loops are to deal rows so: no rank holds the whole batch."""


def shares(learner: Learner) -> bool:
    """Whether a learner says so; one that says nothing wants the whole batch."""
    return isinstance(learner, Sharing) and learner.shares
