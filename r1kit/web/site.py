"""One application of ours: routes, the guard around them, the files that every page needs, errors in one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from r1kit.errors import InputError, R1Error
from r1kit.web.guard import Guard, Rules, refuse

__all__ = ["STATIC", "Link", "Site", "site"]

STATIC = Path(__file__).with_name("static")
LOOK = Path(__file__).parent.parent / "report" / "report.css"
"""The look that pages share with the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A place of a page's navigation."""

    href: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What every page of an application is told, in ``app.state.site``."""

    name: str
    nav: tuple[Link, ...]
    page_token: str


def site(routes: Sequence[BaseRoute], *, name: str, rules: Rules, nav: Sequence[Link] = (), **more: Any) -> Guard:
    """The application.

    Args:
        name: what its pages are titled.
        rules: who is let in; ``listen.rules_for`` makes them for an address.
        nav: links that stand on every page.
        more: ``lifespan`` and what else ``Starlette`` takes.

    Returns:
        The guard around it; ``.app`` is the Starlette application, whose ``state`` the routes share.
    """
    shared = [
        Route("/static/report.css", _look),
        Mount("/static", _Files(directory=STATIC)),
        Route("/session", _session),
    ]
    app = Starlette(
        routes=[*shared, *routes],
        exception_handlers={
            HTTPException: _http_error,
            R1Error: _our_error,
            ClientDisconnect: _gone,
            Exception: _own_fault,
        },
        **more,
    )
    app.state.site = Site(name=name, nav=tuple(nav), page_token=rules.page_token)
    return Guard(app, rules)


class _Files(StaticFiles):
    """Looked at again at every visit: a newer version of the package has newer ones."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["cache-control"] = "no-cache"
        return response


async def _look(request: Request) -> Response:
    return Response(LOOK.read_text(encoding="utf-8"), media_type="text/css", headers={"cache-control": "no-cache"})


async def _session(request: Request) -> Response:
    """What a page that outlived its server asks for; a page of another site cannot read the answer."""
    return JSONResponse({"token": request.app.state.site.page_token})


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = refuse(request.scope, error.status_code, error.detail)
    response.headers.update(error.headers or {})
    return response


async def _our_error(request: Request, error: Exception) -> Response:
    """A user's mistake, and a run folder that went away, as the command line would say it."""
    return refuse(request.scope, 400 if isinstance(error, InputError) else 500, str(error))


async def _gone(request: Request, error: Exception) -> Response:
    """The client left before its request was whole; nobody reads this."""
    return Response(status_code=400)


async def _own_fault(request: Request, error: Exception) -> Response:
    """The traceback goes to the server's terminal, not to the page."""
    return refuse(request.scope, 500, f"{type(error).__name__} in the server; its terminal says where")
