"""``r1 review`` as a user starts it: killed in the middle, started anew; nothing that was answered is lost."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from reviewing import waiting_run

from r1kit.factory.review import read_queue


class Server:
    def __init__(self, run: Path) -> None:
        command = [sys.executable, "-m", "r1kit", "review", str(run), "--port", "0"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        self.address = re.search(r"http://\S+?(?=/ )", self.said)[0]  # type: ignore[index]
        page = urllib.request.urlopen(self.address).read().decode()
        self.token = re.search(r'name="r1-token" content="([^"]+)"', page)[1]  # type: ignore[index]

    def send(self, path: str, **body: Any) -> Any:
        told = json.dumps({"name": "ann", "client": "a tab", **body}).encode()
        asked = urllib.request.Request(self.address + path, told, {"X-R1-Token": self.token})
        return json.loads(urllib.request.urlopen(asked).read())["item"]

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def test_a_killed_server_loses_nothing(tmp_path: Path) -> None:
    run = waiting_run(tmp_path / "run")
    queue = run / "03_cold_start" / "review.jsonl"
    server = Server(run)
    try:
        assert server.said.startswith("4 of 4 samples of cold_start to decide: http://127.0.0.1:")
        for status in ("accepted", "rejected"):
            item = server.send("/next", skipped=[])
            server.send("/decide", id=item["id"], state=item["state"], status=status)
    finally:
        server.end()
    assert [item.status for item in read_queue(queue)] == ["accepted", "rejected", "pending", "pending"]
    with queue.open("ab") as file:
        file.write(b'{"at": "2026-11-26T01:00:00+0000", "id": "co')  # as if it had died in a write
    server = Server(run)
    try:
        assert server.said.startswith("2 of 4 samples of cold_start to decide: ")
        assert server.send("/next", skipped=[])["number"] == 3
        assert server.send("/undo")["number"] == 2, "what it knew before it was killed"
        item = server.send("/next", skipped=[])
        server.send("/decide", id=item["id"], state=item["state"], status="accepted")
    finally:
        server.end()
    assert [item.status for item in read_queue(queue)] == ["accepted", "accepted", "pending", "pending"]
    assert len(queue.read_text().splitlines()) == 4 + 2 + 1 + 1
