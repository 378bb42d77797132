"""Responses with their hidden tests, a folder each in ``programs``: is the program found, and is it right?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1kit.sandbox import Sandbox, SandboxSettings, climb, open_sandbox, read_cases
from r1kit.sandbox.by_hand import SETTINGS, read_program

PROGRAMS = sorted(path for path in (Path(__file__).parent / "programs").iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", PROGRAMS, ids=lambda folder: folder.name)
def test_the_verdict_is_that_of_a_reader(folder: Path, sandbox: Sandbox) -> None:
    case = json.loads((folder / "case.json").read_text())
    tests = read_cases(folder / "tests.jsonl")
    where = open_sandbox(SandboxSettings(packages=case["packages"])) if "packages" in case else sandbox
    verdict = climb(read_program(folder / "answer.md"), tests, SETTINGS, where)
    if where is not sandbox:
        where.close()
    assert (verdict.reward == 1.0) is case["right"], (case["why"], verdict)
