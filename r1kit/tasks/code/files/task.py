"""Rows of code problems as a task: the split by question, and programs judged on the hidden tests."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from r1kit.data.paths import column
from r1kit.data.source import open_rows
from r1kit.errors import InputError
from r1kit.files import Line
from r1kit.records import Prompt
from r1kit.sandbox import Verdict, check_sandbox
from r1kit.sandbox.cases import AssertTest, imported_by
from r1kit.sandbox.extract import find_program
from r1kit.sandbox.packages import modules_in, package_files
from r1kit.tasks.code.answer import canonical_program, final_answer, program_of
from r1kit.tasks.code.config import CodeConfig
from r1kit.tasks.code.files.formats import NEEDS, PARSERS
from r1kit.tasks.code.files.problem import FileProblem, assembled
from r1kit.tasks.code.judge import Judge, grade_of, rungs_of
from r1kit.tasks.listed import Listed
from r1kit.tasks.task import By, Grade, Split, Task

__all__ = ["CodeFile", "Source"]


def _importable(config: CodeConfig) -> set[str]:
    """Modules that programs can import; empty where it cannot be told."""
    if config.sandbox.kind != "bubblewrap":
        return set()
    return {*sys.stdlib_module_names, *modules_in(package_files(config.sandbox.packages))}


class Source:
    """The problems of one source, and what was said of it."""

    def __init__(self, name: str, config: CodeConfig, path: str, split: str, prefix: str) -> None:
        """Raises InputError, naming file and line, for what is missing or broken."""
        self._rows = open_rows(path, replace(config.reading, split=split))
        first: dict[str, int] = {}
        importable = _importable(config)
        parse, needs = PARSERS[config.format], NEEDS[config.format]

        def problem_of(line: Line) -> FileProblem:
            line = replace(line, holds=needs)
            if prompt := config.columns.get("prompt"):
                line = replace(line, table={**line.table, "prompt": column(line, prompt)})
            problem = parse(line, name, prefix)
            if config.sandbox.kind == "fusion" and any(isinstance(test, AssertTest) for test in problem.tests):
                raise InputError(
                    f"{line.where}: its tests are more than calls with a value to expect, which need a process beside "
                    "the program's; sandbox 'fusion' has no wall between two, set sandbox.kind = \"bubblewrap\""
                )
            if lacking := importable and imported_by(problem.tests) - importable:
                raise InputError(
                    f"{line.where}: its tests import {', '.join(sorted(lacking))}, which the sandbox has not; write "
                    f"sandbox.packages = {json.dumps(sorted({*config.sandbox.packages, *lacking}))}"
                )
            if first.setdefault(problem.prompt.id, line.number) != line.number:
                taken = first[problem.prompt.id]
                raise InputError(f"{line.where}: id {problem.prompt.id!r} is taken by line {taken}; ids must differ")
            return problem

        self.problems = list(self._rows.read(problem_of))

    def about(self) -> Iterator[str]:
        yield f"{len(self.problems)} problems from {self._rows.where}"
        if self._rows.skipped.count:
            yield str(self._rows.skipped)
        counts = [len(problem.tests) for problem in self.problems]
        yield f"tests: {min(counts)} to {max(counts)} a problem, {sum(counts)} in all"
        reads = sum(problem.asked.stdin for problem in self.problems)
        yield f"asks for: functions in {len(counts) - reads}, programs that read and print in {reads}"


class CodeFile(Task):
    """Lines that ask the same (case and spaces aside) or name the same cluster are never in two parts."""

    Config = CodeConfig
    named = "format"

    def __init__(self, name: str, config: CodeConfig) -> None:
        """Reads the files. Raises InputError, naming file and line, for what is missing or broken."""
        self.name = name
        self.config = config
        self.judge = Judge(config.sandbox, config.ladder)
        same = config.test_source == (config.path, config.split)
        self._main = Source(name, config, config.path, config.split, f"{name}/")
        self._test = Source(name, config, *config.test_source, f"{name}/test/") if config.test_source[0] else None
        self._lines = Listed(
            config.path,
            self._main.problems,
            lambda problem: problem.prompt,
            test=self._test.problems if self._test else None,
            nothing_to_train_on=same,
            dev_share=config.dev_share,
            test_share=config.test_share,
            split_seed=config.split_seed,
            seed=config.seed,
        )
        self._sources = [self._main] if self._test is None or same else [self._main, self._test]
        self._problems = {problem.prompt.id: problem for problem in self._lines}

    def train(self, index: int) -> Prompt:
        """Every line once in each pass over the file, each pass in an order of its own."""
        return self._lines.train(index).prompt

    def listed(self) -> Sequence[Prompt]:
        return [problem.prompt for problem in self._lines.training()]

    def held_out(self, split: Split, limit: int | None = None) -> list[Prompt]:
        """The split's lines in the order of the file. Raises InputError for a split without a line."""
        return [problem.prompt for problem in self._lines.held_out(split, limit)]

    def grade(self, prompt: Prompt, answer: str) -> Grade:
        """1 if the program passes every hidden test, else 0. Raises MissingError: no sandbox."""
        program = self._program(prompt, answer)
        return grade_of(self._verdict(prompt, program), canonical_program(program))

    def diagnose(self, prompt: Prompt, text: str) -> Mapping[str, float]:
        """The rungs of the program that ``grade`` would find in the completion's final answer, whatever its style."""
        program = self._final_program(prompt, text)
        return rungs_of(None if program is None else self._verdict(prompt, program))

    def prepare(self, prompt: Prompt, given: Sequence[str], by: By) -> Iterator[None]:
        problem = self._problem(prompt)
        read = self._program if by == "grade" else self._final_program
        found = (read(prompt, text) for text in given)
        programs = (assembled(problem, program) for program in found if program is not None)
        return self.judge.prepare(prompt.id, programs, lambda: problem.tests)

    def about(self) -> list[str]:
        """How many problems and tests there are, and what they ask for; a line each."""
        return [line for source in self._sources for line in source.about()]

    def check(self) -> None:
        check_sandbox(self.config.sandbox)

    def _verdict(self, prompt: Prompt, program: str) -> Verdict:
        problem = self._problem(prompt)
        return self.judge.verdict(prompt.id, assembled(problem, program), lambda: problem.tests, prompt.answer)

    def _program(self, prompt: Prompt, answer: str) -> str:
        return program_of(answer, self._problem(prompt).asked)

    def _final_program(self, prompt: Prompt, text: str) -> str | None:
        """None where nothing in a text without answer tags looks like a program."""
        answer = final_answer(text)
        found = find_program(answer, "block" if "<answer>" in text else "either", self._problem(prompt).asked)
        return self._program(prompt, answer) if found or (answer and "<answer>" in text) else None

    def _problem(self, prompt: Prompt) -> FileProblem:
        problem = self._problems.get(prompt.id)
        if problem is None:
            raise InputError(f"task {self.name!r} has no problem {prompt.id!r}")
        return problem
