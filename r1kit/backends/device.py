"""Which device this process computes on, and the arithmetic's name as torch knows it."""

from __future__ import annotations

from typing import Literal

import torch

from r1kit.cluster.ranks import Ranks, local_rank

__all__ = ["Dtype", "device_of", "torch_dtype"]

Dtype = Literal["float32", "bfloat16"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def device_of(preference: str, ranks: Ranks) -> torch.device:
    """This rank's device: the GPU of its number on its host, or the CPU.

    Args:
        preference: a recipe's ``device``: ``cpu``; anything else takes a GPU where there is one.
        ranks: this process among all of the run.
    """
    if preference != "cpu" and torch.cuda.is_available():
        return torch.device("cuda", local_rank(ranks) % torch.cuda.device_count())
    return torch.device("cpu")


def torch_dtype(name: Dtype) -> torch.dtype:
    """``float32`` or ``bfloat16`` as torch has it."""
    return DTYPES[name]
