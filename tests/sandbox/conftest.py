"""A warm sandbox for the tests of one file, or a reason why there is none here."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from r1kit.errors import MissingError
from r1kit.sandbox import Sandbox, SandboxSettings, open_sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    try:
        opened = open_sandbox(SandboxSettings())
    except MissingError as missing:
        if "R1_SANDBOX_REQUIRED" in os.environ:
            raise
        pytest.skip(str(missing))
    yield opened
    opened.close()
