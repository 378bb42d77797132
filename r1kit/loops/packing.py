"""Documents packed into steps of a fixed number of tokens: which tokens a step reads is a function of the step alone.

Documents longer than the context are cut into pieces. In each epoch the pieces stand in an order of its own, one after
the other; a step takes the tokens from where the last one ended, and a piece that lies across two steps is cut there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

__all__ = ["Marks", "Pieces", "filled", "pieces_of"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Marks:
    """Tokens that stand before a prefix, a suffix and the middle, and how often a piece is cut."""

    prefix: int
    suffix: int
    middle: int
    rate: float
    """Share of the pieces."""
    spm: float
    """Of those, the share that is written suffix first."""
    around: tuple[int, ...]
    """Begin and end token of a document: they stay where they are."""


class Pieces:
    """Pieces of documents in an endless stream, epoch after epoch."""

    def __init__(self, ids: npt.NDArray[np.generic], begins: Ints, lengths: Ints, seed: int, marks: Marks | None):
        """``ids``: all documents, [N]; a piece is ``lengths[i]`` tokens from ``begins[i]`` on."""
        self._ids, self._begins, self._lengths = ids, begins, lengths
        self._seed, self._marks = seed, marks
        self._cut = round(marks.rate * len(begins)) if marks else 0
        self.tokens = int(lengths.sum()) + 3 * self._cut
        """Of an epoch; each piece that is cut has three marks more."""
        self._epoch = lru_cache(maxsize=2)(self._ordered)

    def _ordered(self, epoch: int) -> tuple[Ints, npt.NDArray[np.bool_], Ints]:
        """(order of the pieces, which of them are cut, where each ends in the epoch), the latter two in that order."""
        draw = np.random.RandomState([self._seed % 2**32, self._seed >> 32 & 0xFFFFFFFF, epoch])
        order = draw.permutation(len(self._begins))
        cut = np.zeros(len(order), dtype=bool)
        cut[draw.permutation(len(order))[: self._cut]] = True
        return order, cut, np.cumsum(self._lengths[order] + 3 * cut)

    def read(self, first: int, count: int) -> list[Ints]:
        """Tokens ``first`` to ``first + count`` of the stream, piece by piece."""
        found = []
        while count:
            epoch, at = divmod(first, self.tokens)
            order, cut, ends = self._epoch(epoch)
            place = int(np.searchsorted(ends, at, side="right"))
            piece = self._piece(int(order[place]), bool(cut[place]), epoch)
            begin = at - (int(ends[place]) - len(piece))
            taken = piece[begin : begin + count]
            found.append(taken)
            first, count = first + len(taken), count - len(taken)
        return found

    def _piece(self, number: int, cut: bool, epoch: int) -> Ints:
        begin = int(self._begins[number])
        tokens = np.asarray(self._ids[begin : begin + int(self._lengths[number])], dtype=np.int64)
        if not cut or self._marks is None:
            return tokens
        draw = np.random.RandomState([self._seed % 2**32, self._seed >> 32 & 0xFFFFFFFF, epoch, number])
        return filled(tokens, self._marks, draw)


def pieces_of(starts: Ints, context: int) -> tuple[Ints, Ints]:
    """(begins, lengths) of the pieces of documents that begin at ``starts[:-1]`` and end at ``starts[1:]``.

    A piece of one token, which would predict nothing, is left out.
    """
    sizes = np.diff(starts)
    counts = -(-sizes // context)
    owner = np.repeat(np.arange(len(sizes)), counts)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    begins = starts[owner] + within * context
    lengths = np.minimum(context, starts[owner + 1] - begins)
    kept = lengths > 1
    return begins[kept], lengths[kept]


def filled(tokens: Ints, marks: Marks, draw: np.random.RandomState) -> Ints:
    """A piece cut in three at random and written with its middle last (2207.14255).

    Prefix, suffix, middle: ``PRE prefix SUF suffix MID middle``; suffix first: ``PRE SUF suffix MID prefix middle``.
    """
    begin = int(len(tokens) > 0 and int(tokens[0]) in marks.around)
    end = len(tokens) - int(len(tokens) > begin and int(tokens[-1]) in marks.around)
    first, second = sorted(draw.randint(begin, end + 1, size=2))
    prefix, middle, suffix = tokens[begin:first], tokens[first:second], tokens[second:end]
    if draw.random_sample() < marks.spm:
        parts = [[marks.prefix, marks.suffix], suffix, [marks.middle], prefix, middle]
    else:
        parts = [[marks.prefix], prefix, [marks.suffix], suffix, [marks.middle], middle]
    whole = [tokens[:begin], *parts, tokens[end:]]
    return np.concatenate([np.asarray(part, dtype=np.int64) for part in whole])
