"""Chromium, driven by Playwright; servers of ours as a user starts them; a run made by ``nano-zero``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

try:
    from playwright.sync_api import Browser, Page, sync_playwright
except ImportError:  # make test: they are not wanted, and Playwright may not be there
    collect_ignore_glob = ["test_*.py"]

SHOTS = Path(os.environ.get("R1KIT_SHOTS", Path(__file__).parent / "shots"))
"""Where screenshots are left, to be looked at."""
SHORT = ("pretrain.steps=300", "pretrain.evaluation.limit=16", "r1_zero.steps=12", "r1_zero.evaluate_every=4",
         "r1_zero.evaluation={k=4,limit=16}", "r1_zero.final_limit=16", "r1_zero.prompts_per_step=8")  # fmt: skip
WIDTHS = {"wide": 1280, "narrow": 400}


@pytest.fixture(scope="session")
def nano_zero(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of ``nano-zero`` with fewer steps; ``R1KIT_RUN`` names one that is there already."""
    if given := os.environ.get("R1KIT_RUN"):
        return Path(given)
    folder = tmp_path_factory.mktemp("runs") / "zero"
    settings = [part for one in SHORT for part in ("--set", one)]
    subprocess.run([sys.executable, "-m", "r1kit", "run", "nano-zero", "--out", str(folder), *settings], check=True)
    return folder


@pytest.fixture
def own_run(nano_zero: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(nano_zero, tmp_path / "run"))


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """``serve("dashboard", run)`` -> the address that the command printed; it is ended after the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*command: Any) -> str:
        server = subprocess.Popen(
            [sys.executable, "-m", "r1kit", *map(str, command)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        started.append(server)
        assert server.stdout is not None
        told = []
        for line in server.stdout:
            told.append(line)
            if found := re.search(r"http://\S+", line):
                threading.Thread(target=server.stdout.read, daemon=True).start()  # so that it never waits to print
                return found[0]
        raise AssertionError("".join(told))

    yield start
    for server in started:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        if server.stdout:
            server.stdout.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """``visit(url, width=400, scheme="dark")`` -> the page, in a browser context of its own. The test fails if a page
    asks another host, throws, or writes an error to the console; ``expected`` is a pattern of what may be written."""
    wrong: list[str] = []
    contexts = []

    def opened(
        url: str, *, width: int = 1280, scheme: Any = "light", script: bool = True, expected: str = "$^"
    ) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=script
        )
        contexts.append(context)
        page = context.new_page()
        own = url.split("/")[2]
        page.on("pageerror", lambda error: wrong.append(f"threw {error}"))
        page.on("console", lambda told: _note(told.type, told.text, expected, wrong))
        page.on("request", lambda asked: _foreign(asked.url, own, wrong))
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def _note(kind: str, text: str, expected: str, wrong: list[str]) -> None:
    if kind == "error" and not re.search(expected, text):
        wrong.append(f"wrote {text}")


def _foreign(url: str, own: str, wrong: list[str]) -> None:
    if not url.startswith(("data:", "blob:", f"http://{own}/")):
        wrong.append(f"asked {url}")


@pytest.fixture
def shoot(request: pytest.FixtureRequest) -> Callable[..., Path]:
    """``shoot(page, "samples")``: a screenshot under ``tests/browser/shots``."""
    SHOTS.mkdir(parents=True, exist_ok=True)

    def shot(page: Page, name: str, *, whole: bool = True) -> Path:
        path = SHOTS / f"{name}.png"
        page.screenshot(path=path, full_page=whole)
        return path

    return shot


@pytest.fixture
def accessible() -> Callable[[Page], None]:
    """Fails if axe-core finds a serious or critical fault."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")

    def check(page: Page) -> None:
        found = axe.Axe().run(page).response["violations"]
        serious = [
            f"{one['id']}: {one['help']}: {[node['html'][:160] for node in one['nodes'][:3]]}"
            for one in found if one["impact"] in ("serious", "critical")
        ]  # fmt: skip
        assert serious == []

    return check


@pytest.fixture
def fits() -> Callable[[Page], None]:
    """Fails if a page is wider than its window."""

    def check(page: Page) -> None:
        width, window = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width <= window, f"{width} pixels of {window}"

    return check
