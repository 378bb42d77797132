"""Settings of the code tasks: which one, where its problems come from, where programs run and what they may take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from r1kit.data.settings import Reading
from r1kit.errors import InputError, nearest
from r1kit.sandbox import LadderSettings, Limits, SandboxSettings
from r1kit.tasks.listed import SplitReading
from r1kit.tasks.split import check_shares

__all__ = ["FORMATS", "CodeConfig", "Format", "programs_ladder"]

Format = Literal[
    "auto", "humaneval", "mbpp", "stdio", "bugfix", "apps", "livecodebench", "codecontests", "verification_info"
]
FORMATS: tuple[str, ...] = get_args(Format)


def programs_ladder() -> LadderSettings:
    """One rung pays, the last: all hidden tests passed, within half a verifier's deadline."""
    return LadderSettings(extract="whole", total_seconds=6.0, limits=Limits(seconds=3.0, cpu_seconds=3))


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeConfig(SplitReading):
    """Programs judged by running them. A recipe writes ``kind = "code"``, or names the format: ``"code/mbpp"``."""

    format: Format = "auto"
    """``humaneval``, ``mbpp``, ``bugfix`` (a broken program with tests that fail), or problems with inputs and outputs:
    ``stdio``, ``apps`` (and TACO), ``livecodebench``, ``codecontests``, ``verification_info`` (open-r1). ``auto``: told
    from each row's columns."""
    path: str = ""
    sandbox: SandboxSettings = field(default_factory=SandboxSettings)
    """Where programs run. There is no way around it: without it nothing is judged."""
    ladder: LadderSettings = field(default_factory=programs_ladder)
    """What each rung pays, together at most 1, and what a program may take. ``extract`` is not read: an answer is its
    last block of Python, or all of it where it has no block. ``total_seconds`` must stay below the verifier's 10."""

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise InputError(
                f"code/{self.format} is unknown; code tasks are {', '.join(FORMATS)}.{nearest(self.format, FORMATS)}"
            )
        Reading.__post_init__(self)
        if not self.path:
            raise InputError(f'code/{self.format} reads a file; write path = "FILE.jsonl"')
        check_shares(f"code/{self.format} {self.path}".rstrip(), self.dev_share, self.test_share)
