"""A JSONL file of code problems as a task: the split by question, and programs judged on the hidden tests."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from r1kit.errors import InputError
from r1kit.files import strict_lines
from r1kit.records import Prompt
from r1kit.sandbox import Verdict, check_sandbox
from r1kit.sandbox.extract import find_program
from r1kit.sandbox.trees import defined
from r1kit.tasks.code.answer import canonical_program, final_answer, parses, program_of
from r1kit.tasks.code.config import CodeConfig
from r1kit.tasks.code.files.formats import NEEDS, PARSERS
from r1kit.tasks.code.files.problem import FileProblem
from r1kit.tasks.code.judge import Judge, grade_of, rungs_of
from r1kit.tasks.listed import Listed
from r1kit.tasks.task import By, Grade, Split, Task

__all__ = ["CodeFile"]


class CodeFile(Task):
    """Lines that ask the same (case and spaces aside) or name the same cluster are never in two parts."""

    Config = CodeConfig
    named = "generator"

    def __init__(self, name: str, config: CodeConfig) -> None:
        """Reads the files. Raises InputError, naming file and line, for what is missing or broken."""
        self.name = name
        self.config = config
        self.judge = Judge(config.sandbox, config.ladder)
        self._lines = Listed(
            config.path,
            _read(name, config, config.path, f"{name}/"),
            lambda problem: problem.prompt,
            test=_read(name, config, config.test_path, f"{name}/test/") if config.test_path else None,
            nothing_to_train_on=config.path == config.test_path,
            dev_share=config.dev_share,
            test_share=config.test_share,
            split_seed=config.split_seed,
            seed=config.seed,
        )
        self._problems = {problem.prompt.id: problem for problem in self._lines}

    def train(self, index: int) -> Prompt:
        """Every line once in each pass over the file, each pass in an order of its own."""
        return self._lines.train(index).prompt

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


def assembled(problem: FileProblem, program: str) -> str:
    """The program that runs: the question's imports, and what was answered."""
    if problem.head and not _defines(program, problem.entry):
        program = _completed(problem.head, program, problem.entry)
    elif problem.before:
        program = f"{problem.before.rstrip()}\n\n{program}"
    return program


def _defines(program: str, name: str) -> bool:
    """Whether it defines the function; a program that is not Python by itself may be a function's body."""
    tree = parses(program)
    return f"def {name}(" in program if tree is None else name in defined(tree)


def _completed(head: str, body: str, entry: str) -> str:
    """A function's head with a body alone, whose indentation may be lost, on its first line or on all."""
    head, text = head.rstrip() + "\n", textwrap.dedent(body).strip("\n")
    first = f"    {body.strip()}"
    for tried in (body.strip("\n"), first, textwrap.indent(text, "    ")):
        tree = parses(head + tried)
        if tree is not None and getattr(tree.body[-1], "name", "") == entry:  # what follows it at the margin is no body
            return head + tried
    return head + body


def _read(name: str, config: CodeConfig, path: str, prefix: str) -> list[FileProblem]:
    parse = PARSERS[config.generator]
    first: dict[str, int] = {}
    problems = []
    for line in strict_lines(Path(path), NEEDS[config.generator]):
        problem = parse(line, name, prefix)
        if first.setdefault(problem.prompt.id, line.number) != line.number:
            raise InputError(
                f"{line.where}: id {problem.prompt.id!r} is taken by line {first[problem.prompt.id]}; ids must differ"
            )
        problems.append(problem)
    return problems
