"""The learner whose weights, gradient, optimiser and reference are shared out over ranks (FSDP2).

One update: the same packed micro-batches and the same arithmetic as the local learner's (``pack.py``, ``head.py``,
``terms.py``), but every rank takes as many micro-batches as the one that has most, since each gathers weights from all;
a rank that has fewer goes through one token that counts nothing. See ``sharding.py`` for what is where.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from r1kit.cluster.ranks import Ranks, Solo
from r1kit.cluster.settings import FSDP
from r1kit.errors import InputError, R1Error
from r1kit.maths.loss_terms import TokenLoss
from r1kit.model.language_model import LanguageModel
from r1kit.model.layout import Place, places_of
from r1kit.model.segments import Segments
from r1kit.model.weights import NamedWeights, Weight, WeightStream
from r1kit.rollout.engine import Engine
from r1kit.update.balance import Balance
from r1kit.update.flat import orders_of, role_of
from r1kit.update.further import as_documents, further_targets, told_further
from r1kit.update.head import Head, Slope
from r1kit.update.learner import Batch
from r1kit.update.local import LearnerSettings
from r1kit.update.materialise import fill
from r1kit.update.memory import keep_freed_memory
from r1kit.update.optim import DTYPES
from r1kit.update.pack import MicroBatch, build, carries_gradient, deal, merged, per_row
from r1kit.update.sequence import Cut, together
from r1kit.update.sharded_optim import ShardedOptimiser, Share, local
from r1kit.update.sharded_state import export_weights, holds, read_state, write_state
from r1kit.update.sharding import mesh_of, share_out
from r1kit.update.sums import Sums, slopes
from r1kit.update.trainee import Further, Part, head_loss

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["ShardedLearner", "ShardedWeights"]


_SILENT: list[tuple[slice, Slope]] = [(slice(0, 1), lambda logprobs, entropy: torch.zeros_like(logprobs))]
"""Of a micro-batch without rows: its one token has no loss."""


class ShardedWeights:
    """fp32 weights under their hub names: each parameter gathered whole on every rank, one at a time; then ``beside``,
    what each rank holds whole."""

    def __init__(
        self, shares: Mapping[str, Share], places: Mapping[str, Place], ranks: Ranks, beside: Mapping[str, Tensor]
    ) -> None:
        self._shares, self._places, self._ranks, self._beside = shares, places, ranks, NamedWeights(beside)

    def metadata(self) -> Sequence[Weight]:
        """See ``WeightStream``."""
        shared = [Weight(hub, self._shares[p.parameter].weight.dtype, p.shape) for hub, p in self._places.items()]
        return [*shared, *self._beside.metadata()]

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        for name, places in groupby(self._places.items(), lambda item: item[1].parameter):
            share = self._shares[name]
            if share.apart:
                yield from ((hub, self._from_its_rank(share, place)) for hub, place in places)
                continue
            with self._ranks.together(), torch.inference_mode(False), torch.no_grad():  # in which an engine may be
                whole = cast(DTensor, share.weight.detach()).full_tensor()
            for hub, place in places:
                yield hub, place.of(whole)
        yield from self._beside

    def _from_its_rank(self, share: Share, place: Place) -> Tensor:
        """An expert's weight on every rank."""
        group = share.axis.get_group()
        with self._ranks.together(), torch.inference_mode(False), torch.no_grad():
            own = share.own
            owner, offset = divmod(place.offset, own.numel())
            mine = owner == group.rank()
            found = own.as_strided(place.shape, place.stride, offset) if mine else own.new_empty(place.shape)
            found = found.contiguous()
            dist.broadcast(found, group=group, group_src=owner)
        return found


class ShardedLearner:
    """See ``update.learner.Learner``; every rank calls every method, in the same order."""

    shares = True
    """See ``update.learner.Sharing``."""

    def __init__(
        self, model: LanguageModel, settings: LearnerSettings | None = None, ranks: Ranks | None = None,
        weights: WeightStream | None = None, device: torch.device | None = None,
    ) -> None:  # fmt: skip
        """Takes ``model`` over: each rank keeps its rows of its parameters. The same weights on every rank.

        Args:
            model: what is trained; where it holds no numbers (on the ``meta`` device) they come from ``weights``.
            settings: of any learner; ``settings.own`` are FSDP's.
            ranks: that share it.
            weights: read by each rank for itself, of each weight the rows that it keeps.
            device: of this rank; the model's own where that is not given.

        Raises:
            InputError: the ranks do not divide into ``replicate`` copies, or a weight is not finite.
        """
        self.device = device or model.head.device
        if self.device.type == "cpu":
            keep_freed_memory()
        self.settings = settings or LearnerSettings()
        self.own: FSDP = self.settings.own or FSDP()
        self.ranks: Ranks = ranks or Solo()
        self.model = model
        cast(nn.Module, model).float()
        self.places, orders = places_of(model), orders_of(model)
        self.beside = {hub: held for hub, held in model.hub_weights().items() if hub not in self.places}
        """What a checkpoint holds beside the parameters, before it is cast to compute with."""
        self.together = together(self.ranks, self.own.sequence, model, self.device)
        self.mesh = mesh_of(self.ranks, self.own, self.device)
        with self.ranks.together():
            empty = model.head.is_meta
            self.trainee = share_out(model, self.mesh, self.own, DTYPES[self.settings.dtype])
            if empty:
                self.trainee.to_empty(device="cpu" if self.own.offload == "all" else self.device)
        self.shared = {
            name: Share(
                name=name,
                weight=cast(DTensor, weight),
                order=orders[name],
                parts=model.parts(role_of(name), weight.shape[0]),
            )
            for name, weight in model.named_parameters()
        }
        if empty and weights is not None:
            kept = {name: (share.own, share.before) for name, share in self.shared.items()}
            fill(kept, self.places, weights, self.ranks)
        self.optimiser = ShardedOptimiser(
            self.shared, self.settings.optimiser, self.mesh, offload=self.own.offload != "none"
        )
        self.reference: dict[str, DTensor] | None = None
        self.balance = Balance(model, self.settings.experts, self.ranks)
        if self.settings.experts.balance and self.together is not None and self.balance.experts:
            raise InputError(
                "experts.balance is a loss over whole sequences, which ranks share: set 0, or sequence = 1"
            )
        self.ahead = getattr(model, "ahead", None) is not None
        """Whether there is a layer that predicts a token further."""

    def update(self, batch: Batch, loss: TokenLoss, lr: float) -> dict[str, float]:
        """One optimiser step; see the protocol. Rows with advantage 0 and no reference are not computed.

        Raises:
            R1Error: the gradient is not finite, on all ranks alike; weights and optimiser are untouched.
        """
        sums, first = Sums(), self.together is None or self.together.rank == 0
        if batch.sharded or self.ranks.rank == 0:  # otherwise every rank holds the same rows
            sums.totals["rows_skipped"] = float(sum(not carries_gradient(row) for row in batch.rows))
        if self.together is not None:
            batch, _ = self.together.joined(batch)
        rows = [index for index, row in enumerate(batch.rows) if carries_gradient(row)]
        routes = self.balance.watch(batch, len(rows))
        with self.ranks.together():
            for micro in self._share(batch, rows):
                micro = micro.watched(routes) if micro.rows else micro
                pieces = self._pieces(batch, micro, loss, sums if first else Sums())
                cut = None if self.together is None else self.together.cut(micro)
                further, more = self._further(batch, micro, cut, sums, self.settings.further)
                if self.together is not None and cut is not None:
                    micro, pieces = cut.micro, self.together.pieces(cut, pieces) if micro.rows else _SILENT
                self.trainee(micro, head_loss(self._head, [(micro.targets, pieces), *more]), further).backward()
            if self.settings.optimiser.keep_mtp and self.ahead:
                self._keep(batch, rows, sums)
            metrics = told_further(sums.reduced(self.ranks)) | self.balance.told(routes)
            metrics["grad_norm"] = self.optimiser.clip()
            if not math.isfinite(metrics["grad_norm"]):
                self._drop_gradient()
                raise R1Error("the gradient is not finite; lower the learning rate or the clip range")
            if metrics["tokens"]:
                self.optimiser.step(lr)
                for name, change in self.balance.changes(routes):
                    share = self.shared[name]
                    share.own.add_(change[share.before : share.before + len(share.own)].to(share.own.device))
                self.model.after_step()
        self._drop_gradient()
        return metrics

    def logprobs(self, batch: Batch) -> list[Tensor]:
        """float32 [n] of every row under the present weights, on the host; of a sharded batch this rank's alone. A
        document's first token, which nothing predicts, has 0."""
        return [found[0] for found in self.logprobs_and_entropies(batch)]

    @torch.no_grad()
    def logprobs_and_entropies(self, batch: Batch) -> list[Tensor]:
        """See ``update.learner.Entropic``: float32 [2, n] of every row that ``logprobs`` gives; 0 where nothing
        predicts."""
        mine: dict[int, Tensor] = {}
        own = slice(0, len(batch.rows))
        if self.together is not None:
            batch, own = self.together.joined(batch)
        with self.ranks.together():
            for micro in self._share(batch, range(len(batch.rows))):
                found = self._read(micro)
                cast(FSDPModule, self.trainee).reshard()
                mine |= per_row(batch, micro, found.cpu())
        shares = [mine] if batch.sharded else self.ranks.gather_objects(mine)
        return merged(batch, shares, range(len(batch.rows))[own])

    def _read(self, micro: MicroBatch) -> Tensor:
        """Log-prob and entropy of each of a micro-batch's targets, float32 [2, M]."""
        cut = None if self.together is None else self.together.cut(micro)
        own = micro if cut is None else cut.micro
        found: Sequence[Tensor]
        found = self.trainee(own, lambda states, *head: self._head(*head).logprobs(states[0], own.targets))
        if self.together is not None and cut is not None and micro.rows:
            found = self.together.whole(cut, *found)
        return torch.stack(list(found))

    @torch.no_grad()
    def refresh_reference(self) -> None:
        """Freeze the present weights as the reference; each rank keeps its rows, on the host where that is set."""

        def copied(weight: Tensor) -> Tensor:
            return weight.detach().clone().cpu() if self.own.offload != "none" else weight.detach().clone()

        self.reference = {name: cast(DTensor, copied(share.weight)) for name, share in self.shared.items()}

    def reference_logprobs(self, batch: Batch) -> list[Tensor]:
        """As ``logprobs``, under the reference, which changes places with the weights meanwhile."""
        assert self.reference is not None, "refresh_reference() was never called"
        with self._swapped(self.reference):
            return self.logprobs(batch)

    def weights(self) -> WeightStream:
        """fp32 master weights under their hub names; a collective, see ``ShardedWeights``."""
        return ShardedWeights(self.shared, self.places, self.ranks, self.beside)

    def publish(self, engine: Engine, version: int) -> None:
        """See ``Learner.publish``: all ranks go through the stream together, each with its own engine."""
        engine.load_weights(self.weights(), version)

    def export(self, folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
        """See ``Learner.export``: rank 0 writes."""
        export_weights(folder, self.model, tokenizer, self.weights(), self.ranks)

    def save(self, folder: Path) -> None:
        """See ``Learner.save``: each rank writes its rows."""
        write_state(folder, self._state(), self.ranks)

    def load(self, folder: Path) -> None:
        """Go on from what ``save`` wrote, with any number of ranks.

        Raises:
            InputError: no such folder, or it is of another model or optimiser.
        """
        self.reference = None
        if holds(folder, "reference"):
            self.refresh_reference()
        state = self._state()
        read_state(folder, state, self.ranks)
        self.optimiser.load_state(state["optimiser"])

    def _state(self) -> dict[str, Any]:
        """Tensors are the learner's own, DTensors all."""
        weights = {name: share.weight.detach() for name, share in self.shared.items()}
        state = {"weights": weights, "optimiser": self.optimiser.state()}
        return state if self.reference is None else {**state, "reference": self.reference}

    def _share(self, batch: Batch, rows: Sequence[int]) -> Iterator[MicroBatch]:
        """This rank's micro-batches, or those of its group where ranks share tokens, filled up to the number that the
        rank with most has."""
        size, number = self.own.sequence, self.ranks.rank // self.own.sequence
        dealt = deal(batch, rows, self.settings.token_budget * size, self.ranks.size // size)
        mine = dealt[0 if batch.sharded else number]
        counts = self.ranks.gather_objects(len(mine)) if batch.sharded else [len(each) for each in dealt]
        for chosen in mine:
            yield build(batch, chosen).to(self.device)
        token = torch.zeros(1, dtype=torch.int64, device=self.device)
        for _ in range(max(counts) - len(mine)):
            yield MicroBatch(Segments.pack([token]), (), (), token, None)

    def _pieces(self, batch: Batch, micro: MicroBatch, loss: TokenLoss, sums: Sums) -> Sequence[tuple[slice, Slope]]:
        """The loss's slopes; of a micro-batch without rows those of nothing."""
        return list(slopes(batch, micro, loss, sums, self.settings.head_chunk)) if micro.rows else _SILENT

    def _further(
        self, batch: Batch, micro: MicroBatch, cut: Cut | None, sums: Sums, weight: float
    ) -> tuple[Further | None, list[Part]]:  # fmt: skip
        """What the layer that predicts a token further learns from documents, and its part of the head's loss; nothing
        where it does not learn, on all ranks alike."""
        if not (weight and self.ahead):
            return None, []
        assert micro.index is None, "a token further is learnt from documents"
        following, (index, targets, weights) = micro.targets, further_targets(batch, micro)
        if self.together is not None and cut is not None:
            following, index, own = self.together.following(cut, following, index)
            targets, weights = targets[own], weights[own]

        def slope(logprobs: Tensor, entropy: Tensor) -> Tensor:
            sums.add_further(logprobs)
            return -weight * weights

        return Further(following, index), [(targets, [(slice(0, len(targets)), slope)])]

    def _keep(self, batch: Batch, rows: Sequence[int], sums: Sums) -> None:
        """Add the gradient of the layer that predicts a token further, and of no other weight, of rows with prompts."""
        whole = replace(as_documents(batch, rows), sharded=batch.sharded)
        for micro in self._share(whole, range(len(whole.rows))):
            cut = None if self.together is None else self.together.cut(micro)
            further, part = self._further(whole, micro, cut, sums, self.settings.optimiser.keep_mtp)
            own = micro if cut is None else cut.micro
            self.trainee(own, head_loss(self._head, part), further, alone=True).backward()

    def _head(self, weight: Tensor, bias: Tensor | None) -> Head:
        return Head(weight, self.settings.head_chunk, self.settings.temperature, self.model.finish, bias)

    @contextmanager
    def _swapped(self, other: dict[str, DTensor]) -> Iterator[None]:
        """The weights and ``other`` change places, one parameter at a time, and back."""

        def swap() -> None:
            with torch.no_grad():
                for name, share in self.shared.items():
                    before = share.own.clone()
                    kept = local(other[name])
                    share.own.copy_(kept)
                    kept.copy_(before)

        swap()
        try:
            yield
        finally:
            swap()

    def _drop_gradient(self) -> None:
        for share in self.shared.values():
            share.weight.grad = None
