"""Every address, as OpenAI's API answers it."""

from __future__ import annotations

import asyncio
import json
import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from serving.conftest import POSITIONS, TOKENIZER, Api, Written, local_engine, served
from starlette.testclient import TestClient

from r1kit.errors import R1Error
from r1kit.records import Sampling
from r1kit.rollout.piece import Scored
from r1kit.rollout.session import Session
from r1kit.rollout.streams import stream_seed
from r1kit.serving.batcher import Ask, Batcher
from r1kit.serving.requests import Asked, read_completion
from r1kit.serving.served import Served
from r1kit.serving.writing import Tags
from r1kit.text.template import Template

CHAT, COMPLETE = "/v1/chat/completions", "/v1/completions"
ASK = [{"role": "user", "content": "use 7 1 5 make 13"}]


def post(client: TestClient, path: str, **body: Any) -> dict[str, Any]:
    answer = client.post(path, json={"model": "tiny", **body})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def stream(client: TestClient, path: str, **body: Any) -> list[dict[str, Any]]:
    with client.stream("POST", path, json={"model": "tiny", "stream": True, **body}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def writes(text: str, **more: Any) -> Any:
    return served("tiny", Written(text, **more))  # type: ignore[arg-type]


# ---- models ----------------------------------------------------------------------------------------------------------


def test_models_health_and_metrics(api: Api) -> None:
    client = api(writes("1 2"), served("runs/mine:r1_zero", Written("3")))  # type: ignore[arg-type]
    listed = client.get("/v1/models").json()
    assert [one["id"] for one in listed["data"]] == ["tiny", "runs/mine:r1_zero"]
    assert client.get("/v1/models/runs/mine:r1_zero").json()["max_model_len"] == POSITIONS
    assert client.get("/v1/models/other").status_code == 404
    assert client.get("/health").json()["status"] == "ok"
    post(client, CHAT, messages=ASK)
    client.post(CHAT, json={"model": "tiny"})
    lines = client.get("/metrics").text.splitlines()
    assert f'r1_requests_total{{model="tiny",path="{CHAT}",status="200"}} 1' in lines
    assert 'r1_completion_tokens_total{model="tiny"} 3' in lines
    assert 'r1_request_seconds_count{model="tiny"} 1' in lines
    assert 'r1_completions_running{model="tiny"} 0' in lines
    assert f'r1_requests_total{{model="",path="{CHAT}",status="400"}} 1' in lines


def test_the_longest_answer_that_is_listed_is_within_the_context(api: Api) -> None:
    long = served("long", Written("1"), sampling=Sampling(max_tokens=1000))  # type: ignore[arg-type]
    told = [one["r1"]["max_tokens"] for one in api(writes("1"), long).get("/v1/models").json()["data"]]
    assert told == [24, POSITIONS - 1]


# ---- chat ------------------------------------------------------------------------------------------------------------


def test_a_chat_tells_thinking_apart(api: Api) -> None:
    client = api(writes("<think> 7 5 </think> <answer> 12 </answer>"))
    found = post(client, CHAT, messages=ASK)
    message = found["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("7 5", "<answer> 12 </answer>")
    assert message["role"] == "assistant"
    assert found["object"] == "chat.completion"
    assert found["choices"][0]["finish_reason"] == "stop"
    prompt = len(TOKENIZER.encode("<bos> User: use 7 1 5 make 13 Assistant:"))
    assert found["usage"] == {"prompt_tokens": prompt, "completion_tokens": 8, "total_tokens": prompt + 8}


def test_a_stream_adds_up_to_the_whole_answer(api: Api) -> None:
    client = api(writes("<think> 7 5 </think> <answer> 12 </answer>"))
    events = stream(client, CHAT, messages=ASK, stream_options={"include_usage": True})
    deltas = [one["choices"][0]["delta"] for one in events[:-1]]
    assert deltas[0]["role"] == "assistant"
    assert all("role" not in one for one in deltas[1:])
    assert "".join(one.get("reasoning_content", "") for one in deltas) == "7 5"
    assert "".join(one.get("content", "") for one in deltas) == "<answer> 12 </answer>"
    assert [one["choices"][0]["finish_reason"] for one in events[:-1]][-1] == "stop"
    assert {one["object"] for one in events} == {"chat.completion.chunk"}
    assert len({one["id"] for one in events}) == 1
    assert events[-1]["choices"] == []
    assert events[-1]["usage"]["completion_tokens"] == 8
    assert all("usage" not in one for one in stream(client, CHAT, messages=ASK))


def test_a_template_that_opens_the_thinking_is_begun_inside(api: Api) -> None:
    opened = served("tiny", Written("7 5 </think> 12"), template=Template(prefill="<think>"))  # type: ignore[arg-type]
    message = post(api(opened), CHAT, messages=ASK)["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("7 5", "12")


def test_several_choices_stop_length_and_the_stages_own_stop(api: Api) -> None:
    client = api(
        writes("1 2 3 4 5"),
        served("own", Written("1 2 </answer> 3"), sampling=Sampling(stop=("</answer>",), max_tokens=24)),  # type: ignore[arg-type]
    )
    found = post(client, CHAT, messages=ASK, n=3, stop="4")
    assert [one["index"] for one in found["choices"]] == [0, 1, 2]
    assert {one["message"]["content"] for one in found["choices"]} == {"1 2 3 "}
    assert {one["finish_reason"] for one in found["choices"]} == {"stop"}
    cut = post(client, CHAT, messages=ASK, max_completion_tokens=2)["choices"][0]
    assert (cut["message"]["content"], cut["finish_reason"]) == ("1 2", "length")
    events = stream(client, CHAT, messages=ASK, n=2, stop=["3 4"])
    for index in (0, 1):
        told = [one["choices"][0] for one in events if one["choices"][0]["index"] == index]
        assert "".join(one["delta"].get("content", "") for one in told) == "1 2 "
        assert told[-1]["finish_reason"] == "stop"
    kept = client.post(CHAT, json={"model": "own", "messages": ASK}).json()["choices"][0]
    assert (kept["message"]["content"], kept["finish_reason"]) == ("1 2 </answer>", "stop")


def test_log_probs_of_a_chat(api: Api) -> None:
    client = api(writes("<think> 7 </think> 12"))
    found = post(client, CHAT, messages=ASK, logprobs=True, top_logprobs=2)["choices"][0]["logprobs"]
    assert [one["token"] for one in found["reasoning_content"]] == ["<think>", " 7", " </think>"]
    (only,) = found["content"]
    assert (only["token"], only["logprob"], bytes(only["bytes"])) == (" 12", -0.5, b" 12")
    assert [one["logprob"] for one in only["top_logprobs"]] == [-0.25, -1.5]
    assert post(client, CHAT, messages=ASK)["choices"][0]["logprobs"] is None


def test_the_chosen_token_is_spelled_alike_among_the_likeliest(api: Api) -> None:
    """As it stands in the text: the first word has no space before it."""
    client = api(writes("<think> 7 </think> 12"))
    found = post(client, CHAT, messages=ASK, logprobs=True, top_logprobs=2)["choices"][0]["logprobs"]
    first, second = found["reasoning_content"][:2]
    assert first["top_logprobs"][1] == {"token": "<think>", "logprob": -1.5, "bytes": list(b"<think>")}
    assert second["top_logprobs"][1] == {"token": " <think>", "logprob": -1.5, "bytes": list(b" <think>")}
    told = post(client, COMPLETE, prompt="use", logprobs=2, stop="ink>")["choices"][0]["logprobs"]
    assert told["tokens"] == [" <th"], "cut at the stop string"
    assert list(told["top_logprobs"][0]) == [" <unk>", " <th"]


def test_earlier_turns_go_through_the_template(api: Api) -> None:
    engine = Written("1")
    client = api(served("tiny", engine))  # type: ignore[arg-type]
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "reasoning_content": "c"},
        {"role": "user", "content": [{"type": "text", "text": "d"}]},
    ]
    post(client, CHAT, messages=turns)
    told = TOKENIZER.decode(list(engine.asked[-1]["prompt"]))
    assert told == "<bos> User: a Assistant: <think> c </think> b <eos> User: d Assistant:"


def test_earlier_thinking_stands_in_the_tags_that_the_model_writes(api: Api) -> None:
    engine = Written("1")
    client = api(served("tiny", engine, tags=Tags(open="5", close="6")))  # type: ignore[arg-type]
    thought = {"role": "assistant", "content": "b", "reasoning_content": "c"}
    post(client, CHAT, messages=[{"role": "user", "content": "a"}, thought, {"role": "user", "content": "d"}])
    told = TOKENIZER.decode(list(engine.asked[-1]["prompt"]))
    assert told == "<bos> User: a Assistant: 5 c 6 b <eos> User: d Assistant:"


# ---- completions -----------------------------------------------------------------------------------------------------


def test_completions_of_texts_and_token_ids(api: Api) -> None:
    engine = Written("1 2 3")
    client = api(served("tiny", engine))  # type: ignore[arg-type]
    found = post(client, COMPLETE, prompt=["use 7", "make 5"], n=2)
    assert [one["index"] for one in found["choices"]] == [0, 1, 2, 3]
    assert found["choices"][0]["text"] == " 1 2 3"
    assert found["usage"]["prompt_tokens"] == 4
    post(client, COMPLETE, prompt=[8, 9])
    post(client, COMPLETE, prompt=[[8, 9], [10]])
    assert [one["prompt"] for one in engine.asked[-3:]] == [(8, 9), (8, 9), (10,)]
    assert found["object"] == "text_completion"
    events = stream(client, COMPLETE, prompt="use 7")
    assert "".join(one["choices"][0]["text"] for one in events) == " 1 2 3"


def test_echo_and_log_probs_of_a_prompt(api: Api) -> None:
    client = api(writes("1 2"))
    found = post(client, COMPLETE, prompt="use 7 5", echo=True, logprobs=1, max_tokens=1)["choices"][0]
    assert found["text"] == "use 7 5 1"
    assert found["logprobs"]["token_logprobs"] == [None, -1.0, -1.0, -0.5]
    assert found["logprobs"]["text_offset"] == [0, 3, 5, 7]
    assert found["logprobs"]["top_logprobs"][0] is None
    alone = post(client, COMPLETE, prompt="use 7 5", echo=True, logprobs=1, max_tokens=0)
    assert alone["choices"][0]["text"] == "use 7 5"
    assert len(alone["choices"][0]["logprobs"]["tokens"]) == 3
    assert alone["usage"]["completion_tokens"] == 0
    events = stream(client, COMPLETE, prompt="use 7", echo=True)
    assert "".join(one["choices"][0]["text"] for one in events) == "use 7 1 2"


def test_what_is_impossible_is_json_too(api: Api) -> None:
    """A log-prob of minus infinity is none of JSON's numbers; of a prompt's tokens as of the answer's."""
    engine = Written("1 2")
    engine.read = lambda prompt, top: [Scored(-math.inf, ()) for _ in prompt[1:]]  # type: ignore[method-assign]
    client = api(served("tiny", engine))  # type: ignore[arg-type]
    found = post(client, COMPLETE, prompt="use 7", echo=True, logprobs=0, max_tokens=1)["choices"][0]
    assert found["logprobs"]["token_logprobs"] == [None, -9999.0, -0.5]


def test_offsets_of_a_prompts_tokens_point_into_the_text(api: Api) -> None:
    """Words come with the space before them, but for the first."""
    client = api(writes("1 2"))
    found = post(client, COMPLETE, prompt="use 7 5", echo=True, logprobs=0)["choices"][0]
    told = found["logprobs"]
    assert told["tokens"] == ["use", " 7", " 5", " 1", " 2"]
    assert told["text_offset"] == [0, 3, 5, 7, 9]
    assert found["text"] == "use 7 5 1 2"


# ---- the engine itself -----------------------------------------------------------------------------------------------


def test_the_text_is_the_engines_own(api: Api) -> None:
    """What ``generate`` draws from the same stream, alone or beside others."""
    client = api()
    prompt = TOKENIZER.encode("<bos> User: use 7 Assistant:")
    expected = local_engine().generate(
        [prompt], Sampling(n=3, max_tokens=20, temperature=0.9, top_p=0.8), [stream_seed("serve", 11, 0)]
    )
    body = {"prompt": prompt, "n": 3, "seed": 11, "temperature": 0.9, "top_p": 0.8, "max_tokens": 20}
    for found in (post(client, COMPLETE, **body), *beside(client, body)):
        texts = [one["text"].strip() for one in found["choices"]]
        assert texts == [one.text for one in expected[0]]
        assert [one["finish_reason"] for one in found["choices"]] == [one.finish for one in expected[0]]


def beside(client: TestClient, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The same request twice among others, at the same time."""
    with ThreadPoolExecutor(6) as pool:
        others = [pool.submit(post, client, COMPLETE, **{**body, "seed": seed, "n": 2}) for seed in range(4)]
        mine = [pool.submit(post, client, COMPLETE, **body) for _ in range(2)]
        for other in others:
            other.result()
        return [one.result() for one in mine]


def test_without_a_seed_answers_differ(api: Api) -> None:
    client = api()
    found = {post(client, COMPLETE, prompt="use", max_tokens=20)["choices"][0]["text"] for _ in range(4)}
    assert len(found) > 1


def test_a_long_text_is_read_beside_the_event_loop(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taking apart millions of characters takes seconds, in which the answers of others must go on."""
    threads = []

    def noted(body: bytes, models: dict[str, Served]) -> Asked:
        threads.append(threading.get_ident())
        return read_completion(body, models)

    monkeypatch.setattr("r1kit.serving.routes.read_completion", noted)
    client = api(writes("1"))
    post(client, COMPLETE, prompt="use")
    long = client.post(COMPLETE, json={"model": "tiny", "prompt": "use " * 10_000})
    assert long.json()["error"]["code"] == "context_length_exceeded"
    post(client, COMPLETE, prompt="use")
    assert threads[0] == threads[2] != threads[1]


def test_a_crowd_is_sent_away(api: Api) -> None:
    """Rows run, others wait, the rest are told to come again; nothing that was let in is lost."""
    engine = Written("1 2 3", held=1)
    client = api(served("tiny", engine, most=4))  # type: ignore[arg-type]
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(post, client, CHAT, messages=ASK, n=4)
        while engine.running < 4:
            time.sleep(0.001)
        crowded = client.post(CHAT, json={"model": "tiny", "messages": ASK})
        assert crowded.status_code == 429
        assert crowded.headers["retry-after"] == "1"
        assert crowded.json()["error"]["type"] == "rate_limit_error"
        engine.held = None
        assert len(first.result()["choices"]) == 4


@pytest.mark.filterwarnings("ignore")
def test_an_engine_that_breaks_is_said(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    engine = Written("1 2 3")
    client = api(served("tiny", engine))  # type: ignore[arg-type]
    engine.fails = True
    found = client.post(CHAT, json={"model": "tiny", "messages": ASK})
    assert found.status_code == 500
    assert "the engine broke" in found.json()["error"]["message"]
    assert client.post(CHAT, json={"model": "tiny", "messages": ASK}).status_code == 503
    scored = {"model": "tiny", "prompt": "a", "echo": True, "logprobs": 1, "max_tokens": 0}
    assert client.post(COMPLETE, json=scored).status_code == 503
    assert client.get("/health").status_code == 503
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")
def test_an_engine_that_breaks_leaves_nobody_waiting() -> None:
    """What it was at, what runs, what came in beside it, and what comes later."""

    class Breaking(Written):
        def read(self, prompt: Sequence[int], top: int) -> list[Scored]:
            raise ZeroDivisionError

    async def told() -> list[object]:
        found: list[object] = []
        batcher = Batcher(Breaking("1 2 3", held=1), most=9)  # type: ignore[arg-type]
        asks = [Ask([5], Sampling(n=1, max_tokens=9), 0, found.append) for _ in range(2)]
        batcher.submit(asks[0])
        batcher.read([5, 6], 0, found.append)
        batcher.submit(asks[1])
        batcher.start(asyncio.get_running_loop())
        while sum(isinstance(one, R1Error) for one in found) < 3:
            await asyncio.sleep(0.001)
        with pytest.raises(R1Error, match="sampling has ended"):
            batcher.read([5, 6], 0, found.append)
        batcher.cancel(asks[0])
        batcher.close()
        return found

    found = asyncio.run(asyncio.wait_for(told(), 60))
    assert sum(isinstance(one, R1Error) for one in found) == 3


def test_the_session_serves(api: Api) -> None:
    """A stop string ends a row of the real engine, whose slot is free again."""
    session = Session(local_engine(), serving=True)
    client = api(served("tiny", session))
    whole = post(client, COMPLETE, prompt="use", seed=3, max_tokens=40)["choices"][0]["text"]
    word = whole.split()[3]
    cut = post(client, COMPLETE, prompt="use", seed=3, max_tokens=40, stop=f" {word}")["choices"][0]
    assert cut["text"] == whole[: whole.index(f" {word}")]
    assert post(client, COMPLETE, prompt="use", seed=3, max_tokens=40)["choices"][0]["text"] == whole
    assert session.running == 0


def test_a_model_of_another_family_serves(api: Api) -> None:
    """By waves of what only `transformers` runs; its texts are the closed engine's."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from r1kit.model.families.fallback import HubModel
    from r1kit.rollout.hub import HubEngine
    from r1kit.rollout.waves import Waves

    torch.manual_seed(0)
    shape = GPT2Config(vocab_size=len(TOKENIZER), n_embd=16, n_layer=1, n_head=2, n_positions=64, initializer_range=0.5)
    engine = HubEngine(HubModel(GPT2LMHeadModel(shape)), TOKENIZER, max_rows=4, end_ids=[TOKENIZER.eos_token_id])
    client = api(served("tiny", Waves(engine), positions=64))
    prompt = TOKENIZER.encode("use 7 1")
    expected = engine.generate([prompt], Sampling(n=3, max_tokens=12), [stream_seed("serve", 2, 0)])[0]
    body = {"prompt": prompt, "n": 3, "seed": 2, "max_tokens": 12}
    for found in (post(client, COMPLETE, **body), *beside(client, body)):
        assert [one["text"].strip() for one in found["choices"]] == [one.text for one in expected]
    scored = post(client, COMPLETE, **body, logprobs=2)["choices"][0]["logprobs"]
    assert all(len(top) == 2 for top in scored["top_logprobs"])
