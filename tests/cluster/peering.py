"""A rank that meets the others and then does as told: ``python -m cluster.peering RANK SIZE FOLDER BEHAVIOUR``."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

from r1kit.cluster.peers import meet
from r1kit.cluster.settings import Cluster


class FileStore:
    """torch.distributed's store as files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def set(self, key: str, value: str) -> None:
        path = self.folder / key.replace("/", "-")
        path.with_suffix(".new").write_text(value)
        path.with_suffix(".new").rename(path)

    def get(self, key: str) -> bytes:
        path = self.folder / key.replace("/", "-")
        while not path.exists():
            time.sleep(0.01)
        return path.read_bytes()


def main(rank: int, size: int, folder: Path, how: str) -> None:
    store = FileStore(folder)
    if how == "stranger" and rank == 1:  # whoever connects without the token is let go
        place = json.loads(store.get("r1kit/peers"))
        with socket.create_connection(("127.0.0.1", place["port"])) as stranger:
            stranger.sendall(b'{"token": "guessed", "rank": 1, "host": "elsewhere"}\n')
            assert stranger.recv(1) == b""
    peers = meet(store, rank, size, Cluster(lost_after=7.0, heartbeat=0.5 + rank), timeout=30)
    print(peers.cluster.heartbeat, peers.cluster.lost_after, repr(peers.address), flush=True)
    if how == "kill" and rank == size - 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "kill":
        time.sleep(60)
    if how == "late" and rank == 0:  # a peer that is done does not end one that works on
        time.sleep(1)
    peers.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
