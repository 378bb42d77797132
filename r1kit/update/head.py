"""Log-probs, entropies and the head's gradient, in chunks: the logits of a whole batch never exist.

Axes: m tokens of a chunk, d hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from r1kit.model.finish import PLAIN, Finish

__all__ = ["Head", "Slope", "spans"]

Slope = Callable[[Tensor, Tensor], Tensor]
"""Log-probs and entropies [m] -> the loss's derivative by each log-prob [m]; see ``Head.gradient``."""
BLOCK = 1 << 18
"""Elements of a matrix that a CPU works on at a time, so that their fp32 copy (1 MB) stays in cache."""


class Head:
    """The last matrix, what the family does to its product, and the softmax behind it."""

    def __init__(
        self, weight: Tensor, chunk: int, temperature: float, finish: Finish = PLAIN, bias: Tensor | None = None
    ) -> None:
        """``weight`` [V, d] and ``bias`` [V] in the compute dtype; at most ``chunk`` rows of logits at a time."""
        self.weight, self.chunk, self.temperature = weight, chunk, temperature
        self.finish, self.bias = finish, bias

    @torch.no_grad()
    def logprobs(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Log-prob of each target and entropy of each distribution, float32 [M], from hidden [M, d]."""
        found = [
            self._softmax(hidden[at : at + self.chunk], targets[at : at + self.chunk])[3:]
            for at in range(0, len(targets), self.chunk)
        ]
        return torch.cat([logprobs for logprobs, _ in found]), torch.cat([entropy for _, entropy in found])

    @torch.no_grad()
    def gradient(
        self,
        hidden: Tensor,
        targets: Tensor,
        slope: Slope,
        total: Tensor | None,
        bias_total: Tensor | None = None,
    ) -> Tensor:
        """Gradient to hidden [M, d]; the weight's is added to ``total`` (fp32 [V, d]; None: it is not trained), the
        bias's to ``bias_total``.

        ``slope`` is called once with log-probs and entropies [M] and gives the loss's derivative by each log-prob.
        Where all fits one chunk the logits are computed once; otherwise again for the gradient.
        """
        if len(targets) <= self.chunk:
            masses, sums, bends, logprobs, entropy = self._softmax(hidden, targets)
            totals = (total, bias_total)
            return self._backward((masses, sums, bends), hidden, targets, slope(logprobs, entropy), totals)
        slopes = slope(*self.logprobs(hidden, targets))
        grads = []
        for at in range(0, len(targets), self.chunk):
            piece = slice(at, at + self.chunk)
            found = self._softmax(hidden[piece], targets[piece])[:3]
            grads.append(self._backward(found, hidden[piece], targets[piece], slopes[piece], (total, bias_total)))
        return torch.cat(grads)

    def _softmax(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor]:
        """exp(logit - largest) [m, V] in the compute dtype and its row sums; log-probs of the targets; entropies.

        Where logits are capped, the first is times the cap's slope, and the third is that slope at the targets [m].
        """
        logits = hidden @ self.weight.t()
        bends = logits.new_empty(len(targets), dtype=torch.float32) if self.finish.cap else None
        largest, sums, chosen, moments = torch.empty(4, len(targets), device=logits.device).unbind()
        step = _rows_at_once(logits)
        z, e = torch.empty(2, min(step, len(targets)), logits.shape[1], device=logits.device).unbind()
        for at in range(0, len(targets), step):
            rows = slice(at, at + step)
            block = logits[rows]
            z, e = z[: len(block)], e[: len(block)]
            z.copy_(block)
            bend = self._finish_(z)
            if self.temperature != 1.0:
                z.div_(self.temperature)
            torch.amax(z, -1, out=largest[rows])
            z.sub_(largest[rows, None])
            torch.exp(z, out=e)
            torch.sum(e, -1, out=sums[rows])
            chosen[rows] = z.gather(1, targets[rows, None])[:, 0]
            if bends is not None and bend is not None:
                bends[rows] = bend.gather(1, targets[rows, None])[:, 0]
                block.copy_(bend.mul_(e))
            else:
                block.copy_(e)
            torch.sum(e.mul_(z), -1, out=moments[rows])
        log_sums = sums.log()
        return logits, sums, bends, chosen - log_sums, log_sums - moments / sums

    def _finish_(self, z: Tensor) -> Tensor | None:
        """Products become logits, in place; the cap's slope at each [rows, V], None where there is no cap."""
        if self.bias is not None:
            z.add_(self.bias)
        if self.finish.scale != 1.0:
            z.mul_(self.finish.scale)
        if not self.finish.cap:
            return None
        z.div_(self.finish.cap).tanh_()
        bend = 1 - z.square()
        z.mul_(self.finish.cap)
        return bend

    def _backward(
        self,
        softmax: tuple[Tensor, Tensor, Tensor | None],
        hidden: Tensor,
        targets: Tensor,
        slopes: Tensor,
        totals: tuple[Tensor | None, Tensor | None],
    ) -> Tensor:
        """``d log p[target] / d logits = onehot - masses / sums``; the one-hot part never becomes a matrix."""
        (masses, sums, bends), (total, bias_total) = softmax, totals
        slopes = slopes * self.finish.scale / self.temperature
        shares = slopes / sums
        if bends is not None:
            slopes = slopes * bends
        if bias_total is not None:
            bias_total.index_add_(0, targets, slopes).sub_((shares.to(masses.dtype) @ masses).float())
        if total is not None:
            scaled = (hidden * shares[:, None]).to(masses.dtype)
            if total.dtype == masses.dtype:
                total.addmm_(masses.t(), scaled, alpha=-1)
            else:
                subtract_(total, masses.t() @ scaled)
            total.index_add_(0, targets, hidden.float() * slopes[:, None])
        grad = (masses @ self.weight).float().mul_(-shares[:, None])
        return grad.addcmul_(self.weight[targets].float(), slopes[:, None]).to(hidden.dtype)


def subtract_(total: Tensor, part: Tensor) -> None:
    """``total -= part`` for a part of another dtype, in pieces whose converted copy stays in cache."""
    step = _rows_at_once(part)
    for at in range(0, len(part), step):
        total[at : at + step].sub_(part[at : at + step])


def _rows_at_once(matrix: Tensor) -> int:
    """All on a GPU, where a pass is one launch."""
    return max(1, len(matrix) if matrix.is_cuda else BLOCK // matrix.shape[1])


def spans(lengths: tuple[int, ...], chunk: int) -> Iterator[tuple[int, int, int, int]]:
    """Cut rows into spans of whole rows of at most ``chunk`` tokens (a longer row is a span of its own).

    Yields (first row, last row + 1, first token, last token + 1).
    """
    row = token = first_row = first = 0
    for length in lengths:
        if token > first and token + length - first > chunk:
            yield first_row, row, first, token
            first_row, first = row, token
        row, token = row + 1, token + length
    if token > first:
        yield first_row, row, first, token
