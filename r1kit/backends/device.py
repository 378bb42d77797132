"""Which device this process computes on."""

from __future__ import annotations

import torch

from r1kit.cluster.ranks import Ranks, local_rank

__all__ = ["device_of"]


def device_of(preference: str, ranks: Ranks) -> torch.device:
    """This rank's device: the GPU of its number on its host, or the CPU.

    Args:
        preference: a recipe's ``device``: ``cpu``; anything else takes a GPU where there is one.
        ranks: this process among all of the run.
    """
    if preference != "cpu" and torch.cuda.is_available():
        return torch.device("cuda", local_rank(ranks) % torch.cuda.device_count())
    return torch.device("cpu")
