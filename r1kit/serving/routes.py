"""The addresses: ``/v1/models``, ``/v1/completions``, ``/v1/chat/completions``, ``/metrics``, ``/health``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from r1kit.serving.answering import Answer, unless_gone
from r1kit.serving.errors import ApiError, unknown_model
from r1kit.serving.metrics import TEXT, Metrics
from r1kit.serving.requests import Asked, read_chat, read_completion
from r1kit.serving.served import Served
from r1kit.serving.shapes import Shape, dumped, listed
from r1kit.serving.writing import Delta

__all__ = ["Api"]

_GONE = 499
"""nginx's number for a client that went away; nobody reads it but the metrics."""
_LONG = 20_000
"""Bytes of a body that is read within a few milliseconds."""


class Api:
    """Models by name and what was asked of them."""

    def __init__(self, served: Sequence[Served]) -> None:
        self.models = {one.name: one for one in served}
        self.metrics = Metrics()
        self.reading = asyncio.Lock()

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v1/models", self._list),
            Route("/v1/models/{name:path}", self._model),
            Route("/v1/completions", _Endpoint(self, "/v1/completions", read_completion)),
            Route("/v1/chat/completions", _Endpoint(self, "/v1/chat/completions", read_chat)),
            Route("/v1", self._nothing),
            Route("/v1/{rest:path}", self._nothing, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
            Route("/metrics", self._metrics),
            Route("/health", self._health),
        ]

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[None]:
        """The sampling threads run as long as the server does."""
        loop = asyncio.get_running_loop()
        for one in self.models.values():
            one.batcher.start(loop)
        try:
            yield
        finally:
            for one in self.models.values():
                one.batcher.close()

    async def _list(self, request: Request) -> Response:
        return _json({"object": "list", "data": [listed(one) for one in self.models.values()]})

    async def _model(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self.models:
            return _refused(unknown_model(name[:200], [*self.models]))
        return _json(listed(self.models[name]))

    async def _nothing(self, request: Request) -> Response:
        """What no route before it takes."""
        path = request.url.path
        if path == "/v1/models" or path.startswith("/v1/models/"):
            return _refused(ApiError("send a GET", status=405, allow="GET, HEAD"))
        known = "/v1/models, /v1/completions and /v1/chat/completions"
        return _refused(ApiError(f"there is no {path[:200]} here; there are {known}", status=404))

    async def _metrics(self, request: Request) -> Response:
        return Response(self.metrics.text(self.models), media_type=TEXT)

    async def _health(self, request: Request) -> Response:
        failed = {name: one.batcher.failed for name, one in self.models.items() if one.batcher.failed}
        told = {"status": "failed" if failed else "ok", "models": [*self.models], "failed": failed}
        return _json(told, 503 if failed else 200)


class _Endpoint:
    """An ASGI application that answers one request, and stops when the client goes away."""

    def __init__(self, api: Api, path: str, read: Callable[[bytes, dict[str, Served]], Asked]) -> None:
        self._api, self._path, self._read = api, path, read

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await _refused(ApiError("send a POST", status=405, allow="POST"))(scope, receive, send)
            return
        began, model = time.monotonic(), ""
        try:
            asked = await self._asked(await Request(scope, receive).body())
            model = asked.served.name
            answer = Answer.to(asked)
            work = self._streamed if asked.stream else self._whole
            status = await unless_gone(receive, work(answer, began, scope, receive, send)) or _GONE
        except ClientDisconnect:  # within the body
            status = _GONE
        except ApiError as error:
            status = error.status
            await _refused(error)(scope, receive, send)
        metrics = self._api.metrics
        if status == _GONE:
            metrics.count("r1_requests_gone_total", model=model)
        else:
            metrics.count("r1_requests_total", model=model, path=self._path, status=str(status))
        if model:
            metrics.count("r1_prompt_tokens_total", answer.prompt_tokens, model=model)
            metrics.count("r1_completion_tokens_total", answer.completion_tokens, model=model)
            metrics.time("r1_request_seconds", time.monotonic() - began, model=model)

    async def _asked(self, body: bytes) -> Asked:
        """A long text is taken apart beside the event loop, one at a time: the answers of others go on."""
        if len(body) <= _LONG:
            return self._read(body, self._api.models)
        async with self._api.reading:
            return await asyncio.to_thread(self._read, body, self._api.models)

    async def _whole(self, answer: Answer, began: float, scope: Scope, receive: Receive, send: Send) -> int:
        asked = answer.asked
        shape, choices = Shape(asked), [Delta() for _ in answer.writers]
        echoed = [await self._echo(shape, answer, place) for place in range(len(asked.prompts)) if asked.echo]
        first = True
        async for choice, delta in answer.deltas():
            if first:
                self._api.metrics.time("r1_first_token_seconds", time.monotonic() - began, model=asked.served.name)
                first = False
            _grow(choices[choice], delta)
        await _json(shape.whole(answer, choices, echoed))(scope, receive, send)
        return 200

    async def _streamed(self, answer: Answer, began: float, scope: Scope, receive: Receive, send: Send) -> int:
        """Errors before the first event have a status of their own; later ones are an event."""
        asked, started, status = answer.asked, False, 200
        shape = Shape(asked)

        async def put(event: bytes) -> None:
            nonlocal started
            if not started:
                started = True
                self._api.metrics.time("r1_first_token_seconds", time.monotonic() - began, model=asked.served.name)
                headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": event, "more_body": True})

        try:
            for index in range(len(answer.writers)) if asked.echo else ():
                await put(shape.echoed(index, await self._echo(shape, answer, index // asked.sampling.n)))
            async for choice, delta in answer.deltas():
                await put(shape.chunk(choice, delta))
        except ApiError as error:
            if not started:
                raise
            status = error.status
            await put(b"data: " + dumped(error.body()) + b"\n\n")
        if asked.usage and status == 200:
            await put(shape.last(answer))
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": False})
        return status

    async def _echo(self, shape: Shape, answer: Answer, place: int) -> dict[str, Any]:
        return shape.echo(place, None if answer.asked.top is None else await answer.scored_prompt(place))


def _grow(whole: Delta, delta: Delta) -> None:
    whole.thinking += delta.thinking
    whole.content += delta.content
    whole.tokens += delta.tokens
    whole.finish = delta.finish


def _json(value: Any, status: int = 200) -> Response:
    return Response(dumped(value), status, media_type="application/json")


def _refused(error: ApiError) -> Response:
    response = _json(error.body(), error.status)
    if error.retry_after is not None:
        response.headers["retry-after"] = str(error.retry_after)
    if error.allow:
        response.headers["allow"] = error.allow
    return response
