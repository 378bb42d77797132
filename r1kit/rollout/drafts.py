"""Self-speculative decoding: the layer that predicts a token further drafts one, which the model reads at once.

The model draws a row's next token from its own logits by the row's own random number, whatever was drafted. A draft
that is that very token was read already, so that the token after it can be drawn at once. So the completions are those
of the engine without drafts, token by token (rounding aside), at every temperature and ``top_p``; how many drafts hit
decides nothing but how often the model runs. The draft takes the same random number, so that it hits wherever both
distributions put that number on the same token.

A row's place in the cache is its tokens' own: what a wrong draft left is written over.

Axes: n rows in flight, d hidden, H heads, W numbers kept of a token, T columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from r1kit.rollout.decode import CachedDecoder, Prefix
from r1kit.rollout.flight import Flight
from r1kit.rollout.packed import PackedBlock, PackedDecoder
from r1kit.rollout.sampler import sample
from r1kit.rollout.streams import uniforms

__all__ = ["DraftedFlight", "DraftingDecoder"]


class DraftingDecoder(CachedDecoder):
    """A latent cache with a layer more. Entry i of that layer is of hidden state i and of token i + 1.

    After a hit that layer lacks two entries of a row, after a miss one, which is then given twice.
    """

    further = 1

    def __init__(self, weights: PackedDecoder, rows: int, longest: int) -> None:
        """``longest``: positions a row may reach."""
        assert weights.ahead is not None
        longest += 2  # a draft that is read beyond the last token
        super().__init__(weights, rows, longest, longest)
        self._ahead = weights.ahead
        self._width = longest
        self._cache = self._view(longest)
        self._lengths = torch.zeros(rows, dtype=torch.int64, device=self.device)
        self._places = torch.zeros(rows, 2, dtype=torch.int64, device=self.device)
        """Of the entries that the further layer lacks."""
        self._following = torch.zeros_like(self._places)
        """Their tokens; the second is the newest."""
        self._hidden = torch.zeros(rows, 2, weights.config.hidden_size, dtype=self.dtype, device=self.device)
        self._longest = 0

    @property
    def free_columns(self) -> int:
        """Rows have columns of their own."""
        return self._most

    def admit(self, prefixes: Sequence[Prefix], live: int) -> None:
        """See ``CachedDecoder.admit``."""
        for slot, prefix in enumerate(prefixes, live):
            self._cache[:, :, slot, 0, : prefix.length] = prefix.keys_values
            self._lengths[slot], self._places[slot], self._hidden[slot] = (
                prefix.length,
                prefix.length - 1,
                prefix.hidden,
            )
            self._longest = max(self._longest, prefix.length)

    def move(self, target: Sequence[int], source: Sequence[int], live: int) -> None:
        """See ``CachedDecoder.move``."""
        if target:
            to, of = torch.tensor(target, device=self.device), torch.tensor(source, device=self.device)
            self._cache[:, :, to, :, : self._longest] = self._cache[:, :, of, :, : self._longest]
            for one in (self._lengths, self._places, self._following, self._hidden):
                one[to] = one[of]
        self._longest = int(self._lengths[:live].max()) if live else 0

    def rewind(self, column: int) -> None:
        """Nothing to shift."""

    def draft(self, tokens: Tensor) -> Tensor:
        """Logits [n, V] of the token after each row's newest, int64 [n], by the layer that predicts further."""
        n, ahead = len(tokens), self._ahead
        places, following = self._places[:n], self._following[:n]
        following[:, 1] = tokens
        following[:, 0] = torch.where(places[:, 0] == places[:, 1], tokens, following[:, 0])
        x = self._joined(self._hidden[:n].flatten(0, 1), following.flatten())
        x = self._through(ahead.block, self._cache[-1], x, places)
        return ahead.head(self._norm(x.view(n, 2, -1)[:, 1]))

    def verify(self, tokens: Tensor, drafts: Tensor) -> Tensor:
        """Hidden states [n, 2, d] after each row's newest token and after its draft."""
        n = len(tokens)
        places = self._lengths[:n, None] + torch.arange(2, device=self.device)
        x = F.embedding(torch.stack([tokens, drafts], 1).flatten(), self._weights.embedding)
        for block, cache in zip(self._weights.blocks, self._cache, strict=False):
            x = self._through(block, cache, x, places)
        return self._norm(x).view(n, 2, -1)

    def settle(self, hidden: Tensor, drafts: Tensor, hits: Tensor) -> None:
        """What ``verify`` gave stays for the rows whose draft hit, bool [n]; of the others the first token alone."""
        n, at = len(hits), self._lengths[: len(hits)]
        self._places[:n] = torch.stack([at, at + hits], 1)
        self._following[:n, 0] = drafts
        self._hidden[:n, 0] = hidden[:, 0]
        self._hidden[:n, 1] = torch.where(hits[:, None], hidden[:, 1], hidden[:, 0])
        self._lengths[:n] += 1 + hits.long()
        self._longest = int(self._lengths[:n].max())

    def _prompt_pass(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        raw, kept = super()._prompt_pass(tokens)
        hidden, (P, T), block = self._norm(raw), tokens.shape, self._ahead.block
        if T > 1:  # of the last token the next one is not known yet
            x = self._joined(hidden[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
            turns = self._turns[block.layer.rope][: T - 1].repeat(P, 1, 1)
            assert block.latent is not None
            own = block.latent.queries(block.qkv(self._norm(x)), turns)[2]
            kept[-1, 0, :, :-1] = own.view(P, T - 1, -1)
        kept[-1, 0, :, -1] = 0.0
        return raw, kept

    def _joined(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """What the further layer's block takes, [m, d]."""
        ahead = self._ahead
        following = self._gained(F.embedding(tokens, self._weights.embedding), ahead.embedding_gain)
        last = (hidden * ahead.last_gain).to(self.dtype)
        return ahead.join(torch.cat([following, self._gained(last, ahead.hidden_gain)], -1))

    def _through(self, block: PackedBlock, cache: Tensor, x: Tensor, places: Tensor) -> Tensor:
        """A block for two tokens a row [2 n, d] at these positions [n, 2], after what the cache holds before them."""
        latent, n = block.latent, len(places)
        assert latent is not None
        turns = self._turns[block.layer.rope][places.flatten()]
        plain, turned, kept = latent.queries(block.qkv(self._norm(x)), turns)
        cache[0, torch.arange(n, device=self.device)[:, None], 0, places] = kept.view(n, 2, -1)
        until = min(self._longest + 2, self._most)
        keys, heads = cache[0, :n, 0, :until], latent.heads
        scores = torch.bmm(latent.absorbed(plain, turned).view(n, 2 * heads, -1), keys.mT).float().mul_(self._scale)
        unseen = self._columns[:until] > places[..., None]
        scores.view(n, 2, heads, until).masked_fill_(unseen[:, :, None], -torch.inf)
        mixed = torch.bmm(scores.softmax(-1).to(self.dtype), keys)
        return self._feed_forward(block, self._attended(block, x, latent.values(mixed.view(2 * n, -1))))


class DraftedFlight(Flight):
    """Rows that grow by one or two tokens a step."""

    drafted = hit = 0
    """Drafts, and those that were the token drawn."""

    def _cache(self, weights: PackedDecoder, slots: int, columns: int, longest: int) -> CachedDecoder:
        return DraftingDecoder(weights, slots, longest)

    def _advance(self) -> None:
        decoder, rows = self._decoder, self._row_of
        assert isinstance(decoder, DraftingDecoder)
        if self._out.shape[1] == self._sampling.max_tokens:  # room for what a draft says beyond the last token
            self._out, self._logprobs = F.pad(self._out, (0, 1)), F.pad(self._logprobs, (0, 1))
        device = decoder.device
        uniform = uniforms(self._seeds[rows.to(device)], self._ages.to(device), 2)
        sampling, places = self._sampling, rows.tolist()
        drafts, _ = sample(decoder.draft(self._tokens), uniform[:, 0], sampling.temperature, sampling.top_p)
        hidden = decoder.verify(self._tokens, drafts)
        first, first_logprobs = self._draw(hidden[:, 0], uniform[:, 0], places)
        second, second_logprobs = self._draw(hidden[:, 1], uniform[:, 1], places)
        same = drafts == first
        self.drafted, self.hit = self.drafted + len(same), self.hit + int(same.sum())
        hits = same & (self._ages + 1 < self._limits[rows]).to(device)
        decoder.settle(hidden, drafts, hits)
        self._tokens = torch.where(hits, second, first)
        tokens, logprobs = torch.stack([first, second], 1), torch.stack([first_logprobs, second_logprobs], 1)
        self._harvest(0, tokens, logprobs, 1 + hits.long().cpu())
