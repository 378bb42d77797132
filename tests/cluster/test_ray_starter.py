"""How a run's processes are placed, heard and lost on a cluster. Keepers and processes are real; Ray is not there."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from r1kit.cluster import launch as launch_module
from r1kit.cluster.launch import launch
from r1kit.cluster.placement import Host, Slot
from r1kit.cluster.processes import Job
from r1kit.cluster.ray import run as ray_run
from r1kit.cluster.ray.cluster import Lost, Reserved
from r1kit.cluster.ray.host import Keeper
from r1kit.cluster.ray.starter import HeadLost, RayStarter
from r1kit.cluster.settings import Cluster as Settings
from r1kit.errors import InputError, MissingError, R1Error, RankError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="hosts of a cluster are Linux")

QUICK = Settings(heartbeat=0.05, lost_after=0.6, restarts=2, wait_minutes=0.001)
SLEEP = "import time; time.sleep(60)"
WORDS = 'import os; os.write(int(os.environ[\'R1KIT_WORDS\']), b\'{"words": "no", "own": true}\')'


class Errors:
    class RayError(Exception): ...

    class RayActorError(RayError): ...

    class ActorUnavailableError(RayActorError): ...

    class OutOfMemoryError(RayError): ...

    class RayTaskError(RayError):
        cause: BaseException


class Answer:
    """What a call has given, at once; ``host``: None comes as long as it is silent."""

    def __init__(self, host: FakeHost, call: Callable[[], Any]) -> None:
        self.host, self.call, self.found = host, call, None
        if not host.silent:
            self.found = self._made(call)

    def _made(self, call: Callable[[], Any]) -> list[Any]:
        if self.host.dead:
            return [Errors.RayActorError("dead")]
        if self.host.starved:
            return [Errors.OutOfMemoryError("low on memory")]
        try:
            return [call()]
        except Exception as error:
            told = Errors.RayTaskError(str(error))
            told.cause = error
            return [told]


class FakeRay:
    exceptions = Errors

    def wait(self, answers: Sequence[Answer], timeout: float) -> tuple[list[Answer], list[Answer]]:
        for each in answers:
            if each.found is None and not each.host.silent:
                each.found = each._made(each.call)
        return [each for each in answers if each.found], [each for each in answers if not each.found]

    def get(self, answer: Answer, timeout: float = 0) -> Any:
        if not self.wait([answer], 0)[0]:
            raise Errors.RayError("timed out")
        assert answer.found is not None
        if isinstance(answer.found[0], Exception):
            raise answer.found[0]
        return answer.found[0]


class FakeHost:
    def __init__(self, host: Host) -> None:
        self.host = host
        self.silent = self.dead = self.starved = False


class FakeKeeper:
    def __init__(self, host: FakeHost) -> None:
        self.host, self.keeper = host, Keeper(60)

    def __getattr__(self, name: str) -> Any:
        def remote(*arguments: Any) -> Answer:
            return Answer(self.host, lambda: getattr(self.keeper, name)(*arguments))

        return type("Method", (), {"remote": staticmethod(remote)})


class FakeCluster:
    """Hosts of which each does what it is told until a test breaks it."""

    def __init__(self, *hosts: Host) -> None:
        self.ray, self.address, self.here = FakeRay(), "10.0.0.1:6379", "h1"
        self.fakes = {host.id: FakeHost(host) for host in hosts}
        self.said = {host.id: {"name": f"host-{host.id}", "cores": 4} for host in hosts}
        self.given_up: dict[str, float] = {}
        self.refused: list[str] = []
        self.headless = self.counting = False
        self._answered = time.monotonic()
        self.reserved: list[Reserved] = []

    @property
    def answered(self) -> float:
        if not self.headless:
            self._answered = time.monotonic()
        return self._answered

    @answered.setter
    def answered(self, at: float) -> None:
        self._answered = at

    def hosts(self, fresh: bool = False) -> list[Host]:
        found = [fake.host for id_, fake in self.fakes.items() if id_ not in self.given_up and not fake.dead]
        for each in self.reserved:
            found = [host.without(each.slot.needs) if host.id == each.slot.host.id else host for host in found]
        return found

    @property
    def counted(self) -> float:
        return time.monotonic()

    def reaches_head(self) -> bool:
        return not self.headless

    def lives(self, host: Host, seconds: float) -> bool:
        return not self.fakes[host.id].silent and not self.fakes[host.id].dead

    def reserve(self, slots: Sequence[Slot], lease: float) -> list[Reserved]:
        made = []
        for slot in slots:
            keeper = FakeKeeper(self.fakes[slot.host.id])
            asked = Answer(keeper.host, lambda: {"gpus": [], "interface": "eth7", "port": 4711})
            made.append(Reserved(slot, slot.job.name, keeper, asked))
        self.reserved += made
        return made

    def settle(self, made: Sequence[Reserved]) -> None:
        for each in made:
            each.stands = self.ray.get(each.asked)

    def release(self, made: Sequence[Reserved]) -> None:
        for each in list(made):
            if each in self.reserved:
                self.reserved.remove(each)
            keeper = each.keeper.keeper
            keeper.end()
            for reader in keeper.readers:
                reader.join()
            if keeper.receive >= 0:
                os.close(keeper.receive)
                keeper.receive = -1


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Keeper, "_watch_lease", lambda keeper: None)
    monkeypatch.setattr("r1kit.cluster.ray.starter.HEAR_SECONDS", 0.01)
    monkeypatch.setattr("r1kit.cluster.ray.process.PLACE_AGAIN_SECONDS", 0.02)
    monkeypatch.setattr(ray_run, "FREED_SECONDS", 0.1)
    monkeypatch.setattr(launch_module, "SETTLE_SECONDS", 0.3)
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    made = FakeCluster(Host(id="h1", address="10.0.0.1", cpus=1), Host(id="h2", address="10.0.0.2", cpus=2))
    yield made
    made.release(made.reserved)


def ranks(*programs: str) -> list[Job]:
    shared = {"WORLD_SIZE": str(len(programs))}
    return [
        Job(name=f"rank {rank}", command=("-c", program), environment={**shared, "RANK": str(rank)})
        for rank, program in enumerate(programs)
    ]


def starter(cluster: Any, settings: Settings = QUICK, threads: int = 0) -> RayStarter:
    return RayStarter(cluster, settings, "/tmp", threads, io.StringIO())


def said(made: RayStarter) -> list[str]:
    assert isinstance(made.errors, io.StringIO)
    return made.errors.getvalue().splitlines()


DONE = "os.write(int(os.environ['R1KIT_WORDS']), b'{\"done\": true}')"
TELL = f"import os; print(*(os.environ.get(n) for n in NAMES), flush=True); {DONE}"
NAMES = [
    "RANK",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "GLOO_SOCKET_IFNAME",
    "OMP_NUM_THREADS",
]


def test_ranks_on_two_hosts_are_told_where_they_meet(
    cluster: FakeCluster, capfd: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    made = RayStarter(cluster, QUICK, str(tmp_path), 0, io.StringIO())  # type: ignore[arg-type]
    launch(ranks(*[TELL.replace("NAMES", repr(NAMES))] * 3), starter=made)
    assert capfd.readouterr().out == "0 0 1 10.0.0.1 4711 eth7 4\n"
    assert sorted(said(made)) == [
        "rank 1 @ host-h2: 1 0 2 10.0.0.1 4711 eth7 2",
        "rank 2 @ host-h2: 2 1 2 10.0.0.1 4711 eth7 2",
    ]
    assert cluster.reserved == []


def test_ranks_of_one_host_are_told_what_they_are_told_without_a_cluster(
    cluster: FakeCluster, capfd: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    made = RayStarter(cluster, QUICK, str(tmp_path), 3, io.StringIO())  # type: ignore[arg-type]
    launch(ranks(TELL.replace("NAMES", repr(NAMES))), starter=made)
    assert capfd.readouterr().out == "0 0 1 127.0.0.1 4711 lo 3\n"


def test_a_rank_that_dies_is_named_with_its_host(cluster: FakeCluster) -> None:
    with pytest.raises(RankError, match=r"^rank 1 @ host-h2 ended with exit code 3 before its work was done; run the"):
        launch(ranks(SLEEP, "raise SystemExit(3)"), starter=starter(cluster))
    with pytest.raises(RankError, match=r"^rank 0 @ host-h1 was ended by SIGKILL"):
        launch(ranks("import os; os.kill(os.getpid(), 9)", SLEEP), starter=starter(cluster))


def test_a_rank_s_own_words_are_shown_as_they_are(cluster: FakeCluster) -> None:
    with pytest.raises(R1Error) as caught:
        launch(ranks(SLEEP, f"{WORDS}; raise SystemExit(2)"), starter=starter(cluster))
    assert (str(caught.value), caught.value.exit_code) == ("no", InputError.exit_code)


class Breaking(RayStarter):
    """Breaks its second host once all have been started."""

    how = "silent"

    def hear(self) -> None:
        if any("ready" in line for line in said(self)):
            setattr(self.cluster.fakes["h2"], self.how, True)  # type: ignore[attr-defined]
        super().hear()


READY = f"print('ready', flush=True); {SLEEP}"


@pytest.mark.parametrize("how", ["silent", "dead"])
def test_a_host_that_gives_no_sign_of_life_is_lost_and_given_up(cluster: FakeCluster, how: str) -> None:
    made = Breaking(cluster, QUICK, "/tmp", 0, io.StringIO())  # type: ignore[arg-type]
    made.how = how
    began = time.monotonic()
    with pytest.raises(Lost, match=r"^host host-h2 was lost with rank 1"):
        launch(ranks(SLEEP, READY), starter=made)
    assert set(cluster.given_up) == {"h2"}
    assert time.monotonic() - began < 30


def test_what_ray_ends_for_want_of_memory_is_lost_like_any_other(cluster: FakeCluster) -> None:
    made = Breaking(cluster, QUICK, "/tmp", 0, io.StringIO())  # type: ignore[arg-type]
    made.how = "starved"
    with pytest.raises(Lost, match="low on memory"):
        launch(ranks(SLEEP, READY), starter=made)


def test_peers_that_notice_first_are_not_taken_for_the_cause(cluster: FakeCluster) -> None:
    """Rank 0 finds its peer gone (75) long before the host's silence has lasted: the host is what is told."""
    made = Breaking(cluster, QUICK, "/tmp", 0, io.StringIO())  # type: ignore[arg-type]
    with pytest.raises(R1Error) as caught:
        launch(ranks("import time; time.sleep(.2); raise SystemExit(75)", READY), starter=made)
    assert isinstance(caught.value, Lost) or made.lost().startswith("host host-h2 was lost with rank 1")


def test_ranks_that_lose_each_other_on_hosts_that_answer_are_started_again(cluster: FakeCluster) -> None:
    made = starter(cluster)
    with pytest.raises(RankError, match=r"^rank 0 @ host-h1 ended with exit code 75"):
        launch(ranks(*["raise SystemExit(75)"] * 2), starter=made)
    assert made.lost().startswith("the ranks lost each other, though every host answers")
    other = starter(cluster)
    with pytest.raises(RankError):
        launch(ranks("raise SystemExit(75)", "import os; os.kill(os.getpid(), 9)"), starter=other)
    assert other.lost() == ""


def test_the_head_s_silence_ends_it(cluster: FakeCluster) -> None:
    cluster.headless = True
    with pytest.raises(HeadLost, match=r"head of the Ray cluster at 10.0.0.1:6379 was lost.*run the same command"):
        launch(ranks(SLEEP), starter=starter(cluster))


@pytest.mark.slow
def test_a_run_goes_on_with_fewer_ranks_and_with_all_when_there_is_room_again(
    cluster: FakeCluster, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two ranks; the second host is lost, so one goes on; the host comes back, so the one stops and two go on."""
    made: list[RayStarter] = []
    stops = (
        "import signal, sys, time\n"
        "print('ready', file=sys.stderr, flush=True)\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))\n"
        f"try: time.sleep(60)\nfinally: {WORDS}"
    )

    def new(count: int) -> RayStarter:
        if len(made) == 0:
            made.append(Breaking(cluster, QUICK, "/tmp", 0, io.StringIO()))  # type: ignore[arg-type]
        else:
            made.append(Returning(cluster, QUICK, "/tmp", 0, io.StringIO()))  # type: ignore[arg-type]
        return made[-1]

    class Returning(RayStarter):
        def hear(self) -> None:
            if any("ready" in line for line in said(self)):
                cluster.fakes["h2"].silent = False
                cluster.given_up.clear()
            super().hear()

    def jobs(count: int) -> tuple[list[Job], list[Job]]:
        programs = {0: (SLEEP, READY), 1: (stops,), 2: ("pass", "pass")}
        return ranks(*programs[0 if count == 2 and len(made) < 2 else count]), []

    ray_run.run(new, jobs, 2, lambda count: True)
    assert len(made) == 3
    out = capfd.readouterr().out
    assert "host host-h2 was lost with rank 1" in out
    assert "started again from the last resume point (1)" in out
    assert "there is room for more ranks" in out


def test_too_many_losses_end_it_and_so_does_waiting_for_ever(
    cluster: FakeCluster, capfd: pytest.CaptureFixture[str]
) -> None:
    def new(count: int) -> RayStarter:
        return Breaking(cluster, settings, "/tmp", 0, io.StringIO())  # type: ignore[arg-type]

    settings = replace(QUICK, restarts=0)
    with pytest.raises(RankError, match=r"host host-h2 was lost.*once more than cluster.restarts = 0"):
        ray_run.run(new, lambda count: (ranks(SLEEP, READY)[:count], []), 2, lambda count: True)
    cluster.given_up.clear()
    cluster.fakes["h2"].silent = False
    settings = replace(QUICK, fewest_ranks=2)
    with pytest.raises(R1Error, match=r"no room for 1 rank: asked for 2 ranks.*waited 0.001 minutes"):
        ray_run.run(new, lambda count: (ranks(SLEEP, READY)[:count], []), 2, lambda count: True)


def test_a_helper_that_is_lost_is_started_again_where_there_is_room(
    cluster: FakeCluster, capfd: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    """The engine stands on the third host, which dies; rank 0 ends once the engine's second life has said so."""
    cluster.fakes["h3"] = FakeHost(Host(id="h3", address="10.0.0.3", cpus=8))
    mark = tmp_path / "second"
    engine = Job(
        name="engine 0",
        command=("-c", f"import os, time; print('ready', os.environ['R1KIT_HOST'], flush=True); "
                       f"os.path.exists({str(mark)!r} + '0') and open({str(mark)!r}, 'w'); "
                       f"open({str(mark)!r} + '0', 'w'); time.sleep(60)"),
        environment={"R1KIT_HOST": ""},
    )  # fmt: skip
    waits = f"import os, time\nwhile not os.path.exists({str(mark)!r}): time.sleep(.02)\n{DONE}"

    class Dying(RayStarter):
        def hear(self) -> None:
            if any("ready" in line for line in said(self)):
                cluster.fakes["h3"].dead = True
            super().hear()

    made = Dying(cluster, QUICK, str(tmp_path), 0, io.StringIO())  # type: ignore[arg-type]
    made.home = "127.0.0.1"
    lines: list[str] = []
    launch(ranks(waits), [engine], starter=made, restarts=3, tell=lines.append)
    assert said(made)[0] == "engine 0 @ 10.0.0.3: ready 10.0.0.3"
    assert len(lines) == 1
    assert "engine 0" in lines[0]
    assert "host 10.0.0.3 was lost" in lines[0]
    assert cluster.reserved == []


def test_signals_reach_a_process_and_nothing_else(cluster: FakeCluster) -> None:
    made = starter(cluster)
    (place,) = made.places(ranks(SLEEP))
    process = made.start(replace(ranks(SLEEP)[0], environment={"LOCAL_WORLD_SIZE": "1"}), place)
    process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + 30
    while (code := process.poll()) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert code == -signal.SIGTERM
    process.kill()
    process.wait()
    made.close()


def test_room_is_asked_for_before_anything_is_reserved(cluster: FakeCluster) -> None:
    with pytest.raises(MissingError, match="no room for 1 rank"):
        starter(cluster).places(ranks(*["pass"] * 4))
    assert cluster.reserved == []
