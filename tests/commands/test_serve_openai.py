"""OpenAI's own Python client against a server as a user starts it."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

openai = pytest.importorskip("openai")
pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore")]

ASK = [{"role": "user", "content": "use 1 2 3 make 6"}]


@pytest.fixture(scope="module")
def base_url(run_folder: Path) -> Iterator[str]:
    models = [f"{run_folder}:pretrain", f"{run_folder}:r1_zero"]
    server = subprocess.Popen(
        [sys.executable, "-m", "r1kit", "serve", *models, "--api-key", "secret"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        assert server.stdout is not None
        told = [next(line for line in server.stdout if "http://" in line)]
        found = re.search(r"http://[\d.:]+", told[0])
        assert found
        yield f"{found[0]}/v1"
    finally:
        server.terminate()
        assert server.wait(20) == 0


@pytest.fixture
def client(base_url: str) -> Any:
    return openai.OpenAI(base_url=base_url, api_key="secret", max_retries=0)


@pytest.fixture
def name(run_folder: Path) -> str:
    return f"{run_folder}:r1_zero"


def test_models_and_the_key(client: Any, base_url: str, name: str) -> None:
    assert name in [model.id for model in client.models.list()]
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=base_url, api_key="wrong").models.list()


def test_a_chat_and_its_stream(client: Any, name: str) -> None:
    whole = client.chat.completions.create(model=name, messages=ASK, seed=4, max_tokens=30, n=2)
    assert len(whole.choices) == 2
    assert whole.usage.completion_tokens > 0
    stream = client.chat.completions.create(
        model=name, messages=ASK, seed=4, max_tokens=30, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    thought = "".join(getattr(chunk.choices[0].delta, "reasoning_content", None) or "" for chunk in chunks)
    message = whole.choices[0].message
    assert (text, thought) == (message.content, getattr(message, "reasoning_content", None) or "")
    assert last.usage.total_tokens > last.usage.prompt_tokens


def test_log_probs_and_completions(client: Any, name: str) -> None:
    found = client.chat.completions.create(
        model=name, messages=ASK, logprobs=True, top_logprobs=3, max_tokens=5, temperature=0
    )
    first = (found.choices[0].logprobs.content or found.choices[0].logprobs.reasoning_content)[0]
    top = first.top_logprobs if hasattr(first, "top_logprobs") else first["top_logprobs"]
    assert len(top) == 3
    found = client.completions.create(model=name, prompt=["use 1", "make 2"], logprobs=2, echo=True, max_tokens=3)
    assert len(found.choices) == 2
    assert found.choices[0].logprobs.token_logprobs[0] is None


def test_errors_are_its_own_exceptions(client: Any, name: str) -> None:
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.chat.completions.create(model="gpt-4", messages=ASK)
    with pytest.raises(openai.BadRequestError, match="context") as refused:
        client.chat.completions.create(model=name, messages=ASK, max_tokens=10_000)
    assert refused.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError, match="not supported"):
        client.chat.completions.create(model=name, messages=ASK, presence_penalty=1)


def test_thirty_two_at_once_get_what_each_gets_alone(base_url: str, client: Any, name: str) -> None:
    body = {"model": name, "max_tokens": 40, "temperature": 1.0, "top_p": 1.0}

    async def all_at_once() -> list[str]:
        async with openai.AsyncOpenAI(base_url=base_url, api_key="secret", max_retries=0) as many:
            asked = [many.completions.create(prompt=f"use {k % 9} 2", seed=k, **body) for k in range(32)]
            return [one.choices[0].text for one in await asyncio.gather(*asked)]

    with ThreadPoolExecutor(1) as own:  # Playwright, in other tests, keeps a loop running in this thread
        together = own.submit(lambda: asyncio.run(all_at_once())).result()
    alone = [
        client.completions.create(prompt=f"use {k % 9} 2", seed=k, **body).choices[0].text for k in range(0, 32, 4)
    ]
    assert together[::4] == alone
    assert len(set(together)) > 20
