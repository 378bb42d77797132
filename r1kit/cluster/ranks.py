"""Cores are ranks: one program on every rank over torch.distributed. ``Ranks`` is what the rest of the code sees.

``r1 run`` starts the ranks (``cluster.launch``); torchrun may as well.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, cast

from r1kit.errors import PeerLostError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import ProcessGroup

__all__ = ["GlooRanks", "Ranks", "Solo", "join", "local_rank", "peers", "wait_as_long", "wait_at_most"]

JOINING = timedelta(minutes=30)
"""How long a rank waits for all to be there; from then on ``wait_at_most`` says how long in a collective."""
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

    def close(self) -> None:
        pass


class GlooRanks:
    """Ranks over torch.distributed: gloo on CPU, NCCL beside it where CUDA is.

    Every method raises PeerLostError when another rank is gone.
    """

    def __init__(self) -> None:
        import torch
        import torch.distributed as dist

        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        self._dist = dist
        with peers():
            dist.init_process_group(backend, timeout=JOINING)
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def all_reduce_sum_(self, tensor: Tensor) -> Tensor:
        with peers():
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
        with peers():
            self._dist.all_gather(boxes, sent)
        return [box.numpy().tobytes() for box in boxes]

    def collect_objects(self, item: Any) -> list[Any]:
        boxes: list[Any] | None = [None] * self.size if self.rank == 0 else None
        with peers():
            self._dist.gather_object(item, boxes)
        return boxes or []

    def broadcast_object(self, item: Any) -> Any:
        box = [item]
        with peers():
            self._dist.broadcast_object_list(box, src=0)
        return box[0]

    def close(self) -> None:
        if self._dist.is_initialized():
            self._dist.destroy_process_group()


@contextmanager
def peers() -> Iterator[None]:
    """Around collectives: what a backend raises when a peer is gone is a plain RuntimeError; tell it from a mistake.

    Raises:
        PeerLostError: a peer is gone.
    """
    try:
        yield
    except RuntimeError as error:
        if any(word in str(error).lower() for word in LOST):
            raise PeerLostError(f"lost its peers ({str(error).splitlines()[0]})") from error
        raise


def wait_at_most(ranks: Ranks, minutes: float) -> None:
    """A peer that is alive but stuck ends the run after this long in a collective; one that died ends it at once."""
    if ranks.size > 1:
        from torch.distributed.distributed_c10d import _set_pg_timeout

        _set_pg_timeout(timedelta(minutes=minutes))


def wait_as_long(group: ProcessGroup) -> None:
    """Let collectives of some ranks wait as long as those of all."""
    import torch
    import torch.distributed as dist
    from torch.distributed.distributed_c10d import _set_pg_timeout

    everybody = cast(Any, dist.group.WORLD)._get_backend(torch.device("cpu"))
    _set_pg_timeout(everybody.options._timeout, group)


def join() -> Ranks:
    """This process's place among the ranks, from the environment that ``launch`` or torchrun set."""
    return GlooRanks() if int(os.environ.get("WORLD_SIZE", "1")) > 1 else Solo()


def local_rank(ranks: Ranks) -> int:
    """This rank's number among those of its host, as ``launch`` or torchrun say: which of the host's GPUs it takes."""
    return int(os.environ.get("LOCAL_RANK", ranks.rank))
