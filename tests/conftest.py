"""Fixtures that several packages share."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ranked import PRELOADED, forked

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
    """Ranks are forked from a server that has imported torch and `transformers`: five seconds of a rank's life."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)

    def run(size: int, function: str, *arguments: Any) -> list[Any]:
        given, taken = folder / "arguments.pickle", folder / "returned"
        given.write_bytes(pickle.dumps(arguments))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        shared = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(size)}
        told = [folder / f"told.{rank}" for rank in range(size)]
        words = (function, str(given), str(taken))
        ranks = [
            context.Process(target=forked, args=({**shared, "RANK": str(rank)}, str(told[rank]), *words))
            for rank in range(size)
        ]
        try:
            for rank in ranks:
                rank.start()
            for rank in ranks:
                rank.join(600)
        finally:
            for rank in ranks:
                rank.kill()
                rank.join()
        assert [rank.exitcode for rank in ranks] == [0] * size, "\n".join(path.read_text() for path in told)
        return [pickle.loads(Path(f"{taken}.{rank}").read_bytes()) for rank in range(size)]

    return run
