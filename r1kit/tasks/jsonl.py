"""Any JSONL file of ``{"prompt": ..., "answer": ...}`` as a task; ``id``, ``language`` and ``cluster`` are optional.

Of a list of answers any is right."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from r1kit.data.layouts import recognise
from r1kit.data.settings import Reading
from r1kit.data.several import several
from r1kit.errors import InputError
from r1kit.files import Line, strict_lines
from r1kit.records import Prompt
from r1kit.tasks.listed import OfFiles, OfLines, listed_files
from r1kit.tasks.references import References
from r1kit.tasks.rules import graded
from r1kit.tasks.split import digest
from r1kit.tasks.task import Grade

__all__ = ["Jsonl", "JsonlConfig"]

_KNOWN = ("prompt", "answer", "id", "language", "cluster")


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonlConfig(OfFiles):
    """Keys of a line besides the known ones are kept as facts. Empty lines are skipped."""

    kind = "jsonl"
    rule: Literal["math", "exact"] = "math"
    """``math``: equal as mathematics (``r1kit/answers``), else as text. ``exact``: equal as text."""
    bad_lines: Literal["refuse", "skip"] = "refuse"
    """Lines whose answer no answer can meet (``NaN``, a worked solution with ``####``), under ``math``: refused, or
    left out and counted."""
    language: str = "en"
    """Language of lines that name none, ISO 639-1."""

    def __post_init__(self) -> None:
        OfFiles.__post_init__(self)
        if self.rule not in ("math", "exact"):
            raise InputError(f"jsonl: rule = {self.rule!r}; allowed are 'math' and 'exact'")
        if self.bad_lines not in ("refuse", "skip"):
            raise InputError(f"jsonl: bad_lines = {self.bad_lines!r}; allowed are 'refuse' and 'skip'")


class Jsonl(OfLines):
    """Lines that ask the same (case and spaces aside) or name the same cluster are never in two parts."""

    Config = JsonlConfig

    def __init__(self, name: str, config: JsonlConfig) -> None:
        """Reads the files. Raises InputError, naming file and line, for what is missing or broken."""
        self.name = name
        self.config = config
        self._references = References(config.bad_lines == "skip")
        self._lines = listed_files(name, config, self._read)

    def _read(self, path: str, prefix: str) -> list[Prompt]:
        """The prompts of a file; an id that the file does not give is the prefix and the line's number."""
        prompts: dict[str, tuple[int, Prompt]] = {}
        for line in strict_lines(Path(path), "'prompt' and 'answer'"):
            try:
                prompt = _prompt(line, f"{prefix}{line.number}", self.name, self.config.language)
            except InputError as error:
                raise InputError(_with_kind(str(error), line)) from None
            if prompt.id in prompts:
                raise InputError(
                    f"{line.where}: id {prompt.id!r} is taken by line {prompts[prompt.id][0]}; ids must differ"
                )
            if self.config.rule == "exact" or self._references.keeps(line.where, prompt.answers):
                prompts[prompt.id] = line.number, prompt
        self._references.finish()
        return [prompt for _, prompt in prompts.values()]

    def doubts(self) -> list[str]:
        """Which reference answers were left out or can be met by the same text alone."""
        return self._references.doubts()

    about = doubts

    def grade(self, prompt: Prompt, answer: str) -> Grade:
        """1 or 0 by the rule."""
        return graded(prompt.answers, answer, self.config.rule)


def _with_kind(told: str, line: Line) -> str:
    """What is told of a line, with the kind that would take it where it is of another layout."""
    try:
        name = recognise(line, Reading(), "answers").name
    except InputError:
        return told
    return told if name == "prompt and answer" else f'{told.rstrip(".")}; kind = "data" reads this layout, {name}'


def _prompt(line: Line, identity: str, task: str, language: str) -> Prompt:
    question = line.text("prompt")
    answer, *also = several(line.table.get("answer")) or [line.text("answer")]
    return Prompt(
        id=line.text("id", default=identity),
        task=task,
        question=question,
        answer=answer,
        also=tuple(also),
        language=line.text("language", default=language),
        cluster=line.text("cluster", default=digest(question)),
        facts={key: value for key, value in line.table.items() if key not in _KNOWN},
    )
