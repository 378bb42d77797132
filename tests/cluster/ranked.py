"""Ranks that misbehave: ``python -m cluster.ranked BEHAVIOUR`` under ``launch``. Rank 1 does it, rank 0 waits."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

from r1kit.cluster.launched import run_as_rank
from r1kit.cluster.ranks import Ranks, Solo, join
from r1kit.errors import InputError, PeerLostError, R1Error


def collectives(ranks: Ranks) -> tuple[Any, ...]:
    import torch

    total = ranks.all_reduce_sum_(torch.arange(3.0) + 10 * ranks.rank)
    gathered = ranks.gather_objects({"rank": ranks.rank})
    sizes = (900, 1001, 1002, 1003, 1004, 1005, 3000)  # around what one collective takes, and one rank alone beyond it
    for size in sizes:
        mine = bytes([65 + ranks.rank]) * (size if ranks.rank else 10)
        assert ranks.gather_objects(mine) == [b"A" * 10, b"B" * size], size
    shared = ranks.broadcast_object("mine" if ranks.rank == 0 else "lost")
    return total.tolist(), gathered, shared, ranks.rank, ranks.size


class Waiting(Solo):
    """No gloo, so it starts at once: its collectives take a while and find that the peer is gone."""

    def gather_objects(self, item: Any) -> list[Any]:
        time.sleep(0.3)
        raise PeerLostError("lost its peers")


def misbehave(how: str) -> None:
    ranks = join() if how in ("fine", "kill", "raise") else Waiting(rank=int(os.environ["RANK"]), size=2)
    ranks.broadcast_object("started")
    if ranks.rank == 1:
        if how == "raise":
            raise ValueError("a bug\nin two lines")
        if how == "refuse":
            raise InputError("prompts are too long; choose shorter ones")
        if how == "exit":
            os._exit(9)
        if how == "leave":
            os._exit(0)
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "hang":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(60)
    if how == "both":
        raise R1Error("the gradient is not finite")
    if how == "hang":
        raise ValueError("rank 0 fails, rank 1 does not listen")
    if how != "fine":
        ranks.gather_objects("never answered")
    ranks.close()


if __name__ == "__main__":
    run_as_rank(lambda: misbehave(sys.argv[-1]))
