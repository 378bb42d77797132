"""An object that holds models, as bytes without their weights: how a model reaches a process that sees no folder of it.

What is sent is how the modules are made and what they keep beside parameters (a tokenizer, tables of rotations); a
parameter is its shape and dtype, and one that two modules share is shared again. The weights follow as a stream.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import torch
from torch import nn

__all__ = ["pack", "unpack"]


def pack(thing: Any) -> bytes:
    """The object without the numbers of its parameters."""
    buffer = io.BytesIO()
    _Packing(buffer, pickle.HIGHEST_PROTOCOL).dump(thing)
    return buffer.getvalue()


def unpack(data: bytes) -> Any:
    """What ``pack`` was given; its parameters hold anything until they are filled. Runs what the bytes say: only for
    bytes of one's own run."""
    return _Unpacking(io.BytesIO(data)).load()


class _Packing(pickle.Pickler):
    def persistent_id(self, thing: Any) -> Any:
        if isinstance(thing, nn.Parameter):
            return id(thing), tuple(thing.shape), thing.dtype
        return None


class _Unpacking(pickle.Unpickler):
    def __init__(self, buffer: io.BytesIO) -> None:
        super().__init__(buffer)
        self._made: dict[int, nn.Parameter] = {}

    def persistent_load(self, told: Any) -> nn.Parameter:
        which, shape, dtype = told
        if which not in self._made:
            self._made[which] = nn.Parameter(torch.empty(shape, dtype=dtype), requires_grad=False)
        return self._made[which]
