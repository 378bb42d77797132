"""Log-probs, entropies and the head's gradient, in chunks: the logits of a whole batch never exist.

Axes: m tokens of a chunk, d hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

__all__ = ["Head", "spans"]

ROW_BLOCK = 64
"""Rows of logits that are turned into probabilities at a time, so that their fp32 copy stays in cache."""


class Head:
    """The last matrix and the softmax behind it."""

    def __init__(self, weight: Tensor, chunk: int, temperature: float) -> None:
        """``weight`` [V, d] in the compute dtype; at most ``chunk`` rows of logits at a time."""
        self.weight, self.chunk, self.temperature = weight, chunk, temperature

    @torch.no_grad()
    def logprobs(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Log-prob of each target and entropy of each distribution, float32 [M], from hidden [M, d]."""
        found = [
            self._probabilities(hidden[at : at + self.chunk], targets[at : at + self.chunk])[1:]
            for at in range(0, len(targets), self.chunk)
        ]
        return torch.cat([logprobs for logprobs, _ in found]), torch.cat([entropy for _, entropy in found])

    @torch.no_grad()
    def gradient(
        self, hidden: Tensor, targets: Tensor, slope: Callable[[Tensor, Tensor], Tensor], total: Tensor
    ) -> Tensor:
        """Gradient to hidden [M, d]; the weight's is added to ``total`` (fp32 [V, d]).

        ``slope`` is called once with log-probs and entropies [M] and gives the loss's derivative by each log-prob.
        Where all fits one chunk the logits are computed once; otherwise again for the gradient.
        """
        if len(targets) <= self.chunk:
            probabilities, logprobs, entropy = self._probabilities(hidden, targets)
            return self._backward(probabilities, hidden, targets, slope(logprobs, entropy), total)
        slopes = slope(*self.logprobs(hidden, targets))
        grads = []
        for at in range(0, len(targets), self.chunk):
            piece = slice(at, at + self.chunk)
            probabilities = self._probabilities(hidden[piece], targets[piece])[0]
            grads.append(self._backward(probabilities, hidden[piece], targets[piece], slopes[piece], total))
        return torch.cat(grads)

    def _probabilities(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Probabilities [m, V] in the compute dtype, log-probs of the targets [m], entropies [m]."""
        logits = hidden @ self.weight.t()
        logprobs, entropy = torch.empty(len(targets)), torch.empty(len(targets))
        for at in range(0, len(targets), ROW_BLOCK):
            rows = slice(at, at + ROW_BLOCK)
            block = logits[rows].float()
            if self.temperature != 1.0:
                block = block / self.temperature
            log_p = torch.log_softmax(block, dim=-1)
            p = log_p.exp()
            logprobs[rows] = log_p.gather(1, targets[rows, None])[:, 0]
            entropy[rows] = -torch.linalg.vecdot(p, log_p)
            logits[rows] = p
        return logits, logprobs, entropy

    def _backward(
        self, probabilities: Tensor, hidden: Tensor, targets: Tensor, slopes: Tensor, total: Tensor
    ) -> Tensor:
        """``d log p[target] / d logits = onehot - p``; overwrites the probabilities."""
        slopes = (slopes / self.temperature).to(probabilities.dtype)
        logits_grad = probabilities.mul_(-slopes[:, None])
        logits_grad[torch.arange(len(targets)), targets] += slopes
        if total.dtype == logits_grad.dtype:
            total.addmm_(logits_grad.t(), hidden)
        else:
            total.add_(logits_grad.t() @ hidden)
        return logits_grad @ self.weight


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
