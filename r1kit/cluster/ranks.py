"""Cores are ranks: one program on every rank over torch.distributed; ``r1 run`` starts them, torchrun may as well.

``Ranks`` is what the rest of the code sees. ``launch`` is the parent's side: it starts one process a rank, watches
them, and ends the run within seconds of a death.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from r1kit.errors import RankError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["GlooRanks", "Ranks", "Solo", "join", "launch"]

GRACE_SECONDS = 5.0
"""How long a rank has between SIGTERM and SIGKILL."""
COLLECTIVE_TIMEOUT = timedelta(minutes=30)


class Ranks(Protocol):
    rank: int
    size: int

    def all_reduce_sum_(self, tensor: Tensor) -> Tensor:
        """Sum over ranks, in place; the same bits on every rank."""
        ...

    def gather_objects(self, item: Any) -> list[Any]:
        """Every rank's item, in rank order, on every rank."""
        ...

    def broadcast_object(self, item: Any) -> Any:
        """Rank 0's item on every rank."""
        ...

    def close(self) -> None: ...


@dataclass(slots=True)
class Solo:
    """One rank, nothing to send."""

    rank: int = 0
    size: int = 1

    def all_reduce_sum_(self, tensor: Tensor) -> Tensor:
        return tensor

    def gather_objects(self, item: Any) -> list[Any]:
        return [item]

    def broadcast_object(self, item: Any) -> Any:
        return item

    def close(self) -> None:
        pass


class GlooRanks:
    """Ranks over torch.distributed: gloo on CPU, NCCL beside it where CUDA is."""

    def __init__(self) -> None:
        import torch
        import torch.distributed as dist

        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, timeout=COLLECTIVE_TIMEOUT)
        self._dist = dist
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def all_reduce_sum_(self, tensor: Tensor) -> Tensor:
        self._dist.all_reduce(tensor)
        return tensor

    def gather_objects(self, item: Any) -> list[Any]:
        gathered: list[Any] = [None] * self.size
        self._dist.all_gather_object(gathered, item)
        return gathered

    def broadcast_object(self, item: Any) -> Any:
        box = [item]
        self._dist.broadcast_object_list(box, src=0)
        return box[0]

    def close(self) -> None:
        if self._dist.is_initialized():
            self._dist.destroy_process_group()


def join() -> Ranks:
    """This process's place among the ranks, from the environment that ``launch`` or torchrun set."""
    return GlooRanks() if int(os.environ.get("WORLD_SIZE", "1")) > 1 else Solo()


def launch(arguments: Sequence[str], size: int, threads: int, keep: Sequence[int] = ()) -> int:
    """Run ``python -m r1kit <arguments>`` as ``size`` ranks and wait.

    ``keep`` are file descriptors that every rank inherits (the run folder's lock lives as long as any of them).

    Returns the exit code: that of the first rank to fail, 130 when interrupted.

    Raises:
        RankError: a rank died by a signal; the others were ended.
    """
    environment = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "WORLD_SIZE": str(size),
        "OMP_NUM_THREADS": str(threads),
        "R1KIT_PARENT": str(os.getpid()),
    }
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", "r1kit", *arguments],
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            pass_fds=tuple(keep),
        )
        for rank in range(size)
    ]
    try:
        return _watch(ranks)
    except KeyboardInterrupt:
        _end(ranks, signal.SIGINT)
        return 130
    finally:
        _end(ranks, signal.SIGTERM)


def _watch(ranks: list[subprocess.Popen[bytes]]) -> int:
    """Until all ranks are done (0) or one is not well."""
    while True:
        codes = [rank.poll() for rank in ranks]
        for index, code in enumerate(codes):
            if code is not None and code < 0:
                name = signal.Signals(-code).name
                raise RankError(f"rank {index} of {len(ranks)} was ended by {name}; run the same command to go on")
            if code:
                # a rank that fails takes its peers' collectives with it: the one with its own message ends first
                time.sleep(0.2)
                return code
        if all(code == 0 for code in codes):
            return 0
        time.sleep(0.05)


def _end(ranks: list[subprocess.Popen[bytes]], how: signal.Signals) -> None:
    living = [rank for rank in ranks if rank.poll() is None]
    for rank in living:
        rank.send_signal(how)
    deadline = time.monotonic() + GRACE_SECONDS
    for rank in living:
        try:
            rank.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            rank.kill()
            rank.wait()


def die_with_parent() -> None:
    """Ask Linux to end this process when the one that started it dies, so that no rank is left behind."""
    if sys.platform != "linux" or "R1KIT_PARENT" not in os.environ:
        return
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != int(os.environ["R1KIT_PARENT"]):  # it died before we asked
        os.kill(os.getpid(), signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
