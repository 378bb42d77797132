"""Cores are ranks: one program on every rank over torch.distributed. ``Ranks`` is what the rest of the code sees.

``r1 run`` starts the ranks (``cluster.launch``); torchrun may as well.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, cast

from r1kit import interrupts
from r1kit.errors import PeerLostError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import ProcessGroup

    from r1kit.cluster.peers import Peers
    from r1kit.cluster.settings import Cluster

__all__ = ["GlooRanks", "Ranks", "Solo", "join", "local_rank", "wait_as_long"]

SMALL = 1024
"""Bytes of a pickled item, its length included, that travel in one collective."""
LOST = ("closed by peer", "reset by peer", "connection refused", "broken pipe", "timed out", "timeout", "connect")
"""Words of gloo, NCCL and the store when a peer is gone."""


class Ranks(Protocol):
    rank: int
    """0-based; rank 0 writes the run folder."""
    size: int

    def all_reduce_sum_(self, tensor: Tensor) -> Tensor:
        """Sum over ranks, in place; the same bits on every rank."""
        ...

    def gather_objects(self, item: Any) -> list[Any]:
        """Every rank's item, in rank order, on every rank."""
        ...

    def collect_objects(self, item: Any) -> list[Any]:
        """Every rank's item, in rank order, on rank 0; nothing on the others."""
        ...

    def broadcast_object(self, item: Any) -> Any:
        """Rank 0's item on every rank."""
        ...

    def together(self) -> AbstractContextManager[None]:
        """Around collectives of torch's own: PeerLostError when another rank is gone."""
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

    def collect_objects(self, item: Any) -> list[Any]:
        return [item]

    def broadcast_object(self, item: Any) -> Any:
        return item

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()

    def close(self) -> None:
        pass


class GlooRanks:
    """Ranks over torch.distributed: gloo on CPU, NCCL beside it where CUDA is.

    Every method raises PeerLostError when another rank is gone.
    """

    def __init__(self, cluster: Cluster) -> None:
        import torch
        import torch.distributed as dist
        from torch.distributed.rendezvous import rendezvous

        from r1kit.cluster.peers import several_hosts

        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        self._dist = dist
        self._met: Peers | None = None
        with _peers(), interrupts.unheeded():  # until all are there, which a rank waits for outside of Python
            timeout = timedelta(minutes=cluster.collective_minutes)
            store, self.rank, self.size = next(rendezvous("env://", timeout=timeout))
            if several_hosts():
                self._met = self._meet(store, cluster)
                timeout = timedelta(minutes=self._met.cluster.collective_minutes)
            elif "LOCAL_WORLD_SIZE" in os.environ:
                os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo" if sys.platform == "linux" else "lo0")
            dist.init_process_group(backend, store=store, rank=self.rank, world_size=self.size, timeout=timeout)

    def _meet(self, store: Any, cluster: Cluster) -> Peers:
        """Connect with the other hosts; gloo then uses the interface that these reach this host by."""
        from r1kit.cluster.peers import interface_of, meet

        met = meet(store, self.rank, self.size, cluster)
        if name := interface_of(met.address):
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
        return met

    @contextmanager
    def together(self) -> Iterator[None]:
        """A collective; where a host is gone, this process ends with the reason."""
        try:
            with _peers():
                yield
        except PeerLostError:
            if self._met:
                self._met.explain()
            raise

    def all_reduce_sum_(self, tensor: Tensor) -> Tensor:
        with self.together():
            self._dist.all_reduce(tensor)
        return tensor

    def gather_objects(self, item: Any) -> list[Any]:
        """One collective for small items, which ``all_gather_object`` needs two for; two for others."""
        packed = pickle.dumps(item)
        length = len(packed).to_bytes(8, "little")
        first = self._gather_bytes(length + packed[: SMALL - 8], SMALL)
        lengths = [int.from_bytes(box[:8], "little") for box in first]
        boxes = [box[8 : 8 + n] for box, n in zip(first, lengths, strict=True)]
        if (rest := max(lengths) - (SMALL - 8)) > 0:
            more = self._gather_bytes(packed[SMALL - 8 :], rest)
            boxes = [(box + tail)[:n] for box, tail, n in zip(boxes, more, lengths, strict=True)]
        return [pickle.loads(box) for box in boxes]

    def _gather_bytes(self, mine: bytes, size: int) -> list[bytes]:
        """Every rank's bytes, padded to ``size``."""
        import torch

        sent = torch.frombuffer(bytearray(mine.ljust(size, b"\0")), dtype=torch.uint8)
        boxes = [torch.empty_like(sent) for _ in range(self.size)]
        with self.together():
            self._dist.all_gather(boxes, sent)
        return [box.numpy().tobytes() for box in boxes]

    def collect_objects(self, item: Any) -> list[Any]:
        boxes: list[Any] | None = [None] * self.size if self.rank == 0 else None
        with self.together():
            self._dist.gather_object(item, boxes)
        return boxes or []

    def broadcast_object(self, item: Any) -> Any:
        box = [item]
        with self.together():
            self._dist.broadcast_object_list(box, src=0)
        return box[0]

    def close(self) -> None:
        if self._met:
            self._met.close()
        if self._dist.is_initialized():
            self._dist.destroy_process_group()


@contextmanager
def _peers() -> Iterator[None]:
    """What a backend raises when a peer is gone is a plain RuntimeError; tell it from a mistake in the call."""
    try:
        yield
    except RuntimeError as error:
        if any(word in str(error).lower() for word in LOST):
            raise PeerLostError(f"lost its peers ({str(error).splitlines()[0]})") from error
        raise


def wait_as_long(group: ProcessGroup) -> None:
    """Let collectives of some ranks wait as long as those of all."""
    import torch
    import torch.distributed as dist
    from torch.distributed.distributed_c10d import _set_pg_timeout

    everybody = cast(Any, dist.group.WORLD)._get_backend(torch.device("cpu"))
    _set_pg_timeout(everybody.options._timeout, group)


def join(cluster: Cluster | None = None) -> Ranks:
    """This process's place among the ranks, from the environment that ``launch`` or torchrun set.

    Args:
        cluster: how long a rank waits for another; over several hosts rank 0's holds for all.
    """
    from r1kit.cluster.settings import Cluster

    return GlooRanks(cluster or Cluster()) if int(os.environ.get("WORLD_SIZE", "1")) > 1 else Solo()


def local_rank(ranks: Ranks) -> int:
    """This rank's number among those of its host, as ``launch`` or torchrun say: which of the host's GPUs it takes."""
    return int(os.environ.get("LOCAL_RANK", ranks.rank))
