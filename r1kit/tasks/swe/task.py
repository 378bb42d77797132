"""Repositories with failing tests as a task: edits that make them pass and break none of the others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from r1kit.data.chats import question_in
from r1kit.errors import InputError
from r1kit.files import Line, brief, strict_lines
from r1kit.records import Prompt
from r1kit.sandbox import LadderSettings, SandboxSettings, check_sandbox
from r1kit.tasks.code.answer import final_answer
from r1kit.tasks.code.config import programs_ladder
from r1kit.tasks.code.judge import Judge
from r1kit.tasks.listed import OfFiles, OfLines, listed_files, told_apart
from r1kit.tasks.split import digest
from r1kit.tasks.swe.assemble import TestFile, program_of, test_file
from r1kit.tasks.swe.edits import RefusedError, apply, edits_in, is_path
from r1kit.tasks.task import Grade

__all__ = ["Swe", "SweConfig"]

NEEDS = "'prompt', 'files', 'tests' and 'failing'"
HOW = """Answer with edits. Above each, on a line of its own, the path of its file; then the lines to replace, exactly \
as they stand there, and what replaces them:

path/of/file.py
<<<<<<< SEARCH
lines as they are
=======
lines as they shall be
>>>>>>> REPLACE

A whole file in a fenced block under its path replaces that file. Do not edit tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweConfig(OfFiles):
    """A line has ``prompt``, ``files`` and ``tests`` (path -> text), ``failing`` (tests as ``path::name``) and, where
    they are there, ``answer`` (right edits), ``id``, ``language`` and ``cluster``."""

    kind = "swe"
    show_tests: bool = True
    """Whether the files of the failing tests are shown; otherwise only their names."""
    sandbox: SandboxSettings = field(default_factory=SandboxSettings)
    """Where repositories run. There is no way around it: without it nothing is judged."""
    ladder: LadderSettings = field(default_factory=programs_ladder)
    """What a file of tests may take. ``total_seconds`` is of one file; a stage's ``deadline`` must hold them all."""


@dataclass(frozen=True, slots=True)
class _Repository:
    files: Mapping[str, str]
    tests: tuple[TestFile, ...]
    failing: frozenset[str]


class Swe(OfLines):
    """Right is an answer whose edits apply and after which every test passes."""

    Config = SweConfig
    reads = "completion"

    def __init__(self, name: str, config: SweConfig) -> None:
        """Reads the files. Raises InputError, naming file and line, for what is missing or broken."""
        self.name, self.config = name, config
        self.judge = Judge(config.sandbox, config.ladder)
        self._repositories: dict[str, _Repository] = {}
        self._lines = listed_files(name, config, self._read, by_id=True)

    def _read(self, path: str, prefix: str) -> list[Prompt]:
        lines = strict_lines(Path(path), NEEDS)
        return told_apart((line.where, line.number, self._prompt(line, f"{prefix}{line.number}")) for line in lines)

    def _prompt(self, line: Line, identity: str) -> Prompt:
        text, history = question_in(line, ("prompt", "messages", "problem_statement"))
        files, given = _texts(line, "files"), _texts(line, "tests")
        tests = tuple(test_file(path, code, files, line.where) for path, code in given.items())
        named = {name for file in tests for name in file.tests}
        failing = line.texts("failing")
        for name in failing:
            if name not in named:
                raise InputError(f"{line.where}: failing names {name!r}; the tests are {', '.join(sorted(named))}")
        if not failing or set(files) & set(given):
            raise InputError(f"{line.where}: 'failing' names no test, or a path is both a file and a test")
        identity = line.text("id", default=identity)
        self._repositories[identity] = _Repository(files, tests, frozenset(failing))
        shown = [f"{path}\n```python\n{code.rstrip()}\n```" for path, code in files.items()]
        wanted = {name.partition("::")[0] for name in failing}
        if self.config.show_tests:
            shown += [f"{path}\n```python\n{given[path].rstrip()}\n```" for path in given if path in wanted]
        told = "\n".join(f"- {name}" for name in failing)
        return Prompt(
            id=identity,
            task=self.name,
            question="\n\n".join((text.strip(), *shown, f"These tests fail, all others pass:\n{told}", HOW)),
            history=history,
            answer=line.text("answer", default="") or None,
            language=line.text("language", default="en"),
            cluster=line.text("cluster", default=digest(text + "".join(files.values()))),
        )

    def grade(self, prompt: Prompt, answer: str) -> Grade:
        """1 or 0; ``answer`` is the whole completion. Raises MissingError: no sandbox."""
        found, after = self._judged(prompt, answer)
        changed = hashlib.blake2b(repr(sorted(after.items())).encode(), digest_size=8).hexdigest() if after else ""
        return Grade(correct=found["answer_right"], canonical=changed)

    def diagnose(self, prompt: Prompt, text: str) -> Mapping[str, float]:
        """``applies`` (the edits can be made), ``fixed`` (share of the failing tests that pass after them), ``kept``
        (share of the others that still do), ``answer_right``, and ``edits_tests`` (it tries to)."""
        return self._judged(prompt, text)[0]

    def check(self) -> None:
        check_sandbox(self.config.sandbox)

    def _judged(self, prompt: Prompt, text: str) -> tuple[dict[str, float], dict[str, str]]:
        """What is so of a completion, and the repository after it; empty where its edits cannot be made."""
        repository = self._repositories.get(prompt.id)
        if repository is None:
            raise InputError(f"task {self.name!r} has no problem {prompt.id!r}")
        found = {"applies": 0.0, "fixed": 0.0, "kept": 0.0, "edits_tests": 0.0, "answer_right": 0.0}
        try:
            after = apply(repository.files, edits_in(final_answer(text)))
        except RefusedError as error:
            return {**found, "edits_tests": float("is a test" in str(error))}, {}
        fixed = self._share(prompt.id, repository, after, failing=True)
        kept = self._share(prompt.id, repository, after, failing=False)
        right = float(fixed == kept == 1.0)
        return {**found, "applies": 1.0, "fixed": fixed, "kept": kept, "answer_right": right}, after

    def _share(self, problem: str, repository: _Repository, after: Mapping[str, str], failing: bool) -> float:
        """Of the tests that failed, or of those that did not, the share that passes; 1 of none."""
        passed = total = 0
        for file in repository.tests:
            tests = [test for name, test in file.tests.items() if (name in repository.failing) == failing]
            if tests:
                program = program_of(after, file)
                verdict = self.judge.verdict(f"{problem}/{file.path}/{failing}", program, tests.copy)
                passed += verdict.rungs.passed
                total += len(tests)
        return passed / total if total else 1.0


def _texts(line: Line, key: str) -> dict[str, str]:
    """A mapping of paths to texts."""
    if key not in line.table:
        raise line.lacks(repr(key), key)
    value = line.table[key]
    if not isinstance(value, dict) or not value or not all(isinstance(text, str) for text in value.values()):
        raise InputError(f"{line.where}: {key!r} must map paths to texts, got {brief(value)}")
    _check_paths(line.where, key, value)
    return dict(value)


def _check_paths(where: str, key: str, paths: Iterable[str]) -> None:
    for path in paths:
        if not is_path(path):
            raise InputError(f"{where}: {key!r} has the path {path!r}; paths are relative, without '..' and spaces")
