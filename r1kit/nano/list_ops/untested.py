"""list_ops' problems as ones that have no tests yet, and rules that stand in for a model that writes tests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from r1kit.nano.list_ops.problems import function
from r1kit.nano.list_ops.steps import OPS, Step, expression
from r1kit.nano.list_ops.task import ListOps, ListOpsTaskConfig
from r1kit.records import Prompt
from r1kit.tasks.code.untested import Untested
from r1kit.tasks.code.written_tests import Draft, Subject

__all__ = ["RuleWriter", "list_ops_problems", "list_ops_subject"]


def list_ops_problems(count: int) -> list[Untested]:
    """Training problems of list_ops, each asked once; held-out ones are never among them."""
    task = ListOps("list_ops", ListOpsTaskConfig())
    found = dict[str, Untested]()
    for index in range(10 * count):
        prompt = task.train(index)
        if prompt.question not in found and len(found) < count:
            subject = replace(list_ops_subject(prompt), id=f"list_ops-{index}")
            passed_on = {"language": prompt.language, "cluster": prompt.cluster}
            found[prompt.question] = Untested(where=subject.id, subject=subject, passed_on=passed_on)
        if len(found) == count:
            break
    return list(found.values())


@dataclass(frozen=True, slots=True)
class RuleWriter:
    """Stands in for a model in the nano world: fixed rules for a function of one list of numbers."""

    count: int = 16
    seed: int = 0

    @property
    def name(self) -> str:
        return f"rules (no model), seed {self.seed}"

    def drafts(self, subject: Subject) -> list[Draft]:
        rng = Random(f"{self.seed}/{subject.id}")
        lists = [[], [7], [4] * 6, [1, 9] * 4, list(range(9)), list(range(9, 0, -1))]
        lists += [[rng.randrange(40) for _ in range(rng.randrange(3, 10))] for _ in range(self.count)]
        return [Draft(generator=f"print({[values]})") for values in lists[: self.count]]


def list_ops_subject(prompt: Prompt) -> Subject:
    """A list_ops prompt as a subject: its own expression is trusted; each step mistaken for another is wrong."""
    steps = tuple(Step(op, number) for op, number in prompt.facts["steps"])
    wrong = [
        (*steps[:place], Step(slip, step.number or 2), *steps[place + 1 :])
        for place, step in enumerate(steps)
        for slip in OPS[step.op].slips
    ]
    wrong = [each for each in wrong if function(each) != function(steps)]
    programs = [f"def f(xs):\n    return {expression(each)}\n" for each in (steps, *wrong)]
    return Subject(
        id=prompt.id,
        question=prompt.question,
        entry="f",
        trusted=(programs[0],),
        wrong=tuple(dict.fromkeys(programs[1:])),
    )
