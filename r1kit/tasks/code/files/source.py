"""The problems of a file, a folder or a hub data set."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace

from r1kit.data.paths import column
from r1kit.data.source import open_rows
from r1kit.errors import InputError
from r1kit.files import Line
from r1kit.sandbox.cases import AssertTest, imported_by
from r1kit.sandbox.packages import modules_in, package_files
from r1kit.tasks.code.config import CodeConfig
from r1kit.tasks.code.files.formats import NEEDS, PARSERS
from r1kit.tasks.code.files.problem import FileProblem

__all__ = ["Source"]


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
