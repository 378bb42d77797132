"""What a wrong request is told, in OpenAI's shape."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from serving.conftest import TOKENIZER, Api, Written, served
from starlette.testclient import TestClient

from r1kit.text.template import Template

CHAT, COMPLETE = "/v1/chat/completions", "/v1/completions"
ASK = [{"role": "user", "content": "a"}]
CHATS: dict[str, tuple[dict[str, Any], int, str | None, str]] = {
    "unknown": ({"temprature": 1}, 400, "temprature", "Did you mean 'temperature'"),
    "penalty": ({"frequency_penalty": 0.5}, 400, "frequency_penalty", "not supported"),
    "tools": ({"tools": [{"type": "function"}]}, 400, "tools", "not supported"),
    "format": ({"response_format": {"type": "json_object"}}, 400, "response_format", "not supported"),
    "temperature": ({"temperature": 3}, 400, "temperature", "from 0 to 2"),
    "beyond any number": ({"temperature": 10**400}, 400, "temperature", "from 0 to 2"),
    "text number": ({"temperature": "1"}, 400, "temperature", "a number"),
    "flag number": ({"top_p": True}, 400, "top_p", "a number"),
    "n": ({"n": 0}, 400, "n", "from 1 to 128"),
    "many": ({"n": 100}, 400, "n", "at most 40"),
    "seed": ({"seed": "x"}, 400, "seed", "whole number"),
    "stop": ({"stop": [""]}, 400, "stop", "none empty"),
    "stop kind": ({"stop": 7}, 400, "stop", "a string"),
    "stream": ({"stream": "yes"}, 400, "stream", "true or false"),
    "options": ({"stream_options": {"include_usage": True}}, 400, "stream_options", "stream = true"),
    "option": ({"stream": True, "stream_options": {"x": 1}}, 400, "stream_options.x", "include_usage"),
    "top": ({"top_logprobs": 3}, 400, "top_logprobs", "logprobs = true"),
    "tops": ({"logprobs": True, "top_logprobs": 21}, 400, "top_logprobs", "from 0 to 20"),
    "two lengths": ({"max_tokens": 3, "max_completion_tokens": 4}, 400, "max_completion_tokens", "differ"),
    "no tokens": ({"max_tokens": 0}, 400, "max_tokens", "from 1"),
    "long": ({"max_tokens": 1000}, 400, "messages", "context is 128 tokens"),
    "long prompt": ({"messages": [{"role": "user", "content": "a " * 200}]}, 400, "messages", "shorten the prompt"),
    "no messages": ({"messages": []}, 400, "messages", "a list of 1 to"),
    "messages": ({"messages": "hello"}, 400, "messages", "a list of 1 to"),
    "message": ({"messages": ["hello"]}, 400, "messages[0]", "role and content"),
    "role": ({"messages": [{"role": "boss", "content": "a"}]}, 400, "messages[0].role", "system, developer"),
    "content": ({"messages": [{"role": "user"}]}, 400, "messages[0].content", "missing"),
    "picture": ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, 400, "messages[0].content", "text"),
    "last": ({"messages": [*ASK, {"role": "assistant", "content": "b"}]}, 400, "messages", "the user's"),
    "system": ({"messages": [{"role": "system", "content": "b"}, {"role": "system", "content": "b"}, *ASK]}, 400,
               "messages", "user and assistant only"),
    "half": ({"messages": [{"role": "user", "content": "\ud800"}]}, 400, "messages[0].content", "surrogate"),
    "template": ({"chat_template_kwargs": {"chat_template": "{{ 1 / 0 }}"}}, 400, "chat_template_kwargs.chat_template",
                 "the server's to say"),
    "self": ({"chat_template_kwargs": {"self": 1}}, 400, "chat_template_kwargs.self", "the server's to say"),
    "unread": ({"chat_template_kwargs": {"enable_thinkin": False}}, 400, "chat_template_kwargs.enable_thinkin",
               "chat_template_kwargs.enable_thinkin: the model's template never looks at it"),
    "turns": ({"chat_template_kwargs": {"messages": []}}, 400, "chat_template_kwargs.messages", "the server's to say"),
    "argument": ({"chat_template_kwargs": {"x": [1]}}, 400, "chat_template_kwargs.x", "true, false, a number"),
    "long argument": ({"chat_template_kwargs": {"x": "y" * 201}}, 400, "chat_template_kwargs.x", "200 characters"),
    "left out": ({"messages": None}, 400, "messages", "messages is missing; it must be a list of 1 to"),
    "model": ({"model": "other"}, 404, "model", "models are tiny"),
    "model kind": ({"model": 7}, 400, "model", "a string"),
}  # fmt: skip
COMPLETIONS: dict[str, tuple[dict[str, Any], int, str | None, str]] = {
    "none": ({"prompt": None}, 400, "prompt", "prompt is missing; it must be a text, token ids"),
    "empty": ({"prompt": ""}, 400, "prompt", "no token"),
    "list": ({"prompt": []}, 400, "prompt", "token ids"),
    "mixed": ({"prompt": ["a", 7.5]}, 400, "prompt", "token ids"),
    "token": ({"prompt": [5, 4000]}, 400, "prompt", "token 4000"),
    "negative": ({"prompt": [[-1]]}, 400, "prompt", "token -1"),
    "logprobs": ({"logprobs": 50}, 400, "logprobs", "from 0 to 20"),
    "no tokens": ({"max_tokens": 0}, 400, "max_tokens", "from 1"),
    "suffix": ({"suffix": "x"}, 400, "suffix", "not supported"),
    "best": ({"best_of": 4}, 400, "best_of", "not supported"),
    "messages": ({"messages": ASK}, 400, "messages", "unknown parameter"),
    "long": ({"prompt": [5] * 128, "max_tokens": 1}, 400, "prompt", "context is 128"),
}


@pytest.fixture
def client(api: Api) -> TestClient:
    return api(served("tiny", Written("1 2 3")))  # type: ignore[arg-type]


def refused(answer: Any, status: int, param: str | None, words: str) -> None:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert words in error["message"]
    assert "\n" not in error["message"]


@pytest.mark.parametrize("name", CHATS)
def test_a_wrong_chat(client: TestClient, name: str) -> None:
    import json

    body, status, param, words = CHATS[name]
    content = json.dumps({"model": "tiny", "messages": ASK, **body})  # also what httpx would not encode
    refused(client.post(CHAT, content=content, headers={"content-type": "application/json"}), status, param, words)


@pytest.mark.parametrize("name", COMPLETIONS)
def test_a_wrong_completion(client: TestClient, name: str) -> None:
    body, status, param, words = COMPLETIONS[name]
    refused(client.post(COMPLETE, json={"model": "tiny", "prompt": "a", **body}), status, param, words)


def test_what_is_left_out_is_missing(client: TestClient) -> None:
    for path, body in ((CHAT, {"messages": ASK}), (CHAT, {"model": "tiny"}), (COMPLETE, {"model": "tiny"})):
        assert client.post(path, json=body).json()["error"]["code"] == "missing_parameter"


def test_arguments_of_a_template_that_reads_some_and_of_one_that_is_no_chat(api: Api) -> None:
    reading = copy.deepcopy(TOKENIZER)
    reading.chat_template = str(reading.chat_template) + "{% if enable_thinking is defined %}{{ '' }}{% endif %}"
    client = api(
        served("reads", Written("1"), tokenizer=reading),  # type: ignore[arg-type]
        served("plain", Written("1"), template=Template(name="plain")),  # type: ignore[arg-type]
    )

    def asked(model: str, **arguments: Any) -> Any:
        return client.post(CHAT, json={"model": model, "messages": ASK, "chat_template_kwargs": arguments})

    assert asked("reads", enable_thinking=False).status_code == 200
    param = "chat_template_kwargs.enable_thinkin"
    refused(asked("reads", enable_thinkin=False), 400, param, "those that it does: enable_thinking. Did you mean")
    refused(asked("plain", enable_thinkin=False), 400, param, "never looks at it; leave it out")
    assert asked("plain").status_code == 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1]", b'"x"', b"\xff\xfe", b"[" * 50_000, b'{"model": "tiny", "temperature": NaN}']
)
def test_a_body_that_is_no_json_object(client: TestClient, body: bytes) -> None:
    answer = client.post(CHAT, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_what_the_guard_refuses_has_the_same_shape(client: TestClient) -> None:
    refused(client.post(CHAT, content=b"x", headers={"content-type": "text/plain"}), 415, None, "JSON")
    refused(client.post(CHAT, json={"x": "y" * 200_000}), 413, None, "100,000")
    refused(client.post(CHAT, json={}, headers={"origin": "http://evil.example"}), 403, None, "another site")
    refused(client.post(CHAT, json={}, headers={"host": "evil.example"}), 421, None, "not called")
    refused(client.get("/v1/embeddings"), 404, None, "/v1/chat/completions")
    refused(client.post("/chat/completions", json={}), 403, None, "addresses for programs begin with /v1/")


def test_the_wrong_method_is_told_the_right_one(client: TestClient) -> None:
    for path in (CHAT, COMPLETE):
        found = client.get(path)
        refused(found, 405, None, "send a POST")
        assert found.headers["allow"] == "POST"
    for found in (client.delete("/v1/models/tiny"), client.delete("/v1/models"), client.post("/v1/models", json={})):
        refused(found, 405, None, "send a GET")
        assert found.headers["allow"] == "GET, HEAD"
    refused(client.get("/v1", follow_redirects=False), 404, None, "there is no /v1 here; there are /v1/models")


def test_what_asks_for_nothing_is_taken(client: TestClient) -> None:
    nothing = {
        "frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": None, "user": "me", "tools": [], "stop": None,
        "response_format": {"type": "text"}, "n": 1, "seed": None, "top_logprobs": None, "stream": False,
    }  # fmt: skip
    assert client.post(CHAT, json={"model": "tiny", "messages": ASK, **nothing}).status_code == 200


def test_one_question_alone(api: Api) -> None:
    client = api(served("tiny", Written("1"), template=Template(name="r1_zero")))  # type: ignore[arg-type]
    two = [*ASK, {"role": "assistant", "content": "b"}, *ASK]
    refused(client.post(CHAT, json={"model": "tiny", "messages": two}), 400, "messages", "one question alone")
    assert client.get("/v1/models").json()["data"][0]["r1"]["one_question"] is True
