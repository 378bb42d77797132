"""Settings of the code tasks: which one, where its problems come from, where programs run and what they may take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from r1kit.errors import InputError, nearest
from r1kit.sandbox import LadderSettings, Limits, SandboxSettings
from r1kit.tasks.split import check_shares

__all__ = ["GENERATORS", "CodeConfig", "Generator", "programs_ladder"]

Generator = Literal["humaneval", "mbpp", "stdio", "bugfix"]
GENERATORS: tuple[str, ...] = get_args(Generator)


def programs_ladder() -> LadderSettings:
    """One rung pays, the last: all hidden tests passed, within half a verifier's deadline."""
    return LadderSettings(extract="whole", total_seconds=6.0, limits=Limits(seconds=3.0, cpu_seconds=3))


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeConfig:
    """Programs judged by running them. A recipe writes ``kind = "code/mbpp"``; after the slash is ``generator``."""

    generator: Generator
    """Format of the file: ``humaneval``, ``mbpp``, ``stdio`` (programs that read and print) and ``bugfix`` (a broken
    program with tests that fail)."""
    path: str = ""
    """The JSONL file."""
    test_path: str = ""
    """A second file that is the test split; lines of ``path`` that ask the same are dropped. The same file as
    ``path``: all of it is the test split, and there is nothing to train on."""
    dev_share: float = 0.05
    """Share of the questions, by hash, held out for choosing settings."""
    test_share: float = 0.1
    """Share of the questions, by hash, held out for the reported result; unused with a ``test_path``."""
    split_seed: int = 0
    """Decides the parts; the same for every run."""
    seed: int = 0
    """Seed of the training order."""
    sandbox: SandboxSettings = field(default_factory=SandboxSettings)
    """Where programs run. There is no way around it: without it nothing is judged."""
    ladder: LadderSettings = field(default_factory=programs_ladder)
    """What each rung pays, together at most 1, and what a program may take. ``extract`` is not read: an answer is its
    last block of Python, or all of it where it has no block. ``total_seconds`` must stay below the verifier's 10."""

    def __post_init__(self) -> None:
        if self.generator not in GENERATORS:
            raise InputError(
                f"code/{self.generator} is unknown; code tasks are {', '.join(GENERATORS)}."
                f"{nearest(self.generator, GENERATORS)}"
            )
        if not self.path:
            raise InputError(f'code/{self.generator} reads a file; write path = "FILE.jsonl"')
        check_shares(f"code/{self.generator} {self.path}".rstrip(), self.dev_share, self.test_share)
