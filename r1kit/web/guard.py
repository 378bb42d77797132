"""Who may ask what: the checks before any page or address of ours answers, and the headers of every answer.

A page that is bound to 127.0.0.1 can still be reached by every web page that the user's browser has open. Three doors
are shut against them: a ``Host`` that is not ours (DNS rebinding), an ``Origin`` that is not ours (a form or script of
another site), and anything that changes state without the token that our own pages hold.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from http import HTTPStatus
from secrets import token_urlsafe
from urllib.parse import parse_qsl, urlencode

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from r1kit.errors import InputError

__all__ = ["POLICY", "Guard", "Rules", "error_body"]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""No inline script, nothing from another host. Inline style stays allowed: plotly and KaTeX set positions with it."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
SAFE = ("GET", "HEAD", "OPTIONS")
LONGEST_PATH = 4000
"""Characters; a folder's name may be that long, and Python reads no longer number out of a text."""
PAGE_TOKEN = "x-r1-token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What one server lets in. Raises InputError on a token that no header can carry."""

    hosts: frozenset[str] = frozenset({"localhost"})
    """Names that a ``Host`` header may have besides addresses in numbers; lower case, without the port."""
    token: str = ""
    """What a visitor must show; empty: none, for servers that only this machine reaches."""
    open_paths: tuple[str, ...] = ()
    """Beginnings of paths of an API for programs: no page token, JSON bodies only, the token as ``Bearer``."""
    free_paths: tuple[str, ...] = ()
    """Paths that need no token at all (``/health``)."""
    limit: int = 1_000_000
    """Longest body of a request, in bytes."""
    page_token: str = field(default_factory=lambda: token_urlsafe(24))
    """What our own pages send with every request that changes something."""

    def __post_init__(self) -> None:
        _check_key(self.token)


class Guard:
    """The ASGI application around another."""

    def __init__(self, app: Starlette, rules: Rules) -> None:
        self.app, self._rules = app, rules
        self.is_full: Callable[[], bool] = lambda: False
        """Whether too many connections are open for more than ``free_paths`` to be answered; ``listen`` says."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        app: ASGIApp = self.app if refusal is None else refusal
        await app(scope, self._bounded(headers, receive), _with_headers(send))

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to what is not let in; None for what is."""
        rules, path = self._rules, scope["path"]
        is_open = path.startswith(rules.open_paths) if rules.open_paths else False
        if path not in rules.free_paths and self.is_full():
            full = refuse(scope, 503, "too many connections are open here; ask again in a moment", "server_busy")
            full.headers.update({"retry-after": "1", "connection": "close"})
            return full
        if not _is_ours(headers.get("host", ""), rules.hosts):
            called = headers.get("host", "")[:200]
            return refuse(scope, 421, f"this server is not called {called!r}; use the address that it printed")
        if len(path) > LONGEST_PATH:
            return refuse(scope, 414, f"the address is longer than {LONGEST_PATH:,} characters")
        if rules.token and path not in rules.free_paths:
            shown = _shown(scope, headers)
            spelled = (rules.token.encode(), rules.token.encode("latin-1"))  # both are seen in headers
            if not any(hmac.compare_digest(one, known) for one in shown.values() for known in spelled):
                program = "; a program sends it as its API key (Authorization: Bearer)" if is_open else ""
                why = "a token is needed; open the address that the command printed, it holds one" + program
                return refuse(scope, 401, why)
            if "query" in shown:
                return _with_cookie(scope, rules.token)
        if scope["method"] in SAFE:
            return None
        if _is_foreign(headers):
            return refuse(scope, 403, "a page of another site may not ask this")
        if is_open:
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json" and scope["method"] != "DELETE":  # which no form can send, and has no body
                return refuse(scope, 415, "the body must be JSON, with Content-Type: application/json")
        elif PAGE_TOKEN not in headers and rules.open_paths:
            where = ", ".join(rules.open_paths)
            why = f"{path[:200]} is for this server's own pages; the addresses for programs begin with {where}"
            return refuse(scope, 403, why, "no_page_token")
        elif not hmac.compare_digest(headers.get(PAGE_TOKEN, "").encode(), rules.page_token.encode()):
            why = "the server was started anew since this page was opened; load the page again"
            return refuse(scope, 403, why, "stale_page")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > rules.limit:
            return refuse(scope, 413, f"the body is longer than {rules.limit:,} bytes")
        return None

    def _bounded(self, headers: Headers, receive: Receive) -> Receive:
        """A body whose length no header tells must not be longer either."""
        if "content-length" in headers:
            return receive
        had = 0

        async def counted() -> Message:
            nonlocal had
            message = await receive()
            had += len(message.get("body", b""))
            if had > self._rules.limit:
                raise HTTPException(413, f"the body is longer than {self._rules.limit:,} bytes")
            return message

        return counted


def error_body(message: str, status: int, code: str | None = None) -> dict[str, object]:
    """An error as OpenAI's API writes it; our own pages read the same."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def refuse(scope: Scope, status: int, message: str, code: str | None = None) -> Response:
    """One line; as a page for a browser's navigation, else as JSON."""
    if "text/html" not in Headers(scope=scope).get("accept", ""):
        return JSONResponse(error_body(message, status, code), status)
    title = f"{status} {HTTPStatus(status).phrase}"
    body = f"<!DOCTYPE html><html lang=en><title>{title}</title><body><h1>{title}</h1><p>{escape(message)}</p>"
    return Response(body, status, media_type="text/html")


def _is_ours(host: str, names: frozenset[str]) -> bool:
    """Whether a ``Host`` header names this server: one of its names, or an address in numbers, which no name server
    can point elsewhere."""
    name = host.rsplit(":", 1)[0] if host.rsplit(":", 1)[-1].isdecimal() else host
    if name.lower().rstrip(".") in names:
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _is_foreign(headers: Headers) -> bool:
    """Whether a browser says that another site's page asks; programs say nothing."""
    origin = headers.get("origin")
    other = origin is not None and origin.split("://")[-1] != headers.get("host")
    return other or headers.get("sec-fetch-site", "none") not in ("same-origin", "none")


def _cookie_name(scope: Scope) -> str:
    """Cookies do not tell ports apart, so two servers of one host need two names."""
    return f"r1_token_{(scope.get('server') or ('', 0))[1]}"


def _check_key(key: str) -> None:
    """Refuse a token that the header ``Authorization: Bearer`` cannot carry.

    Raises:
        InputError: so it is.
    """
    try:
        key.encode("latin-1")
    except UnicodeEncodeError:
        carried = False
    else:
        carried = key.isprintable() and key == key.strip()
    if not carried:
        raise InputError(
            "the key (--api-key or R1_API_KEY) cannot stand in an HTTP header; give Latin letters, digits and signs "
            "on one line, without spaces at its ends"
        )


def _shown(scope: Scope, headers: Headers) -> dict[str, bytes]:
    """The tokens that a request shows, by where."""
    shown = {}
    kind, _, bearer = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        shown["bearer"] = bearer.strip().encode("latin-1")
    cookies = cookie_parser(headers.get("cookie", ""))  # other servers of this host send theirs, well formed or not
    if (name := _cookie_name(scope)) in cookies:
        shown["cookie"] = cookies[name].encode()
    query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    if "token" in query and scope["method"] in ("GET", "HEAD"):
        shown["query"] = query["token"].encode()
    return shown


def _with_cookie(scope: Scope, token: str) -> Response:
    """The same address without the token, so that it stays out of the history."""
    rest = [(name, value) for name, value in parse_qsl(scope["query_string"].decode("latin-1")) if name != "token"]
    path = "/" + scope["path"].lstrip("/")  # "//host" would lead elsewhere
    response = RedirectResponse(path + ("?" + urlencode(rest) if rest else ""), 303)
    response.set_cookie(_cookie_name(scope), token, httponly=True, samesite="strict")
    return response


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return sent
