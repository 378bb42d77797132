"""Two processes decide on one queue at random, one of them is killed: nothing that was taken is lost or doubled."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from r1kit.factory.review import Item, read_queue, write_queue
from r1kit.factory.review_file import ReviewFile
from r1kit.records import Sample


def test_two_write_and_one_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "review.jsonl"
    samples = [Sample(id=name, prompt="q", response="r", domain="d") for name in "abcdefgh"]
    write_queue(path, [Item(id=sample.id, sample=sample) for sample in samples])
    items = path.read_bytes()
    command = [sys.executable, str(Path(__file__).with_name("queue_writer.py")), str(path)]
    started: dict[str, subprocess.Popen[bytes]] = {}

    def start(name: str) -> None:
        with (tmp_path / name).open("w") as log:
            started[name] = subprocess.Popen([*command, name], stdout=log)

    def taken(name: str) -> list[str]:
        return (tmp_path / name).read_text().splitlines()

    def wait(name: str, count: int) -> None:
        while len(taken(name)) < count:
            assert started[name].poll() is None
            threading.Event().wait(0.01)

    try:
        start("ann")
        start("bob")
        wait("ann", 40)
        started["ann"].send_signal(signal.SIGKILL)
        start("cy")
        wait("cy", 40)
    finally:
        for process in started.values():
            process.kill()
            process.wait()
    assert path.read_bytes().startswith(items)
    found = read_queue(path)
    decisions = Counter(each.reason for item in found for each in item.history if not each.undo)
    told = [line for name in started for line in taken(name)]
    assert len(told) > 80
    assert not set(told) - set(decisions), "what was taken is there"
    assert set(decisions.values()) == {1}, "once"
    assert len(set(decisions) - set(told)) <= len(started), "at most the one in flight of each was not told"
    lines = path.read_bytes().split(b"\n")
    assert all(json.loads(line) for line in lines[:-1] if line)
    assert [item.status for item in ReviewFile(path).items().values()] == [item.status for item in found]
