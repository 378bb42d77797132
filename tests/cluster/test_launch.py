"""What is started where and told what, and what becomes of the helpers, over processes that need no machine."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Sequence

import pytest

from r1kit.cluster import launch as module
from r1kit.cluster.last_words import heard
from r1kit.cluster.processes import Job, Place
from r1kit.errors import R1Error, RankError
from r1kit.users_code import OURS, PYTHONS


class Scripted:
    """A process that ends when its script says so: an exit code, or None, a look."""

    name = ""

    def __init__(self, script: Sequence[int | None], words: str = "") -> None:
        self._script, self._words = list(script), words
        self.code: int | None = None
        self.waited = False

    def poll(self) -> int | None:
        if self.code is None and self._script:
            self.code = self._script.pop(0)
        return self.code

    def send_signal(self, number: signal.Signals) -> None:
        pass

    def last_words(self) -> str:
        return self._words or ('{"done": true}\n' if self.code == 0 else "")

    def kill(self) -> None:
        if self.code is None:
            self.code = -signal.SIGKILL

    def wait(self) -> None:
        assert self.code is not None
        self.waited = True


class Cluster:
    """Hosts by the name of the job; processes by script, in the order of their starts."""

    home = "127.0.0.1"

    def __init__(self, hosts: dict[str, str], scripts: dict[str, list[Scripted]]) -> None:
        self._hosts, self._scripts = hosts, scripts
        self.started: list[tuple[Job, Place, Scripted]] = []
        self.closed = False

    def places(self, jobs: Sequence[Job]) -> Sequence[Place]:
        return [Place(host=self._hosts[job.name]) for job in jobs]

    def free_port(self, place: Place) -> int:
        return 4000 + int(place.host[-1])

    def start(self, job: Job, place: Place) -> Scripted:
        process = self._scripts[job.name].pop(0)
        process.name = job.name
        self.started.append((job, place, process))
        return process

    def close(self) -> None:
        self.closed = True


RANKS = module.rank_jobs(["run"], 3, 2, "runs/one")
ENGINE = Job(name="engine 0", command=("-m", "x"))
HOSTS = {"rank 0": "10.0.0.1", "rank 1": "10.0.0.1", "rank 2": "10.0.0.2", "engine 0": "10.0.0.2"}


def well() -> dict[str, list[Scripted]]:
    return {f"rank {rank}": [Scripted([None] * 4 + [0])] for rank in range(3)}


def test_ranks_are_told_where_they_meet_and_which_of_their_host_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    cluster = Cluster(HOSTS, well())
    module.launch(RANKS, starter=cluster)
    shared = {"WORLD_SIZE": "3", "OMP_NUM_THREADS": "2", "R1KIT_RUN": "runs/one", "MASTER_ADDR": "10.0.0.1"}
    shared["MASTER_PORT"] = "4001"
    local = [("0", "2"), ("1", "2"), ("0", "1")]
    assert [dict(job.environment) for job, _, _ in cluster.started] == [
        {**shared, "RANK": str(rank), "LOCAL_RANK": number, "LOCAL_WORLD_SIZE": size}
        for rank, (number, size) in enumerate(local)
    ]
    assert {job.command for job, _, _ in cluster.started} == {("-m", "r1kit", "run")}
    assert cluster.closed


def test_on_one_host_nothing_is_open_to_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    cluster = Cluster(dict.fromkeys(HOSTS, "127.0.0.1"), well())
    cluster.free_port = lambda place: 4000  # type: ignore[method-assign]
    module.launch(RANKS, starter=cluster)
    assert {job.environment["GLOO_SOCKET_IFNAME"] for job, _, _ in cluster.started} <= {"lo", "lo0"}
    assert {job.environment["MASTER_ADDR"] for job, _, _ in cluster.started} == {"127.0.0.1"}


def test_a_helper_that_dies_is_started_again_as_often_as_asked() -> None:
    engines = [Scripted([-9]), Scripted([None, 1]), Scripted([7])]
    cluster = Cluster(HOSTS, {**well(), "engine 0": list(engines)})
    said: list[str] = []
    module.launch(RANKS, [ENGINE], starter=cluster, restarts=2, tell=said.append)
    assert said == [
        "engine 0 was ended by SIGKILL (killed from outside, or out of memory); it is started again",
        "engine 0 ended with exit code 1 before its work was done; it is started again",
        "engine 0 ended with exit code 7 before its work was done; it is not started again: cluster.restarts is spent",
    ]
    assert all(process.waited for _, _, process in cluster.started)
    assert [place.host for job, place, _ in cluster.started if job.name == ENGINE.name] == ["10.0.0.2"] * 3


def test_a_helper_does_not_outlive_the_ranks() -> None:
    engine = Scripted([])
    cluster = Cluster(HOSTS, {**well(), "engine 0": [engine]})
    module.launch(RANKS, [ENGINE], starter=cluster)
    assert (engine.code, engine.waited) == (-signal.SIGKILL, True)


def test_a_helper_that_can_never_work_ends_the_run_with_its_own_line() -> None:
    words = json.dumps({"words": "no package vllm here; pip install vllm", "own": True})
    cluster = Cluster(HOSTS, {**well(), "engine 0": [Scripted([None, 3], words)]})
    with pytest.raises(R1Error) as caught:
        module.launch(RANKS, [ENGINE], starter=cluster, restarts=2)
    assert (str(caught.value), caught.value.exit_code) == ("no package vllm here; pip install vllm", 3)
    assert all(process.waited for _, _, process in cluster.started)


def test_a_rank_that_dies_ends_all() -> None:
    scripts = {**well(), "rank 1": [Scripted([None, -11])], "engine 0": [Scripted([])]}
    cluster = Cluster(HOSTS, scripts)
    with pytest.raises(RankError, match="rank 1 was ended by SIGSEGV; run the same command to go on"):
        module.launch(RANKS, [ENGINE], starter=cluster)
    assert all(process.waited for _, _, process in cluster.started)


CRASH = """{"doing": "mine"}
Fatal Python error: Segmentation fault

Current thread 0x00007f7d8f4d2740 [python] (most recent call first):
  File "%s/ctypes/__init__.py", line 519 in string_at
  File "/home/me/my_stages.py", line 12 in run
  File "%s/pipeline.py", line 138 in _run_stage
"""


@pytest.mark.parametrize(
    ("code", "words", "line"),
    [
        (0, "", "mine: rank 1 ended with exit code 0 before its work was done"),
        (
            7,
            '{"place": "st.py:6: os._exit(7)"}',
            "mine: rank 1 ended with exit code 7 before its work was done at st.py:6",
        ),
        (-11, CRASH % (PYTHONS, OURS), "mine: rank 1 was ended by SIGSEGV at my_stages.py:12; run"),
        (-11, CRASH.replace("/home/me", "%s") % (PYTHONS, OURS, OURS), "mine: rank 1 was ended by SIGSEGV; run"),
    ],
)
def test_a_rank_that_ends_without_a_word_is_told_with_its_stage_and_the_users_line(
    code: int, words: str, line: str
) -> None:
    """Exit code 0 too: nobody but the rank itself knows that its work is done."""
    started = [*well().items(), ("rank 1", [Scripted([None, code], f'{{"doing": "mine"}}\n{words}')])]
    with pytest.raises(RankError, match=re.escape(line)):
        module.launch(RANKS, starter=Cluster(HOSTS, dict(started)))


def test_what_was_started_is_ended_when_a_start_fails() -> None:
    cluster = Cluster(HOSTS, {"rank 0": [Scripted([])], "rank 1": [], "engine 0": [Scripted([])]})
    with pytest.raises(IndexError):
        module.launch(RANKS, [ENGINE], starter=cluster)
    assert [job.name for job, _, _ in cluster.started] == ["engine 0", "rank 0"]
    assert all(process.waited for _, _, process in cluster.started)


def test_half_a_line_of_a_killed_process_takes_nothing_from_the_lines_before_it() -> None:
    assert heard('{"doing": "r1_zero"}\n{"doing": "sf') == {"doing": "r1_zero"}
