"""From a batch to micro-batches: whole groups where possible, a token budget, a fair share for every rank.

A function of the batch and the settings alone: every rank computes the same plan and takes its own part.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from r1kit.model.routes import Routes
from r1kit.model.segments import Segments
from r1kit.update.learner import Batch, Row

__all__ = ["MicroBatch", "Unit", "assign", "build", "carries_gradient", "deal", "merged", "per_row", "units"]


@dataclass(frozen=True, slots=True)
class Unit:
    """Rows of one prompt that are computed together, or one document."""

    prompt: int
    """-1: a document."""
    rows: tuple[int, ...]
    tokens: int
    """That go through the model."""


@dataclass(frozen=True, slots=True)
class MicroBatch:
    segments: Segments
    rows: tuple[int, ...]
    """[R], indices into the batch."""
    lengths: tuple[int, ...]
    """[R], targets of each row."""
    targets: Tensor
    """int64 [M]"""
    index: Tensor | None
    """int64 [M]: the packed token whose hidden state predicts each target; None: token i predicts target i."""

    def watched(self, routes: Routes | None) -> MicroBatch:
        """The same, whose choices of experts ``routes`` is told."""
        return self if routes is None else replace(self, segments=replace(self.segments, routes=routes))

    def to(self, device: torch.device) -> MicroBatch:
        """The same with its tensors on ``device``."""
        return replace(
            self,
            segments=replace(
                self.segments,
                tokens=self.segments.tokens.to(device),
                replay=None if self.segments.replay is None else self.segments.replay.to(device),
            ),
            targets=self.targets.to(device),
            index=None if self.index is None else self.index.to(device),
        )


def units(batch: Batch, rows: Sequence[int], budget: int) -> list[Unit]:
    """Groups of the chosen rows, cut where one passes ``budget`` tokens; longest first."""
    groups: dict[int, list[int]] = {}
    found = []
    for row in rows:
        if batch.rows[row].prompt < 0:
            found.append(Unit(-1, (row,), len(batch.rows[row].tokens) - 1))
        else:
            groups.setdefault(batch.rows[row].prompt, []).append(row)
    for prompt, members in groups.items():
        before = len(batch.prompts[prompt])
        piece: list[int] = []
        tokens = before
        for row in members:
            more = len(batch.rows[row].tokens) - 1
            if piece and tokens + more > budget:
                found.append(Unit(prompt, tuple(piece), tokens))
                piece, tokens = [], before
            piece.append(row)
            tokens += more
        found.append(Unit(prompt, tuple(piece), tokens))
    return sorted(found, key=lambda unit: (-unit.tokens, unit.rows))


def assign(found: Sequence[Unit], budget: int, ranks: int) -> list[list[list[Unit]]]:
    """[ranks][micro-batches][units]: the longest unit to the least loaded rank, then first fit under the budget."""
    shares: list[list[Unit]] = [[] for _ in range(ranks)]
    loads = [(0, rank) for rank in range(ranks)]
    for unit in found:
        load, rank = heapq.heappop(loads)
        shares[rank].append(unit)
        heapq.heappush(loads, (load + unit.tokens, rank))
    return [_first_fit(share, budget) for share in shares]


def deal(batch: Batch, rows: Sequence[int], budget: int, ranks: int) -> list[list[list[Unit]]]:
    """[ranks][micro-batches][units] of the chosen rows; of a sharded batch, which is one rank's, [1][..][..].

    Rows that have no target are left out.
    """
    rows = [row for row in rows if len(batch.rows[row].tokens) > (batch.rows[row].prompt < 0)]
    found = units(batch, rows, budget)
    if batch.sharded:
        return assign(found, budget, 1)
    if ranks > 1:  # no unit may outweigh a fair share
        fair = -(-sum(unit.tokens for unit in found) // ranks)
        found = units(batch, rows, min(budget, fair))
    return assign(found, budget, ranks)


def carries_gradient(row: Row) -> bool:
    """Whether a row can change the weights: it counts, and has an advantage or a reference."""
    silent = isinstance(row.weight, float | int) and row.weight == 0
    pays = bool(row.advantage.any()) if isinstance(row.advantage, Tensor) else row.advantage != 0
    return not silent and (pays or row.reference_logprobs is not None)


def build(batch: Batch, chosen: Sequence[Unit]) -> MicroBatch:
    """Pack units into one run of tokens. The last token of a completion predicts nothing, so it is never an input."""
    runs: list[Tensor] = []
    index: list[Tensor] = []
    targets: list[Tensor] = []
    parents, rows = [], []
    start = 0
    documents = all(unit.prompt < 0 for unit in chosen)
    for unit in chosen:
        root = -1
        if unit.prompt >= 0:
            root = len(runs)
            runs.append(batch.prompts[unit.prompt])
            parents.append(-1)
            start += len(runs[-1])
        last = start - 1
        for row in unit.rows:
            tokens, document = batch.rows[row].tokens, unit.prompt < 0
            rows.append(row)
            targets.append(tokens[1:] if document else tokens)
            if not documents:
                index.append(torch.arange(start - (not document), start + len(tokens) - 1))
                if not document:
                    index[-1][0] = last
            if len(tokens) > 1:
                runs.append(tokens[:-1])
                parents.append(root)
                start += len(tokens) - 1
    segments = Segments.pack(runs, parents)
    return MicroBatch(
        replace(segments, replay=_replayed(batch, chosen)),
        tuple(rows),
        tuple(len(target) for target in targets),
        torch.cat(targets),
        None if documents else torch.cat(index),
    )


def per_row(batch: Batch, micro: MicroBatch, found: Tensor) -> dict[int, Tensor]:
    """Row of the batch -> its part [k, n] of what a micro-batch's targets were told, float32 [k, M]; a document's first
    token, which nothing predicts, has 0."""
    pieces = found.split(micro.lengths, dim=-1) if micro.rows else ()
    return {
        row: F.pad(piece, (1, 0)) if batch.rows[row].prompt < 0 else piece.clone()
        for row, piece in zip(micro.rows, pieces, strict=True)
    }


def merged(batch: Batch, shares: Iterable[Mapping[int, Tensor]], rows: Iterable[int]) -> list[Tensor]:
    """Of each of these rows what a rank was told, [2, n]; 0 where the row has no target."""
    found = {row: values for share in shares for row, values in share.items()}
    return [found.get(row, torch.zeros(2, len(batch.rows[row].tokens))) for row in rows]


def _replayed(batch: Batch, chosen: Sequence[Unit]) -> Tensor | None:
    """``Segments.replay`` of the same tokens: a prompt's by the first of its rows."""
    found: list[Tensor] = []
    for unit in chosen:
        before = len(batch.prompts[unit.prompt]) if unit.prompt >= 0 else 0
        told = [batch.rows[row].experts for row in unit.rows]
        present = [each for each in told if each is not None]
        if present:
            assert len(present) == len(told), "some rows of the batch have experts, some have none"
            found += [present[0][:before], *(each[before:] for each in present)]
    return torch.cat(found).long() if found else None


def _first_fit(share: Sequence[Unit], budget: int) -> list[list[Unit]]:
    bins: list[list[Unit]] = []
    room: list[int] = []
    for unit in share:
        for place, left in enumerate(room):
            if unit.tokens <= left:
                bins[place].append(unit)
                room[place] -= unit.tokens
                break
        else:
            bins.append([unit])
            room.append(budget - unit.tokens)
    return bins
