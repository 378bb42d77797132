"""The pages and addresses of ``r1 review``."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from r1kit.errors import InputError, nearest
from r1kit.factory.review import AUTOMATIC, STATUSES, Decision
from r1kit.factory.review_file import Conflict
from r1kit.factory.review_rules import Verdict
from r1kit.web.guard import Guard, Rules, error_body
from r1kit.web.pages import answer, render
from r1kit.web.review.desk import Desk, Visitor, word_diff
from r1kit.web.site import site

__all__ = ["LIMIT", "REASONS", "app"]

LIMIT = 4_000_000
"""Bytes of a request: an edited response, escaped."""
REASONS = (
    "wrong answer", "wrong step in the thinking", "languages mixed", "hard to read", "repeats itself",
    "summary does not follow from the thinking", "harmful or off topic",
)  # fmt: skip
"""Of a rejection, by number key."""
LONGEST = {"name": 80, "client": 80, "id": 2000, "state": 80, "status": 20, "reason": 500, "edited": LIMIT, "show": 20}


def app(desk: Desk, rules: Rules) -> Guard:
    """The application; the verifier of ``desk``'s rules is ended with it."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        if desk.reviewed.rules:
            await run_in_threadpool(desk.reviewed.rules.close)

    routes = [
        Route("/", _page),
        Route("/progress", _progress),
        Route("/items", _items),
        Route("/next", _next, methods=["POST"]),
        Route("/open", _open, methods=["POST"]),
        Route("/leave", _leave, methods=["POST"]),
        Route("/check", _check, methods=["POST"]),
        Route("/decide", _decide, methods=["POST"]),
        Route("/undo", _undo, methods=["POST"]),
    ]
    made = site(routes, name=f"r1 review {desk.reviewed.run.name}", rules=rules, lifespan=lifespan)
    made.app.state.desk = desk
    return made


def _desk(request: Request) -> Desk:
    found: Desk = request.app.state.desk
    return found


async def _page(request: Request) -> Response:
    reviewed = _desk(request).reviewed
    return render(
        request, "review/index.html.j2", reasons=REASONS, run=reviewed.run.resolve().name, stage=reviewed.stage,
        file=str(reviewed.file.path), who=_desk(request).name,
    )  # fmt: skip


async def _progress(request: Request) -> Response:
    query, desk = _query(request), _desk(request)
    if query.get("awake") == "yes":
        desk.renew(query.get("client", ""))
    told = await run_in_threadpool(desk.progress, _visitor(query), query.get("id", ""))
    return answer(request, told)


async def _items(request: Request) -> Response:
    query = _query(request)
    start = query.get("from", "0")
    if not start.isdecimal():
        raise InputError(f"from = {start!r}: a whole number is expected")
    show, words = query.get("show", "all"), query.get("words", "")
    rows = await run_in_threadpool(_desk(request).rows, _visitor(query), show, words, int(start))
    return answer(request, rows)


async def _next(request: Request) -> Response:
    body, desk = await _body(request, "name", "client"), _desk(request)
    skipped = body.get("skipped", [])
    if not isinstance(skipped, list) or not all(isinstance(each, str) for each in skipped):
        raise InputError("skipped: a list of ids is expected")

    def found() -> dict[str, Any]:
        item = desk.next(_visitor(body), set(skipped))
        return {"item": desk.view(item, _visitor(body)) if item else None}

    return JSONResponse(await run_in_threadpool(found))


async def _open(request: Request) -> Response:
    body, desk = await _body(request, "id", "name", "client"), _desk(request)

    def found() -> dict[str, Any]:
        item = desk.reviewed.file.item(body["id"])
        desk.take(_visitor(body), item.id)
        return {"item": desk.view(item, _visitor(body))}

    return JSONResponse(await run_in_threadpool(found))


async def _leave(request: Request) -> Response:
    body = await _body(request, "client")
    _desk(request).leave(body["client"])
    return JSONResponse({})


async def _check(request: Request) -> Response:
    """What the stage would say of an edit, and what it changes."""
    body, desk = await _body(request, "id", "edited"), _desk(request)

    def found() -> dict[str, Any]:
        sample, rules = desk.reviewed.file.item(body["id"]).sample, desk.reviewed.rules
        told: dict[str, Any] = {"changes": word_diff(sample.response, body["edited"])}
        if body.get("judge") and rules:
            told |= _as_json(rules.judge(sample, body["edited"]))
        else:
            told["fault"] = rules.fault(sample, body["edited"]) if rules else ""
        return told

    return JSONResponse(await run_in_threadpool(found))


def _as_json(verdict: Verdict) -> dict[str, Any]:
    return {
        "fault": verdict.fault, "right": verdict.right, "told": verdict.told, "answer": verdict.answer,
        "reward": verdict.reward, "judged": True,
    }  # fmt: skip


async def _decide(request: Request) -> Response:
    body, desk = await _body(request, "id", "state", "status", "name", "client"), _desk(request)
    status = body["status"]
    if status not in STATUSES:
        raise InputError(f"status {status!r} is unknown; allowed are {', '.join(STATUSES)}.{nearest(status, STATUSES)}")
    visitor, edited = _visitor(body), body.get("edited", "") if status == "edited" else ""
    if not visitor.name:
        raise InputError("a decision needs a name: who made it")
    if visitor.name.casefold() == AUTOMATIC:
        raise InputError(f"{AUTOMATIC!r} is what nobody's decision is called; choose another name")

    def made() -> dict[str, Any]:
        rules, item = desk.reviewed.rules, desk.reviewed.file.item(body["id"])
        fault = rules.judge(item.sample, edited).faults if edited.strip() and rules else ""
        if fault and not body.get("anyway"):
            return {"fault": fault}
        decision = Decision(
            status=status, edited=edited, reason=" ".join(body.get("reason", "").split()), fault=fault
        )  # fmt: skip
        return {"item": desk.view(desk.decide(visitor, item.id, body["state"], decision), visitor)}

    try:
        return JSONResponse(await run_in_threadpool(made))
    except Conflict as conflict:
        return _conflict(desk, visitor, conflict)


async def _undo(request: Request) -> Response:
    body, desk = await _body(request, "name", "client"), _desk(request)
    visitor = _visitor(body)

    def made() -> dict[str, Any]:
        item = desk.reviewed.file.undo(visitor.name)
        desk.take(visitor, item.id)
        return {"item": desk.view(item, visitor)}

    try:
        return JSONResponse(await run_in_threadpool(made))
    except Conflict as conflict:
        return _conflict(desk, visitor, conflict)


def _conflict(desk: Desk, visitor: Visitor, conflict: Conflict) -> Response:
    """What stands now, so that the page shows it."""
    body = {**error_body(str(conflict), 409, "conflict"), "item": desk.view(conflict.item, visitor)}
    return JSONResponse(body, 409)


# ---- what a request says --------------------------------------------------------------------------------------------


def _query(request: Request) -> dict[str, str]:
    return {key: value[:2000] for key, value in request.query_params.items()}


def _visitor(told: Mapping[str, Any]) -> Visitor:
    return Visitor(client=str(told.get("client", ""))[:80], name=" ".join(str(told.get("name", "")).split())[:80])


async def _body(request: Request, *needed: str) -> dict[str, Any]:
    """A JSON object whose texts are texts and no longer than they may be.

    Raises:
        InputError: it is anything else, or lacks a key.
    """
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise InputError("the body is no JSON") from None
    if not isinstance(body, dict):
        raise InputError("the body is no JSON object")
    for key in needed:
        if key not in body:
            raise InputError(f"the body has no {key!r}")
    for key, longest in LONGEST.items():
        value = body.get(key, "")
        if not isinstance(value, str):
            raise InputError(f"{key}: a text is expected")
        if len(value) > longest:
            raise InputError(f"{key}: at most {longest:,} characters, these are {len(value):,}")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InputError(f"{key} holds half a surrogate pair, which is no text") from None
    return body
