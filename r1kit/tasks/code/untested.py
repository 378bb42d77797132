"""Problems that have no tests yet: right and wrong solutions in a JSONL file (docs/sandbox.md), or problems of ours."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from r1kit.errors import InputError, nearest
from r1kit.files import Line, strict_lines
from r1kit.tasks.code.answer import parses
from r1kit.tasks.code.written_tests import Subject

__all__ = ["UNTESTED", "Untested", "read_problems"]

UNTESTED = {"code/list_ops": "r1kit.nano.list_ops.untested:list_ops_problems"}
"""Problems of ours without tests: name -> function of how many."""


KEYS = ("prompt", "solutions", "wrong", "entry", "id", "language", "cluster")
NEEDS = "'prompt', 'solutions' and 'wrong', and 'entry' for functions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Untested:
    where: str
    """For messages."""
    subject: Subject
    passed_on: Mapping[str, str] = field(default_factory=dict)
    """Language and cluster, as they were given."""

    @property
    def form(self) -> Literal["mbpp", "stdio"]:
        """The format that holds its tests."""
        return "mbpp" if self.subject.entry else "stdio"


def read_problems(path: Path) -> list[Untested]:
    """Raises InputError, with file and line, for what cannot be used."""
    problems: list[Untested] = []
    first: dict[str, str] = {}
    for line in strict_lines(path, NEEDS):
        problem = _of_line(line)
        taken = first.setdefault(problem.subject.id, line.where)
        if taken != line.where:
            raise InputError(f"{line.where}: id {problem.subject.id!r} is taken by {taken}; ids must differ")
        if problems and problem.form != problems[0].form:
            raise InputError(
                f"{line.where}: functions (with 'entry') and programs that read and print go into files of their own; "
                f"{problems[0].where} is of the other kind"
            )
        problems.append(problem)
    return problems


def _of_line(line: Line) -> Untested:
    for key in line.table:
        if key not in KEYS:
            raise InputError(f"{line.where}: unknown key {key!r}; keys are {', '.join(KEYS)}.{nearest(key, KEYS)}")
    try:
        json.dumps(line.table, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InputError(f"{line.where}: half a surrogate pair, which is no text; mend the \\ud... in it") from None
    question, entry = line.text("prompt"), line.text("entry", default="")
    if entry and not entry.isidentifier():
        raise InputError(f"{line.where}: 'entry' must be the name of a function, got {entry!r}")
    subject = Subject(
        id=line.text("id", default=str(line.number)),
        question=question,
        entry=entry,
        trusted=_programs(line, "solutions", entry),
        wrong=_programs(line, "wrong", entry),
    )
    passed_on = {key: line.text(key) for key in ("language", "cluster") if line.text(key, default="")}
    return Untested(where=line.where, subject=subject, passed_on=passed_on)


def _programs(line: Line, key: str, entry: str) -> tuple[str, ...]:
    """At least one, each of them Python that names the function: what fails every test tells none of them apart."""
    programs = line.texts(key)
    if not programs:
        raise InputError(f"{line.where}: {key!r} is empty; a kept test needs right solutions and known-wrong ones")
    for place, program in enumerate(programs):
        if not program.strip() or parses(program) is None:
            raise InputError(f"{line.where}: {key}[{place}] is not Python")
        if entry and not re.search(rf"\b{re.escape(entry)}\b", program):
            raise InputError(f"{line.where}: {key}[{place}] does not define {entry!r}, the entry")
    return programs
