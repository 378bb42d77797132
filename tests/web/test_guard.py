"""What a page of another site, a stranger on the network, or a body without end gets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from r1kit.errors import InputError
from r1kit.web.guard import Rules
from r1kit.web.listen import rules_for
from r1kit.web.pages import answer, render
from r1kit.web.site import Link, site

HOST = "127.0.0.1:8765"


async def page(request: Request) -> Response:
    return render(request, "base.html.j2")


async def kept(request: Request) -> Response:
    request.app.state.kept = await request.json()
    return JSONResponse({"kept": request.app.state.kept})


async def value(request: Request) -> Response:
    return answer(request, {"value": request.app.state.value})


async def wrong(request: Request) -> Response:
    if request.query_params["kind"] == "input":
        raise InputError("no stage 'r1'; stages are pretrain and r1_zero")
    raise ZeroDivisionError


def client(rules: Rules, **more: object) -> TestClient:
    routes = [
        Route("/", page), Route("/kept", kept, methods=["POST"]), Route("/v1/kept", kept, methods=["POST"]),
        Route("/value", value), Route("/wrong", wrong), Route("/health", value),
    ]  # fmt: skip
    made = site(routes, name="a <run>", rules=rules, nav=[Link(href="/", text="Home")])
    made.app.state.value = 1
    return TestClient(made, base_url=f"http://{HOST}", follow_redirects=False, **more)  # type: ignore[arg-type]


@pytest.fixture
def here() -> Iterator[TestClient]:
    with client(rules_for(open_paths=("/v1/",), limit=1000)) as made:
        yield made


def token_of(made: TestClient) -> str:
    return str(made.get("/session").json()["token"])


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "localhost", "[::1]:8765", "LOCALHOST."])
def test_a_host_of_ours_is_let_in(here: TestClient, host: str) -> None:
    assert here.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "", "localhost.evil"])
def test_a_name_that_somebody_points_at_us_is_not(here: TestClient, host: str) -> None:
    found = here.get("/value", headers={"host": host})
    assert found.status_code == 421
    assert "use the address that it printed" in found.json()["error"]["message"]


def test_what_changes_state_needs_the_page_token(here: TestClient) -> None:
    refused = here.post("/kept", json=1)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "no_page_token")
    guessed = here.post("/kept", json=1, headers={"x-r1-token": "guess"})
    assert (guessed.status_code, guessed.json()["error"]["code"]) == (403, "stale_page")
    assert not hasattr(here.app.app.state, "kept")  # type: ignore[attr-defined]
    assert here.post("/kept", json=1, headers={"x-r1-token": token_of(here)}).json() == {"kept": 1}


@pytest.mark.parametrize("path", ["/kept", "/v1/kept"])
@pytest.mark.parametrize(
    "headers", [{"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"},
                {"origin": "http://127.0.0.1:9999"}, {"sec-fetch-site": "same-site"}]
)  # fmt: skip
def test_a_page_of_another_site_changes_nothing(here: TestClient, path: str, headers: dict[str, str]) -> None:
    found = here.post(path, json=1, headers={**headers, "x-r1-token": token_of(here)})
    assert found.status_code == 403
    assert not hasattr(here.app.app.state, "kept")  # type: ignore[attr-defined]


def test_our_own_page_and_a_program_may(here: TestClient) -> None:
    own = {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin", "x-r1-token": token_of(here)}
    assert here.post("/kept", json=2, headers=own).status_code == 200
    assert here.post("/v1/kept", json=3).json() == {"kept": 3}


def test_a_form_cannot_pass_for_a_program(here: TestClient) -> None:
    found = here.post("/v1/kept", content="{}", headers={"content-type": "text/plain"})
    assert found.status_code == 415


@pytest.mark.parametrize(
    ("kind", "status"),
    [("application/json; charset=utf-8", 200), ("Application/JSON", 200), ("application/jsonx", 415),
     ("application/json-seq", 415), ("", 415)],
)  # fmt: skip
def test_json_is_one_content_type(here: TestClient, kind: str, status: int) -> None:
    assert here.post("/v1/kept", content="1", headers={"content-type": kind}).status_code == status


def test_a_crowd_of_connections_is_told_to_come_again() -> None:
    made = client(rules_for(open_paths=("/v1/",), free_paths=("/health",)))
    made.app.is_full = lambda: True  # type: ignore[attr-defined]
    found = made.post("/v1/kept", json=1)
    assert (found.status_code, found.headers["retry-after"], found.headers["connection"]) == (503, "1", "close")
    error = found.json()["error"]
    assert (error["type"], error["code"]) == ("server_error", "server_busy")
    assert made.get("/health").status_code == 200


def test_bodies_are_bounded_with_and_without_a_length(here: TestClient) -> None:
    long = json.dumps("x" * 1000)

    def pieces() -> Iterator[bytes]:
        yield long.encode()[:500]
        yield long.encode()[500:]

    json_type = {"content-type": "application/json"}
    assert here.post("/v1/kept", content=long, headers=json_type).status_code == 413
    assert here.post("/v1/kept", content=pieces(), headers=json_type).status_code == 413
    assert here.post("/v1/kept", content="1", headers={**json_type, "content-length": "-1"}).status_code == 413


def test_elsewhere_a_token_is_needed() -> None:
    rules = rules_for("0.0.0.0", open_paths=("/v1/",), free_paths=("/health",))
    made = client(rules)
    assert len(rules.token) >= 32
    assert [made.get(path).status_code for path in ("/", "/static/base.css", "/session")] == [401] * 3
    assert made.get("/?token=guess").status_code == 401
    assert made.get("/health").status_code == 200
    keyless = made.post("/v1/kept", json=1)
    assert keyless.status_code == 401
    assert "API key" in keyless.json()["error"]["message"]
    assert made.post("/v1/kept", json=1, headers={"authorization": f"Bearer {rules.token}"}).status_code == 200
    led = made.get(f"/?x=1&token={rules.token}")
    assert (led.status_code, led.headers["location"]) == (303, "/?x=1")
    cookie = led.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert made.get("/").status_code == 200  # by the cookie
    assert client(rules).head(f"/?token={rules.token}").status_code == 303


@pytest.mark.parametrize("key", ["a+b & c#d%41;e,f=", 'quo"te\\', "clé ß"])
def test_a_key_of_any_letters_opens_by_address_cookie_and_header(key: str) -> None:
    made = client(rules_for(token=key))
    assert made.get("/?" + urlencode({"token": key[:-1]})).status_code == 401
    assert made.get("/?token=" + quote(key, safe="")).status_code == 303
    assert made.get("/").status_code == 200  # by the cookie
    made.cookies.clear()
    for spelled in (f"Bearer {key}".encode("latin-1"), f"Bearer {key}".encode()):
        assert made.get("/", headers={"authorization": spelled}).status_code == 200


@pytest.mark.parametrize("key", ["ключ", "a\nb", "a\x00", " a", "a ", "a\x85", "a\xa0", "\ud800"])
def test_a_key_that_no_header_carries(key: str) -> None:
    with pytest.raises(InputError, match=r"cannot stand in an HTTP header; give Latin letters") as error:
        rules_for(token=key)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("others", ["a(b=1; ", "a/b=1; ", 'state={"x": "y"}; ', "half; =; "])
def test_cookies_of_other_servers_of_this_machine_are_passed_over(others: str) -> None:
    """Browsers send a host's cookies to all of its ports."""
    rules = rules_for("0.0.0.0")
    made = client(rules)
    own = made.get(f"/?token={rules.token}").headers["set-cookie"].split(";")[0]
    made.cookies.clear()
    assert made.get("/", headers={"cookie": others}).status_code == 401
    assert made.get("/", headers={"cookie": others + own}).status_code == 200


def test_a_path_is_bounded(here: TestClient) -> None:
    assert here.get("/" + "9" * 3999).status_code == 404
    assert here.get("/" + "9" * 4000).status_code == 414


def test_a_login_leads_to_no_other_host() -> None:
    rules = rules_for("0.0.0.0")
    found = client(rules).get(f"http://{HOST}//evil.example/?token={rules.token}")
    assert (found.status_code, found.headers["location"]) == (303, "/evil.example/")


def test_every_answer_carries_the_headers(here: TestClient) -> None:
    for path in ("/", "/static/base.js", "/value", "/nowhere", "/static/../guard.py"):
        headers = here.get(path).headers
        policy = headers["content-security-policy"]
        scripts = next(part for part in policy.split("; ") if part.startswith("script-src"))
        assert (scripts, headers["x-content-type-options"]) == ("script-src 'self'", "nosniff")
        assert "default-src 'none'" in policy


def test_pages_escape_and_have_no_inline_script(here: TestClient) -> None:
    text = here.get("/").text
    assert "a &lt;run&gt;" in text
    assert all("src=" in tag for tag in text.split("<script")[1:])


def test_a_value_is_sent_once(here: TestClient) -> None:
    first = here.get("/value")
    again = here.get("/value", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    here.app.app.state.value = 2  # type: ignore[attr-defined]
    assert here.get("/value", headers={"if-none-match": first.headers["etag"]}).json() == {"value": 2}


def test_errors_are_one_line(here: TestClient) -> None:
    assert here.get("/wrong?kind=input").json()["error"]["message"].startswith("no stage 'r1'")
    assert here.get("/nowhere", headers={"accept": "text/html"}).text.count("<h1>404 Not Found</h1>") == 1
    with client(rules_for(), raise_server_exceptions=False) as quiet:
        found = quiet.get("/wrong?kind=own")
    assert found.status_code == 500
    assert "ZeroDivisionError" in found.text
    assert "Traceback" not in found.text


@pytest.mark.parametrize("path", ["/static/../guard.py", "/static/%2e%2e/guard.py", "/static//etc/passwd"])
def test_static_files_stay_in_their_folder(here: TestClient, path: str) -> None:
    assert here.get(path).status_code in (404, 405)
