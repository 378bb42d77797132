"""A vLLM server that is none, and replicas of it, closed at the end."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rollout.fake_vllm import Fake, Raw
from rollout.vllm_site import Site


@pytest.fixture
def fake() -> Iterator[Fake]:
    found = Fake()
    yield found
    found.close()


@pytest.fixture
def raw() -> Iterator[Callable[[Callable[[socket.socket], None]], Raw]]:
    made: list[Raw] = []

    def make(behave: Callable[[socket.socket], None]) -> Raw:
        made.append(Raw(behave))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path)
    yield found
    found.close()
