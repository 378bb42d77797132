"""Untrusted programs, run behind the kernel's walls and judged outside them: ``docs/sandbox.md``.

``open_sandbox`` gives a warm sandbox, ``climb`` takes an answer up the ladder. Nothing here imports torch.
"""

from __future__ import annotations

from r1kit.sandbox.cases import AssertTest, CallTest, Case, StdinTest, parse_case, read_cases
from r1kit.sandbox.ladder import LadderSettings, Rungs, Verdict, climb, climb_many
from r1kit.sandbox.opening import SandboxSettings, check_sandbox, open_sandbox
from r1kit.sandbox.protocol import Limits, Outcome, Raised, Returned, Run, Sandbox

__all__ = [
    "AssertTest",
    "CallTest",
    "Case",
    "LadderSettings",
    "Limits",
    "Outcome",
    "Raised",
    "Returned",
    "Run",
    "Rungs",
    "Sandbox",
    "SandboxSettings",
    "StdinTest",
    "Verdict",
    "check_sandbox",
    "climb",
    "climb_many",
    "open_sandbox",
    "parse_case",
    "read_cases",
]
