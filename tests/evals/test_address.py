"""A model behind an address: asked, resumed, and every way in which a server can misbehave, one line each."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from r1kit.errors import InputError, R1Error
from r1kit.evals.address import Address, base_of
from r1kit.evals.answers import Answers, ask_all
from r1kit.records import Message, Prompt, Sampling
from r1kit.text.template import Template

ASKED = Prompt(id="p/0", task="p", question="1 + 1?", answer="2")
DRAWN = Sampling(n=2, max_tokens=9, temperature=0.6, top_p=0.95)
Act = Callable[[BaseHTTPRequestHandler, dict[str, Any]], None]


def send(handler: BaseHTTPRequestHandler, body: object, status: int = 200, **headers: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.send_response(status)
    own = {"Content_Type": "application/json", "Content_Length": str(len(content))}
    for name, value in (own | headers).items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(content)


def stream(handler: BaseHTTPRequestHandler, *events: object) -> None:
    """Events and the end of the connection."""
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream; charset=utf-8")
    handler.end_headers()
    for event in events:
        handler.wfile.write(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode())


def said(text: str = "", finish: str | None = None, **delta: str) -> dict[str, Any]:
    return {
        "choices": [{"index": 0, "delta": {**({"content": text} if text else {}), **delta}, "finish_reason": finish}]
    }


def whole(text: str) -> dict[str, Any]:
    return {
        "choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}],
        "usage": {"completion_tokens": 5},
    }


class Fake:
    """Answers each request by the next act, the last one for ever; keeps what was asked. ``listed``: its models."""

    listed: object = None

    def __init__(self, acts: list[Act]) -> None:
        self.acts, self.asked = acts, list[dict[str, Any]]()
        self.lock = threading.Lock()

    def act(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self.lock:
            self.asked.append({"path": handler.path, "key": handler.headers.get("Authorization"), **body})
            act = self.acts[min(len(self.asked), len(self.acts)) - 1]
        act(handler, body)


@contextmanager
def fake(*acts: Act) -> Iterator[tuple[str, Fake]]:
    found = Fake(list(acts))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.act(self)

        def do_GET(self) -> None:
            send(self, {"data": found.listed}, 404 if found.listed is None else 200)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def address(base: str, **settings: Any) -> Address:
    return Address(base, "m", **{"sleep": lambda seconds: None, **settings})


def test_a_stream_is_put_together_thinking_in_its_tags() -> None:
    events = (
        said(role="assistant"), said(reasoning_content="It is "), said(reasoning_content="2."), said("2", "stop"),
        {"choices": [], "usage": {"completion_tokens": 7}}, "[DONE]",
    )  # fmt: skip
    with fake(lambda handler, body: stream(handler, *events)) as (base, server):
        found = address(base, key=" secret\n").ask(ASKED, DRAWN, 2**40 + 3)
    assert found.text == "<think>\nIt is 2.\n</think>\n\n2"
    assert (len(found.token_ids), found.finish) == (7, "stop")
    asked = server.asked[0]
    assert asked["path"] == "/v1/chat/completions"
    assert asked["key"] == "Bearer secret"
    assert asked["messages"] == [{"role": "user", "content": "1 + 1?"}]
    assert (asked["model"], asked["temperature"], asked["top_p"], asked["max_tokens"]) == ("m", 0.6, 0.95, 9)
    assert asked["seed"] == 2**40 % 2**31 + 3


def test_a_whole_answer_and_one_without_usage() -> None:
    def cut(handler: BaseHTTPRequestHandler, body: object) -> None:
        stream(handler, said("a "), said("b "), said("c", "length"))

    with fake(lambda handler, body: send(handler, whole("2")), cut) as (base, _):
        one, two = (address(base).ask(ASKED, DRAWN, 0) for _ in range(2))
    assert (one.text, len(one.token_ids)) == ("2", 5)
    assert (two.text, len(two.token_ids), two.finish) == ("a b c", 3, "length"), "its pieces, where it counts nothing"


def test_a_text_template_asks_for_a_completion_and_a_system_prompt_goes_first() -> None:
    answer = {"choices": [{"index": 0, "text": " 2", "finish_reason": "stop"}]}
    with fake(lambda handler, body: send(handler, answer)) as (base, server):
        assert address(base, template=Template(name="plain")).ask(ASKED, DRAWN, 0).text == " 2"
        chat = Prompt(
            question="and 2?", history=(Message(role="user", content="1?"), Message(role="assistant", content="1"))
        )
        with pytest.raises(InputError, match="one question alone"):
            address(base, template=Template(name="plain")).ask(chat, DRAWN, 0)
    assert server.asked[0]["path"] == "/v1/completions"
    assert server.asked[0]["prompt"] == "User: 1 + 1? Assistant:"
    told = json.loads(address(base, template=Template(system="Be brief.", suffix="!")).spelled(chat))
    assert [turn["content"] for turn in told] == ["Be brief.", "1?!", "1", "and 2?!"]


def test_a_rate_limit_is_waited_for_as_long_as_it_says() -> None:
    waits: list[float] = []
    told: list[str] = []
    refuse: Act = lambda handler, body: send(handler, {"error": {"message": "slow down"}}, 429, Retry_After="7")  # noqa: E731
    with fake(refuse, lambda handler, body: send(handler, whole("2"))) as (base, server):
        asks = address(
            base, tell=told.append, sleep=lambda seconds: (waits.append(seconds), asks.__setattr__("_not_before", 0.0))
        )  # type: ignore[func-returns-value]
        assert asks.ask(ASKED, DRAWN, 0).text == "2"
    assert len(server.asked) == 2
    assert waits == [1.0], "in slices of a second"
    assert told == [f"{base}/v1: it answers with 429: slow down; waiting 7 s"]


def test_what_fails_for_a_while_is_asked_again_and_waits_longer_each_time() -> None:
    waits: list[float] = []
    acts: list[Act] = [
        lambda handler, body: send(handler, b"<html>bad gateway</html>", 502),
        lambda handler, body: stream(handler, said("2")),  # and the connection ends
        lambda handler, body: send(handler, whole("2")),
    ]
    with fake(*acts) as (base, server):
        assert address(base, sleep=waits.append).ask(ASKED, DRAWN, 0).text == "2"
    assert len(server.asked) == 3
    assert 0.375 <= waits[0] <= 0.625
    assert 0.75 <= waits[1] <= 1.25


BROKEN: dict[str, tuple[Act, type[R1Error], str]] = {
    "cut stream": (lambda h, b: stream(h, said("2")), R1Error, r"stops in the middle of an answer \(3 tries\)"),
    "error in a stream": (
        lambda h, b: stream(h, said("2"), {"error": {"message": "out of memory"}}), R1Error, "it fails: out of memory",
    ),
    "cut body": (lambda h, b: send(h, b'{"cho', Content_Length="99"), R1Error, "its answer broke off"),
    "no JSON": (lambda h, b: send(h, b"<html>hello</html>"), R1Error, "another shape than OpenAI's: no JSON: <html>"),
    "no choices": (lambda h, b: send(h, {"answer": "2"}), R1Error, 'no list .choices.: {"answer": "2"}'),
    "empty choices": (lambda h, b: send(h, {"choices": []}), R1Error, "no choice in it"),
    "a list": (lambda h, b: send(h, [1]), R1Error, "no JSON object"),
    "no text": (
        lambda h, b: send(h, {"choices": [{"message": {"content": 7}}]}), R1Error, "content that is no text",
    ),
    "no message": (lambda h, b: send(h, {"choices": [{"index": 0}]}), R1Error, "a choice without message"),
    "no event": (lambda h, b: stream(h, "nonsense"), R1Error, "no JSON: nonsense"),
    "endless": (lambda h, b: stream(h, *[said("a")] * 1100), R1Error, "goes on past max_tokens = 9"),
    "key": (lambda h, b: send(h, {"error": {"message": "bad"}}, 401), InputError, "401: bad.; set OPENAI_API_KEY to"),
    "model": (lambda h, b: send(h, {"error": {"message": "unknown"}}, 404), InputError, "has no model 'm'"),
    "declined": (
        lambda h, b: send(h, {"error": {"message": "context is 128 tokens"}}, 400), InputError,
        "declines the question .400: context is 128 tokens",
    ),
    "moved": (lambda h, b: send(h, b"", 301, Location="https://x/v1"), InputError, "on to https://x/v1; give that"),
    "long wait": (lambda h, b: send(h, b"busy", 429, Retry_After="7200"), R1Error, "asks to wait 7200 s: run the same"),
    "always busy": (lambda h, b: send(h, b"busy", 429, Retry_After="0"), R1Error, r"429: busy \(50 tries\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_one_line_for_each_way_to_misbehave(name: str) -> None:
    act, kind, told = BROKEN[name]
    with fake(act) as (base, _), pytest.raises(kind, match=told) as error:
        address(base).ask(ASKED, DRAWN, 0)
    assert type(error.value) is kind
    assert "\n" not in str(error.value)


def test_nobody_there() -> None:
    with fake(lambda handler, body: None) as (base, _):
        pass
    with pytest.raises(R1Error, match=r"nothing answers there \(Connection refused\) \(3 tries\)"):
        address(base).ask(ASKED, DRAWN, 0)


def test_parameters_that_a_server_does_not_know_are_left_out() -> None:
    def picky(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        wrong = next((name for name in ("max_tokens", "seed") if name in body), None)
        words = {"max_tokens": "use max_completion_tokens", "seed": "Unsupported parameter: seed"}
        send(handler, {"error": {"message": words[wrong]}} if wrong else whole("2"), 400 if wrong else 200)

    told: list[str] = []
    with fake(picky) as (base, server):
        assert address(base, tell=told.append).ask(ASKED, DRAWN, 0).text == "2"
    assert server.asked[-1]["max_completion_tokens"] == 9
    assert told == [
        f"{base}/v1 wants max_tokens as max_completion_tokens: asked so",
        f"{base}/v1 does not take seed: asked without",
    ]


def counts(tokens: int) -> Act:
    """Answers with a prompt of so many tokens."""
    return lambda handler, body: send(handler, {**whole("2"), "usage": {"prompt_tokens": tokens}})


LENGTHS: dict[str, tuple[object, bool, int, str]] = {
    "no list": (None, False, 1024, ""),
    "no entry": ([{"id": "other", "max_model_len": 320}], False, 1024, ""),
    "nonsense": ([7, {"id": "m", "max_model_len": "x", "r1": [3]}], False, 1024, ""),
    "its own": ([{"id": "m", "max_model_len": 4096, "r1": {"max_tokens": 40}}], False, 40, "its own number"),
    "named": ([{"id": "m", "max_model_len": 4096, "r1": {"max_tokens": 40}}], True, 1024, ""),
    "cut": ([{"id": "m", "max_model_len": 320}], True, 320 - 40 - 10 - 8, "its context is 320 tokens"),
    "own, cut": ([{"id": "m", "max_model_len": 320, "r1": {"max_tokens": 319}}], False, 262, "its context is 320"),
    "no room": ([{"id": "m", "max_model_len": 48}], False, 1, "its context is 48 tokens"),
}  # fmt: skip


@pytest.mark.parametrize("name", LENGTHS)
def test_where_the_user_names_no_length_the_server_does(name: str) -> None:
    listed, named, expected, said = LENGTHS[name]
    told: list[str] = []
    with fake(counts(40)) as (base, server):
        server.listed = listed
        found = address(base, tell=told.append).longest([ASKED], 1024, named=named)
    assert found == expected
    assert [one["max_tokens"] for one in server.asked] == ([1] if "cut" in name or "room" in name else [])
    assert len(told) == bool(said)
    assert all(f"m answers with at most {expected} tokens ({said}" in line for line in told)
    assert all(line.endswith("or say --max-tokens N") for line in told)


def test_a_server_that_declines_the_length_names_the_option() -> None:
    words = "the model's context is 320 tokens; the prompt has 14, and the answer may have 1024"
    declines: Act = lambda handler, body: send(handler, {"error": {"message": words}}, 400)  # noqa: E731
    with fake(declines) as (base, _), pytest.raises(InputError, match="; fewer tokens are asked for by --max-tokens N"):
        address(base).ask(ASKED, DRAWN, 0)


@pytest.mark.parametrize(
    "wrong", ["host:80/v1", "ftp://a/v1", "http://", "http://h:port", "http://h/v1?a=1", "http://u@h/"]
)
def test_what_is_no_address(wrong: str) -> None:
    with pytest.raises(InputError, match="is no address; write http://HOST:PORT/v1"):
        base_of(wrong)


def test_an_address_may_be_written_with_or_without_its_end() -> None:
    assert (
        base_of("http://h:80")
        == base_of("http://h:80/v1/")
        == base_of("http://h:80/v1/chat/completions")
        == "http://h:80/v1"
    )
    assert base_of("https://h/openai/v2") == "https://h/openai/v2"


@pytest.mark.parametrize("words", ["use max_completion_tokens", "Unsupported parameter: seed"])
def test_eight_questions_are_refused_at_once_and_all_are_asked_otherwise(words: str) -> None:
    together = threading.Barrier(8)

    def picky(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        if ("max_tokens" if "max" in words else "seed") in body:
            together.wait(20)
            send(handler, {"error": {"message": words}}, 400)
        else:
            send(handler, whole("2"))

    told: list[str] = []
    with fake(picky) as (base, _):
        groups = ask_all(address(base, tell=told.append), prompts(4), DRAWN, lambda index: index, Answers(None, {}), 8)
    assert {one.text for group in groups for one in group.completions} == {"2"}
    assert len(told) == 1


# ---- many, and on from where it stopped ------------------------------------------------------------------------------


def prompts(count: int) -> list[Prompt]:
    return [Prompt(id=f"p/{n}", task="p", question=f"{n}?", answer=str(n)) for n in range(count)]


def echo(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    send(handler, whole(f"{body['messages'][0]['content']} {body['seed']}"))


def test_what_is_answered_is_not_asked_again(tmp_path: Path) -> None:
    file, head = tmp_path / "out" / "answers.jsonl", {"model": "m"}
    fails: Act = lambda handler, body: send(handler, {"error": "no"}, 400)  # noqa: E731
    with fake(echo, echo, echo, fails) as (base, _), pytest.raises(InputError, match="declines"):
        ask_all(address(base), prompts(3), DRAWN, lambda index: 10 * index, Answers(file, head), 1)
    kept = file.read_text()
    assert len(kept.splitlines()) == 4
    file.write_text(kept + '{"problem": "p/1", "sam')  # as a kill leaves it
    with fake(echo) as (base, server):
        groups = ask_all(address(base), prompts(3), DRAWN, lambda index: 10 * index, Answers(file, head), 4)
    assert len(server.asked) == 3
    texts = [[one.text for one in group.completions] for group in groups]
    assert texts == [["0? 0", "0? 1"], ["1? 10", "1? 11"], ["2? 20", "2? 21"]]
    with fake(fails) as (base, server):
        again = ask_all(address(base), prompts(3), DRAWN, lambda index: 10 * index, Answers(file, head), 4)
    assert not server.asked
    assert again == groups


def test_answers_of_another_evaluation_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    Answers(file, {"model": "m", "k": 4})
    with pytest.raises(InputError, match=r"another evaluation \(another k\); name another --out"):
        Answers(file, {"model": "m", "k": 8})


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        '{"problem": "p/0", "sample": 0}',
        '{"problem": "p/0", "sample": 0, "tokens": "3", "finish": "stop", "text": "0"}',
        '{"problem": ["p/0"], "sample": 0, "tokens": 3, "finish": "stop", "text": "0"}',
        '{"problem": "p/0", "sample": 0, "tokens": 3, "finish": null, "text": "0"}',
    ],
)
def test_a_damaged_answer_is_asked_again(tmp_path: Path, line: str) -> None:
    file, head = tmp_path / "answers.jsonl", {"model": "m"}
    good = {"problem": "p/0", "sample": 1, "tokens": 3, "finish": "stop", "text": "0"}
    file.write_text("\n".join((json.dumps(head), line, json.dumps(good), "")))
    assert list(Answers(file, head).found) == [("p/0", 1)]


def test_what_the_recipe_tells_a_chat_template_is_sent_and_what_cannot_be_is_said() -> None:
    told: list[str] = []
    with fake(lambda handler, body: send(handler, whole("2"))) as (base, server):
        template = Template(arguments={"enable_thinking": False}, prefill="<think>", date="1999-01-31")
        there = Address(base, "m", template=template, tell=told.append)
        there.ask(ASKED, DRAWN, 1)
        Address(base, "m").ask(ASKED, DRAWN, 1)
        assert server.asked[0]["chat_template_kwargs"] == {"enable_thinking": False}
        assert "chat_template_kwargs" not in server.asked[1]
        assert there.spelled(ASKED) != Address(base, "m").spelled(ASKED), "answers to the one are none to the other"
    words = "the template's prefill '<think>' is not sent: in a chat the server says how an answer begins"
    dated = "the template's date 1999-01-31 is not sent: the server writes its own"
    assert told == [f"{there.base}: {words}", f"{there.base}: {dated}"]
