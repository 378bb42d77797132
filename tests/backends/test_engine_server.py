"""An engine behind a connection is the engine: the same bits; and whatever breaks on the way is noticed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from r1kit.backends import opening as openings
from r1kit.backends.backend import Backend
from r1kit.backends.models import LoadedModel
from r1kit.backends.serve import Helper
from r1kit.cluster import link as links
from r1kit.cluster.ranks import Solo
from r1kit.cluster.remote import Opened
from r1kit.cluster.settings import Cluster, EngineChoice
from r1kit.cluster.wire import Listener, Lost, Wire
from r1kit.contracts import Model
from r1kit.errors import InputError
from r1kit.model.families.fallback import HubModel
from r1kit.model.families.llama import LlamaShape
from r1kit.model.skeleton import pack, unpack
from r1kit.model.weights import NamedWeights
from r1kit.records import Sampling
from r1kit.rollout.pool import Pool
from r1kit.rollout.remote import Opening, RemoteEngine
from r1kit.rollout.session import Session
from r1kit.text.template import Template
from r1kit.text.tokenizer import build_tokenizer

CPU = Backend(device=torch.device("cpu"), template=Template(name="plain"))
SHAPE = LlamaShape(hidden_size=16, intermediate_size=32, num_layers=1, num_heads=2, num_kv_heads=2, max_positions=64)
PROMPTS = [[1, 2, 3], [4], [5, 6], [7, 8, 9, 10], [2, 2]]
SEEDS = [11, 12, 13, 14, 15]
SAMPLING = Sampling(n=3, max_tokens=12)


def ours(seed: int = 1) -> LoadedModel:
    return CPU.draw(Model(shape=SHAPE), build_tokenizer(["one", "two", "three"]), seed)


def theirs(seed: int = 1) -> LoadedModel:
    torch.manual_seed(seed)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=40, n_embd=16, n_layer=1, n_head=2, n_positions=64))
    return replace(ours(), model=HubModel(model))


class Site:
    """Helpers in this process, reachable as those of another are."""

    def __init__(self, size: int) -> None:
        self.ended: list[str] = []
        self.helpers = [Helper("engine", 2.0, self.ended.append) for _ in range(size)]
        self._listeners = [Listener("127.0.0.1", b"k", helper.serve) for helper in self.helpers]

    def where(self, name: str) -> tuple[str, int] | None:
        return "127.0.0.1", self._listeners[int(name.split()[-1])].port

    def close(self) -> None:
        for listener in self._listeners:
            listener.close()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Site]]:
    monkeypatch.setattr(links, "token", lambda: b"k")
    made: list[Site] = []

    def make(size: int) -> Site:
        made.append(Site(size))
        monkeypatch.setattr(openings, "where", made[-1].where)
        return made[-1]

    yield make
    for each in made:
        each.close()


def pool_over(loaded: LoadedModel, size: int, kind: str = "auto", dtype: torch.dtype = torch.float32) -> Pool:
    cluster = Cluster(engines=size, heartbeat=0.05, lost_after=2.0, wait_minutes=0.4)
    return openings.open_pool(loaded, EngineChoice.from_text(kind), dtype, 8, Solo(), cluster, lambda line: None)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("make", [ours, theirs])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_engine_elsewhere_gives_what_one_here_gives(
    site: Callable[[int], Site], make: Callable[..., LoadedModel], dtype: torch.dtype
) -> None:
    """Bit for bit: text, log-probs, version; with the first weights and with later ones, more rows than fit at once."""
    there = site(1)
    loaded, later = make(1), NamedWeights(make(2).model.hub_weights())
    here = openings.open_here(loaded, EngineChoice.from_text("auto"), dtype, 8, Solo())
    pool = pool_over(loaded, 1, dtype=dtype)
    assert pool.positions == 64
    first = pool.generate(PROMPTS, SAMPLING, SEEDS)
    assert first == here.generate(PROMPTS, SAMPLING, SEEDS)
    here.load_weights(later, 3)
    pool.load_weights(later, 3)
    second = pool.generate(PROMPTS, SAMPLING, SEEDS)
    assert second == here.generate(PROMPTS, SAMPLING, SEEDS)
    assert [one.version for one in second[0]] == [3] * 3
    assert second != first
    assert pool.handed.sent == sum(weight.numel() for _, weight in later) * dtype.itemsize
    pool.close()
    until(lambda: there.helpers[0].room.state == {})  # nobody holds it any more


def test_several_openings_live_side_by_side(site: Callable[[int], Site]) -> None:
    there = site(2)
    loaded = [ours(1), ours(2), theirs(3)]
    pools = [pool_over(each, 2) for each in loaded]
    for pool, each in zip(pools, loaded, strict=True):
        here = openings.open_here(each, EngineChoice.from_text("auto"), torch.float32, 8, Solo())
        found, wanted = pool.generate(PROMPTS, SAMPLING, SEEDS), here.generate(PROMPTS, SAMPLING, SEEDS)
        assert [[one.token_ids for one in row] for row in found] == [[one.token_ids for one in row] for row in wanted]
    assert [sorted(helper.room.state.values()) for helper in there.helpers] == [[0, 0, 0]] * 2
    pools[1].close()
    until(lambda: all(len(helper.room.state) == 2 for helper in there.helpers))
    for pool in pools:
        pool.close()


def test_ranks_share_an_engine_and_each_request_is_a_call_of_its_own(
    site: Callable[[int], Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    (helper,) = site(1).helpers
    first = pool_over(ours(), 1)
    (member,) = first._members
    opening = member.helper._opening  # type: ignore[attr-defined]
    other = RemoteEngine(0, opening, 1, Cluster(heartbeat=0.05, lost_after=2.0), openings.where)
    other.alive()
    other.expect(0)
    calls: list[int] = []
    (served,) = helper.room.kept.values()
    generate_each, gate = served.thing.generate_each, threading.Event()  # type: ignore[attr-defined]

    def counted(prompts: list[list[int]], *more: object) -> None:
        calls.append(len(prompts))
        gate.wait(10)
        generate_each(prompts, *more)

    monkeypatch.setattr(served.thing, "generate_each", counted)
    answers = [first.submit(PROMPTS[0], SAMPLING, SEEDS[0])]
    until(lambda: calls == [1])
    answers += [first.submit(prompt, SAMPLING, seed) for prompt, seed in zip(PROMPTS[1:4], SEEDS[1:4], strict=True)]
    answers.append(first.submit(PROMPTS[0], replace(SAMPLING, n=2), SEEDS[0]))
    until(lambda: len(helper.room._jobs) == 4)
    threading.Timer(0.1, gate.set).start()
    late = other.generate(PROMPTS[4], replace(SAMPLING, n=2), SEEDS[4])
    found = [answer.result(10) for answer in answers]
    assert calls == [1] * 6  # so that none depends on what else was asked for meanwhile
    wanted = openings.open_here(ours(), EngineChoice(), torch.float32, 8, Solo()).generate(PROMPTS, SAMPLING, SEEDS)
    assert [[one.token_ids for one in row] for row in found[:4]] == [
        [one.token_ids for one in row] for row in wanted[:4]
    ]
    assert [one.token_ids for one in late] == [one.token_ids for one in wanted[4][:2]]
    first.close()
    assert helper.room.state != {}  # the other rank still holds it
    other.close()
    until(lambda: helper.room.state == {})


@pytest.mark.parametrize("way", ["keep", "recompute"])
def test_weights_come_in_between_two_tokens_where_prompts_are_kept(
    site: Callable[[int], Site], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    site(1)
    pool, later = pool_over(ours(), 1), NamedWeights(ours(2).model.hub_weights())
    pool.over_update = way
    advance, looked, go_on = Session.advance, threading.Event(), threading.Event()

    def held(session: Session) -> bool:
        if looked.is_set() and not go_on.is_set():
            time.sleep(0.01)
            return True
        left = advance(session)
        looked.set()
        return left

    monkeypatch.setattr(Session, "advance", held)
    answers = pool.submit_all(PROMPTS[:2], replace(SAMPLING, max_tokens=40), SEEDS[:2])
    assert looked.wait(20)
    pool.load_weights(later, 3)
    (joined,) = pool.submit_all(PROMPTS[2:3], SAMPLING, SEEDS[2:3])
    go_on.set()
    crossed = [one for answer in answers for one in answer.result(20) if one.spans]
    assert crossed
    for one in crossed:
        assert (one.version, one.spans) == (0, ((0, 5), (3, len(one.token_ids) - 5)))
    assert [(one.version, one.spans) for one in joined.result(20)] == [(3, ())] * 3
    pool.close()


def test_what_is_wrong_is_told_as_it_is_here(site: Callable[[int], Site]) -> None:
    (helper,) = site(1).helpers
    with pytest.raises(InputError, match='engine = "transformers" is for what the local engine cannot run'):
        pool_over(ours(), 1, "transformers")
    pool = pool_over(ours(), 1)
    with pytest.raises(InputError, match=r"a prompt of 4 tokens and max_tokens = 64 pass the model's"):
        pool.generate(PROMPTS, Sampling(n=1, max_tokens=64), SEEDS)
    found = pool.generate(PROMPTS, SAMPLING, SEEDS)
    with pytest.raises(InputError, match="does not fit its config"):
        pool.load_weights(NamedWeights({"unknown": torch.zeros(1)}), 1)
    assert pool.generate(PROMPTS, SAMPLING, SEEDS) == found
    assert set(helper.room.state.values()) == {0}
    pool.close()


def test_damaged_weights_never_serve(site: Callable[[int], Site], monkeypatch: pytest.MonkeyPatch) -> None:
    """One bit of the second tensor differs from what was sent: that replica is sent all again."""
    there = site(1)
    pool, said = pool_over(ours(), 1), list[str]()
    pool._tell = said.append
    send_raw, sent = Wire.send_raw, list[int]()

    def flipped(wire: Wire, data: memoryview) -> None:
        sent.append(data.nbytes)
        copy = bytearray(data)
        if len(sent) == 2:
            copy[5] ^= 4
        send_raw(wire, memoryview(copy))

    monkeypatch.setattr(Wire, "send_raw", flipped)
    later = NamedWeights(ours(2).model.hub_weights())
    pool.load_weights(later, 1)
    here = openings.open_here(ours(2), EngineChoice(), torch.float32, 8, Solo())
    here.load_weights(later, 1)
    assert pool.generate(PROMPTS, SAMPLING, SEEDS) == here.generate(PROMPTS, SAMPLING, SEEDS)
    assert "is lost: weight model.layers.0.self_attn.q_proj.weight was damaged on its way: its checksum" in said[0]
    assert there.ended == []
    pool.close()


def test_an_engine_that_fails_by_itself_ends_its_process(
    site: Callable[[int], Site], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = site(1)
    pool = pool_over(ours(), 1)
    (served,) = there.helpers[0].room.kept.values()

    def broken(*given: object) -> None:
        raise RuntimeError("CUDA error: an illegal address\nmore")

    monkeypatch.setattr(served.thing, "generate_each", broken)
    pool.submit(PROMPTS[0], SAMPLING, 1)
    until(lambda: there.ended == ["failed: RuntimeError: CUDA error: an illegal address"])
    assert "illegal address" in capsys.readouterr().err
    pool.close()


def test_a_skeleton_is_the_model_without_its_weights() -> None:
    """Some thousand bytes, not the parameters; shared ones stay shared, what is no parameter comes along."""
    for loaded in (ours(), theirs()):
        data = pack(loaded)
        copy = unpack(data)
        weights, held = loaded.model.hub_weights(), copy.model.hub_weights()
        assert {name: (one.shape, one.dtype) for name, one in weights.items()} == {
            name: (one.shape, one.dtype) for name, one in held.items()
        }
        assert len({one.data_ptr() for one in held.values()}) == len({one.data_ptr() for one in weights.values()})
        assert copy.encode("one two") == loaded.encode("one two")
        for one, other in zip(loaded.model.buffers(), copy.model.buffers(), strict=True):
            assert torch.equal(one, other)


def test_no_path_is_shared(site: Callable[[int], Site], monkeypatch: pytest.MonkeyPatch) -> None:
    site(1)
    opened: list[LoadedModel] = []
    open_here = openings.open_here
    monkeypatch.setattr(openings, "open_here", lambda loaded, *more: opened.append(loaded) or open_here(loaded, *more))
    pool_over(ours(), 1).close()
    assert opened[0].folder is None


def test_a_remote_engine_before_it_is_connected() -> None:
    opened = Opened(kind="engine", key="k", payload=b"")
    opening = Opening(opened=opened, positions=8, dtype=torch.float32)
    engine = RemoteEngine(3, opening, 0, Cluster(), lambda name: None)
    assert engine.name == "engine 3"
    for call in (engine.alive, lambda: engine.generate([1], SAMPLING, 1), lambda: engine.begin([], 0)):
        with pytest.raises(Lost, match="it has not started yet"):
            call()
    engine.abort()
    engine.close()
    with pytest.raises(Lost, match="it was closed"):
        engine.alive()
