"""A vLLM server as a replica, over HTTP: against a server of ours that answers as vLLM's does, and as none should."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from rollout.fake_vllm import END, Fake, Words
from rollout.vllm_site import SAMPLING, WEIGHTS, Site, hand_over

from r1kit.errors import InputError
from r1kit.model.weights import NamedWeights
from r1kit.records import Sampling
from r1kit.rollout.replica import ReplicaLost
from r1kit.vllm.carriers import Group

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
