"""The local learner of an adapter (LoRA): the model's weights stay, once, in the dtype that computes; master weights,
gradient and optimiser are the adapter's alone, and the reference is the model with its adapter off.

Whoever takes the weights gets them with the adapter merged in, one matrix at a time: every engine samples from it at
full speed and none needs to know of it, and a second copy of the model is never made.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from r1kit.checkpoint.adapters import write_adapter
from r1kit.cluster.ranks import Ranks
from r1kit.maths.loss_terms import TokenLoss
from r1kit.model.adapter import Adapter, linears_of
from r1kit.model.language_model import LanguageModel
from r1kit.model.weights import WeightStream
from r1kit.rollout.streams import stream_seed
from r1kit.update.flat import FlatWeights, Section, point
from r1kit.update.learner import Batch
from r1kit.update.local import LearnerSettings, LocalLearner
from r1kit.update.optim import DTYPES
from r1kit.update.pack import MicroBatch
from r1kit.update.sums import Sums

__all__ = ["Adapted", "AdaptedLearner"]


@runtime_checkable
class Adapted(Protocol):
    """A learner of an adapter."""

    def export_adapter(self, folder: Path) -> None:
        """Write it in peft's format; it is there on every rank's return."""
        ...

    def told(self) -> str:
        """What is trained, in a line."""
        ...


class FlatAdapter(FlatWeights):
    """The adapter's weights [P] and their gradient [P], flat; the model itself in the dtype that computes, frozen."""

    def __init__(self, model: LanguageModel, adapter: Adapter, dtype: torch.dtype) -> None:
        cast(nn.Module, model).to(dtype).requires_grad_(False)
        self.model = self.compute = model
        self.adapter, self.sections = adapter, _sections(adapter)
        parameters = dict(adapter.named_parameters())
        self.master = torch.cat([weight.detach().reshape(-1) for weight in parameters.values()])
        self.grad, self.shadow = torch.zeros_like(self.master), self.master
        self.pointed = adapter
        point(adapter, self.sections, self.master)
        for name, view in self.views(self.grad):
            parameters[name].grad = view


class AdaptedLearner(LocalLearner):
    """See ``update.learner.Learner``."""

    def __init__(
        self, model: LanguageModel, settings: LearnerSettings, ranks: Ranks | None = None, base: str = ""
    ) -> None:
        """Takes ``model`` over, as ``LocalLearner``; ``base``: its folder or hub name, for whoever opens the adapter.

        Raises:
            InputError: the model has no layer that ``settings.lora`` names.
        """
        lora, linears = settings.lora, linears_of(model)
        names = lora.chosen({name: one.shape for name, one in linears.items()}, "lora")
        self.adapter = Adapter([linears[name] for name in names], lora.rank, lora.scale, settings.seed)
        self.base, self.updates, self._passes = base, 0, 0
        self._all = sum(weight.numel() for weight in model.parameters())
        super().__init__(model, settings, ranks)

    def _flat(self, model: LanguageModel) -> FlatWeights:
        return FlatAdapter(model, self.adapter, DTYPES[self.settings.dtype])

    def told(self) -> str:
        """What is trained, in a line."""
        return (
            f"LoRA of rank {self.settings.lora.rank} on {len(self.adapter.linears)} matrices: {self.adapter.count:,} "
            f"weights are trained beside {self._all:,} that stay"
        )

    def update(self, batch: Batch, loss: TokenLoss, lr: float) -> dict[str, float]:
        """See ``LocalLearner.update``."""
        self._passes = 0
        metrics = super().update(batch, loss, lr)
        self.updates += 1
        return metrics

    def logprobs_and_entropies(self, batch: Batch) -> list[Tensor]:
        """See ``LocalLearner``."""
        with self.adapter.applied():
            return super().logprobs_and_entropies(batch)

    def refresh_reference(self) -> None:
        """Freeze the present policy: nothing to keep while no B has learnt, else the adapter, never the model."""
        learnt = self.adapter.is_learnt
        self.reference = self.flat.master.to(self.resting, copy=True) if learnt else self.flat.master.new_empty(0)

    def reference_logprobs(self, batch: Batch) -> list[Tensor]:
        """As ``logprobs``, under the reference: the model with its adapter off, or as it was when it was refreshed."""
        assert self.reference is not None, "refresh_reference() was never called"
        if len(self.reference):
            return super().reference_logprobs(batch)
        return [found[0] for found in super().logprobs_and_entropies(batch)]

    def weights(self) -> WeightStream:
        """float32, the adapter merged in (``MergedWeights``)."""
        return self.adapter.merged(super().weights())

    def _exported(self) -> WeightStream:
        return self.weights()

    def export_adapter(self, folder: Path) -> None:
        """See ``Adapted``: rank 0 writes."""
        if self.ranks.rank == 0:
            lora = self.settings.lora
            targets = lora.targets or sorted({one.name.rpartition(".")[2] for one in self.adapter.linears})
            alpha = lora.scale * lora.rank
            weights = {name: weight.detach() for name, weight in self.adapter.named_parameters()}
            write_adapter(folder, weights, self.base, targets, rank=lora.rank, alpha=alpha, dropout=lora.dropout)
        self.ranks.broadcast_object(None)

    def _accumulate(self, batch: Batch, micro: MicroBatch, loss: TokenLoss, sums: Sums) -> None:
        self._passes += 1
        with self.adapter.applied(self._drop if self.settings.lora.dropout else None):
            super()._accumulate(batch, micro, loss, sums)

    def _drop(self, layer: str, x: Tensor) -> Tensor:
        """Dropout whose numbers follow from where it is, so that a pass that is done again leaves out the same."""
        share = self.settings.lora.dropout
        seed = stream_seed(self.settings.seed, "dropout", self.updates, self.ranks.rank, self._passes, layer)
        generator = torch.Generator(x.device).manual_seed(seed)
        kept = torch.rand(x.shape, generator=generator, device=x.device) >= share
        return x * kept / (1 - share)

    def _state(self) -> dict[str, object]:
        return {**super()._state(), "updates": self.updates}

    def _take(self, state: dict[str, object]) -> None:
        super()._take(state)
        self.updates = cast(int, state["updates"])


def _sections(adapter: Adapter) -> list[Section]:
    """One a matrix, in the adapter's order."""
    sections, start = [], 0
    for name, weight in adapter.named_parameters():
        rows, columns = weight.shape
        sections.append(
            Section(role=name, names=(name,), shape=(rows, columns), start=start, parts=(rows,), hidden=True)
        )
        start += rows * columns
    return sections
