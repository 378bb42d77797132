"""Answers in JSON that a schema checks, as a task: the stated limit of structured output (R1 paper, section 5)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from r1kit.answers.structured import NotJson, Schema, holds, read_json
from r1kit.data.chats import question_in
from r1kit.errors import InputError
from r1kit.files import Line, strict_lines
from r1kit.records import Prompt
from r1kit.tasks.code.answer import final_answer
from r1kit.tasks.listed import OfFiles, OfLines, listed_files, told_apart
from r1kit.tasks.split import own_cluster
from r1kit.tasks.task import Grade

__all__ = ["Structured", "StructuredConfig", "grade_json", "judged", "told"]

NEEDS = "'prompt' and 'schema'"


@dataclass(frozen=True, slots=True, kw_only=True)
class StructuredConfig(OfFiles):
    """A line has ``prompt`` (or a chat, ``messages``), ``schema`` and, where they are there, ``expected``, ``id``,
    ``language`` and ``cluster``."""

    kind = "structured"
    show_schema: bool = True
    """Whether the schema stands behind the question; otherwise the prompt must say what is asked for."""
    language: str = "en"
    """Language of lines that name none, ISO 639-1."""


class Structured(OfLines):
    """Right is JSON that satisfies the schema and holds what is expected, where something is."""

    Config = StructuredConfig

    def __init__(self, name: str, config: StructuredConfig) -> None:
        """Reads the files. Raises InputError, naming file and line, for what is missing or broken; MissingError without
        jsonschema."""
        self.name, self.config = name, config
        self._lines = listed_files(name, config, self._read, by_id=True)

    def _read(self, path: str, prefix: str) -> list[Prompt]:
        lines = strict_lines(Path(path), NEEDS)
        return told_apart((line.where, line.number, self._prompt(line, f"{prefix}{line.number}")) for line in lines)

    def _prompt(self, line: Line, identity: str) -> Prompt:
        question, history = question_in(line, ("prompt", "messages", "question"))
        if "schema" not in line.table:
            raise line.lacks("'schema'", "schema")
        schema = Schema.of(line.table["schema"], line.where)
        spelled = json.dumps(line.table["schema"], ensure_ascii=False)
        facts = {"schema": spelled}
        answer = None
        if "expected" in line.table:
            expected = line.table["expected"]
            facts["expected"] = json.dumps(expected, ensure_ascii=False)
            answer = None if schema.fault(expected) else facts["expected"]
            why = schema.never(expected) if isinstance(expected, dict) else schema.fault(expected)
            if why:
                raise InputError(f"{line.where}: what is expected does not satisfy the schema: {why}")
        shown = f"\n\nAnswer with JSON that satisfies this schema:\n{spelled}" if self.config.show_schema else ""
        return Prompt(
            id=line.text("id", default=identity),
            task=self.name,
            question=question + shown,
            history=history,
            answer=answer,
            language=line.text("language", default=self.config.language),
            cluster=line.text("cluster", default=own_cluster(question, history)),
            facts=facts,
        )

    def grade(self, prompt: Prompt, answer: str) -> Grade:
        """1 or 0. The canonical form has its keys in order and no spaces."""
        return grade_json(prompt, answer)

    def diagnose(self, prompt: Prompt, text: str) -> Mapping[str, float]:
        """``parses``, ``fits`` (it satisfies the schema) and ``answer_right`` of the final answer, in tags or after the
        thinking."""
        return told(prompt, text)


def grade_json(prompt: Prompt, answer: str) -> Grade:
    """1 where the answer is JSON of the prompt's schema and holds what its fact ``expected`` says, else 0."""
    value, found = judged(prompt, answer)
    return Grade(correct=found["answer_right"], canonical=_canonical(value) if found["parses"] else "")


def told(prompt: Prompt, text: str) -> dict[str, float]:
    """The diagnostics of a completion, whatever the style of its answer."""
    return judged(prompt, final_answer(text))[1]


def judged(prompt: Prompt, answer: str) -> tuple[Any, dict[str, float]]:
    """The value of an answer, and what is so of it, 1 or 0: ``parses``, ``fits``, ``answer_right``."""
    try:
        value = read_json(answer)
    except NotJson:
        return None, {"parses": 0.0, "fits": 0.0, "answer_right": 0.0}
    fits = not _schema(prompt.facts["schema"]).fault(value)
    expected = prompt.facts.get("expected")
    right = fits and (expected is None or holds(value, json.loads(expected)))
    return value, {"parses": 1.0, "fits": float(fits), "answer_right": float(right)}


@lru_cache(maxsize=4096)
def _schema(text: str) -> Schema:
    return Schema.of(text, "schema")


def _canonical(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode("utf-8")  # no file can hold half a surrogate pair
