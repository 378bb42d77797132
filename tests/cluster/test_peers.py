"""Ranks on several hosts: they agree on rank 0's settings, and a peer that ends without a word ends the others, with
one line a host. What needs a second host is in test_torchrun.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from r1kit.cluster import peers as module
from r1kit.cluster.peers import interface_of, meet, several_hosts
from r1kit.cluster.settings import Cluster
from r1kit.errors import PeerLostError

TESTS = Path(__file__).parent.parent
LINE = "{} (rank 2) ended without a word (killed, or out of memory)"


def start(folder: Path, how: str, size: int = 3, **environment: str) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of each rank."""
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", str(TESTS.parent))])
    shared = {**os.environ, "PYTHONPATH": path, "MASTER_ADDR": "127.0.0.1", **environment}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", "cluster.peering", str(rank), str(size), str(folder), how],
            env={**shared, "LOCAL_RANK": str(rank % 2)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(size)
    ]  # fmt: skip
    try:
        told = [rank.communicate(timeout=60) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()
    return [(rank.returncode, *both) for rank, both in zip(ranks, told, strict=True)]


@pytest.mark.parametrize("how", ["fine", "late", "stranger"])
def test_all_have_rank_0_s_settings_and_part_in_peace(tmp_path: Path, how: str) -> None:
    assert start(tmp_path, how) == [(0, "0.5 7.0 ''\n", "")] * 3


def test_a_killed_peer_is_told_once_a_host(tmp_path: Path) -> None:
    """Ranks 0 and 2 are the first of their hosts, rank 1 is not."""
    zero, one, two = start(tmp_path, "kill")
    line = f"r1: {LINE.format(os.uname().nodename)}; run the same command to go on\n"
    assert (zero[0], zero[2]) == (1, line)
    assert (one[0], one[2]) == (1, "")
    assert two[0] == -9


def test_a_launched_rank_tells_who_launched_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[int, str]] = []

    def leave(code: int, line: str) -> None:
        said.append((code, line))
        raise SystemExit

    monkeypatch.setenv("R1KIT_PARENT", "1")
    monkeypatch.setattr(module, "leave", leave)
    peers = module.Peers(0, [], "", Cluster())
    peers._why = "nothing was heard"
    peers._known.set()
    with pytest.raises(SystemExit):
        peers.explain()
    assert said == [(PeerLostError.exit_code, "lost its peers (nothing was heard)")]


def test_peers_that_never_come(monkeypatch: pytest.MonkeyPatch) -> None:
    class Store(dict[str, str]):
        def set(self, key: str, value: str) -> None:
            self[key] = value

        def get(self, key: str) -> bytes:  # type: ignore[override]
            return json.dumps({"port": 1, "token": ""}).encode()

    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    for rank, why in enumerate(("no word of rank 1, 2 within 0.1 s of the start", "rank 0 cannot be reached")):
        with pytest.raises(PeerLostError, match=why):
            meet(Store(), rank, 3, Cluster(), timeout=0.1)


def test_where_there_are_several_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    for size, here, several in (("4", "2", True), ("4", "4", False), ("4", "", False), ("", "", False)):
        for name, value in (("WORLD_SIZE", size), ("LOCAL_WORLD_SIZE", here)):
            monkeypatch.setenv(name, value)
            if not value:
                monkeypatch.delenv(name)
        assert several_hosts() is several


@pytest.mark.skipif(sys.platform != "linux", reason="interfaces are asked of Linux")
def test_the_interface_of_an_address() -> None:
    assert interface_of("127.0.0.1") == "lo"
    assert interface_of("203.0.113.7") == ""
