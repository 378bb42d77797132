"""One fused sampler: a token and its log-prob from logits and one uniform number a row.

Inverse CDF in two levels: exponentials are summed in blocks, the block is found in the blocks' running sum and the
token in the block's own, so nothing of vocabulary size is ever cumulated, sorted or drawn. Only the blocks' sums are
kept: the exponentials stay in a buffer that fits the processor's cache, and the chosen block's are taken again.

Convention: the log-prob is that of the distribution the token was drawn from, after the temperature and, where
``top_p < 1``, renormalised over the kept tokens. Greedy (temperature 0) is a distribution with one token: log-prob 0.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["sample"]

_BLOCK = 256
_SMALL = 1024
"""Up to this vocabulary one running sum is cheaper than two."""
_LEADING = 8
"""Tokens that are looked at first for a nucleus, which seldom has more; then eight times as many."""
_CACHED = 1 << 19
"""Exponentials held at a time on a CPU: 2 MB."""
_BELOW_ONE = 1.0 - 2.0**-22
COLDEST = 1e-6
"""Logits that are divided by less may leave float32."""


def sample(logits: Tensor, uniform: Tensor, temperature: float = 1.0, top_p: float = 1.0) -> tuple[Tensor, Tensor]:
    """Draw one token a row.

    Args:
        logits: [B, V], any float type; computed in float32.
        uniform: float32 [B] in [0, 1).
        temperature: 0, and what is below ``COLDEST``, takes the largest logit, the first of equals.
        top_p: keep the smallest set of most likely tokens whose probability reaches ``top_p``; tokens as likely as
            the last of them are kept too, so that ties do not depend on a sort's order.

    Returns:
        int64 [B] tokens and float32 [B] log-probs. A token of probability 0 is never returned.
    """
    if temperature < COLDEST:
        return _first_largest(logits), torch.zeros(len(logits), device=logits.device)
    if top_p < 1.0:
        return _from_nucleus(logits.float() / temperature, uniform, top_p)
    if logits.shape[-1] <= _SMALL:
        scores = logits if temperature == 1.0 else logits.float() / temperature
        logprobs = torch.log_softmax(scores, -1, dtype=torch.float32)
        tokens = _position(logprobs.exp(), uniform[:, None])
        return tokens.squeeze(1), logprobs.gather(1, tokens).squeeze(1)
    return _two_level(logits, uniform, 1.0 / temperature)


def _two_level(logits: Tensor, uniform: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Tokens and log-probs [B] of softmax(scale * logits)."""
    sums, top = _block_sums(logits, scale)
    running = sums.cumsum(-1)
    total = running[:, -1:]
    target = _inside(uniform[:, None] * total, total)
    block = torch.searchsorted(running, target, right=True)
    before = running.gather(1, block) - sums.gather(1, block)
    columns = block * _BLOCK + torch.arange(_BLOCK, device=logits.device)
    outside = columns >= logits.shape[-1]
    scores = logits.gather(1, columns.clamp_max(logits.shape[-1] - 1)).float() * scale - top
    inner = scores.masked_fill(outside, -torch.inf).exp().cumsum(-1)
    offset = torch.searchsorted(inner, _inside(target - before, inner[:, -1:]), right=True)
    tokens = (block * _BLOCK + offset).squeeze(1)
    return tokens, (scores.gather(1, offset) - total.log()).squeeze(1)


def _block_sums(logits: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Sums of exp(scale * logit - top) in blocks, float32 [B, blocks], and top [B, 1], the largest scaled logit."""
    rows, vocab = logits.shape
    width = -(-vocab // _BLOCK) * _BLOCK
    at_once = rows if logits.is_cuda else max(1, min(rows, _CACHED // width))
    whole = torch.empty(at_once, width, dtype=torch.float32, device=logits.device)
    whole[:, vocab:] = 0.0
    sums = torch.empty(rows, width // _BLOCK, dtype=torch.float32, device=logits.device)
    top = torch.empty(rows, 1, dtype=torch.float32, device=logits.device)
    for start in range(0, rows, at_once):
        part = slice(start, min(start + at_once, rows))
        buffer = whole[: part.stop - start]
        weights = buffer[:, :vocab]
        weights.copy_(logits[part])
        if scale != 1.0:
            weights.mul_(scale)
        torch.amax(weights, -1, keepdim=True, out=top[part])
        weights.sub_(top[part]).exp_()
        torch.sum(buffer.view(len(buffer), -1, _BLOCK), -1, out=sums[part])
    return sums, top


def _from_nucleus(scores: Tensor, uniform: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """Tokens and log-probs [B] of softmax(scores) cut to its nucleus (Holtzman et al., 2020) and renormalised."""
    rows, vocab = scores.shape
    at_once = rows if scores.is_cuda or vocab <= _SMALL else max(1, _CACHED // vocab)
    parts = []
    for some, numbers in zip(torch.split(scores, at_once), torch.split(uniform, at_once), strict=True):
        weights = torch.softmax(some, -1)
        places = None
        if vocab > _SMALL:
            weights, places = _likely(weights, top_p)
        weights.masked_fill_(weights < _least_kept(weights, top_p), 0.0)
        tokens = _position(weights, numbers[:, None])
        logprobs = (weights.gather(1, tokens) / weights.sum(-1, keepdim=True)).log_()
        parts.append((tokens if places is None else places.gather(1, tokens), logprobs))
    return torch.cat([tokens for tokens, _ in parts])[:, 0], torch.cat([logprobs for _, logprobs in parts])[:, 0]


def _least_kept(weights: Tensor, top_p: float) -> Tensor:
    """[B, 1]: of each row of [B, m] the smallest weight in the nucleus. Often the largest is all of it, and seldom are
    more than a few, so little is sorted."""
    least = weights.amax(-1, keepdim=True)
    wide = (least[:, 0] < top_p).nonzero()[:, 0]
    count, some = _LEADING, weights[wide]
    while len(wide):
        leading = some.topk(min(count, some.shape[1])).values
        running = leading.cumsum(-1)
        if count >= some.shape[1] or bool((running[:, -1] >= top_p).all()):
            kept = ((running - leading) < top_p).sum(-1, keepdim=True)
            least[wide] = leading.gather(1, kept - 1)
            break
        count *= 8
    return least


def _likely(weights: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """The few tokens that can be in the nucleus: weights (0 beyond a row's own) and tokens [B, m], in token order.

    A row's floor falls by tens until what lies above it holds ``top_p`` of the mass.
    """
    floor = torch.full((len(weights), 1), 0.01, device=weights.device)
    while True:
        above = weights >= floor
        short = (weights * above).sum(-1, keepdim=True) < top_p
        if not bool(short.any()):
            break
        floor = torch.where(short, torch.where(floor > 1e-9, floor * 0.1, -1.0), floor)
        if bool((floor[short] < 0).all()):
            above = weights >= floor
            break
    row, column = above.nonzero(as_tuple=True)
    counts = above.sum(-1)
    place = torch.arange(len(row), device=row.device) - (counts.cumsum(-1) - counts)[row]
    few = torch.zeros(len(weights), int(counts.max()), device=weights.device)
    tokens = torch.zeros(few.shape, dtype=torch.int64, device=weights.device)
    few[row, place], tokens[row, place] = weights[row, column], column
    return few, tokens


def _position(weights: Tensor, uniform: Tensor) -> Tensor:
    """int64 [B, 1]: where the running sum of the weights [B, V] passes ``uniform`` [B, 1] of it."""
    running = weights.cumsum(-1)
    total = running[:, -1:]
    return torch.searchsorted(running, _inside(uniform * total, total), right=True)


def _inside(target: Tensor, total: Tensor) -> Tensor:
    """``target`` within [0, total): the first running sum above it then ends on a positive weight."""
    return torch.minimum(target, total * _BELOW_ONE).clamp_min_(0.0)


def _first_largest(logits: Tensor) -> Tensor:
    """int64 [B], in two levels (argmax over bfloat16 rows is slow)."""
    rows, vocab = logits.shape
    blocks = F.pad(logits, (0, -vocab % _BLOCK), value=-torch.inf).view(rows, -1, _BLOCK)
    block = blocks.amax(-1).float().argmax(-1)
    chosen = blocks[torch.arange(rows, device=logits.device), block].float()
    return block * _BLOCK + chosen.argmax(-1)
