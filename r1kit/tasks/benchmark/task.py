"""A benchmark as a task: its rows read as any others (``tasks/data``, ``tasks/code``), asked and judged its own way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Literal

from r1kit.data.settings import Reading
from r1kit.data.source import open_rows
from r1kit.errors import InputError
from r1kit.records import Prompt, Sampling
from r1kit.sandbox import SandboxSettings
from r1kit.tasks.benchmark.forms import (
    after_thinking,
    boxed_answer,
    boxed_question,
    choice_question,
    letter_of,
    recognised,
)
from r1kit.tasks.code.config import CodeConfig
from r1kit.tasks.code.files.task import CodeFile
from r1kit.tasks.data import Data, DataConfig
from r1kit.tasks.task import By, Grade, Split, Task

__all__ = ["Benchmark", "BenchmarkConfig"]

MAX_TOKENS = 32_768
"""Longest response in the paper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkConfig(Reading):
    """Rows of a benchmark; all of them are its test split."""

    benchmark: Literal["auto", "aime", "math500", "gpqa", "mmlu_pro", "humaneval", "livecodebench"] = "auto"
    """Which one; ``auto``: told from the first row's columns."""
    path: str
    """A file, a folder or a hub data set."""
    order: int = 0
    """Seed of the order of GPQA's choices; 0: a hash of the question decides, the same everywhere."""
    sandbox: SandboxSettings = field(default_factory=SandboxSettings)
    """Where the programs of HumanEval and LiveCodeBench run."""

    def __post_init__(self) -> None:
        Reading.__post_init__(self)
        if not self.path:
            raise InputError('benchmark: path is empty; write path = "FILE.jsonl" or the name of a hub data set')


class Benchmark(Task):
    """A response is read as a whole, so that no reward's answer style decides where an answer is looked for."""

    Config = BenchmarkConfig
    named = "benchmark"
    reads: Literal["answer", "completion"] = "completion"

    def __init__(self, name: str, config: BenchmarkConfig) -> None:
        """Raises InputError and MissingError for a source that is not there or is laid out as no benchmark."""
        self.name, self.config = name, config
        first = next(iter(open_rows(config.path, config.reading)))
        self.form = recognised(first, config.benchmark)
        rows = {each.name: getattr(config, each.name) for each in fields(Reading)}
        rows |= {"path": config.path, "test_path": config.path}
        self._code = self.form.name in ("humaneval", "livecodebench")
        self._choice = self.form.name in ("gpqa", "mmlu_pro")
        self._inner: Data | CodeFile = (
            CodeFile(name, CodeConfig(format=self.form.name, sandbox=config.sandbox, **rows))  # type: ignore[arg-type]
            if self._code
            else Data(name, DataConfig(rule="choice" if self._choice else "math", **rows))
        )

    @property
    def sampling(self) -> Sampling:
        """The paper's: k responses at temperature .6 and top-p .95, of at most 32,768 tokens."""
        return Sampling(n=self.form.k, max_tokens=MAX_TOKENS, temperature=0.6, top_p=0.95)

    def train(self, index: int) -> Prompt:
        """Raises InputError: a benchmark is not trained on."""
        raise InputError(
            f"task {self.name!r} is a benchmark ({self.form.title}), which is evaluated and never trained on"
        )

    def held_out(self, split: Split, limit: int | None = None) -> list[Prompt]:
        """All rows, in their order. Raises InputError for ``dev``."""
        if split != "test":
            raise InputError(
                f"task {self.name!r} is a benchmark, all of it the test split; there is no {split} split. It is for "
                f"stage evaluate alone: name other tasks in a stage that trains (tasks = [...])"
            )
        return [self._asked(prompt) for prompt in self._inner.held_out("test", limit)]

    def _asked(self, prompt: Prompt) -> Prompt:
        if self._code:
            return prompt
        if not self._choice:
            return replace(prompt, question=boxed_question(prompt))
        question, choices, letter = choice_question(prompt, self.config.order if self.form.name == "gpqa" else 0)
        return replace(prompt, question=question, answer=letter, facts={**prompt.facts, "choices": list(choices)})

    def grade(self, prompt: Prompt, answer: str) -> Grade:
        """1 or 0, of a whole response. Raises MissingError: no sandbox."""
        if self._code:
            return self._inner.grade(prompt, after_thinking(answer))
        return self._inner.grade(prompt, letter_of(answer) if self._choice else boxed_answer(answer))

    def diagnose(self, prompt: Prompt, text: str) -> Mapping[str, float]:
        return self._inner.diagnose(prompt, text)

    def prepare(self, prompt: Prompt, given: Sequence[str], by: By) -> Iterable[None] | None:
        return self._inner.prepare(prompt, [after_thinking(text) for text in given], by)

    def about(self) -> list[str]:
        """Which benchmark it is, and what was read as what; a line each."""
        drawn = self.sampling
        asked = f"{drawn.n} responses a problem, temperature {drawn.temperature:g}, top-p {drawn.top_p:g}"
        told = f"benchmark: {self.form.title} ({self.form.name}), as in the paper {asked}, at most {MAX_TOKENS} tokens"
        return [told, *self._inner.about()]

    def doubts(self) -> Sequence[str]:
        return self._inner.doubts()

    def check(self) -> None:
        self._inner.check()
