"""Whole tensors from one process to others, over gloo or NCCL, without the default process group and without vLLM.

Rank 0 sends; every member calls ``broadcast`` for every tensor, in the same order. A member that is gone breaks the
call at once, one that hangs after the timeout.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import torch
import torch.distributed
from torch import Tensor

from r1kit.vllm.calls import own_address

__all__ = ["Broadcast", "tcp_store"]

dist: Any = torch.distributed


def tcp_store(host: str, port: int, timeout: float, leads: bool = False) -> Any:
    """Where members meet. ``leads``: the one that listens, on any free port where ``port`` is 0 (see its ``port``)."""
    return dist.TCPStore(host, port, None, leads, timedelta(seconds=timeout), wait_for_workers=False)


class Broadcast:
    """One member of a group of its own."""

    def __init__(
        self, store: Any, name: str, rank: int, size: int, timeout: float, device: torch.device | None = None
    ) -> None:
        """Returns when all ``size`` members are there.

        Over gloo members reach each other where they reach the store, whatever a host's own name resolves to.

        Args:
            name: new for every group that meets at the store.
            device: a GPU of this member alone: by NCCL; None: by gloo, through the host's memory.
        """
        self._store, self._device = store, device or torch.device("cpu")
        kind = dist.ProcessGroupGloo if device is None else dist.ProcessGroupNCCL
        options = kind._Options() if device is None else kind.Options()
        options._timeout = timedelta(seconds=timeout)
        if device is None:
            options._devices = [kind.create_device(hostname=own_address(store.host, store.port))]
        self._group = kind(dist.PrefixStore(name, store), rank, size, options)

    def send(self, tensor: Tensor) -> None:
        """Of rank 0: the bytes of a tensor of any dtype and device."""
        self._move(tensor.detach().to(self._device).contiguous())

    def receive(self, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
        """Of the others: a fresh tensor, on the group's device."""
        tensor = torch.empty(shape, dtype=dtype, device=self._device)
        self._move(tensor)
        return tensor

    def close(self) -> None:
        """Leave; the others' next call fails."""
        self._group.shutdown()

    def _move(self, tensor: Tensor) -> None:
        options = dist.BroadcastOptions()
        options.rootRank, options.rootTensor = 0, 0
        self._group.broadcast([tensor.view(-1).view(torch.uint8)], options).wait()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
