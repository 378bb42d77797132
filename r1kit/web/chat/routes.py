"""One page; what it asks for it asks of the API, as any other client does."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from r1kit.web.pages import render

__all__ = ["chat_routes"]


def chat_routes(models: Sequence[str]) -> list[BaseRoute]:
    """``models``: names that the API answers to, the first ones chosen at first."""

    async def page(request: Request) -> Response:
        return render(request, "chat/page.html.j2", models=models)

    return [Route("/", page)]
