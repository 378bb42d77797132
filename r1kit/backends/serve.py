"""A helper's process, started beside the ranks (``cluster.launch``): ``python -m r1kit.backends.serve engine``.

It serves all ranks, over the whole run; what it works with is opened by them, a stage at a time. It ends with whoever
started it, when nobody that knows of it is left, or when its engine computes nothing any more.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NoReturn

from r1kit.backends.engine_room import EngineRoom
from r1kit.backends.opening import open_from
from r1kit.backends.room import Room
from r1kit.backends.verifier_room import VerifierRoom
from r1kit.cluster.directory import HOST, register, token
from r1kit.cluster.helpers import timing
from r1kit.cluster.launched import leave, run_as_rank
from r1kit.cluster.wire import Listener, Lost, Wire

__all__ = ["Helper", "main"]


class Helper:
    """Connections by purpose; all of a rank's end when its signs of life do."""

    def __init__(self, kind: str, lost_after: float, end: Callable[[str], None]) -> None:
        """
        Args:
            kind: ``engine`` or ``verifier``.
            lost_after: see ``Cluster``.
            end: ends this process, with the reason.
        """
        self._lost_after = lost_after
        self._wires: dict[str, list[Wire]] = defaultdict(list)
        self._engines = EngineRoom(open_from, end) if kind == "engine" else None
        self.room: Room[Any] = self._engines or VerifierRoom(end)

    def serve(self, wire: Wire, purpose: str, key: str, client: str) -> None:
        """See ``Listener``."""
        self._wires[client].append(wire)
        if purpose == "heart":
            self._beat(wire, client)
        elif purpose == "weights" and self._engines:
            self._engines.weights(wire, key)
        else:
            self.room.requests(wire, key)

    def _beat(self, wire: Wire, client: str) -> None:
        wire.patience(3 * self._lost_after)
        try:
            while True:
                wire.receive()
                wire.send(self.room.state)
        except Lost:
            for other in self._wires.pop(client):
                other.cut()


def _watch(room: Room[Any], heartbeat: float, lost_after: float) -> None:
    """End the process when its engine is busy and yet uses no processor time for so long."""
    assert room.thread.ident is not None
    clock, before, still = time.pthread_getcpuclockid(room.thread.ident), -1.0, 0.0
    while True:
        time.sleep(heartbeat)
        used = time.clock_gettime(clock)
        still = still + heartbeat if room.busy and used == before else 0.0
        before = used
        if still >= lost_after:
            leave(1, f"computed nothing for {still:g} s")


def _serve(kind: str) -> NoReturn:
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    times = timing()
    helper = Helper(kind, times.lost_after, lambda why: leave(1, why))
    if kind == "engine" and hasattr(time, "pthread_getcpuclockid"):
        arguments = (helper.room, times.heartbeat, times.lost_after)
        threading.Thread(target=_watch, args=arguments, name="watch", daemon=True).start()
    register(Listener(os.environ[HOST], token(), helper.serve).port, times.heartbeat, times.patience)


def main() -> NoReturn:
    """Serve until the end. ``argv``: what."""
    run_as_rank(lambda: _serve(sys.argv[1]))


if __name__ == "__main__":
    main()
