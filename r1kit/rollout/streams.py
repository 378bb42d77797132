"""Counter-based uniform numbers: one stream a row, a pure function of (seed, index), the same on every device."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["row_seeds", "stream_seed", "uniforms"]


def _signed(value: int) -> int:
    """The 64-bit pattern ``value`` as torch's int64 reads it."""
    return value - (1 << 64) if value >= 1 << 63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_MIX_1 = _signed(0xBF58476D1CE4E5B9)
_MIX_2 = _signed(0x94D049BB133111EB)
_ROW = _signed(0xD1342543DE82EF95)


def stream_seed(*parts: int | str) -> int:
    """A 63-bit seed from what names a stream, for example ``stream_seed(run_seed, "r1_zero", step, index)``.

    Integers and strings never collide (``1`` and ``"1"`` differ), nor do ``("ab", "c")`` and ``("a", "bc")``.
    """
    text = "".join(f"{type(part).__name__}:{len(str(part))}:{part};" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def row_seeds(prompt_seeds: Sequence[int] | Tensor, n: int) -> Tensor:
    """int64 [P * n]: the stream of each row, prompt-major; row ``i`` of a prompt depends on (seed, i) alone."""
    seeds = torch.as_tensor(prompt_seeds, dtype=torch.int64)
    rows = torch.arange(1, n + 1, dtype=torch.int64, device=seeds.device)
    return _mix(_mix(seeds)[:, None] + rows[None, :] * _ROW).reshape(-1)


def uniforms(seeds: Tensor, start: int | Tensor, count: int) -> Tensor:
    """Numbers ``start .. start + count`` of each row's stream.

    Args:
        seeds: int64 [B], one stream a row (see ``row_seeds``).
        start: index of the first number, one for all rows or int64 [B].
        count: numbers a row.

    Returns:
        float32 [B, count] on a grid of 2**-24 in [0, 1): splitmix64 (Steele, Lea and Flood, 2014) of the seed's
        sequence, its upper 24 bits.
    """
    index = torch.arange(1, count + 1, dtype=torch.int64, device=seeds.device)[None, :]
    index = index + (start[:, None] if isinstance(start, Tensor) else start)
    mixed = _mix(index * _GOLDEN + seeds[:, None])
    return _shift(mixed, 40).float() * 2.0**-24


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift: torch's is arithmetic."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    """splitmix64's finaliser, a bijection of 64-bit patterns; products wrap around."""
    x = (x ^ _shift(x, 30)) * _MIX_1
    x = (x ^ _shift(x, 27)) * _MIX_2
    return x ^ _shift(x, 31)
