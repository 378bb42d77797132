"""One fused sampler: a token and its log-prob from logits and one uniform number a row.

Inverse CDF in two levels: exponentials are summed in blocks, the block is found in the blocks' running sum and the
token in the block's own, so nothing of vocabulary size is ever cumulated, sorted or drawn.

Convention: the log-prob is that of the distribution the token was drawn from, after the temperature and, where
``top_p < 1``, renormalised over the kept tokens. Greedy (temperature 0) is a distribution with one token: log-prob 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["sample"]

_BLOCK = 256
_BELOW_ONE = 1.0 - 2.0**-22
_TOP = 256


def sample(logits: Tensor, uniform: Tensor, temperature: float = 1.0, top_p: float = 1.0) -> tuple[Tensor, Tensor]:
    """Draw one token a row.

    Args:
        logits: [B, V], any float type; computed in float32.
        uniform: float32 [B] in [0, 1).
        temperature: 0 takes the largest logit.
        top_p: keep the smallest set of most likely tokens whose probability reaches ``top_p``; tokens as likely as
            the last of them are kept too, so that ties do not depend on a sort's order.

    Returns:
        int64 [B] tokens and float32 [B] log-probs. A token of probability 0 is never returned.
    """
    if temperature == 0.0:
        return logits.argmax(-1), torch.zeros(len(logits), device=logits.device)
    scaled = logits if temperature == 1.0 else logits.float() / temperature
    if logits.shape[-1] <= 4 * _BLOCK and top_p >= 1.0:
        return _one_level(scaled, uniform)
    top = scaled.amax(-1, keepdim=True).float()
    weights, whole = _weights(scaled, top)
    if top_p < 1.0:
        _drop_tail(weights, top_p)
    tokens, picked, total = _two_level(whole, uniform)
    if top_p < 1.0:
        return tokens, (picked / total).log_()
    score = scaled.gather(1, tokens[:, None]).float() - top
    return tokens, (score - total[:, None].log()).squeeze(1)


def _one_level(scores: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Small vocabularies: one running sum."""
    logprobs = torch.log_softmax(scores, -1, dtype=torch.float32)
    running = logprobs.exp().cumsum_(-1)
    tokens = torch.searchsorted(running, _inside(uniform[:, None], running[:, -1:]), right=True)
    return tokens.squeeze(1), logprobs.gather(1, tokens).squeeze(1)


def _weights(scores: Tensor, top: Tensor) -> tuple[Tensor, Tensor]:
    """exp(score - top), float32 [B, V], and the same in whole blocks [B, W], the rest 0."""
    rows, vocab = scores.shape
    width = -(-vocab // _BLOCK) * _BLOCK
    whole = torch.empty(rows, width, dtype=torch.float32, device=scores.device)
    weights = whole[:, :vocab]
    whole[:, vocab:] = 0.0
    torch.sub(scores, top, out=weights)
    weights.exp_()
    return weights, whole


def _two_level(whole: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Token, its weight and the weights' sum, [B] each."""
    rows = len(whole)
    blocks = whole.view(rows, -1, _BLOCK)
    sums = blocks.sum(-1)
    running = sums.cumsum(-1)
    total = running[:, -1:]
    target = _inside(uniform[:, None], total)
    block = torch.searchsorted(running, target, right=True)
    before = running.gather(1, block) - sums.gather(1, block)
    chosen = blocks[torch.arange(rows, device=whole.device), block.squeeze(1)]
    inner = chosen.cumsum(-1)
    rest = torch.minimum(target - before, inner[:, -1:] * _BELOW_ONE).clamp_min_(0.0)
    offset = torch.searchsorted(inner, rest, right=True)
    return (block * _BLOCK + offset).squeeze(1), chosen.gather(1, offset).squeeze(1), total.squeeze(1)


def _inside(uniform: Tensor, total: Tensor) -> Tensor:
    """A point of [0, total): never total itself, so the first running sum above it ends on a positive weight."""
    return torch.minimum(uniform * total, total * _BELOW_ONE)


def _drop_tail(weights: Tensor, top_p: float) -> None:
    """Zero, in place, what lies outside the nucleus (Holtzman et al., 2020)."""
    mass = weights.sum(-1, keepdim=True) * top_p
    count = min(_TOP, weights.shape[-1])
    while True:
        largest = weights.topk(count, dim=-1).values
        running = largest.cumsum(-1)
        if count == weights.shape[-1] or bool((running[:, -1:] >= mass).all()):
            break
        count = min(8 * count, weights.shape[-1])
    kept = ((running - largest) < mass).sum(-1, keepdim=True).clamp_min_(1)
    weights.masked_fill_(weights < largest.gather(1, kept - 1), 0.0)
