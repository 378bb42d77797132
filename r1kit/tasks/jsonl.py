"""Any JSONL file of ``{"prompt": ..., "answer": ...}`` as a task; ``id``, ``language`` and ``cluster`` are optional."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

from r1kit.errors import InputError
from r1kit.records import Prompt
from r1kit.tasks.maths_answer import canonical_maths, equal_maths, plain_text
from r1kit.tasks.split import Part, check_shares, evened, part_of
from r1kit.tasks.task import Grade, Split

__all__ = ["Jsonl", "JsonlConfig"]

_KNOWN = ("prompt", "answer", "id", "language", "cluster")


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonlConfig:
    path: str
    """A file with one JSON object a line. Keys besides the known ones are kept as facts. Empty lines are skipped."""
    test_path: str = ""
    """A second file that is the test split; lines of ``path`` that ask the same or share a cluster are dropped.
    The same file as ``path``: all of it is the test split, and there is nothing to train on."""
    rule: Literal["math", "exact"] = "math"
    """``math``: equal as mathematics where both sides are one formula, else as text. ``exact``: equal as text."""
    language: str = "en"
    """Language of lines that name none, ISO 639-1."""
    dev_share: float = 0.05
    """Share of the questions, by hash, held out for choosing settings."""
    test_share: float = 0.1
    """Share of the questions, by hash, held out for the reported result; unused with a ``test_path``."""
    split_seed: int = 0
    """Decides the parts; the same for every run."""
    seed: int = 0
    """Seed of the training order."""

    def __post_init__(self) -> None:
        if not self.path:
            raise InputError('jsonl: path is empty; write path = "FILE.jsonl"')
        if self.rule not in ("math", "exact"):
            raise InputError(f"jsonl: rule = {self.rule!r}; allowed are 'math' and 'exact'")
        check_shares(f"jsonl {self.path}", self.dev_share, self.test_share)


class Jsonl:
    """Lines that ask the same (case and spaces aside) or name the same cluster are never in two parts.

    A line goes where the hash of its cluster, or else of its question, says; a line of train or dev whose question is
    also in a part held out more strictly is dropped.
    """

    def __init__(self, name: str, config: JsonlConfig) -> None:
        """Reads the files. Raises InputError, naming file and line, for what is missing or broken."""
        self.name = name
        self.config = config
        self._parts = _parts(name, config)
        self._order: tuple[int, list[int]] = (-1, [])
        if not self._parts["train"] and config.path != config.test_path:
            raise InputError(f"{config.path}: no line is left to train on; add lines or lower dev_share and test_share")

    def train(self, index: int) -> Prompt:
        """Every line once in each pass over the file, each pass in an order of its own."""
        lines = self._parts["train"]
        if not lines:
            raise InputError(f"{self.config.path} is the test split as a whole; drop test_path to train on it")
        turn, place = divmod(index, len(lines))
        if turn != self._order[0]:
            order = list(range(len(lines)))
            Random((self.config.seed << 32) + turn).shuffle(order)
            self._order = (turn, order)
        return lines[self._order[1][place]]

    def held_out(self, split: Split, limit: int | None = None) -> list[Prompt]:
        """The split's lines in the order of the file. Raises InputError for a split without a line."""
        if not self._parts[split]:
            raise InputError(
                f"{self.config.path}: no line falls into the {split} split; raise {split}_share or add lines"
            )
        return self._parts[split][:limit]

    def grade(self, prompt: Prompt, answer: str) -> Grade:
        """1 or 0 by the rule. Under ``math`` this may take arbitrarily long, so it needs a deadline from outside."""
        assert prompt.answer is not None
        if self.config.rule == "exact":
            given = plain_text(answer)
            return Grade(correct=float(given == plain_text(prompt.answer)), canonical=given)
        return Grade(correct=float(equal_maths(prompt.answer, answer)), canonical=canonical_maths(answer))

    def diagnose(self, prompt: Prompt, text: str) -> Mapping[str, float]:
        return {}


def _parts(name: str, config: JsonlConfig) -> dict[Part, list[Prompt]]:
    parts: dict[Part, list[Prompt]] = {"test": [], "dev": [], "train": []}
    lines = _read(Path(config.path), f"{name}/", name, config.language)
    test_share = config.test_share
    if config.test_path:
        test_share, parts["test"] = 0.0, _read(Path(config.test_path), f"{name}/test/", name, config.language)
    for line in lines:
        parts[part_of(line.cluster, config.dev_share, test_share, config.split_seed)].append(line)
    taken: set[str] = set()
    for part, kept in parts.items():
        parts[part] = [line for line in kept if taken.isdisjoint(_keys(line))]
        taken.update(key for line in parts[part] for key in _keys(line))
    return parts


def _keys(line: Prompt) -> tuple[str, str]:
    """What no two parts may share."""
    return f"question {evened(line.question)}", f"cluster {line.cluster}"


def _read(path: Path, prefix: str, task: str, language: str) -> list[Prompt]:
    """The prompts of a file; an id that the file does not give is the prefix and the line's number."""
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the path is taken from the folder that the command runs in") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as UTF-8 text: {error}") from None
    numbered = [(number, line) for number, line in enumerate(content.split("\n"), start=1) if line.strip()]
    if not numbered:
        raise InputError(f'{path}: empty; write one {{"prompt": ..., "answer": ...}} object a line')
    prompts = [_prompt(f"{path}:{number}", line, f"{prefix}{number}", task, language) for number, line in numbered]
    first: dict[str, int] = {}
    for (number, _), prompt in zip(numbered, prompts, strict=True):
        if first.setdefault(prompt.id, number) != number:
            raise InputError(f"{path}:{number}: id {prompt.id!r} is taken by line {first[prompt.id]}; ids must differ")
    return prompts


def _prompt(where: str, line: str, identity: str, task: str, language: str) -> Prompt:
    try:
        table = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{where}: not valid JSON: {error}") from None
    if not isinstance(table, dict):
        raise InputError(f"{where}: expected a JSON object with 'prompt' and 'answer', got {_brief(table)}")
    question = _text(where, table, "prompt")
    return Prompt(
        id=_text(where, table, "id", identity),
        task=task,
        question=question,
        answer=_text(where, table, "answer"),
        language=_text(where, table, "language", language),
        cluster=_text(where, table, "cluster", _digest(question)),
        facts={key: value for key, value in table.items() if key not in _KNOWN},
    )


def _text(where: str, table: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """A key's value as text: a string that is not blank, or a number."""
    value = table.get(key, default)
    if value is None:
        given = ", ".join(map(repr, table)) or "none"
        raise InputError(f"{where}: no {key!r}; every line needs 'prompt' and 'answer', this one has {given}")
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or not str(value).strip():
        raise InputError(f"{where}: {key!r} must be text or a number, got {_brief(value)}")
    return str(value)


def _brief(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _digest(question: str) -> str:
    return hashlib.blake2b(evened(question).encode(), digest_size=8).hexdigest()
