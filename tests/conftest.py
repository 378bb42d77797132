"""Fixtures that several packages share."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in ``make test &`` of a script: children would ignore it too
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def on_ranks(tmp_path: Path) -> Callable[..., list[Any]]:
    """``on_ranks(2, "package.module:function", ...)``: call it on gloo ranks, ``Ranks`` first; what each returned."""
    return _on_ranks(tmp_path)


@pytest.fixture(scope="module")
def on_ranks_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[Any]]:
    """``on_ranks`` for what several tests of a module look at."""
    return _on_ranks(tmp_path_factory.mktemp("ranks"))


def _on_ranks(folder: Path) -> Callable[..., list[Any]]:
    def run(size: int, function: str, *arguments: Any) -> list[Any]:
        given, taken = folder / "arguments.pickle", folder / "returned"
        given.write_bytes(pickle.dumps(arguments))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(size), "OMP_NUM_THREADS": "1"}
        path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
        ranks = [
            subprocess.Popen(
                [sys.executable, str(TESTS / "ranked.py"), function, str(given), str(taken)],
                env={**os.environ, **shared, "RANK": str(rank), "PYTHONPATH": path},
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(size)
        ]
        try:
            told = [rank.communicate(timeout=600)[1] for rank in ranks]
        finally:
            for rank in ranks:
                rank.kill()
                rank.wait()
        assert [rank.returncode for rank in ranks] == [0] * size, "\n".join(told)
        return [pickle.loads(Path(f"{taken}.{rank}").read_bytes()) for rank in range(size)]

    return run
