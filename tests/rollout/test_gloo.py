"""Tensors over gloo, outside the default process group: every byte arrives, and who is left alone is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch

from r1kit.rollout.gloo import Broadcast, tcp_store
from r1kit.vllm.carriers import Group

TENSORS = [
    torch.randn(5, 3, generator=torch.Generator().manual_seed(1)),
    torch.tensor([1.5, -2.0, float("inf")], dtype=torch.bfloat16),
    torch.tensor(3.25),
    torch.arange(6).view(2, 3).t(),
]


def met(
    size: int, work: Callable[[Broadcast], None], timeout: float = 20.0
) -> tuple[Broadcast, list[threading.Thread]]:
    """Rank 0, and threads in which the others do their work."""
    store = tcp_store("127.0.0.1", 0, timeout, leads=True)

    def join(rank: int) -> None:
        work(Broadcast(tcp_store("127.0.0.1", store.port, timeout), "g", rank, size, timeout))

    threads = [threading.Thread(target=join, args=(rank,), daemon=True) for rank in range(1, size)]
    for thread in threads:
        thread.start()
    return Broadcast(store, "g", 0, size, timeout), threads


def test_every_member_has_the_bytes() -> None:
    found: list[list[torch.Tensor]] = []

    def receive(group: Broadcast) -> None:
        found.append([group.receive(one.dtype, tuple(one.shape)) for one in TENSORS])
        group.close()

    group, threads = met(3, receive)
    for one in TENSORS:
        group.send(one)
    for thread in threads:
        thread.join(20)
    assert len(found) == 2
    for received in found:
        assert all(torch.equal(one, other) for one, other in zip(received, TENSORS, strict=True))
        assert [one.dtype for one in received] == [one.dtype for one in TENSORS]
    group.close()


def test_a_member_that_left_breaks_the_call() -> None:
    def leave(member: Broadcast) -> None:
        member.receive(torch.float32, ())  # both are there: who leaves while others still join breaks their joining
        member.close()

    group, threads = met(2, leave, timeout=2.0)
    group.send(torch.tensor(1.0))
    threads[0].join(20)
    many = torch.zeros(20 << 20)  # what fits the socket's buffer is not missed at once
    with pytest.raises(RuntimeError):
        group.send(many)
    group.close()


def test_who_died_while_joining_does_not_keep_the_next_one_waiting() -> None:
    """A server that is killed as weights are handed to it and started again: its first join hangs for its timeout."""
    group = Group("127.0.0.1", timeout=60.0)

    def dies(path: str, body: Mapping[str, Any]) -> None:
        time.sleep(0.5)  # rank 0 waits by now
        raise RuntimeError("gone")

    def comes(path: str, body: Mapping[str, Any]) -> None:
        wire = body["init_info"]
        Broadcast(tcp_store(wire["host"], wire["port"], 60.0), wire["name"], 1, wire["size"], 60.0)

    with pytest.raises(RuntimeError, match="gone"):
        group.join(dies, 1)
    again = threading.Thread(target=group.join, args=(comes, 1), daemon=True)
    again.start()
    again.join(20)
    assert not again.is_alive()
    group.leave()
