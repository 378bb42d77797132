"""The decoder's cached inference: prompts once, then one token for every row a step, over preallocated memory.

Every row writes its keys and values of a step into the same column of the cache, whatever its position: a row that
enters late has its prompt placed so that it ends at the present column. A step's writes are then one slice, and rows
attend over the columns from the oldest row's start.

Attention takes a row's heads together: the queries stand on the diagonal of a [H, K D] matrix, so that scores are one
product a row with all its keys, and one more with the values, of which the diagonal is the result. That is K times
the arithmetic, which is idle anyway (decoding waits for memory), and K times fewer, longer products. In bfloat16 on a
CPU without a matrix unit arithmetic is not idle: there every key-value head has its own products (half the time).

Axes: n rows in flight, d hidden, H query heads, K key-value heads, g = H / K, D head size, C columns, V vocabulary;
G sets of k = K / G key-value heads that are taken together, each W = k D wide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from r1kit.model.routes import Routes
from r1kit.rollout.latent import scale_of
from r1kit.rollout.packed import PackedBlock, PackedDecoder, PackedExperts, rotations

__all__ = ["CachedDecoder", "Prefix"]

_GROW = 32
"""Columns by which the attended part of the cache grows, at least."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """A prompt that went through the model once."""

    length: int
    keys_values: Tensor
    """[layers, 2, length, K D]; of latent attention [layers, 1, length, W]."""
    hidden: Tensor
    """[d], after the last norm, at the prompt's last token."""
    experts: Tensor | None = None
    """int16 [length, layers with experts, k], where they are recorded (``rollout.recorded``)."""


class CachedDecoder:
    """Decoder weights with a cache of ``rows`` by ``columns``; slots ``0 .. n`` are in flight."""

    further = 0
    """Layers of the cache beyond the model's."""

    def __init__(self, weights: PackedDecoder, rows: int, columns: int, longest: int) -> None:
        """``longest``: positions a row may reach."""
        c = self._config = weights.config
        self._weights = weights
        self.device, self.dtype = weights.embedding.device, weights.embedding.dtype
        self._eps = torch.tensor(c.rms_norm_eps, device=self.device)
        layers = {layer.rope: layer for layer in c.layer_list}
        self._turns: dict[str, Tensor] = {
            rope: rotations(c, longest, self.device, layer) for rope, layer in layers.items()
        }
        parts, H, K, D = weights.cached
        self._heads, self._scale, width = (H, K, D), scale_of(c.latent) if c.latent else D**-0.5, K * D
        depth = c.num_layers + self.further
        self._store = torch.zeros(depth, parts, rows * columns * width, dtype=self.dtype, device=self.device)
        self._rows, self._most = rows, columns
        # oneDNN's batched bfloat16 product copies its operands unless they are whole: attend over all of a cache that
        # grows in steps. Elsewhere a slice costs nothing.
        self._whole = self.dtype is torch.bfloat16 and self.device.type == "cpu"
        self._sets = K if self._whole and not torch.cpu._is_amx_tile_supported() else 1
        self._width = min(columns, _GROW) if self._whole else columns
        self._cache = self._view(self._width)
        self._columns = torch.arange(columns, device=self.device)
        self._starts = torch.zeros(rows, dtype=torch.int64, device=self.device)
        self._oldest: list[int] = []
        self._mask: Tensor | None = None
        self._first = 0
        G = self._sets
        self._queries = torch.zeros(rows, G, H // G, width // G, dtype=self.dtype, device=self.device)
        self._diagonal = self._own(self._queries)
        self._routes: Routes | None = None
        """Told of choices of experts."""
        self.column = 0
        """Where the next step writes."""

    @property
    def free_columns(self) -> int:
        return self._most - self.column

    def head(self, hidden: Tensor) -> Tensor:
        """Logits [n, V]."""
        return self._weights.head(hidden)

    def take(self, weights: PackedDecoder) -> None:
        """Other weights of the same shapes; what the cache holds stays."""
        self._weights = weights

    def prefill(self, prompts: Sequence[Sequence[int]]) -> list[Prefix]:
        """Run prompts, those of equal length as one batch; nothing is padded."""
        by_length: dict[int, list[int]] = {}
        for index, prompt in enumerate(prompts):
            by_length.setdefault(len(prompt), []).append(index)
        found: dict[int, Prefix] = {}
        for length, indices in by_length.items():
            tokens = torch.tensor([list(prompts[index]) for index in indices], device=self.device)
            x, kept = self._prompt_pass(tokens)
            hidden = self._norm(x[:, -1])
            for place, index in enumerate(indices):
                found[index] = Prefix(length, kept[:, :, place], hidden[place])
        return [found[index] for index in range(len(prompts))]

    def read(self, prompt: Sequence[int]) -> Tensor:
        """Hidden states after the last norm at each of a prompt's tokens, [T, d]; nothing is kept."""
        return self._norm(self._prompt_pass(torch.tensor([list(prompt)], device=self.device))[0][0])

    def admit(self, prefixes: Sequence[Prefix], live: int) -> None:
        """Place one row for each prefix in the slots after the first ``live``."""
        self._fit(self.column + 1)
        column, slot, last = self.column, live, live + len(prefixes)
        while slot < last:
            prefix, end = prefixes[slot - live], slot + 1
            while end < last and prefixes[end - live] is prefix:
                end += 1
            start = column - prefix.length
            kept = prefix.keys_values.unflatten(-1, (self._sets, -1)).transpose(2, 3)
            self._cache[:, :, slot:end, :, start:column] = kept[:, :, None]
            self._starts[slot:end] = start
            self._oldest[slot:] = [start] * (end - slot)
            slot = end
        self._remask()

    def move(self, target: Sequence[int], source: Sequence[int], live: int) -> None:
        """Copy rows ``source`` over rows ``target``, then keep the first ``live``."""
        if target:
            to, of = torch.tensor(target, device=self.device), torch.tensor(source, device=self.device)
            seen = slice(self._first, self.column)
            self._cache[:, :, to, :, seen] = self._cache[:, :, of, :, seen]
            self._starts[to] = self._starts[of]
            for one, other in zip(target, source, strict=True):
                self._oldest[one] = self._oldest[other]
        del self._oldest[live:]
        self._remask()

    def rewind(self, column: int) -> None:
        """Shift what is in use left, so that the next column is ``column`` or, if rows reach further back, later."""
        first, live = min(self._oldest, default=self.column), len(self._oldest)
        by = min(first, self.column - column)
        if by <= 0:
            return
        for layer in self._cache:
            layer[:, :live, :, first - by : self.column - by] = layer[:, :live, :, first : self.column].clone()
        self._starts -= by
        self._oldest = [start - by for start in self._oldest]
        self.column -= by
        self._remask()

    def step(self, tokens: Tensor) -> Tensor:
        """Feed one token a row, int64 [n]; hidden states after the last norm, [n, d]."""
        self._fit(self.column + 1)
        column, windows = self.column, {layer.window for layer in self._config.layer_list}
        until = self._width if self._whole else column + 1
        seen = {window: self._seen(column, until, window) for window in windows}
        x = self._token_pass(tokens, column - self._starts[: len(tokens)], seen, until)
        self.column += 1
        return x

    def _token_pass(
        self, tokens: Tensor, at: Tensor, seen: Mapping[int, tuple[int, Tensor | None]], until: int
    ) -> Tensor:
        """Tokens [n] at these positions [n] -> hidden states [n, d]; ``seen``: of each window, the first column that is
        attended to and the mask from there to ``until``."""
        n = len(tokens)
        turns = {rope: table[at] for rope, table in self._turns.items()}
        x = F.embedding(tokens, self._weights.embedding)
        for block, cache in zip(self._weights.blocks, self._cache, strict=True):
            first, mask = seen[block.layer.window]
            q, kv = self._project(block, x, turns)
            self._diagonal[:n] = q.unflatten(1, (self._sets, -1))
            self._write(cache[:, :n], kv.unflatten(-1, (self._sets, -1)).transpose(0, 1))
            parts = cache[:, :n, :, first:until].flatten(1, 2)
            y = self._attend(self._queries[:n].flatten(0, 1), parts[0], parts[-1], mask)
            x = self._attended(block, x, y if block.latent is None else block.latent.values(y))
            x = self._feed_forward(block, x)
        return self._norm(x)

    def _write(self, cache: Tensor, kv: Tensor) -> None:
        """What is kept of a step's tokens, [2 or 1, n, G, W], into the present column of [2 or 1, n, G, C, W]."""
        cache[:, :, :, self.column] = kv

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """Diagonal queries [n G, H / G, W], keys and values [n G, T, W], mask [n, 1, T] -> [n, H D]."""
        G, scale = self._sets, self._scale
        if self._whole:
            scores = torch.bmm(keys, queries.transpose(1, 2)).transpose(1, 2).unflatten(0, (-1, G))
            room = torch.empty(scores.shape, device=self.device)
            if mask is None:
                torch.mul(scores, scale, out=room)
            else:
                torch.add(mask[:, None], scores, alpha=scale, out=room)
            chances = room.softmax(-1).to(self.dtype).flatten(0, 1)
        elif mask is None:
            chances = torch.bmm(queries, keys.transpose(1, 2)).mul_(scale).softmax(-1)
        else:
            chances = torch.baddbmm(mask, queries, keys.transpose(1, 2), alpha=scale).softmax(-1)
        y = self._own(torch.bmm(chances, values).unflatten(0, (-1, G)))
        return y.reshape(len(y), -1)

    def _own(self, x: Tensor) -> Tensor:
        """[n, G, H / G, W] -> a view [n, G, k, g, D]: of each query head, what belongs to its own key-value head."""
        (H, K, D), G = self._heads, self._sets
        k, g = K // G, H // K
        return x.view(len(x), G, k, g, k, D).diagonal(dim1=2, dim2=4).permute(0, 1, 4, 2, 3)

    def _project(self, block: PackedBlock, x: Tensor, turns: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Rotated queries [n, K, g, D]; keys (rotated) and values [n, 2, K D], or what is kept for both [n, 1, W]."""
        c, n, (H, K, D) = self._config, len(x), self._heads
        made = block.qkv(self._norm(x) if block.before else x)
        if block.latent is not None:
            plain, turning, kept = block.latent.queries(made, turns[block.layer.rope])
            return block.latent.absorbed(plain, turning)[:, None], kept[:, None]
        qkv = made.view(n, H + 2 * K, D)
        if block.q_norm is not None and block.k_norm is not None:
            for part, gain in ((qkv[:, :H], block.q_norm), (qkv[:, H : H + K], block.k_norm)):
                part.copy_(self._gained(part.flatten(1) if c.wide_qk_norm else part, gain).view(part.shape))
        turned = qkv[:, : H + K]
        if block.layer.rope == "none":
            pass
        elif self.dtype is torch.float32:
            torch.view_as_complex(turned.view(n, H + K, D // 2, 2)).mul_(turns[block.layer.rope])
        else:
            exact = turned.float()
            torch.view_as_complex(exact.view(n, H + K, D // 2, 2)).mul_(turns[block.layer.rope])
            turned.copy_(exact)
        return qkv[:, :H].view(n, K, H // K, D), qkv[:, H:].view(n, 2, K * D)

    def _attended(self, block: PackedBlock, x: Tensor, y: Tensor) -> Tensor:
        """Residual [n, d] and heads [n, H D] -> [n, d]."""
        if block.attention_after is None:
            return block.out.onto(x, y)
        return x + self._gained(block.out(y), block.attention_after)

    def _feed_forward(self, block: PackedBlock, x: Tensor) -> Tensor:
        found = block.feed_forward
        if isinstance(found, PackedExperts):
            mixed = found.experts(x if found.gain is None else self._gained(x, found.gain), told=self._routes)
        else:
            inner = found.inner(self._norm(x) if block.before else x)
            if block.ffn_after is None:
                return found.down.onto(x, inner)
            mixed = found.down(inner)
        return x + (mixed if block.ffn_after is None else self._gained(mixed, block.ffn_after))

    def _gained(self, x: Tensor, gain: Tensor) -> Tensor:
        """Root mean square norm over the last axis with its gain, which may be more exact than x."""
        eps = self._config.rms_norm_eps
        if gain.dtype == x.dtype:
            return F.rms_norm(x, gain.shape, gain, eps)
        return F.rms_norm(x.float(), gain.shape, gain, eps).to(x.dtype)

    def _norm(self, x: Tensor) -> Tensor:
        """Root mean square norm; its weight is in the matrix that follows."""
        exact = x.float()
        size = torch.linalg.vector_norm(exact, dim=-1, keepdim=True)
        return (exact * torch.addcmul(self._eps, size, size, value=1 / x.shape[-1]).rsqrt_()).to(self.dtype)

    def _prompt_pass(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """int64 [P, T] -> what leaves the last block, [P, T, d], and what is kept [layers, 2 or 1, P, T, K D]."""
        c, (H, K, D) = self._config, self._heads
        P, T = tokens.shape
        x = F.embedding(tokens.reshape(-1), self._weights.embedding)
        turns = {rope: table[:T].repeat(P, 1, 1) for rope, table in self._turns.items()}
        bands = {layer.window: self._band(T, layer.window) for layer in c.layer_list}
        kept = torch.empty(*self._store.shape[:2], P, T, K * D, dtype=self.dtype, device=self.device)
        for block, store in zip(self._weights.blocks, kept[: c.num_layers], strict=True):
            if block.latent is not None:
                plain, turned, own = block.latent.queries(block.qkv(self._norm(x)), turns[block.layer.rope])
                store[0].copy_(own.view(P, T, -1))
                x = self._feed_forward(block, self._attended(block, x, block.latent.prompt(plain, turned, own, P)))
                continue
            q, kv = self._project(block, x, turns)
            store.copy_(kv.view(P, T, 2, K * D).permute(2, 0, 1, 3))
            keys, values = store.view(2, P, T, K, D).transpose(2, 3)
            queries = q.reshape(P, T, H, D).transpose(1, 2)
            band = bands[block.layer.window]
            y = F.scaled_dot_product_attention(
                queries, keys, values, attn_mask=band, is_causal=band is None, enable_gqa=H != K
            )
            x = self._attended(block, x, y.transpose(1, 2).reshape(P * T, H * D))
            x = self._feed_forward(block, x)
        return x.view(P, T, -1), kept

    def _view(self, width: int) -> Tensor:
        """The cache as [layers, 2 or 1, rows, G, width, W]; each layer's rows without gaps."""
        row = self._heads[1] * self._heads[2]
        used = self._store[:, :, : self._rows * width * row]
        return used.view(*used.shape[:2], self._rows, self._sets, width, row // self._sets)

    def _fit(self, columns: int) -> None:
        """Let the view reach ``columns``, moving rows apart layer by layer."""
        if columns <= self._width:
            return
        live, old = len(self._oldest), self._cache
        grown = max(columns, self._width + max(_GROW, self._width // 8))
        self._width = min(self._most, grown)
        self._cache = self._view(self._width)
        used = min(self.column, old.shape[4])
        for new, before in zip(self._cache, old, strict=True):
            new[:, :live, :, :used] = before[:, :live, :, :used].clone()
        self._remask()

    def _band(self, length: int, window: int) -> Tensor | None:
        """bool [T, T]: what a prompt's tokens see; None where that is all before them."""
        if not 0 < window < length:
            return None
        return torch.ones(length, length, dtype=torch.bool, device=self.device).tril_().triu_(1 - window)

    def _seen(self, column: int, until: int, window: int) -> tuple[int, Tensor | None]:
        """First column that is attended to, and the additive mask [n, 1, T] from there to ``until``."""
        nearest = max(self._first, column + 1 - window) if window else self._first
        if self._mask is None:
            return nearest, None
        if not self._whole:
            return nearest, self._mask[:, :, nearest:until]
        self._mask[:, :, column] = 0.0
        if nearest == 0:
            return 0, self._mask[:, :, :until]
        near = self._mask[:, :, :until].clone()
        near[:, :, :nearest] = -torch.inf
        return 0, near

    def _remask(self) -> None:
        """Anew after rows came, went or shifted; None where every row sees all that is attended to."""
        live = len(self._oldest)
        lowest = min(self._oldest, default=self.column)
        self._first = 0 if self._whole else lowest
        if not self._whole and all(start == lowest for start in self._oldest):
            self._mask = None
            return
        columns = self._columns[: self._width]
        outside = columns < self._starts[:live, None]
        if self._whole:
            outside |= columns >= self.column
        exact = torch.float32 if self._whole else self.dtype
        mask = torch.zeros(outside.shape, dtype=exact, device=self.device)
        self._mask = mask.masked_fill_(outside, -torch.inf)[:, None]
