"""The list_ops task: prompts, hidden tests drawn for each, and the verdict of a program on them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from r1kit.nano.list_ops.problems import ListOpsConfig, Problem, draw_problem, held_out_problems
from r1kit.nano.list_ops.steps import Step, evaluate, expression, parse_question, question
from r1kit.nano.words import both
from r1kit.records import Prompt, Sample
from r1kit.sandbox import CallTest, LadderSettings, SandboxSettings, Verdict, check_sandbox
from r1kit.seeds import stream
from r1kit.tasks.code.answer import canonical_expression
from r1kit.tasks.code.config import programs_ladder
from r1kit.tasks.code.judge import Judge, grade_of, rungs_of
from r1kit.tasks.task import By, Grade, Offer, Split, Task

__all__ = ["ListOps", "ListOpsTaskConfig", "final_answer", "hidden_tests"]

_YES, _NO, _WAIT, _ANSWER = both("yes"), both("no"), both("wait"), both("answer")
_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_LONGEST_LIST = 9
_HIGHEST = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOpsTaskConfig:
    """A sentence of list steps, answered with one line of Python that is judged by running it."""

    list_ops: ListOpsConfig = field(default_factory=ListOpsConfig)
    sandbox: SandboxSettings = field(default_factory=SandboxSettings)
    """Where programs run. There is no way around it: without it nothing is judged."""
    ladder: LadderSettings = field(default_factory=programs_ladder)
    """What each rung pays, together at most 1, and what a program may take. ``total_seconds`` must stay below the
    verifier's 10."""


class ListOps(Task):
    Config = ListOpsTaskConfig

    def __init__(self, name: str, config: ListOpsTaskConfig) -> None:
        self.name = name
        self.config = config
        self.judge = Judge(config.sandbox, config.ladder)

    def train(self, index: int) -> Prompt:
        problems = self.config.list_ops
        problem = draw_problem(stream(problems.seed, "list_ops/train", index), problems)
        return self._prompt(f"{self.name}/train/{index}", problem)

    def held_out(self, split: Split, limit: int | None = None) -> list[Prompt]:
        """The split's problems, one of every chain before the second of any, so that a limit keeps clusters."""
        problems = held_out_problems(self.config.list_ops, split)[:limit]
        return [self._prompt(f"{self.name}/{split}/{place}", problem) for place, problem in enumerate(problems)]

    def asked(self, text: str) -> Prompt | None:
        """A question of the user's own, such as ``list ascending then prepend 42``; None if it is not one."""
        parsed = parse_question(text)
        if parsed is None:
            return None
        steps, language = parsed
        problem = Problem(steps, "zh" if language == "zh" else "en", ())
        return self._prompt(f"{self.name}/asked/{question(steps, language)}", problem)

    def grade(self, prompt: Prompt, answer: str) -> Grade:
        """1 if the expression gives the right list for every hidden one, else 0. Raises MissingError: no sandbox."""
        canonical = canonical_expression(answer)
        if canonical is None:
            return Grade(correct=0.0, canonical=" ".join(answer.split()))
        return grade_of(self._verdict(prompt, canonical), canonical)

    def diagnose(self, prompt: Prompt, text: str) -> Mapping[str, float]:
        """The rungs of the final answer, in tags or after the word 'answer', and what the chain did.

        ``expressions``: those written in the chain. ``turned_back``: 'wait's. ``claims_hit``: every step has its 'yes'
        after the last 'no'. ``right_when_claims``: ``answer_right`` of such a chain.
        """
        answer = final_answer(text)
        canonical = canonical_expression(answer or "")
        rungs = rungs_of(None if canonical is None else self._verdict(prompt, canonical))
        chain = text.split("<answer>")[0].split()
        last = next((word for word in reversed(chain) if word in _YES | _NO), "")
        claims = last in _YES and sum(word in _YES for word in chain) >= len(prompt.facts["steps"])
        return {
            **rungs,
            "block": float(answer is not None),
            "expressions": float(chain.count("`") // 2),
            "turned_back": float(sum(word in _WAIT for word in chain)),
            "claims_hit": float(claims),
            **({"right_when_claims": rungs["answer_right"]} if claims else {}),
        }

    def prepare(self, prompt: Prompt, given: Sequence[str], by: By) -> Iterator[None]:
        answers = (text if by == "grade" else final_answer(text) or "" for text in given)
        found = (canonical_expression(answer) for answer in answers)
        programs = (_program(canonical) for canonical in found if canonical is not None)
        return self.judge.prepare(prompt.id, programs, lambda: self._tests(prompt))

    def check(self) -> None:
        check_sandbox(self.config.sandbox)

    @property
    def languages(self) -> tuple[str, ...]:
        return ("en", "zh")

    @property
    def offers(self) -> frozenset[Offer]:
        return frozenset(("worked_example",))

    def worked_example(self, language: str, shot: int, longest: int, seed: int) -> Sample:
        from r1kit.nano.list_ops.examples import worked_example

        problems = replace(self.config.list_ops, chinese_share=1.0 if language == "zh" else 0.0)
        return worked_example(self.name, problems, language, shot, longest, seed)

    def _verdict(self, prompt: Prompt, canonical: str) -> Verdict:
        return self.judge.verdict(prompt.id, _program(canonical), lambda: self._tests(prompt))

    def _tests(self, prompt: Prompt) -> list[CallTest]:
        steps = tuple(Step(op, number) for op, number in prompt.facts["steps"])
        return hidden_tests(prompt.id, steps, self.config.list_ops.hidden_tests)

    def _prompt(self, identity: str, problem: Problem) -> Prompt:
        return Prompt(
            id=identity,
            task=self.name,
            question=question(problem.steps, problem.language),
            answer=expression(problem.steps),
            language=problem.language,
            cluster=" ".join(problem.chain),
            facts={"steps": [[step.op, step.number] for step in problem.steps]},
        )


def _program(canonical: str) -> str:
    return f"def f(xs):\n    return {canonical}\n"


def hidden_tests(identity: str, steps: tuple[Step, ...], count: int) -> list[CallTest]:
    """Lists drawn for one prompt alone, long ones and short ones, many numbers next to those that the prompt names."""
    rng = stream(0, f"list_ops/hidden/{identity}/{steps}", 0)
    named = [step.number + near for step in steps if step.number for near in (-1, 0, 1)] or [0]
    lengths = [*range(_LONGEST_LIST, _LONGEST_LIST - 3, -1), *(int(rng.random() * 10) for _ in range(count))][:count]
    return [_hidden_test(rng, steps, named, length) for length in lengths]


def _hidden_test(rng: Random, steps: tuple[Step, ...], named: list[int], length: int) -> CallTest:
    values = [rng.choice(named) if rng.random() < 0.4 else int(rng.random() * _HIGHEST) for _ in range(length)]
    return CallTest(f"f({values})", evaluate(steps, values))


def final_answer(text: str) -> str | None:
    """The last ``<answer>...</answer>``, or else what follows the last word 'answer'; None if there is neither."""
    tagged = _TAGGED.findall(text)
    if tagged:
        return str(tagged[-1]).strip()
    words = text.split()
    places = [place for place, word in enumerate(words) if word in _ANSWER]
    return " ".join(words[places[-1] + 1 :]).strip("` ") if places else None
