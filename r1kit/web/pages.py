"""Answers: a page from a template, or JSON that is sent only when it has changed."""

from __future__ import annotations

import json
from functools import cache
from hashlib import blake2b
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from r1kit.web.plain import visible

__all__ = ["answer", "render"]


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("r1kit.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["visible"] = visible
    return made


def render(request: Request, name: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A template of ``web/templates``, which extends ``base.html.j2``; everything in it is escaped."""
    shared = {"site": request.app.state.site, "path": request.url.path}
    return HTMLResponse(_environment().get_template(name).render(**shared, **context), status)


def answer(request: Request, value: Any) -> Response:
    """A JSON value; 304 without a body where the asker has it already (``If-None-Match``)."""
    body = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")
    tag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"etag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)
