"""A run on a real Ray cluster: equal to one without, what is refused before anything loads, and what doctor finds."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kill_resume import contents, differences

from cluster.hosts import ON_HOSTS, Host, Network, children
from cluster.ray_hosts import RayHosts
from cluster.sittings import COMMAND, straight

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).resolve().parent.parent.parent
ALONE = {**os.environ, "RAY_ADDRESS": "local"}
OURS = {".cluster.log", ".writer"}
"""Files that a run on a cluster has beside the others."""


def r1(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "r1kit", *arguments]
    return subprocess.run(command, env={**ALONE, **environment}, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("engines", ["0", "1"])
def test_a_cluster_of_one_machine_gives_what_no_cluster_gives(tmp_path: Path, engines: str) -> None:
    setting = ["--set", f"cluster.engines={engines}", "--set", "r1_zero.steps=6", "--set", "r1_zero.evaluate_every=3"]
    straight(tmp_path / "straight", *setting)
    placed = [*COMMAND[2:], "--out", str(tmp_path / "placed"), "--ranks", "2", "--cluster", "auto", *setting]
    done = r1(*placed)
    assert done.returncode == 0, done.stderr
    expected, found = contents(tmp_path / "straight"), contents(tmp_path / "placed")
    assert differences(expected, {name: held for name, held in found.items() if name not in OURS}) == []


def test_too_little_room_is_told_before_anything_is_written(tmp_path: Path) -> None:
    done = r1(*COMMAND[2:], "--out", str(tmp_path / "run"), "--set", "cluster.rank_needs.gpus=3", "--cluster", "auto")
    assert done.returncode == 3
    assert "1 cpu + 3 gpus" in done.stderr
    assert "0 gpus" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_doctor_on_this_machine(tmp_path: Path) -> None:
    done = r1("doctor", "--cluster", "auto", "--json", str(tmp_path / "found.json"), "--path", str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    (host,) = found["hosts"]
    assert host["shared"][str(tmp_path)] is True
    assert host["doctor"]["engines"]["local"] == "ready"
    assert found["bandwidth"] == []
    assert host["name"] in done.stdout
    assert r1("doctor", "--cluster", "127.0.0.1:9").returncode == 2


def test_all_ends_when_r1_run_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, *COMMAND, "--out", str(tmp_path / "run"), "--ranks", "2", "--cluster", "auto"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=ALONE, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        while not (tmp_path / "run/01_pretrain/metrics.jsonl").is_file():
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        below = descendants(process.pid)
        assert len(below) > 4
    finally:
        process.kill()
        process.wait()
    deadline = time.monotonic() + 60
    while left := [pid for pid in below if lives(pid)]:
        assert time.monotonic() < deadline, [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in left]
        time.sleep(0.1)


def descendants(pid: int) -> list[int]:
    found = children(pid)
    return found + [other for child in found for other in descendants(child)]


def lives(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


# ---- two hosts ------------------------------------------------------------------------------------------------------


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


def on_hosts(function: object) -> object:
    for mark in ON_HOSTS:
        function = mark(function)  # type: ignore[operator]
    return function


def joined(network: Network, folder: Path, **of_two: str) -> tuple[Host, Host, RayHosts]:
    """Two hosts; the second one's processes have other variables too."""
    one, two = network.add("one"), network.add("two")
    ray = RayHosts(one, folder)
    ray.wait_for(1)
    ours = {name: text for name, text in ray.environment.items() if not of_two or name != "PYTHONPATH"}
    ray.environment = {**ours, **of_two}
    ray.join(two)
    ray.environment = ours
    ray.wait_for(2)
    return one, two, ray


@on_hosts
def test_a_host_with_another_r1kit_is_refused(network: Network, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "r1kit", tmp_path / "other/r1kit", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "other/r1kit/seeds.py").write_text("# other code\n")
    _, two, ray = joined(network, tmp_path, PYTHONPATH=str(tmp_path / "other"))
    code, said = ray.run(tmp_path / "run", 2).ended()
    assert code == 3
    assert said[0].startswith(f"r1: host {two.address} has another r1kit than this one (code ")
    assert not (tmp_path / "run").exists()


@on_hosts
def test_a_host_that_does_not_see_the_run_folder_or_the_data_is_refused(network: Network, tmp_path: Path) -> None:
    shared, hidden = tmp_path / "shared", tmp_path / "hidden"
    shared.mkdir()
    hidden.mkdir()
    rows = (json.dumps({"prompt": f"{number} + 2", "answer": str(number + 2)}) for number in range(400))
    (hidden / "rows.jsonl").write_text("\n".join(rows))
    one, two = network.add("one"), network.add("two")
    ray = RayHosts(one, tmp_path)
    ray.wait_for(1)
    two.hide(hidden)
    ray.join(two)
    ray.wait_for(2)
    code, said = ray.run(hidden / "run", 2).ended()
    assert code == 2
    assert said == [
        f"r1: host {two.address} does not see the run folder {hidden}/run (ranks read models and settings from it); "
        "choose an --out that every host has under the same path, on a shared file system"
    ]
    data = ("--set", "tasks.mine.kind=data", "--set", f"tasks.mine.path={hidden}/rows.jsonl")
    code, said = ray.run(shared / "run", 2, *data).ended()
    assert code == 2
    assert said[0].startswith(f"r1: host {two.address} does not see {hidden}/rows.jsonl, which the recipe reads; ")
    doctor = ["-m", "r1kit", "doctor", "--cluster", ray.address, "--path", str(hidden)]
    process = one.start([sys.executable, *doctor], tmp_path / "doctor", ray.environment)
    process.wait(300)
    out = (tmp_path / "doctor").read_text()
    assert f"problem: host {two.address} does not see {hidden}" in out
    assert f"{one.address} -> {two.address}: " in out


@on_hosts
def test_without_the_token_a_cluster_is_not_joined(network: Network, tmp_path: Path) -> None:
    one = network.add("one")
    ray = RayHosts(one, tmp_path)
    ray.wait_for(1)
    ray.environment["RAY_AUTH_TOKEN"] = "0" * 64
    code, said = ray.run(tmp_path / "run", 1).ended()
    assert code == 3
    assert "token" in said[0]
    assert len(said) == 1


@on_hosts
def test_a_signal_at_the_driver_ends_every_host_and_leaves_a_resume_point(network: Network, tmp_path: Path) -> None:
    one, two, ray = joined(network, tmp_path)
    run = ray.run(tmp_path / "run", 2, "--set", "r1_zero.steps=500", "--set", "r1_zero.evaluate_every=500")
    run.until(lambda: run.step >= 2)
    assert ranks_on(two)
    one.tell(run.process, signal.SIGTERM)
    code, said = run.ended()
    assert code == 130
    assert said[0].startswith("r1: interrupted by SIGTERM: r1_zero stands at step ")
    deadline = time.monotonic() + 30
    while ranks_on(one) or ranks_on(two):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (tmp_path / "run/02_r1_zero/resume/state.json").is_file()


def ranks_on(host: Host) -> list[int]:
    found = []
    for pid in host.processes():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"r1kit" in words and b"run" in words and b"--cluster" not in words:
            found.append(pid)
    return found
