"""The report in a real browser: it draws, fits, and asks nobody for anything."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

pytestmark = pytest.mark.browser


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *told: object) -> None:
        """Nothing."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_report(
    nano_zero: Path, visit: Callable[..., Any], shoot: Callable[..., Path], accessible: Callable[[Any], None],
    fits: Callable[[Any], None], scheme: str, width: int,
) -> None:  # fmt: skip
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(nano_zero))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        page = visit(
            f"http://127.0.0.1:{server.server_port}/report.html", width=width, scheme=scheme, expected="favicon|404"
        )
        page.wait_for_selector(".plot .main-svg")
        shoot(page, f"report-{scheme}-{width}")
        fits(page)
        accessible(page)
        server.shutdown()
