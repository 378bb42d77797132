"""Sequence parallel: the ranks of a group share the tokens of one micro-batch (Ulysses, 2309.14509), for long rows.

Each rank has a slice of the packed tokens for all that goes token by token; for attention the ranks exchange, so that
each has all tokens and a part of the heads. Packed rows and shared prompts therefore stay as they are. The loss needs
whole rows, so log-probs, two numbers a token, are brought together.

Axes: N packed tokens, a multiple of P; P ranks in a group; M targets, m of them predicted by a rank's own tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.nn.functional import all_to_all_single

from r1kit.cluster.ranks import Ranks, wait_as_long
from r1kit.errors import InputError
from r1kit.model.decoder import Decoder
from r1kit.model.language_model import LanguageModel
from r1kit.model.segments import Segments
from r1kit.update.head import Slope
from r1kit.update.learner import Batch, Row
from r1kit.update.pack import MicroBatch

__all__ = ["Cut", "Together", "together"]


@dataclass(frozen=True, slots=True)
class Cut:
    """A micro-batch as one rank of a group computes it."""

    micro: MicroBatch
    """All tokens, so that attention knows its segments; index and targets of the rank's own m, the former among its
    own tokens. A rank that predicts nothing has one target that counts nothing."""
    own: Tensor
    """int64 [m]: which of the M targets are the rank's."""
    targets: int
    """M"""


class Together:
    """The group that this rank is in. Every method but ``cut`` and ``following`` is a collective of the group."""

    def __init__(self, group: dist.ProcessGroup, size: int, ranks: Ranks) -> None:
        self.group, self.size, self.ranks = group, size, ranks
        self.rank, self.number = ranks.rank % size, ranks.rank // size
        """In the group; of the group among all."""

    def joined(self, batch: Batch) -> tuple[Batch, slice]:
        """The rows of all ranks of the group as one batch, and which of them are this rank's; a whole batch stays."""
        if not batch.sharded:
            return batch, slice(0, len(batch.rows))
        shares: list[Batch] = [batch] * self.size
        with self.ranks.together():
            dist.all_gather_object(shares, batch, group=self.group)
        prompts: list[Tensor] = []
        rows: list[Row] = []
        first = 0
        for rank, share in enumerate(shares):
            first = len(rows) if rank == self.rank else first
            offset = len(prompts)
            rows += [replace(row, prompt=row.prompt + offset) if row.prompt >= 0 else row for row in share.rows]
            prompts += share.prompts
        return Batch(prompts=prompts, rows=rows, sharded=True), slice(first, first + len(batch.rows))

    def cut(self, micro: MicroBatch) -> Cut:
        """This rank's part of a micro-batch that all ranks of the group have alike."""
        if micro.segments.replay is not None:
            raise InputError("engine.replay is not for ranks that share tokens: set learner.sequence = 1, or drop it")
        runs = [*micro.segments.tokens.split(list(micro.segments.lengths))]
        lacking = -sum(map(len, runs)) % self.size
        if lacking:  # tokens of a run of its own, which nobody sees
            runs.append(runs[0].new_zeros(lacking))
        segments = Segments.pack(runs, [*micro.segments.parents, *[-1] * bool(lacking)])
        each = len(segments.tokens) // self.size
        count = len(micro.targets) if micro.rows else 0
        index = torch.arange(count, device=segments.tokens.device) if micro.index is None else micro.index
        index = index - self.rank * each
        own = ((index >= 0) & (index < each)).nonzero()[:, 0]
        index, targets = index[own], micro.targets[own]
        if not len(own):
            index = targets = index.new_zeros(1)
        segments = replace(segments, spread=self, fill=lacking, routes=micro.segments.routes)
        return Cut(replace(micro, segments=segments, index=index, targets=targets), own, count)

    def whole(self, cut: Cut, *values: Tensor) -> list[Tensor]:
        """Of each, float32 [m] of a rank's own targets: [M], the same on every rank."""
        found = torch.zeros(len(values), cut.targets, device=values[0].device)
        found[:, cut.own] = torch.stack(values)[:, : len(cut.own)]
        with self.ranks.together():
            dist.all_reduce(found, group=self.group)
        return list(found.unbind())

    def pieces(self, cut: Cut, whole: Sequence[tuple[slice, Slope]]) -> list[tuple[slice, Slope]]:
        """What ``head_loss`` needs for a rank's own targets: slopes that are those of whole rows.

        Args:
            cut: whose targets.
            whole: consecutive slices of [M], and their slopes.
        """

        def slope(logprobs: Tensor, entropy: Tensor) -> Tensor:
            values = self.whole(cut, logprobs, entropy)
            slopes = torch.cat([each(values[0][at], values[1][at]) for at, each in whole])
            return slopes[cut.own] if len(cut.own) else torch.zeros_like(logprobs)

        return [(slice(0, len(cut.micro.targets)), slope)]

    def following(self, cut: Cut, following: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the layer that predicts a token further needs of a rank's own tokens.

        Args:
            cut: of the micro-batch.
            following: each token's next one, int64, before tokens are added to divide by P.
            index: chosen tokens of all.

        Returns:
            The next ones of this rank's N / P tokens, 0 where tokens were added; its chosen tokens, counted from its
            first; which of ``index`` they are.
        """
        mine = self.slice_of(len(cut.micro.segments.tokens))
        following = F.pad(following, (0, len(cut.micro.segments.tokens) - len(following)))[mine]
        own = ((index >= mine.start) & (index < mine.stop)).nonzero()[:, 0]
        return following, index[own] - mine.start, own

    # ---- model.segments.Spread --------------------------------------------------------------------------------------

    def slice_of(self, count: int) -> slice:
        """This rank's of so many tokens."""
        each = count // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def to_heads(self, qkv: Tensor, heads: tuple[int, int, int]) -> Tensor:
        """[N / P, (H + 2 K) D] -> [N, (H + 2 K) D / P]: from all heads of some tokens to some heads of all."""
        H, K, D = heads
        split = qkv.view(len(qkv), H + 2 * K, D).split([H, K, K], dim=1)
        parts = [torch.cat([one.chunk(self.size, 1)[rank] for one in split], 1) for rank in range(self.size)]
        return self._exchanged(torch.stack(parts)).reshape(len(qkv) * self.size, -1)

    def to_tokens(self, out: Tensor) -> Tensor:
        """[N, H D / P] -> [N / P, H D], the way back."""
        back = self._exchanged(out.view(self.size, -1, out.shape[1]))
        return back.transpose(0, 1).reshape(back.shape[1], -1)

    def _exchanged(self, parts: Tensor) -> Tensor:
        """[P, ...], one part for each rank -> [P, ...], one from each."""
        parts = parts.contiguous()
        found: Tensor = all_to_all_single(torch.empty_like(parts), parts, group=self.group)
        return found


def together(ranks: Ranks, size: int, model: LanguageModel, device: torch.device) -> Together | None:
    """The group of this rank, of ``size`` ranks that follow each other; None for 1. A collective.

    Raises:
        InputError: the ranks or the model's heads do not divide so.
    """
    if size == 1:
        return None
    told = f"learner.sequence = {size}"
    if ranks.size % size:
        raise InputError(f"{told} does not divide the {ranks.size} ranks; choose a divisor")
    if not isinstance(model, Decoder):
        why = f"{model.config.family} runs in transformers, whose attention is not shared out; set 1"
        raise InputError(f"{told}: {why}")
    heads = model.config.num_heads, model.config.num_kv_heads
    if any(count % size for count in heads):
        raise InputError(f"{told} must divide the model's {heads[0]} heads and {heads[1]} key-value heads")
    mesh = init_device_mesh(device.type, (ranks.size // size, size), mesh_dim_names=("group", "sequence"))
    group = mesh.get_group("sequence")
    wait_as_long(group)
    return Together(group, size, ranks)
