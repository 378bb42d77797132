"""Who writes tests: a model that is asked for generators and checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from r1kit.records import Sampling
from r1kit.sandbox import CallTest
from r1kit.sandbox.extract import find_program
from r1kit.tasks.code.files.asserts import asserted_cases
from r1kit.tasks.code.written_tests import Draft, Subject
from r1kit.text.seen import summary

if TYPE_CHECKING:
    from r1kit.rollout.engine import Engine

__all__ = ["RULES", "EngineWriter", "asking", "read_drafts"]

RULES = "r1kit.nano.list_ops.untested:RuleWriter"
"""What stands in for a model in the nano world."""


KINDS = (
    "random and large, all of one size",
    "random and large, of mixed sizes",
    "as large as the problem allows",
    "one element repeated",
    "two elements in turn",
    "in ascending order",
    "small, at the edges of what the problem allows: empty, one element, zero, negative",
)
"""The kinds of inputs that the paper's prompt asks for, and edges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineWriter:
    """Asks a model once for each kind of input, and once for checks."""

    engine: Engine
    encode: Callable[[str], Sequence[int]]
    """Text -> the prompt's token ids, chat template applied."""
    model: str
    """What it is called, for the provenance."""
    sampling: Sampling
    seed: int = 0

    @property
    def name(self) -> str:
        return f"model {self.model}, seed {self.seed}"

    def drafts(self, subject: Subject) -> list[Draft]:
        prompts = [asking(subject, kind) for kind in (*KINDS, "")]
        seeds = [Random(f"{self.seed}/{subject.id}/{place}").getrandbits(63) for place in range(len(prompts))]
        if not subject.entry:
            prompts, seeds = prompts[:-1], seeds[:-1]
        groups = self.engine.generate([list(self.encode(prompt)) for prompt in prompts], self.sampling, seeds)
        return [draft for group in groups for completion in group for draft in read_drafts(completion.text)]


def asking(subject: Subject, kind: str) -> str:
    """What a model is asked: a generator of one kind of input; for an empty kind, checks."""
    if not kind:
        return (
            f"Here is a problem:\n\n{subject.question}\n\nWrite tests of the function {subject.entry}, one assert a "
            f"line, such as\n```python\nassert {subject.entry}([2, 1]) == [1, 2]\n```\nAnswer with one block of Python."
        )
    what = f"the arguments of {subject.entry} as one Python list" if subject.entry else "one input of the program"
    example = "import random\nprint([[random.randint(0, 9) for _ in range(100)]])"
    if not subject.entry:
        example = "import random\nprint(*[random.randint(0, 9) for _ in range(100)])"
    return (
        f"Here is a problem:\n\n{subject.question}\n\nWrite a Python program that prints {what}, and nothing else, "
        f"to test solutions with. The input is: {kind}. It must be an input that the problem allows. For example:\n"
        f"```python\n{example}\n```\nAnswer with one block of Python."
    )


def read_drafts(reply: str) -> list[Draft]:
    """What a reply's last block of Python behind its thinking proposes: checks if it is nothing but asserts, else a
    generator; nothing where the thinking never ends."""
    found = find_program(summary(reply), "block")
    if found is None or not found.python:
        return []
    lines = [line for line in found.program.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if lines and all(line.startswith("assert") for line in lines):
        drafts = []
        for line in lines:
            try:
                drafts += [Draft(check=case) for case in asserted_cases([line]) if isinstance(case, CallTest)]
            except (SyntaxError, ValueError, RecursionError):
                continue
        return drafts
    return [Draft(generator=found.program)]
