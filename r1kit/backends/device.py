"""Which device this process computes on, and the arithmetic's name as torch knows it."""

from __future__ import annotations

import os
from typing import Literal

import torch

__all__ = ["Dtype", "device_of", "torch_dtype"]

Dtype = Literal["float32", "bfloat16"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def device_of(preference: str, rank: int) -> torch.device:
    """This rank's device.

    Args:
        preference: a recipe's ``device``: ``cpu``; anything else takes a GPU where there is one.
        rank: of this process among all of the run; ``LOCAL_RANK``, its number on this machine, goes before it.
    """
    if preference != "cpu" and torch.cuda.is_available():
        local = int(os.environ.get("LOCAL_RANK", rank))
        return torch.device("cuda", local % torch.cuda.device_count())
    return torch.device("cpu")


def torch_dtype(name: Dtype) -> torch.dtype:
    """``float32`` or ``bfloat16`` as torch has it."""
    return DTYPES[name]
