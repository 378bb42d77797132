"""Collectives agree over ranks; however a rank ends, the run ends soon, with one line that tells the cause."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from r1kit.backends.device import device_of
from r1kit.cluster import launch as module
from r1kit.cluster import processes
from r1kit.cluster.ranks import Solo, join, local_rank
from r1kit.errors import Interrupted, R1Error, RankError

TESTS = Path(__file__).parent.parent


def test_collectives(on_ranks: Callable[..., list[Any]]) -> None:
    total, gathered = [10.0, 12.0, 14.0], [{"rank": 0}, {"rank": 1}]
    assert on_ranks(2, "cluster.ranked:collectives") == [(total, gathered, "mine", rank, 2) for rank in range(2)]


def test_alone_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    ranks = join()
    assert isinstance(ranks, Solo)
    tensor = torch.ones(2)
    assert ranks.all_reduce_sum_(tensor) is tensor
    assert (ranks.gather_objects(3), ranks.broadcast_object(4)) == ([3], 4)


def test_ranks_ask_for_huge_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_a_rank() -> str:
        return processes.tunables(os.environ.get("GLIBC_TUNABLES", ""))

    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert of_a_rank() == "glibc.malloc.hugetlb=1"
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=3")
    assert of_a_rank() == "glibc.malloc.check=3:glibc.malloc.hugetlb=1"
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=0")
    assert of_a_rank() == "glibc.malloc.hugetlb=0"


@pytest.fixture
def behave(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], float]:
    """Launch two ranks of ``ranked.py``; the seconds it took. Processes of theirs must all be gone."""
    popen = subprocess.Popen
    started: list[subprocess.Popen[bytes]] = []

    def ranked(command: list[str], **more: Any) -> subprocess.Popen[bytes]:
        started.append(popen([*command[:2], "cluster.ranked", *command[3:]], **more))
        return started[-1]

    monkeypatch.setattr(processes.subprocess, "Popen", ranked)
    monkeypatch.setenv("PYTHONPATH", str(TESTS))

    def run(how: str) -> float:
        began = time.monotonic()
        try:
            module.launch(module.rank_jobs([how], 2, 1))
        finally:
            assert [process.returncode is not None for process in started] == [True, True]
        return time.monotonic() - began

    return run


def test_all_is_well(behave: Callable[[str], float]) -> None:
    behave("fine")


ENDED = "ended with exit code %d before its work was done"


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("kill", "rank 1 was ended by SIGKILL (killed from outside, or out of memory); run the same command to go on"),
        ("raise", "rank 1 failed: ValueError: a bug; run the same command to go on"),
        ("exit", f"rank 1 {ENDED % 9} at ranked.py: os._exit(9); run the same command to go on"),
        ("leave", f"rank 1 {ENDED % 0} at ranked.py: os._exit(0); run the same command to go on"),
    ],
)
def test_a_rank_that_dies_is_named_and_its_peer_says_nothing(
    behave: Callable[[str], float], how: str, line: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RankError) as caught:
        behave(how)
    assert re.sub(r"py:\d+", "py", str(caught.value)) == line
    assert caught.value.exit_code == 1
    said = capfd.readouterr().err
    # a bug leaves its one traceback, and nothing else says a word
    assert said.count("Traceback") == (1 if how == "raise" else 0)
    assert "peer" not in said


def test_a_rank_s_own_error_is_shown_as_it_is(
    behave: Callable[[str], float], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(R1Error) as caught:
        behave("refuse")
    assert (str(caught.value), caught.value.exit_code) == ("prompts are too long; choose shorter ones", 2)
    assert capfd.readouterr().err == ""


def test_what_all_ranks_say_is_said_once(behave: Callable[[str], float], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(R1Error) as caught:
        behave("both")
    assert (str(caught.value), caught.value.exit_code) == ("the gradient is not finite", 1)
    assert capfd.readouterr().err == ""


def test_a_rank_that_does_not_listen_is_killed(behave: Callable[[str], float]) -> None:
    with pytest.raises(RankError, match="rank 0 failed: ValueError"):
        behave("hang")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_a_polite_kill_end_it(
    behave: Callable[[str], float], monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    watch = module._watch

    def interrupted(*processes: Any) -> None:
        os.kill(os.getpid(), number)
        watch(*processes)

    monkeypatch.setattr(module, "_watch", interrupted)
    with pytest.raises(Interrupted) as caught:
        behave("fine")
    assert caught.value.exit_code == 130
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_ranks_die_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = (
        "import os, sys, signal, threading, time\n"
        "from r1kit.cluster import launch, processes\n"
        "popen = processes.subprocess.Popen\n"
        "def ranked(command, **more):\n"
        "    started = popen([*command[:2], 'cluster.ranked', *command[3:]], **more)\n"
        "    print(started.pid, flush=True)\n"
        "    return started\n"
        "processes.subprocess.Popen = ranked\n"
        "launch.launch(launch.rank_jobs(['hang'], 2, 1))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    ranks = [int(parent.stdout.readline()) for _ in range(2)]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20  # a rank that still imports asks for its parent later
    while time.monotonic() < deadline and any(_lives(rank) for rank in ranks):
        time.sleep(0.05)
    assert not any(_lives(rank) for rank in ranks)


def _lives(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    try:
        return "State:\tZ" not in status.read_text()
    except OSError:
        return False


def test_a_rank_s_gpu_is_that_of_its_number_on_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rank 5 of two hosts of four GPUs is the second on its host; without a launcher the rank itself counts."""
    ranks = Solo(rank=5, size=8)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert local_rank(ranks) == 5
    assert device_of("auto", ranks) == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert device_of("auto", ranks) == torch.device("cuda", 2)


def test_one_polite_kill_ends_a_rank_whose_peers_do_not_come(tmp_path: Path) -> None:
    """It waits for them outside of Python, where no handler runs."""
    code = "from r1kit import interrupts; from r1kit.cluster.ranks import join\nwith interrupts.heeded(again=False):\n"
    code += "    import torch; print('here', flush=True); join()"
    environment = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    with subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    ) as rank:
        try:
            assert rank.stdout is not None
            assert rank.stdout.readline() == "here\n"
            time.sleep(1)
            rank.terminate()
            assert rank.wait(20) == -signal.SIGTERM
        finally:
            rank.kill()


def _free_port() -> int:
    return processes.Here().free_port(processes.Place())


def test_too_few_files_are_one_line_before_anything_starts() -> None:
    """In a process of its own: a hard limit that is lowered stays so."""
    code = (
        "import resource; from r1kit.cluster.processes import Here, Job\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "jobs = [Job(name=f'rank {rank}', command=()) for rank in range(2)]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (16, hard))\n"
        "print(len(Here().places(jobs)), resource.getrlimit(resource.RLIMIT_NOFILE)[0])\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))\n"
        "try: Here().places(jobs)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == [
        "2 64",
        "MissingError a process may hold 20 files open here, and each of a run of 2 needs 64; raise it with "
        "'ulimit -n 1024'",
    ]
