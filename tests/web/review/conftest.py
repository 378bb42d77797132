"""The review page over a run that waits for people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from reviewing import waiting_run
from starlette.testclient import TestClient

from r1kit.factory.review_run import open_queue
from r1kit.web.listen import rules_for
from r1kit.web.review.app import LIMIT, app
from r1kit.web.review.desk import Desk


@dataclass
class Tab:
    """A person's tab of a browser."""

    http: TestClient
    token: str
    name: str
    client: str = field(default="")

    def __post_init__(self) -> None:
        self.client = self.client or f"tab of {self.name}"

    def send(self, path: str, **body: Any) -> Any:
        who = {"name": self.name, "client": self.client}
        return self.http.post(path, json={**who, **body}, headers={"x-r1-token": self.token})

    def next(self, *skipped: str) -> Any:
        return self.send("/next", skipped=list(skipped)).json()["item"]

    def decide(self, item: Any, status: str, **more: Any) -> Any:
        return self.send("/decide", id=item["id"], state=item["state"], status=status, **more)

    def progress(self, identity: str = "") -> Any:
        query = {"name": self.name, "client": self.client, "id": identity}
        return self.http.get("/progress", params=query).json()


@dataclass
class Office:
    run: Path
    desk: Desk
    http: TestClient
    token: str
    now: list[float]

    @property
    def path(self) -> Path:
        return self.desk.reviewed.file.path

    def tab(self, name: str, client: str = "") -> Tab:
        return Tab(self.http, self.token, name, client)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """``office.tab("ann")`` is a person; ``office.now[0]`` the clock of the leases."""
    now = [0.0]
    desk = Desk(open_queue(waiting_run(tmp_path / "run")), clock=lambda: now[0])
    rules = rules_for(limit=LIMIT)
    with TestClient(app(desk, rules), base_url="http://127.0.0.1:7862") as http:
        yield Office(tmp_path / "run", desk, http, rules.page_token, now)
