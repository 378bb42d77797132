"""Settings of the code tasks: which one, where its problems come from, where programs run and what they may take."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal, get_args

from r1kit.data.settings import Reading
from r1kit.errors import InputError, nearest
from r1kit.sandbox import LadderSettings, Limits, SandboxSettings
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
class CodeConfig(Reading):
    """Programs judged by running them. A recipe writes ``kind = "code"``, or names the format: ``"code/mbpp"``."""

    format: Format = "auto"
    """``humaneval``, ``mbpp``, ``bugfix`` (a broken program with tests that fail), or problems with inputs and outputs:
    ``stdio``, ``apps`` (and TACO), ``livecodebench``, ``codecontests``, ``verification_info`` (open-r1). ``auto``: told
    from each row's columns."""
    path: str = ""
    """A file (``.jsonl .json .csv .parquet``, also with ``.gz`` or ``.zst``), a folder of them, or a hub data set."""
    test_path: str = ""
    """A second source that is the test split; rows of ``path`` that ask the same are dropped. The same as ``path``: all
    of it is the test split, and there is nothing to train on."""
    test_split: str = ""
    """The split of ``path`` (or of ``test_path``) that is the test split."""
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
        if self.format not in FORMATS:
            raise InputError(
                f"code/{self.format} is unknown; code tasks are {', '.join(FORMATS)}.{nearest(self.format, FORMATS)}"
            )
        Reading.__post_init__(self)
        if not self.path:
            raise InputError(f'code/{self.format} reads a file; write path = "FILE.jsonl"')
        check_shares(f"code/{self.format} {self.path}".rstrip(), self.dev_share, self.test_share)

    @property
    def reading(self) -> Reading:
        return Reading(**{field.name: getattr(self, field.name) for field in fields(Reading)})

    @property
    def test_source(self) -> tuple[str, str]:
        """(source, split) of the test split; no source: it is a share of the problems."""
        if not self.test_path and not self.test_split:
            return "", ""
        path = self.test_path or self.path
        return path, self.test_split or (self.split if path == self.path else "")
