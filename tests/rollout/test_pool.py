"""A pool gives what one engine gives, whatever becomes of its replicas."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
import torch
from rollout.replicas import Numbered, Server, ServerReplica, TogetherReplica, story

from r1kit.cluster.ranks import Ranks
from r1kit.errors import InputError, R1Error
from r1kit.model.weights import NamedWeights
from r1kit.records import Completion, Sampling
from r1kit.rollout.engine import Bounded, Detached, Engine, Telling
from r1kit.rollout.kept import KeptWeights
from r1kit.rollout.pool import Pool
from r1kit.rollout.replica import Replica
from r1kit.rollout.scripted import ScriptedEngine

PROMPTS = [[65 + place, 97] for place in range(12)]
SEEDS = [1000 + place for place in range(12)]
SAMPLING = Sampling(n=3, max_tokens=40)
KINDS = {"each": ServerReplica, "together": TogetherReplica}


class House:
    """A pool over servers, and what it said."""

    def __init__(self, size: int, kind: str, version: int | None = 1, **more: Any) -> None:
        self.servers = [Server(f"engine {place}") for place in range(size)]
        self.replicas: list[Replica] = [KINDS[kind](server) for server in self.servers]
        self.said: list[str] = []
        self.pool = Pool(self.replicas, tell=self.said.append, **{"look_every": 0.02, **more})
        if version is not None:
            self.pool.load_weights(Numbered(version), version)

    def generate(self) -> list[tuple[Completion, ...]]:
        return self.pool.generate(PROMPTS, SAMPLING, SEEDS)

    def ask(self) -> list[Future[tuple[Completion, ...]]]:
        return [self.pool.submit(prompt, SAMPLING, seed) for prompt, seed in zip(PROMPTS, SEEDS, strict=True)]


@pytest.fixture
def house() -> Iterator[Callable[..., House]]:
    made: list[House] = []

    def make(size: int, kind: str, **more: Any) -> House:
        made.append(House(size, kind, **more))
        return made[-1]

    yield make
    for each in made:
        each.pool.close()


def expected(version: int = 1) -> list[tuple[Completion, ...]]:
    return ScriptedEngine(story, version=version).generate(PROMPTS, SAMPLING, SEEDS)


def until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


both = pytest.mark.parametrize("kind", list(KINDS))


@both
@pytest.mark.parametrize("size", [1, 2, 5])
def test_any_number_of_replicas_gives_what_one_engine_gives(house: Callable[..., House], kind: str, size: int) -> None:
    made = house(size, kind)
    assert made.generate() == expected()
    told: list[int] = []
    made.pool.generate_each(PROMPTS, SAMPLING, SEEDS, lambda place, row: told.append(place))
    assert sorted(told) == list(range(12))
    assert made.said == []
    engine: Engine = made.pool
    assert isinstance(engine, Telling)
    assert isinstance(engine, Detached)
    assert isinstance(engine, Bounded)
    assert engine.positions == 64
    assert made.pool.generate([], SAMPLING, []) == []


def test_prompts_go_to_the_least_loaded_by_rows(house: Callable[..., House]) -> None:
    """8 rows to the first, then 4 x 2 to the second, after which they are level."""
    made = house(2, "each")
    for server in made.servers:
        server.up.clear()
    answers = [made.pool.submit([100], Sampling(n=8), 1)]
    answers += [made.pool.submit([101 + place], Sampling(n=2), 1) for place in range(6)]
    until(lambda: sum(len(server.asked) for server in made.servers) == 7, "not all were dealt")
    assert sorted(made.servers[0].asked) == [(100,), (105,)]
    assert sorted(made.servers[1].asked) == [(101,), (102,), (103,), (104,), (106,)]
    for server in made.servers:
        server.up.set()
    assert [len(answer.result(10)) for answer in answers] == [8, 2, 2, 2, 2, 2, 2]


@both
def test_a_replica_lost_in_the_middle_is_named_and_its_prompts_are_drawn_elsewhere(
    house: Callable[..., House], kind: str
) -> None:
    made = house(2, kind)
    calls = iter(range(100))
    made.servers[1].dies_at = lambda what: what == "answer" and next(calls) >= 2  # two answers, then it is killed
    assert made.generate() == expected()
    assert made.said[0].startswith("engine 1 is lost: it was killed; what it was sampling (")
    assert made.said[0].endswith("is sampled again on the others")
    assert len(made.said) == 1
    assert made.generate() == expected()


@both
def test_the_only_replica_comes_back_with_the_newest_weights_before_it_serves(
    house: Callable[..., House], kind: str
) -> None:
    made = house(1, kind)
    (server,) = made.servers
    server.dies_at = lambda what: what == "answer"
    answers = made.ask()
    until(lambda: made.said, "the loss was not told")
    assert "as soon as one is back" in made.said[0]
    assert not any(answer.done() for answer in answers)
    server.restart()
    assert [answer.result(20) for answer in answers] == expected()
    assert server.version == 1
    assert server.weights["a"].tolist() == [1.0] * 3
    assert server.weights["b"].dtype == torch.bfloat16
    until(lambda: made.said[-1] == "engine 0 is back", "its return was not told")


@both
def test_a_hung_replica_is_noticed_and_what_it_says_later_does_not_count(
    house: Callable[..., House], kind: str
) -> None:
    made = house(2, kind)
    made.servers[0].hang()
    taken: list[int] = []
    made.pool.generate_each(PROMPTS, SAMPLING, SEEDS, lambda place, row: taken.append(place))
    assert sorted(taken) == list(range(12))
    assert made.said[0].startswith("engine 0 is lost: it computes nothing any more")
    made.servers[0].restart()  # its threads wake up and answer what nobody waits for
    until(lambda: made.said[-1] == "engine 0 is back", "its return was not told")
    assert made.generate() == expected()
    assert sorted(taken) == list(range(12))


@pytest.mark.parametrize("moment", ["begin", "put a", "put b", "finish"])
def test_lost_in_the_middle_of_a_hand_over_it_gets_all_of_it_again(house: Callable[..., House], moment: str) -> None:
    made = house(2, "together")
    made.servers[0].dies_at = lambda what: what == moment
    stream = Numbered(2)
    made.pool.load_weights(stream, 2)
    assert stream.rounds == 1
    assert made.generate() == expected(2)
    assert made.servers[0].version is None
    assert made.servers[1].version == 2
    made.servers[0].restart()
    until(lambda: made.said[-1] == "engine 0 is back", "its return was not told")
    assert made.servers[0].version == 2
    assert made.servers[0].weights["a"].tolist() == [2.0] * 3
    assert stream.rounds == 1


def test_what_was_lost_under_the_old_weights_is_drawn_under_them_before_new_ones_come(
    house: Callable[..., House],
) -> None:
    """The only replica dies while it samples for version 1; the hand-over of version 2 waits for it."""
    made = house(1, "together")
    made.servers[0].dies_at = lambda what: what == "answer"
    answers = made.ask()
    until(lambda: made.said, "the loss was not told")
    handing = threading.Thread(target=made.pool.load_weights, args=(Numbered(2), 2), daemon=True)
    handing.start()
    until(lambda: made.pool._later is not None, "the hand-over did not begin")
    late = made.ask()
    assert not any(answer.done() for answer in answers + late)
    made.servers[0].restart()
    assert [answer.result(20) for answer in answers] == expected(1)
    assert [answer.result(20) for answer in late] == expected(2)
    handing.join(20)
    assert made.pool.handed.waited > 0


def test_with_keep_a_hand_over_waits_for_nothing(house: Callable[..., House]) -> None:
    made = house(1, "each")
    made.pool.over_update = "keep"
    made.servers[0].up.clear()
    answers = made.ask()
    until(lambda: len(made.servers[0].asked) == 12, "not all were dealt")
    made.pool.load_weights(Numbered(2), 2)
    assert not any(answer.done() for answer in answers)
    made.servers[0].up.set()
    assert [answer.result(20) for answer in answers] == expected(2)
    assert made.said == []


def test_when_all_are_lost_for_too_long_what_waits_fails_with_one_line(house: Callable[..., House]) -> None:
    made = house(2, "each", patience=0.2)
    for server in made.servers:
        server.die("connection refused")
    with pytest.raises(R1Error) as caught:
        made.generate()
    why = "engine 0: connection refused; engine 1: connection refused"
    assert str(caught.value) == f"no engine has served for 0 s ({why}); run the same command to go on"
    assert caught.value.exit_code == 1
    for server in made.servers:
        server.restart()
    until(lambda: len(made.said) == 4, "their return was not told")
    assert made.generate() == expected()


def test_a_prompt_that_loses_every_engine_ends_instead_of_going_round_for_ever(house: Callable[..., House]) -> None:
    made = house(1, "each")
    (server,) = made.servers
    answer = made.pool.submit(PROMPTS[0], SAMPLING, 1)
    assert answer.result(10)

    def down_and_up() -> None:
        while not stop.is_set():
            server.restart()
            server.dies_at = lambda what: what == "answer"
            time.sleep(0.02)

    stop = threading.Event()
    thread = threading.Thread(target=down_and_up)
    thread.start()
    try:
        with pytest.raises(R1Error, match="a prompt lost 10 engines one after the other, the last: it was killed"):
            made.pool.submit(PROMPTS[1], SAMPLING, 1).result(30)
    finally:
        stop.set()
        thread.join()


@both
def test_a_request_that_is_wrong_is_not_tried_elsewhere(house: Callable[..., House], kind: str) -> None:
    made = house(2, kind)
    with pytest.raises(InputError, match="a prompt with ! is refused"):
        made.pool.generate([[65], [33], [66], [67]], SAMPLING, [1, 2, 3, 4])
    assert sum(server.asked.count((33,)) for server in made.servers) == 1
    assert made.said == []
    assert made.generate() == expected()


def test_weights_that_do_not_fit_are_refused_and_the_old_ones_stay(house: Callable[..., House]) -> None:
    made = house(2, "each")
    stream = Numbered(2)
    stream._weights = {**stream._weights, "unknown": torch.zeros(1)}
    with pytest.raises(InputError, match="weight 'unknown' unknown"):
        made.pool.load_weights(stream, 2)
    assert stream.rounds == 0
    assert [server.coming for server in made.servers] == [None, None]
    assert made.generate() == expected(1)


def test_a_restarted_replica_that_nobody_missed_does_not_serve_its_own_weights(house: Callable[..., House]) -> None:
    """It was down and up between two looks."""
    made = house(1, "together", look_every=0.05)
    (server,) = made.servers
    server.die("")
    assert made.generate() == expected()
    assert made.said[0].startswith("engine 0 is lost: it holds version None, not 1")


def test_bytes_and_seconds_of_a_hand_over(house: Callable[..., House]) -> None:
    """3 x 4 bytes and one of 2, to 2 of 3 replicas."""
    made = house(3, "each", version=None)
    made.servers[2].die("away")
    until(lambda: len(made.said) == 1, "the loss was not told")
    made.pool.load_weights(Numbered(1), 1)
    assert made.pool.handed.sent == 28
    assert made.pool.handed.seconds > 0


def test_without_weights_nothing_is_asked(house: Callable[..., House]) -> None:
    made = house(1, "each")
    made.pool.release()
    with pytest.raises(AssertionError, match="released"):
        made.generate()
    made.pool.resume()
    made.pool.load_weights(Numbered(3), 3)
    assert made.generate() == expected(3)
    made.pool.close()
    made.pool.close()
    assert made.replicas[0].closed  # type: ignore[attr-defined]
    with pytest.raises(AssertionError, match="closed"):
        made.generate()


def test_closing_cancels_what_waits(house: Callable[..., House]) -> None:
    made = house(1, "each")
    made.servers[0].up.clear()
    answers = made.ask()
    made.pool.close()
    assert all(answer.cancelled() for answer in answers)


def test_kept_weights_are_the_weights() -> None:
    """Laid apart, empty, a single number, half as wide: each comes back as it was, as often as one likes."""
    given = NamedWeights(
        {
            "apart": torch.randn(3, 5).t(),
            "empty": torch.zeros(0, 2),
            "one": torch.tensor(7),
            "half": torch.randn(4).bfloat16(),
        }
    )
    kept = KeptWeights(given.metadata(), 1)
    for _, tensor in given:
        kept.add(tensor)
    kept.finish()
    assert kept.metadata() == tuple(given.metadata())
    for _ in range(2):
        for (name, tensor), (other, weight) in zip(kept, given, strict=True):
            assert name == other
            assert tensor.dtype == weight.dtype
            assert torch.equal(tensor, weight)


# ---- several ranks ---------------------------------------------------------------------------------------------------


class Ranked:
    """Ranks as threads of one process."""

    def __init__(self, rank: int, shared: dict[str, Any]) -> None:
        self.rank, self.size, self._shared = rank, shared["size"], shared

    def gather_objects(self, item: Any) -> list[Any]:
        self._shared[f"item {self.rank}"] = item
        self._shared["barrier"].wait(20)
        items = [self._shared[f"item {rank}"] for rank in range(self.size)]
        self._shared["barrier"].wait(20)
        return items

    def broadcast_object(self, item: Any) -> Any:
        return self.gather_objects(item)[0]

    def all_reduce_sum_(self, tensor: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def close(self) -> None:
        pass


def on_ranks(size: int, work: Callable[[Ranks], Any]) -> list[Any]:
    shared: dict[str, Any] = {"size": size, "barrier": threading.Barrier(size)}
    found: list[Any] = [None] * size

    def rank(number: int) -> None:
        try:
            found[number] = work(Ranked(number, shared))
        except R1Error as error:
            found[number] = error

    threads = [threading.Thread(target=rank, args=(number,)) for number in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def test_rank_0_hands_over_and_the_others_go_through_the_stream() -> None:
    servers = [Server(f"engine {place}") for place in range(2)]
    for server in servers:
        server.pace = 0.01
    said: list[tuple[int, str]] = []
    lost = threading.Event()

    def work(ranks: Ranks) -> Any:
        replicas = [TogetherReplica(server, ranks.rank) for server in servers]
        pool = Pool(replicas, ranks, tell=lambda line: said.append((ranks.rank, line)), look_every=0.02)
        try:
            streams = [Numbered(1), Numbered(2), Numbered(3)]
            pool.load_weights(streams[0], 1)
            first = pool.generate(PROMPTS[ranks.rank :: 2], SAMPLING, SEEDS[ranks.rank :: 2])
            if ranks.rank == 0:
                servers[1].dies_at = lambda what: what == "put b"
            pool.load_weights(streams[1], 2)
            second = pool.generate(PROMPTS[ranks.rank :: 2], SAMPLING, SEEDS[ranks.rank :: 2])
            if ranks.rank == 0:
                servers[1].restart()
                until(lambda: said[-1][1] == "engine 1 is back", "its return was not told")
                lost.set()
            lost.wait(20)
            pool.load_weights(streams[2], 3)
            third = pool.generate(PROMPTS[ranks.rank :: 2], SAMPLING, SEEDS[ranks.rank :: 2])
            return first, second, third, [stream.rounds for stream in streams], pool.handed.sent
        finally:
            pool.close()

    for rank, (*rounds, gone_through, sent) in enumerate(on_ranks(2, work)):
        assert rounds == [expected(version)[rank::2] for version in (1, 2, 3)]
        assert gone_through == [1, 1, 1]
        assert sent == 28
    assert {rank for rank, _ in said} == {0}
    assert said[0][1].startswith("engine 1 is lost: it was killed")
    assert [server.version for server in servers] == [3, 3]


def test_every_rank_hears_that_weights_do_not_fit() -> None:
    server = Server("engine 0")

    def work(ranks: Ranks) -> None:
        pool = Pool([ServerReplica(server, ranks.rank)], ranks, look_every=0.02)
        stream = Numbered(1)
        stream._weights = {"unknown": torch.zeros(1)}
        try:
            pool.load_weights(stream, 1)
        finally:
            pool.close()

    assert [str(error) for error in on_ranks(2, work)] == ["weight 'unknown' unknown"] * 2
