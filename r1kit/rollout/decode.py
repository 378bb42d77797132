"""The decoder's cached inference: prompts once, then one token for every row a step, over preallocated memory.

Every row writes its keys and values of a step into the same column of the cache, whatever its position: a row that
enters late has its prompt placed so that it ends at the present column. A step's writes are then one slice, and rows
attend over the columns from the oldest row's start.

Axes: n rows in flight, d hidden, H query heads, K key-value heads, g = H / K, D head size, C columns, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from r1kit.model.decoder import Block, Decoder, apply_rope, rope_tables

__all__ = ["CachedDecoder", "Prefix"]


@dataclass(frozen=True, slots=True)
class Prefix:
    """A prompt that went through the model once."""

    length: int
    keys_values: Tensor
    """[layers, 2, K, length, D]"""
    hidden: Tensor
    """[d], after the last norm, at the prompt's last token."""


class CachedDecoder:
    """Decoder weights with a cache of ``rows`` by ``columns``; slots ``0 .. n`` are in flight."""

    def __init__(self, model: Decoder, rows: int, columns: int, longest: int) -> None:
        """``longest``: positions a row may reach."""
        c = model.config
        weight = model.embedding.weight
        self._model, self._blocks = model, [block for block in model.blocks if isinstance(block, Block)]
        self._scale = c.head_dim**-0.5
        self.device, self.dtype = weight.device, weight.dtype
        self._cos, self._sin = rope_tables(c, torch.arange(longest, device=self.device), self.dtype)
        shape = (c.num_layers, 2, rows, c.num_kv_heads, columns, c.head_dim)
        self._cache = torch.zeros(shape, dtype=self.dtype, device=self.device)
        self._columns = torch.arange(columns, device=self.device)
        self._starts = torch.zeros(rows, dtype=torch.int64, device=self.device)
        self._mask: Tensor | None = None
        self._oldest: list[int] = []
        self._lowest = 0
        self.column = 0
        """Where the next step writes."""

    @property
    def free_columns(self) -> int:
        return len(self._columns) - self.column

    def head(self, hidden: Tensor) -> Tensor:
        """Logits [n, V]."""
        return F.linear(hidden, self._model.head)

    def prefill(self, prompts: Sequence[Sequence[int]]) -> list[Prefix]:
        """Run prompts, those of equal length as one batch; nothing is padded."""
        by_length: dict[int, list[int]] = {}
        for index, prompt in enumerate(prompts):
            by_length.setdefault(len(prompt), []).append(index)
        found: dict[int, Prefix] = {}
        for length, indices in by_length.items():
            tokens = torch.tensor([list(prompts[index]) for index in indices], device=self.device)
            hidden, kept = self._prompt_pass(tokens)
            for place, index in enumerate(indices):
                found[index] = Prefix(length, kept[:, :, place], hidden[place])
        return [found[index] for index in range(len(prompts))]

    def admit(self, prefixes: Sequence[Prefix], live: int) -> None:
        """Place one row for each prefix in the slots after the first ``live``."""
        column, slot = self.column, live
        while slot - live < len(prefixes):
            prefix = prefixes[slot - live]
            end = slot + 1
            while end - live < len(prefixes) and prefixes[end - live] is prefix:
                end += 1
            start = column - prefix.length
            self._cache[:, :, slot:end, :, start:column] = prefix.keys_values[:, :, None]
            self._starts[slot:end] = start
            self._oldest[slot:] = [start] * (end - slot)
            slot = end
        self._remask(slot)

    def move(self, target: Sequence[int], source: Sequence[int], live: int) -> None:
        """Copy rows ``source`` over rows ``target``, then keep the first ``live``."""
        if target:
            to = torch.tensor(target, device=self.device)
            of = torch.tensor(source, device=self.device)
            seen = slice(min(self._oldest), self.column)
            self._cache[:, :, to, :, seen] = self._cache[:, :, of, :, seen]
            self._starts[to] = self._starts[of]
            for one, other in zip(target, source, strict=True):
                self._oldest[one] = self._oldest[other]
        del self._oldest[live:]
        self._remask(live)

    def rewind(self, column: int) -> None:
        """Shift what is in use left, so that the next column is ``column`` or, if rows reach further back, later."""
        live = len(self._oldest)
        first = min(self._oldest, default=self.column)
        by = min(first, self.column - column)
        if by <= 0:
            return
        used = self._cache[:, :, :live, :, first : self.column].clone()
        self._cache[:, :, :live, :, first - by : self.column - by] = used
        self._starts -= by
        self._oldest = [start - by for start in self._oldest]
        self.column -= by
        self._remask(live)

    def step(self, tokens: Tensor) -> Tensor:
        """Feed one token a row, int64 [n]; hidden states after the last norm, [n, d]."""
        c = self._model.config
        n, H, K, D = len(tokens), c.num_heads, c.num_kv_heads, c.head_dim
        column, first = self.column, self._lowest
        position = column - self._starts[:n]
        cos, sin = self._cos[position], self._sin[position]
        mask = None if self._mask is None else self._mask[:, :, first : column + 1]
        x = F.embedding(tokens, self._model.embedding.weight)
        for block, cache in zip(self._blocks, self._cache, strict=True):
            q, kv = self._project(block, x, cos, sin)
            cache[:, :n, :, column] = kv.view(n, 2, K, D).transpose(0, 1)
            keys, values = cache[:, :n, :, first : column + 1].flatten(1, 2)
            y = self._attend(q.reshape(n * K, H // K, D), keys, values, mask)
            x = torch.addmm(x, y.view(n, H * D), block.out.weight.t())
            x = self._feed_forward(block, x)
        self.column += 1
        return self._model.norm(x)

    def _attend(self, q: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """The g query heads of a key-value head as its g queries: [n K, g, D] x [n K, T, D] -> [n K, g, D]."""
        if mask is None:
            scores = torch.bmm(q, keys.transpose(1, 2)).mul_(self._scale)
        else:
            scores = torch.baddbmm(mask, q, keys.transpose(1, 2), alpha=self._scale)
        return torch.bmm(scores.softmax(-1), values)

    def _project(self, block: Block, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        """Rotated queries [N, H, D], and keys (rotated) and values side by side [N, 2 K, D]."""
        c = self._model.config
        H, K = c.num_heads, c.num_kv_heads
        qkv = block.qkv(block.attention_norm(x)).view(len(x), H + 2 * K, c.head_dim)
        if block.q_norm is not None and block.k_norm is not None:
            qkv[:, :H] = block.q_norm(qkv[:, :H])
            qkv[:, H : H + K] = block.k_norm(qkv[:, H : H + K])
        qkv[:, : H + K] = apply_rope(qkv[:, : H + K], cos, sin)
        return qkv[:, :H], qkv[:, H:]

    def _feed_forward(self, block: Block, x: Tensor) -> Tensor:
        gate, up = block.gate_up(block.ffn_norm(x)).chunk(2, dim=-1)
        return torch.addmm(x, F.silu(gate).mul_(up), block.down.weight.t())

    def _prompt_pass(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """int64 [P, T] -> last hidden states [P, d] and keys and values [layers, 2, P, K, T, D]."""
        c = self._model.config
        H, K, D = c.num_heads, c.num_kv_heads, c.head_dim
        P, T = tokens.shape
        x = F.embedding(tokens.reshape(-1), self._model.embedding.weight)
        cos, sin = self._cos[:T].repeat(P, 1, 1), self._sin[:T].repeat(P, 1, 1)
        kept = torch.empty(c.num_layers, 2, P, K, T, D, dtype=self.dtype, device=self.device)
        for block, store in zip(self._blocks, kept, strict=True):
            q, kv = self._project(block, x, cos, sin)
            store.copy_(kv.view(P, T, 2, K, D).permute(2, 0, 3, 1, 4))
            queries = q.view(P, T, H, D).transpose(1, 2)
            y = F.scaled_dot_product_attention(queries, store[0], store[1], is_causal=True, enable_gqa=H != K)
            x = torch.addmm(x, y.transpose(1, 2).reshape(P * T, H * D), block.out.weight.t())
            x = self._feed_forward(block, x)
        return self._model.norm(x.view(P, T, -1)[:, -1]), kept

    def _remask(self, live: int) -> None:
        """Additive mask [n K, 1, C] where rows start at different columns; None where all start at the first."""
        self._lowest = min(self._oldest, default=self.column)
        if all(start == self._lowest for start in self._oldest):
            self._mask = None
            return
        outside = self._columns < self._starts[:live, None]
        mask = torch.zeros(outside.shape, dtype=self.dtype, device=self.device).masked_fill_(outside, -torch.inf)
        self._mask = mask.repeat_interleave(self._model.config.num_kv_heads, 0)[:, None]
