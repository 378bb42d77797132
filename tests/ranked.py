"""One of several gloo ranks that call a function: ``python tests/ranked.py FUNCTION ARGUMENTS RETURNED``."""

from __future__ import annotations

import importlib
import os
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path

PRELOADED = ["torch", "torch._dynamo", "transformers.models.auto", "r1kit.loops.rl", "r1kit.update.sharded"]
"""What nearly every rank imports."""


def main(function: str, given: str, taken: str) -> None:
    import torch

    from r1kit.cluster.ranks import join

    torch.set_num_threads(1)
    module, name = function.split(":")
    ranks = join()
    arguments = pickle.loads(Path(given).read_bytes())
    found = getattr(importlib.import_module(module), name)(ranks, *arguments)
    Path(f"{taken}.{ranks.rank}").write_bytes(pickle.dumps(found))
    ranks.close()


def forked(environment: Mapping[str, str], told: str, *arguments: str) -> None:
    """``main`` in a process that was forked with ``PRELOADED`` imported; what goes to stderr is written to ``told``."""
    with open(told, "wb") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.environ.update(environment)
    main(*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
