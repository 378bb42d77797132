"""How weights reach the workers of a vLLM server: over gloo or NCCL, or through a folder that both sides see."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor

from r1kit.rollout.gloo import Broadcast, tcp_store
from r1kit.rollout.replica import ReplicaLost

__all__ = ["Carrier", "Folder", "Group", "Post"]

_T = TypeVar("_T")

Post = Callable[[str, Mapping[str, Any]], Any]
"""(path, body) -> the server's answer, in time, else ``ReplicaLost``."""


class Carrier(Protocol):
    def join(self, post: Post, workers: int) -> None:
        """Make the way that the next update takes, a new one each time: the server may have been started again.

        Args:
            workers: that share the server's model.
        """
        ...

    def send(self, post: Post, tensors: Sequence[tuple[str, Tensor]], more: Mapping[str, Any]) -> None:
        """Some tensors of an update.

        Args:
            more: further keys of the update.
        """
        ...

    def leave(self) -> None:
        """Give this side back. Idempotent."""
        ...


class Group:
    """Over gloo, or over NCCL: rank 0 sends, the server's workers are the other members.

    A collective cannot be called back, so it runs on a thread that nobody need wait for: the server's own answer, which
    has a deadline, says whether it went well.
    """

    def __init__(self, host: str, timeout: float, device: torch.device | None = None) -> None:
        """
        Args:
            host: this machine's address as the server sees it.
            device: rank 0's GPU, which no worker shares: by NCCL; None: by gloo.
        """
        self._host, self._timeout, self._device = host, timeout, device
        self._store = tcp_store(host, 0, timeout, leads=True)
        self._group: Broadcast | None = None

    def join(self, post: Post, workers: int) -> None:
        """See ``Carrier``."""
        self.leave()
        name, size = secrets.token_hex(8), 1 + workers
        own = tcp_store(self._host, self._store.port, self._timeout)  # a join that waits in vain blocks its connection
        joined = _apart(lambda: Broadcast(own, name, 0, size, self._timeout, self._device))
        kind = "nccl" if self._device else "gloo"
        wire = {"kind": kind, "host": self._host, "port": self._store.port, "name": name, "size": size, "first": 1}
        post("/init_weight_transfer_engine", {"init_info": {**wire, "timeout": self._timeout}})
        self._group = _result(joined)

    def send(self, post: Post, tensors: Sequence[tuple[str, Tensor]], more: Mapping[str, Any]) -> None:
        """See ``Carrier``."""
        group = self._group
        assert group is not None, "join() comes first"
        dtypes = [str(tensor.dtype).removeprefix("torch.") for _, tensor in tensors]
        update = {"names": [name for name, _ in tensors], "dtypes": dtypes, **more}
        sent = _apart(lambda: _send_all(group, tensors))
        shapes = [list(tensor.shape) for _, tensor in tensors]
        post("/update_weights", {"update_info": {**update, "shapes": shapes}})
        _result(sent)

    def leave(self) -> None:
        """See ``Carrier``."""
        if self._group is not None:
            with suppress(RuntimeError):
                self._group.close()
            self._group = None


class Folder:
    """A file a chunk, gone when the server has read it."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def join(self, post: Post, workers: int) -> None:
        """See ``Carrier``."""
        post("/init_weight_transfer_engine", {"init_info": {"kind": "folder"}})

    def send(self, post: Post, tensors: Sequence[tuple[str, Tensor]], more: Mapping[str, Any]) -> None:
        """See ``Carrier``."""
        path = self._folder / f"weights-{secrets.token_hex(8)}.safetensors"
        try:
            save_file({name: tensor.contiguous() for name, tensor in tensors}, path)
            names = [name for name, _ in tensors]
            post("/update_weights", {"update_info": {"names": names, "path": str(path), **more}})
        finally:
            path.unlink(missing_ok=True)

    def leave(self) -> None:
        """See ``Carrier``."""


def _send_all(group: Broadcast, tensors: Sequence[tuple[str, Tensor]]) -> None:
    for _, tensor in tensors:
        group.send(tensor)


def _apart(work: Callable[[], _T]) -> Future[_T]:
    """Done on a thread that ends with the process, whatever it hangs in."""
    done: Future[_T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="collective", daemon=True).start()
    return done


def _result(done: Future[_T]) -> _T:
    """The server has said that all went well, so this side is done too, or will never be."""
    try:
        return done.result(timeout=10.0)
    except FutureTimeout:
        raise ReplicaLost("the server has its weights, but the collective that sent them does not end") from None
    except RuntimeError as error:
        raise ReplicaLost(f"the collective broke: {str(error).splitlines()[0][:200]}") from None
