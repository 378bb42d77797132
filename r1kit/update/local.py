"""The learner in this process: no padding, each prompt once, no whole logits, fp32 master weights.

One update: rows that carry no gradient are dropped; the rest is packed into micro-batches (``pack.py``) and shared out
over the ranks; each micro-batch goes through the decoder once, through the head in chunks (``head.py``) and back; the
flat gradient is summed over the ranks, clipped, and stepped on by every rank alike (``flat.py``, ``optim.py``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from r1kit.checkpoint.folder import replacing
from r1kit.cluster.ranks import Ranks, Solo
from r1kit.cluster.settings import Whole
from r1kit.errors import InputError, R1Error, first_line
from r1kit.maths.loss_terms import TokenLoss
from r1kit.model.decoder import Decoder
from r1kit.model.language_model import LanguageModel
from r1kit.model.load import save_model
from r1kit.model.routes import Routes
from r1kit.model.weights import NamedWeights, WeightStream
from r1kit.rollout.engine import Engine
from r1kit.update.balance import Balance
from r1kit.update.flat import FlatWeights
from r1kit.update.further import as_documents, further_targets, told_further
from r1kit.update.head import Head
from r1kit.update.learner import Batch
from r1kit.update.memory import bytes_of, keep_freed_memory
from r1kit.update.optim import DTYPES, Optimiser, canonical
from r1kit.update.pack import MicroBatch, assign, build, carries_gradient, deal, merged, per_row, units
from r1kit.update.recompute import recomputing
from r1kit.update.settings import Dtype, ExpertSettings, LoRA, OptimiserSettings
from r1kit.update.sums import Sums, slopes

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["DTYPES", "LearnerSettings", "LocalLearner", "predicting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnerSettings:
    dtype: Dtype = "float32"
    """What the model computes in; master weights, gradients and optimiser are always fp32."""
    token_budget: int = 4096
    """Most tokens in a micro-batch: bounds the memory of an update. A longer group is cut, its prompt repeated."""
    head_chunk: int = 1024
    """Most rows of logits at a time."""
    temperature: float = 1.0
    """Logits are divided by it: that of the sampling, so that the policy is what was sampled from."""
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    experts: ExpertSettings = field(default_factory=ExpertSettings)
    lora: LoRA = field(default_factory=LoRA)
    """An adapter to train in place of the weights (``update.adapted``)."""
    seed: int = 0
    """Of what a learner draws: an adapter's A, and its dropout."""
    further: float = 0.0
    """Weight of the loss of the token after the next, on documents, where the model predicts it (``Decoder.ahead``)."""
    own: Any = None
    """What the recipe's ``learner`` table says beside the kind: ``cluster.settings.FSDP`` for ``fsdp``,
    ``Whole`` for ``local``."""


STATE = "state.pt"


class LocalLearner:
    """See ``update.learner.Learner``."""

    def __init__(
        self, model: LanguageModel, settings: LearnerSettings | None = None, ranks: Ranks | None = None
    ) -> None:
        """Takes ``model`` over: its parameters become views of the learner's. The same weights on every rank.

        Everything is computed and kept on the model's device; batches come, and log-probs go, as host tensors. On a CPU
        freed memory stays with the process from here on, see ``memory.keep_freed_memory``.
        """
        self.device = model.head.device
        if self.device.type == "cpu":
            keep_freed_memory()
        self.settings = settings or LearnerSettings()
        self.ranks: Ranks = ranks or Solo()
        self.flat = self._flat(model)
        self.own = self.settings.own if isinstance(self.settings.own, Whole) else Whole()
        self.resting = torch.device("cpu") if self.own.offload == "optimiser" else self.device
        """Where the reference and the optimiser's state are while they are not in use."""
        self.optimiser = Optimiser(self.flat, self.settings.optimiser, self.ranks, self.resting)
        self.reference: Tensor | None = None
        self.balance = Balance(self.flat.model, self.settings.experts, self.ranks)
        self.masters = {name: weight.detach() for name, weight in self.flat.model.named_parameters()}
        self.head_grad = self._gradient_of(self.flat.model.head)
        bias, table = self.flat.model.head_bias, self.flat.model.table
        self.bias_grad = None if bias is None else self._gradient_of(bias)
        self.table_grad = None if table is None else self._gradient_of(table)

    def _flat(self, model: LanguageModel) -> FlatWeights:
        """What is trained of it."""
        return FlatWeights(model, DTYPES[self.settings.dtype])

    def update(self, batch: Batch, loss: TokenLoss, lr: float) -> dict[str, float]:
        """One optimiser step; see the protocol. Rows with advantage 0 and no reference are not computed.

        Raises:
            R1Error: the gradient is not finite; weights and optimiser are untouched.
        """
        self.flat.grad.zero_()
        rows = [index for index, row in enumerate(batch.rows) if carries_gradient(row)]
        sums = Sums()
        if batch.sharded or self.ranks.rank == 0:  # otherwise every rank holds the same rows
            sums.totals["rows_skipped"] = float(len(batch.rows) - len(rows))
        routes = self.balance.watch(batch, len(rows))
        with self._passing():
            for micro in self._share(batch, rows, routes):
                self._accumulate(batch, micro, loss, sums)
        if self.ranks.size > 1:
            self.ranks.all_reduce_sum_(self.flat.grad)
        metrics = told_further(sums.reduced(self.ranks)) | self.balance.told(routes)
        metrics["grad_norm"] = self.optimiser.clip()
        if not math.isfinite(metrics["grad_norm"]):
            raise R1Error("the gradient is not finite; lower the learning rate or the clip range")
        if metrics["tokens"]:
            self.optimiser.step(lr)
            for name, change in self.balance.changes(routes):
                self.masters[name].add_(change.to(self.device))
            self.flat.model.after_step()
            self.flat.refresh()
        return metrics

    def logprobs(self, batch: Batch) -> list[Tensor]:
        """float32 [n] of every row under the present weights, on the host; a document's first token, which nothing
        predicts, has 0."""
        return [found[0] for found in self.logprobs_and_entropies(batch)]

    @torch.no_grad()
    def logprobs_and_entropies(self, batch: Batch) -> list[Tensor]:
        """See ``update.learner.Entropic``: float32 [2, n] of every row; 0 where nothing predicts."""
        mine: dict[int, Tensor] = {}
        head = self._head()
        for micro in self._share(batch, range(len(batch.rows))):
            hidden = self.flat.compute.hidden(micro.segments)
            found = torch.stack(head.logprobs(predicting(hidden, micro), micro.targets)).cpu()
            mine |= per_row(batch, micro, found)
        shares = [mine] if batch.sharded else self.ranks.gather_objects(mine)
        return merged(batch, shares, range(len(batch.rows)))

    def refresh_reference(self) -> None:
        """Freeze the present weights as the reference (pi_ref <- pi; every 400 steps in the paper)."""
        self.reference = self.flat.shadow.to(self.resting, copy=True)

    def reference_logprobs(self, batch: Batch) -> list[Tensor]:
        """As ``logprobs``, under the reference."""
        assert self.reference is not None, "refresh_reference() was never called"
        with self.flat.computing_with(self.reference.to(self.device)):
            return self.logprobs(batch)

    @property
    def state_bytes(self) -> int:
        """See ``update.learner.Weighed``."""
        states = (held for state in self.optimiser.adamw.state.values() for held in state.values())
        held = [self.flat.master, self.flat.grad, self.flat.shadow, self.optimiser.momentum]
        held += [one for one in states if isinstance(one, Tensor)]
        return bytes_of(held if self.reference is None else [*held, self.reference])

    def weights(self) -> WeightStream:
        """fp32 master weights under their hub names; views of the learner's memory, good until the next update."""
        return NamedWeights(self.flat.model.hub_weights())

    def _exported(self) -> WeightStream | None:
        """What is written in place of the model's own weights."""
        return None

    def publish(self, engine: Engine, version: int) -> None:
        """See ``Learner.publish``: every rank hands its own engine views of its own memory."""
        engine.load_weights(self.weights(), version)

    def export(self, folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
        """See ``Learner.export``: rank 0 writes, the others wait."""
        if self.ranks.rank == 0:
            save_model(folder, self.flat.model, tokenizer, weights=self._exported())
        self.ranks.broadcast_object(None)

    def save(self, folder: Path) -> None:
        """See ``Learner.save``: all ranks hold the same, so rank 0 writes ``state.pt``."""
        if self.ranks.rank:
            return
        with replacing(folder) as new:
            torch.save(canonical(self._state()), new / STATE)

    def load(self, folder: Path) -> None:
        """Go on from what ``save`` wrote, bit for bit.

        Raises:
            InputError: no such folder, or it is of another model or optimiser.
        """
        path = folder / STATE
        if not path.exists():
            raise InputError(f"no learner state at {folder}; it is written by the run that is to go on")
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, OSError, ValueError, EOFError, KeyError, UnpicklingError) as error:
            raise InputError(f"{path} is damaged: {first_line(error)}") from error
        if [(name, tuple(shape)) for name, shape in state["layout"]] != self.flat.layout():
            raise InputError(f"{folder} holds another model's weights; go on with the recipe that wrote it")
        kind = state["optimiser_settings"]["kind"]
        if kind != self.settings.optimiser.kind:
            raise InputError(f"{folder} was written by {kind}; keep the optimiser's kind")
        self._take(state)

    def _state(self) -> dict[str, Any]:
        """All that ``_take`` needs."""
        return {
            "layout": self.flat.layout(),
            "optimiser_settings": asdict(self.settings.optimiser),
            "master": self.flat.master,
            "optimiser": self.optimiser.state(),
            "reference": self.reference,
        }

    def _take(self, state: dict[str, Any]) -> None:
        self.flat.master.copy_(state["master"])
        self.flat.refresh()
        self.optimiser.load_state(state["optimiser"])
        self.reference = None if state["reference"] is None else state["reference"].to(self.resting)

    def _passing(self) -> AbstractContextManager[None]:
        """Around forward and backward passes."""
        return recomputing(self.flat.compute) if self.own.checkpointing else nullcontext()

    def _gradient_of(self, weight: Tensor) -> Tensor | None:
        """Where a parameter of the master model has its gradient; None: it is not trained."""
        views = dict(self.flat.views(self.flat.grad))
        return views.get(next(name for name, own in self.flat.model.named_parameters() if own is weight))

    def _share(self, batch: Batch, rows: Sequence[int], routes: Routes | None = None) -> list[MicroBatch]:
        """This rank's micro-batches; ``routes`` is told of their experts."""
        dealt = deal(batch, rows, self.settings.token_budget, self.ranks.size)
        mine = dealt[0 if batch.sharded else self.ranks.rank]
        return [build(batch, chosen).to(self.device).watched(routes) for chosen in mine]

    def _embed(self, tokens: Tensor) -> Tensor | None:
        """Embeddings as a leaf of their own: their gradient goes to the rows that were read, not through [V, d]."""
        table = self.flat.compute.table
        return None if table is None else table.detach()[tokens].requires_grad_()

    def _head(self) -> Head:
        model, bias = self.flat.compute, self.flat.compute.head_bias
        bias = None if bias is None else bias.detach()
        return Head(model.head.detach(), self.settings.head_chunk, self.settings.temperature, model.finish, bias)

    def _accumulate(self, batch: Batch, micro: MicroBatch, loss: TokenLoss, sums: Sums) -> None:
        """Add a micro-batch's gradient to the flat one and its metrics to ``sums``."""
        embedded = self._embed(micro.segments.tokens)
        compute, segments = self.flat.compute, micro.segments
        hidden = compute.hidden(segments) if embedded is None else compute.transform(embedded, segments)
        ahead = predicting(hidden.detach(), micro)
        head = self._head()
        grads: list[Tensor] = []
        for at, slope in slopes(batch, micro, loss, sums, self.settings.head_chunk):
            taken, targets = ahead[at], micro.targets[at]
            grads.append(head.gradient(taken, targets, slope, self.head_grad, self.bias_grad))
        grad = torch.cat(grads) if len(grads) > 1 else grads[0]
        if micro.index is not None:
            grad = torch.zeros_like(hidden).index_add_(0, micro.index, grad)
        if self.settings.further and isinstance(compute, Decoder) and compute.ahead is not None and micro.index is None:
            weight, totals = self.settings.further, (self.head_grad, self.bias_grad, self.table_grad)
            grad = grad + self._further(compute, batch, micro, hidden.detach(), sums, weight, totals)
        hidden.backward(grad)
        if embedded is not None and embedded.grad is not None and self.table_grad is not None:
            self.table_grad.index_add_(0, micro.segments.tokens, embedded.grad.float())
        if self.settings.optimiser.keep_mtp and isinstance(compute, Decoder) and compute.ahead is not None:
            self._keep(compute, batch, micro, sums)

    def _keep(self, model: Decoder, batch: Batch, micro: MicroBatch, sums: Sums) -> None:
        """Add the gradient of the layer that predicts a token further, and of no other weight, of rows with prompts."""
        if micro.index is None:
            return
        whole = as_documents(batch, micro.rows)
        budget = self.settings.token_budget
        for chosen in assign(units(whole, range(len(whole.rows)), budget), budget, 1)[0]:
            one = build(whole, chosen).to(self.device)
            with torch.no_grad():
                hidden = model.hidden(one.segments)
            self._further(model, whole, one, hidden, sums, self.settings.optimiser.keep_mtp, (None, None, None))

    def _further(
        self, model: Decoder, batch: Batch, micro: MicroBatch, hidden: Tensor, sums: Sums, weight: float,
        totals: tuple[Tensor | None, Tensor | None, Tensor | None],
    ) -> Tensor:  # fmt: skip
        """The gradient to hidden states [N, d] of the loss of the token after the next, of documents; that of weights
        is added to theirs, of the head, its bias and the embedding to ``totals`` where they are trained."""
        head_grad, bias_grad, table_grad = totals
        leaves = hidden.requires_grad_(), model.table.detach()[micro.targets].requires_grad_()
        index, targets, weights = further_targets(batch, micro)
        made = model.further(*leaves, micro.segments)

        def slope(logprobs: Tensor, entropy: Tensor) -> Tensor:
            sums.add_further(logprobs)
            return -weight * weights

        given = self._head().gradient(made.detach()[index], targets, slope, head_grad, bias_grad)
        made.backward(torch.zeros_like(made).index_add_(0, index, given))
        own, following = (leaf.grad for leaf in leaves)
        assert own is not None
        assert following is not None
        if table_grad is not None:
            table_grad.index_add_(0, micro.targets, following.float())
        return own


def predicting(hidden: Tensor, micro: MicroBatch) -> Tensor:
    """Those of the hidden states [N, d] that predict the micro-batch's targets, [M, d]."""
    return hidden if micro.index is None else hidden[micro.index]
