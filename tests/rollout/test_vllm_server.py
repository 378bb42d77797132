"""A vLLM server as a replica, over HTTP: against a server of ours that answers as vLLM's does, and as none should."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from rollout.fake_vllm import CONFIG, END, VOCAB, Fake, Raw, Words
from torch import Tensor

from r1kit.checks import check_recipe
from r1kit.errors import InputError, MissingError, R1Error
from r1kit.model.weights import NamedWeights
from r1kit.recipe import load_recipe
from r1kit.records import Sampling
from r1kit.rollout.pool import Pool
from r1kit.rollout.replica import ReplicaLost
from r1kit.vllm.calls import Calls, Refused
from r1kit.vllm.carriers import Carrier, Folder, Group
from r1kit.vllm.served import check_fits, look
from r1kit.vllm.server import VLLMServer

SAMPLING = Sampling(n=3, max_tokens=12)
PROMPTS = [[5 + place, 7, 9] for place in range(10)]
SEEDS = [101 + place for place in range(10)]
WEIGHTS = {"a": torch.arange(6.0).view(2, 3), "c": torch.tensor(2.5)}


@pytest.fixture
def fake() -> Iterator[Fake]:
    found = Fake()
    yield found
    found.close()


@pytest.fixture
def raw() -> Iterator[Callable[[Callable[[socket.socket], None]], Raw]]:
    made: list[Raw] = []

    def make(behave: Callable[[socket.socket], None]) -> Raw:
        made.append(Raw(behave))
        return made[-1]

    yield make
    for each in made:
        each.close()


class Site:
    """Replicas of servers, closed at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[Any] = []

    def replica(self, address: str, *, leads: bool = True, carrier: Carrier | None = None, **more: Any) -> VLLMServer:
        settings = {"run": "mine", "config": CONFIG, "positions": 64, "vocab_size": VOCAB, "ends": [END], **more}
        carries = (carrier or Folder(str(self.folder))) if leads else None
        made = VLLMServer(f"engine at {address}", Calls(address), carries, Words(), **settings)
        self.made.append(made)
        return made

    def close(self) -> None:
        for each in self.made:
            each.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path)
    yield found
    found.close()


def hand_over(replica: VLLMServer, weights: dict[str, Tensor], version: int) -> int:
    stream = NamedWeights(weights)
    replica.begin(stream.metadata(), version)
    sent = sum(replica.put(name, tensor) for name, tensor in stream)
    replica.finish(version)
    replica.expect(version)
    return sent


# ---- calls ---------------------------------------------------------------------------------------------------------


def no_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def trickle(connection: socket.socket) -> None:
    """A byte now and then: no single read is ever late."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(200):
        connection.sendall(b" ")
        time.sleep(0.05)


HALF = b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"choices": ['


@pytest.mark.parametrize(
    ("behave", "why"),
    [
        (lambda connection: connection.sendall(HALF), "its answer to POST /x broke off"),
        (lambda connection: None, "its answer to POST /x broke off"),
        (lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), "its answer to POST /x broke off"),
        (lambda connection: time.sleep(5), "no answer to POST /x in 0.5 s"),
        (trickle, "no answer to POST /x in 0.5 s"),
        (
            lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"),
            "its answer to POST /x is not JSON: <html>",
        ),
        (
            lambda connection: connection.sendall(b"HTTP/1.1 502 Bad\r\nContent-Length: 4\r\n\r\ngone"),
            "it answers POST /x with 502: gone",
        ),
    ],
)
def test_what_no_server_should_do_is_named_in_time(raw: Callable[..., Raw], behave: Any, why: str) -> None:
    calls = Calls(raw(behave).address)
    with pytest.raises(ReplicaLost) as lost:
        calls.ask("POST", "/x", {}, timeout=0.5)
    assert str(lost.value).startswith(why)
    calls.close()


def test_a_port_where_nothing_listens() -> None:
    with pytest.raises(ReplicaLost, match="nothing listens there"):
        Calls(no_port()).ask("GET", "/version", timeout=5)


def test_calls_are_cut_by_another_thread(raw: Callable[..., Raw]) -> None:
    """Whoever waits learns why at once; later calls are made as usual."""
    calls = Calls(raw(lambda connection: time.sleep(20)).address)
    said: list[str] = []

    def ask() -> None:
        try:
            calls.ask("POST", "/x", {}, timeout=60)
        except ReplicaLost as lost:
            said.append(str(lost))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    while len(calls._going) < 3:
        time.sleep(0.01)
    time.sleep(0.05)  # connected
    calls.hang_up("it hangs")
    for thread in threads:
        thread.join(5)
    assert said == ["it hangs"] * 3
    with pytest.raises(ReplicaLost, match=r"no answer to POST /x in 0\.3 s"):
        calls.ask("POST", "/x", {}, timeout=0.3)
    calls.close()
    with pytest.raises(ReplicaLost, match="its connection is closed"):
        calls.ask("POST", "/x", {}, timeout=1)


def test_a_refusal_says_what_the_server_says(fake: Fake) -> None:
    fake.state.fail["/x"] = (400, b'{"error": {"message": "too\\n long"}}')
    with pytest.raises(Refused, match=r"^too long$"):
        Calls(fake.address).ask("GET", "/x", timeout=5)


# ---- before anything loads -----------------------------------------------------------------------------------------


def test_a_server_says_what_it_serves(fake: Fake) -> None:
    found, warnings = look([fake.address])
    served = found[fake.address]
    assert (served.version, served.positions, served.workers, served.config["hidden_size"]) == ("0.32.0", 64, 1, 48)
    assert warnings == []
    check_fits(fake.address, served, {**CONFIG, "eos_token_id": 3, "dtype": "bfloat16"})


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8000", "http://localhost", "ftp://host:1", "http://h:x", "http://h:1/v1"]
)
def test_an_address_is_one(address: str) -> None:
    with pytest.raises(InputError, match="is no address of a server; write http://HOST:PORT"):
        look([address])


def test_one_of_two_servers_is_enough_to_begin(fake: Fake) -> None:
    away = no_port()
    found, warnings = look([away, fake.address])
    assert list(found) == [fake.address]
    assert warnings == [
        f"warning: engine.address {away}: nothing listens there (Connection refused); the run begins without it"
    ]


def test_no_server_at_all() -> None:
    address = no_port()
    with pytest.raises(MissingError) as missing:
        look([address])
    assert str(missing.value) == (
        f"engine.address {address}: nothing listens there (Connection refused); start a server there: "
        "python -m r1kit.vllm.serve MODEL --port PORT"
    )


@pytest.mark.parametrize(
    ("change", "error", "what"),
    [
        ({"missing": {"/version"}}, InputError, "what listens there is no server of vLLM"),
        ({"fail": {"/version": (200, b"<html>")}}, InputError, "what listens there is no server of vLLM"),
        ({"fail": {"/version": (200, b"[]")}}, InputError, "what listens there is no server of vLLM"),
        ({"version": "0.27.1"}, MissingError, "runs vLLM 0.27.1; weights are handed over as 0.28"),
        ({"version": "dev"}, MissingError, "runs vLLM dev; weights are handed over as 0.28"),
        ({"missing": {"/get_world_size"}}, MissingError, "VLLM_SERVER_DEV_MODE=1 is not set"),
        ({"fail": {"/get_world_size": (401, b"{}")}}, MissingError, "set VLLM_API_KEY"),
        (
            {"fail": {"/collective_rpc": (500, b'{"error": {"message": "no attribute \'r1kit_describe\'"}}')}},
            MissingError,
            "r1kit's worker extension is not there",
        ),
        ({"backend": "nccl"}, MissingError, "its weights come by 'nccl', not by 'r1kit'"),
        ({"backend": ""}, MissingError, "its weights come by 'nothing'"),
        ({"logprobs_mode": "raw_logprobs"}, MissingError, "logprobs_mode is raw_logprobs"),
        ({"missing": {"/inference/v1/generate"}}, MissingError, "--enable-scale-out"),
    ],
)
def test_what_a_server_lacks_is_one_line(fake: Fake, change: dict[str, Any], error: type[R1Error], what: str) -> None:
    for name, value in change.items():
        if hasattr(fake.state, name):
            setattr(fake.state, name, value)
        else:
            fake.state.told[name] = value
    if "missing" in change:
        fake.state.fail |= dict.fromkeys(change["missing"], (404, b"{}"))
    with pytest.raises(error) as raised:
        look([fake.address])
    assert what in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_server_of_another_model_is_refused(fake: Fake) -> None:
    found, _ = look([fake.address])
    for other, what in [
        ({**CONFIG, "vocab_size": 61}, "its vocab_size is 60, the recipe's 61"),
        ({**CONFIG, "rope_theta": None, "rope_parameters": {"rope_theta": 5e5}}, "its rope_theta is 10000.0"),
    ]:
        with pytest.raises(InputError, match=what):
            check_fits(fake.address, found[fake.address], other)


# ---- sampling ------------------------------------------------------------------------------------------------------


def test_ids_go_in_and_out(fake: Fake, site: Site) -> None:
    replica = site.replica(fake.address)
    hand_over(replica, WEIGHTS, 4)
    rows = replica.generate([5, 6, 7], SAMPLING, 2**63 - 1)
    drawn = fake.state.generate(fake.state.asked[-1][1])["choices"][::-1]
    assert [list(row.token_ids) for row in rows] == [choice["token_ids"] for choice in drawn]
    assert [row.finish for row in rows] == [choice["finish_reason"] for choice in drawn]
    assert {row.version for row in rows} == {4}
    assert rows == replica.generate([5, 6, 7], SAMPLING, 2**63 - 1)
    assert rows != replica.generate([5, 6, 7], SAMPLING, 2**63 - 9)
    for row in rows:
        assert len(row.logprobs) == len(row.token_ids)
        assert row.text == Words().decode([token for token in row.token_ids if token != END])
    asked = fake.state.asked[-1][1]
    assert asked["token_ids"] == [5, 6, 7]
    assert asked["sampling_params"] | {"n": 3, "seed": 2**63 - 9, "ignore_eos": True} == asked["sampling_params"]


def test_a_stop_string_ends_a_completion(fake: Fake, site: Site) -> None:
    """vLLM ends it; what it missed is cut here."""
    replica = site.replica(fake.address)
    hand_over(replica, WEIGHTS, 0)
    sampling = Sampling(n=1, max_tokens=12, stop=("w33",))

    def choice(tokens: list[int], reason: Any) -> Callable[[dict[str, Any]], Any]:
        def spoil(answer: dict[str, Any]) -> dict[str, Any]:
            found = {**answer["choices"][0], "token_ids": tokens, "finish_reason": "stop", "stop_reason": reason}
            found["logprobs"] = {"content": [{"token_id": token, "logprob": -1.0} for token in tokens]}
            found["weight_versions"][0]["end"] = len(tokens)
            return {**answer, "choices": [found]}

        return spoil

    for tokens, reason, kept in [
        ([4, 33], "w33", (4, 33)),
        ([4, 33, 5, 6], "w33", (4, 33)),
        ([4, 5], "w33", (4, 5)),
    ]:
        fake.state.spoil = choice(tokens, reason)
        (row,) = replica.generate([5], sampling, 1)
        assert (row.token_ids, row.finish, len(row.logprobs)) == (kept, "stop", len(kept))
    fake.state.spoil = choice([4, 5], None)
    with pytest.raises(ReplicaLost, match="after 2 tokens where nothing ends it"):
        replica.generate([5], sampling, 1)


def spoilt(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    """An answer whose first choice is changed."""

    def spoil(answer: dict[str, Any]) -> dict[str, Any]:
        return {**answer, "choices": [{**answer["choices"][0], **changes}, *answer["choices"][1:]]}

    return spoil


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda answer: b'{"choices": [', "its answer to POST /inference/v1/generate is not JSON"),
        (lambda answer: {}, "its answer is not one of vLLM's: KeyError 'prompt_token_ids'"),
        (lambda answer: [], "its answer is not one of vLLM's: TypeError"),
        (lambda answer: {**answer, "prompt_token_ids": [1]}, "its answer is to another prompt"),
        (lambda answer: {**answer, "choices": answer["choices"][1:]}, "it was asked for 3 completions and gave 2"),
        (lambda answer: {**answer, "choices": answer["choices"] * 2}, "it was asked for 3 completions and gave 6"),
        (spoilt(index=0), "it was asked for 3 completions and gave 3"),
        (spoilt(token_ids=[]), "it gave 0 tokens of a completion of at most 12"),
        (spoilt(token_ids=[5] * 13), "it gave 13 tokens of a completion of at most 12"),
        (spoilt(token_ids=[5, 60]), "it drew token 60, of a model of 60 tokens"),
        (spoilt(token_ids=[2, 2]), "its log-probs are those of other tokens than it drew"),
        (spoilt(finish_reason="abort"), "it ended a completion by 'abort'"),
        (spoilt(logprobs=None), "its answer is not one of vLLM's: TypeError"),
        (
            spoilt(token_ids=[2, END], logprobs={"content": [{"token_id": t, "logprob": -9999.0} for t in (2, END)]}),
            r"it gives a log-prob of -9999\.0: the weights may not be finite",
        ),
        (
            spoilt(weight_versions=[{"version": "default", "start": 0, "end": 12}]),
            "it was started again and has none of this run's weights",
        ),
        (
            spoilt(weight_versions=[{"version": "mine.5.unfinished", "start": 0, "end": 12}]),
            "a hand-over of weights to it was not finished",
        ),
        (
            spoilt(weight_versions=[{"version": "mine.3", "start": 0, "end": 12}]),
            "it holds version 3 of the weights, not 4",
        ),
    ],
)
def test_an_answer_that_is_none_is_never_taken(fake: Fake, site: Site, spoil: Any, why: str) -> None:
    replica = site.replica(fake.address)
    hand_over(replica, WEIGHTS, 4)
    fake.state.spoil = spoil
    with pytest.raises(ReplicaLost, match=why):
        replica.generate([5, 6], SAMPLING, 11)


def test_spans_tell_which_weights_wrote_what(fake: Fake, site: Site) -> None:
    replica = site.replica(fake.address)
    hand_over(replica, WEIGHTS, 4)
    spans = [{"version": "mine.4", "start": 0, "end": 5}, {"version": "mine.6", "start": 5, "end": 12}]
    tokens = list(range(2, 14))
    content = [{"token_id": token, "logprob": -1.0} for token in tokens]
    fake.state.spoil = spoilt(
        token_ids=tokens, logprobs={"content": content}, finish_reason="length", weight_versions=spans
    )
    row = replica.generate([5, 6], SAMPLING, 11)[2]
    assert (row.version, row.spans) == (4, ((4, 5), (6, 7)))


def test_a_server_that_names_no_weights_in_its_answers_is_asked(fake: Fake, site: Site) -> None:
    """As vLLM before 0.32."""
    replica = site.replica(fake.address)
    hand_over(replica, WEIGHTS, 4)
    fake.state.spoil = lambda answer: {
        **answer, "choices": [{**choice, "weight_versions": None} for choice in answer["choices"]]
    }  # fmt: skip
    assert {row.version for row in replica.generate([5, 6], SAMPLING, 11)} == {4}
    fake.state.label = "default"
    with pytest.raises(ReplicaLost, match="it was started again"):
        replica.generate([5, 6], SAMPLING, 11)


def test_two_runs_cannot_share_a_server(fake: Fake, site: Site) -> None:
    first = site.replica(fake.address)
    hand_over(first, WEIGHTS, 0)
    hand_over(site.replica(fake.address, run="other"), WEIGHTS, 0)
    with pytest.raises(InputError, match="another run has put its weights there; give each run servers of its own"):
        first.generate([5], SAMPLING, 1)


def test_a_prompt_that_is_wrong_is_the_user_s(fake: Fake, site: Site) -> None:
    replica = site.replica(fake.address)
    with pytest.raises(InputError, match="pass the model's 64 positions"):
        replica.generate([5] * 60, SAMPLING, 1)
    fake.state.fail["/inference/v1/generate"] = (400, b'{"error": {"message": "n must be at most 8"}}')
    with pytest.raises(InputError, match="refuses a prompt of 1 tokens: n must be at most 8"):
        replica.generate([5], SAMPLING, 1)


# ---- weights -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["gloo", "folder"])
def test_weights_arrive_whole_and_change_what_is_drawn(fake: Fake, site: Site, way: str) -> None:
    replica = site.replica(fake.address, carrier=Group("127.0.0.1", 20.0) if way == "gloo" else None)
    assert hand_over(replica, WEIGHTS, 1) == 7 * 4
    first = replica.generate([5, 6], SAMPLING, 11)
    assert fake.state.weights["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert fake.state.label == "mine.1"
    hand_over(replica, {"a": WEIGHTS["a"] + 1}, 2)
    second = replica.generate([5, 6], SAMPLING, 11)
    assert [row.token_ids for row in first] != [row.token_ids for row in second]
    assert {row.version for row in second} == {2}
    salts = [body["cache_salt"] for path, body in fake.state.asked if body and path.endswith("generate")]
    assert len({salt for salt in salts if salt != "first"}) == 2
    assert list(site.folder.iterdir()) == []


def test_large_weights_go_in_chunks(fake: Fake, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("r1kit.vllm.server.CHUNK", 30)
    hand_over(site.replica(fake.address, checksums=True), {name: torch.ones(4) for name in "abcde"}, 1)
    updates = [body["update_info"] for path, body in fake.state.asked if path == "/update_weights"]
    assert [update["names"] for update in updates] == [["a", "b"], ["c", "d"], ["e"]]
    assert [update["total"] for update in updates] == [5, 5, 5]
    ones = hashlib.sha256(bytes.fromhex("0000803f" * 4)).hexdigest()
    assert {text for update in updates for text in update["checksums"]} == {ones}


def test_a_hand_over_that_failed_is_sent_whole_again(fake: Fake, site: Site) -> None:
    replica = site.replica(fake.address)
    other = site.replica(fake.address, leads=False)
    hand_over(replica, WEIGHTS, 1)
    other.expect(1)
    stream = NamedWeights({"a": WEIGHTS["a"]})
    replica.begin(stream.metadata(), 2)
    fake.state.fail["/update_weights"] = (500, b'{"error": {"message": "no weights at /nowhere"}}')
    replica.put("a", WEIGHTS["a"])
    with pytest.raises(ReplicaLost, match="it answers POST /update_weights with 500: no weights at /nowhere"):
        replica.finish(2)
    replica.abort()
    assert fake.state.label == "mine.2.unfinished"
    fake.state.paused = False
    with pytest.raises(ReplicaLost, match="a hand-over of weights to it was not finished"):
        other.generate([5], SAMPLING, 1)
    with pytest.raises(ReplicaLost, match="a hand-over of weights to it was not finished"):
        other.alive()
    fake.state.fail.clear()
    hand_over(replica, {"a": WEIGHTS["a"] + 3}, 2)
    other.expect(2)
    other.alive()
    assert {row.version for row in other.generate([5], SAMPLING, 1)} == {2}


def test_a_hand_over_whose_sender_died_is_given_up(fake: Fake, site: Site) -> None:
    """The next run finds the server paused in the middle of one."""
    dead, stream = site.replica(fake.address, run="before"), NamedWeights(WEIGHTS)
    dead.begin(stream.metadata(), 7)
    dead.put("a", WEIGHTS["a"])
    dead._flush()
    assert (fake.state.label, fake.state.paused) == ("before.7.unfinished", True)
    replica = site.replica(fake.address)
    replica.alive()
    hand_over(replica, WEIGHTS, 0)
    assert fake.state.weights.keys() == WEIGHTS.keys()
    assert {row.version for row in replica.generate([5], SAMPLING, 1)} == {0}


def test_a_server_that_became_another_is_handed_nothing(fake: Fake, site: Site) -> None:
    replica = site.replica(fake.address)
    hand_over(replica, WEIGHTS, 1)
    fake.state.told["config"]["hidden_size"] = 64
    with pytest.raises(ReplicaLost, match="serves another model: its hidden_size is 64, the recipe's 48"):
        replica.begin(NamedWeights(WEIGHTS).metadata(), 2)
    assert fake.state.label == "mine.1"


def test_a_rank_that_hands_nothing_over_waits_for_the_version(fake: Fake, site: Site) -> None:
    leads, follows = site.replica(fake.address), site.replica(fake.address, leads=False)
    hand_over(leads, WEIGHTS, 1)
    follows.expect(2)
    with pytest.raises(ReplicaLost, match="it holds version 1 of the weights, not 2"):
        follows.alive()
    fake.state.paused = True  # rank 0 is at it
    follows.alive()


# ---- a pool of them ------------------------------------------------------------------------------------------------


class Process:
    """A fake server that can be killed and started again at its port."""

    def __init__(self, slow: float = 0.0) -> None:
        self.slow, self.port = slow, 0
        self.start()
        self.address = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, str(Path(__file__).with_name("fake_vllm.py")), str(self.port), str(self.slow)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        with self.process.stdout as said:  # type: ignore[union-attr]
            self.port = int(said.readline())

    def signal(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def process() -> Iterator[Callable[..., Process]]:
    made: list[Process] = []

    def make(slow: float = 0.0) -> Process:
        made.append(Process(slow))
        return made[-1]

    yield make
    for each in made:
        each.kill()


class Pooled:
    """A pool over servers that holds version 1."""

    def __init__(self, site: Site, addresses: list[str], **more: Any) -> None:
        self.said: list[str] = []
        replicas = [site.replica(address, liveness=1.0) for address in addresses]
        self.pool = Pool(replicas, tell=self.said.append, look_every=0.05, **more)
        self.pool.load_weights(NamedWeights({"a": WEIGHTS["a"]}), 1)

    def ask(self) -> list[Any]:
        return [self.pool.submit(prompt, SAMPLING, seed) for prompt, seed in zip(PROMPTS, SEEDS, strict=True)]


@pytest.fixture
def pooled(site: Site) -> Iterator[Callable[..., Pooled]]:
    made: list[Pooled] = []

    def make(*addresses: str, **more: Any) -> Pooled:
        made.append(Pooled(site, list(addresses), **more))
        return made[-1]

    yield make
    for each in made:
        each.pool.close()


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_server_lost_in_the_middle_costs_no_group(
    pooled: Callable[..., Pooled], process: Callable[..., Process], fake: Fake, number: signal.Signals
) -> None:
    """Killed, or hung with its port open: named, and every prompt is answered once, as if nothing had been."""
    dies, stays = process(slow=1.0), process(slow=0.2)
    made = pooled(dies.address, stays.address)
    answers = made.ask()
    until(lambda: any(answer.done() for answer in answers))
    dies.signal(number)
    rows = [answer.result(timeout=30) for answer in answers]
    alone = pooled(fake.address)
    assert rows == alone.pool.generate(PROMPTS, SAMPLING, SEEDS)
    (told,) = made.said
    assert told.startswith(f"engine at {dies.address} is lost: ")
    assert told.endswith("(5 prompts) is sampled again on the others")


def test_a_server_that_is_back_is_handed_the_newest_weights_first(
    pooled: Callable[..., Pooled], process: Callable[..., Process], fake: Fake
) -> None:
    only = process(slow=0.3)
    made = pooled(only.address)
    answers = made.ask()
    until(lambda: len(made.pool._members[0].out) == len(PROMPTS))
    only.kill()
    until(lambda: made.said)
    only.start()
    rows = [answer.result(timeout=30) for answer in answers]
    assert rows == pooled(fake.address).pool.generate(PROMPTS, SAMPLING, SEEDS)
    assert {row.version for group in rows for row in group} == {1}
    assert made.said[-1] == f"engine at {only.address} is back"


def test_a_server_started_again_unseen_serves_nothing_of_its_own(pooled: Callable[..., Pooled], fake: Fake) -> None:
    """Between two requests, by whatever looks after it: the weights of its start must not write a single row."""
    made = pooled(fake.address)
    before = made.pool.generate(PROMPTS, SAMPLING, SEEDS)
    fake.state.label, fake.state.weights = "default", {}
    assert made.pool.generate(PROMPTS, SAMPLING, SEEDS) == before
    assert "it was started again and has none of this run's weights" in made.said[0]


def test_no_server_for_too_long_ends_the_run(pooled: Callable[..., Pooled], process: Callable[..., Process]) -> None:
    only = process()
    made = pooled(only.address, patience=0.5)
    only.kill()
    with pytest.raises(R1Error, match=r"no engine has served for \d+ s \(engine at .*; run the same command to go on"):
        made.pool.generate(PROMPTS, SAMPLING, SEEDS)


@pytest.mark.slow
def test_ranks_share_a_server(fake: Fake, site: Site, on_ranks: Callable[..., list[Any]]) -> None:
    """Each samples its own prompts, from the weights that rank 0 has handed over."""
    found = on_ranks(2, "rollout.served_ranks:sample", fake.address, str(site.folder), Words(), SAMPLING)
    alone = site.replica(fake.address, run="alone")
    for version in (1, 2):
        hand_over(alone, {"a": torch.full((3,), float(version))}, version)
        for rank in range(2):
            prompts = [([5 + rank], 7), ([9 + rank], 8)]
            assert found[rank][version - 1] == [alone.generate(prompt, SAMPLING, seed) for prompt, seed in prompts]
    labels = [body["new_version"] for path, body in fake.state.asked if path == "/update_weight_version"]
    assert labels[:2] == ["mine.1.unfinished", "mine.2.unfinished"]


# ---- as a user types it --------------------------------------------------------------------------------------------


def test_check_asks_the_servers(fake: Fake) -> None:
    """One line, before anything loads; a server that is away is a warning while another is there."""
    fake.state.told["config"] |= {"hidden_size": 96, "num_hidden_layers": 3, "vocab_size": 176}
    away = no_port()
    recipe = load_recipe("nano-zero", [f'engine={{kind="vllm",address="{fake.address}"}}'])
    assert recipe.engine.settings.address == (fake.address,)
    assert check_recipe(recipe) == []
    with pytest.raises(MissingError, match="nothing listens there"):
        check_recipe(load_recipe("nano-zero", [f'engine={{kind="vllm",address=["{away}"]}}']))
    both = load_recipe("nano-zero", [f'engine={{kind="vllm",address=["{away}","{fake.address}"]}}'])
    assert [line for line in check_recipe(both) if away in line]
    for change, what in [
        ('hand_over="nccl"', "needs GPUs, and .* computes on cpu"),
        ('hand_over="folder"', 'engine.folder = "" is no folder here'),
    ]:
        with pytest.raises(InputError, match=what):
            check_recipe(load_recipe("nano-zero", [f'engine={{kind="vllm",address="{fake.address}",{change}}}']))
    fake.state.told["config"]["hidden_size"] = 128
    with pytest.raises(InputError, match="serves another model: its hidden_size is 128, the recipe's 96"):
        check_recipe(recipe)
