"""One of several gloo ranks that call a function: ``python tests/ranked.py FUNCTION ARGUMENTS RETURNED``."""

from __future__ import annotations

import importlib
import pickle
import sys
from pathlib import Path


def main() -> None:
    import torch

    from r1kit.cluster.ranks import join

    torch.set_num_threads(1)
    module, function = sys.argv[1].split(":")
    ranks = join()
    arguments = pickle.loads(Path(sys.argv[2]).read_bytes())
    found = getattr(importlib.import_module(module), function)(ranks, *arguments)
    Path(f"{sys.argv[3]}.{ranks.rank}").write_bytes(pickle.dumps(found))
    ranks.close()


if __name__ == "__main__":
    main()
