"""Two turns of Countdown: a problem with its answer, then a question that means nothing without them.

=========  ==================  =============================================================
kind       second question     what it asks
=========  ==================  =============================================================
target     ``again make 41``   the numbers of the first question, another target
shift      ``again add 3``     the numbers of the first question, the first answer's value and 3
numbers    ``no use 7 2 5``    a correction: other numbers, the target of the first question
=========  ==================  =============================================================

The first turn is given, the same for every model: a right answer with its thinking, which a template such as R1's
drops (``template.drop_thinking``). Multisets of numbers are held out as Countdown's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from typing import Literal, get_args

from r1kit.answers.expression import written
from r1kit.errors import InputError
from r1kit.nano.countdown.corpus import CountdownCorpus
from r1kit.nano.countdown.corpus_settings import CountdownCorpusConfig
from r1kit.nano.countdown.problems import CountdownConfig, Problem, draw_problem, multisets, question, targets
from r1kit.nano.countdown.task import Countdown
from r1kit.nano.refine import RuleRefiner
from r1kit.nano.styles import STYLES, pick
from r1kit.nano.words import spelled
from r1kit.records import Message, Prompt, Sample
from r1kit.seeds import stream
from r1kit.tasks.task import Grade, Offer, Split, Task

__all__ = ["Turns", "TurnsConfig"]

Kind = Literal["target", "shift", "numbers"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SHIFTS = 9
"""Most that a second question adds."""
DRAWS = 200
"""Of a first problem, until a second question can be asked of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnsConfig:
    problems: CountdownConfig = field(default_factory=CountdownConfig)
    """Of both turns, and their split."""
    kinds: tuple[Kind, ...] = KINDS
    """Second questions, each equally often."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", tuple(self.kinds))
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise InputError(f"turns: kinds = {list(self.kinds)}; allowed are {', '.join(KINDS)}")
        if self.problems.question or self.problems.numbers != 3 or self.problems.most or self.problems.divide != "none":
            raise InputError(
                "turns: problems are the nano world's: three numbers, no division, no question of their own"
            )


class Turns(Task):
    Config = TurnsConfig

    def __init__(self, name: str, config: TurnsConfig) -> None:
        self.name, self.config = name, config
        self._countdown = Countdown(name, config.problems)

    def train(self, index: int) -> Prompt:
        """Of the training multisets, in both turns."""
        return self._drawn(f"{self.name}/train/{index}", "train", index, None)

    def held_out(self, split: Split, limit: int | None = None) -> list[Prompt]:
        """The problems of Countdown's split, each with a second question of every kind in turn."""
        firsts = self._firsts[split][:limit]
        return [self._drawn(f"{self.name}/{split}/{at}", split, at, first) for at, first in enumerate(firsts)]

    def grade(self, prompt: Prompt, answer: str) -> Grade:
        """1 if it answers the second question, else 0."""
        return self._countdown.grade(prompt, answer)

    def diagnose(self, prompt: Prompt, text: str) -> Mapping[str, float]:
        """Countdown's, and ``answers_first``: 1 where the answer would be right for the first question."""
        first = {"numbers": prompt.facts["first_numbers"], "target": prompt.facts["first_target"]}
        old = Prompt(question="", facts=first)
        answer = text.partition("<answer>")[2].partition("</answer>")[0].strip()
        return {
            **self._countdown.diagnose(prompt, text),
            "answers_first": self._countdown.grade(old, answer).correct,
        }

    @property
    def languages(self) -> tuple[str, ...]:
        return self._countdown.languages

    @property
    def offers(self) -> frozenset[Offer]:
        return frozenset(("good_samples",))

    def good_samples(self, count: int, seed: int) -> list[Sample]:
        """Training prompts whose second turn is worked until it is solved."""
        found = []
        for place in range(count):
            prompt = self._drawn(f"{self.name}/good/{place}", f"good/{seed}", place, None)
            problem = Problem(tuple(prompt.facts["numbers"]), prompt.facts["target"], _language(prompt))
            response = self._worked(problem, stream(seed, f"{self.name}/good/second", place))
            found.append(
                Sample(
                    id=prompt.id,
                    prompt=prompt.question,
                    response=response,
                    domain=self.name,
                    language=prompt.language,
                    history=prompt.history,
                )
            )
        return found

    # ---- drawing ----------------------------------------------------------------------------------------------------

    @cached_property
    def _firsts(self) -> dict[Split, list[Problem]]:
        return {split: [_problem(prompt) for prompt in self._countdown.held_out(split)] for split in ("dev", "test")}

    @cached_property
    def _writer(self) -> CountdownCorpus:
        one = dict.fromkeys(STYLES, (1.0, 0.0, 0.0))
        slips = dict.fromkeys(STYLES, 0.0)
        return CountdownCorpus(CountdownCorpusConfig(problems=self.config.problems, slips=slips, languages=one))

    def _drawn(self, identity: str, part: str, index: int, first: Problem | None) -> Prompt:
        """A first problem, a training one unless it is given, with a second question that can be answered."""
        config = self.config
        rng = stream(config.problems.seed if first is None else config.problems.split_seed, f"turns/{part}", index)
        turn = index % len(config.kinds)
        for draw in range(DRAWS):
            one = first or draw_problem(rng, config.problems)
            kind = config.kinds[(turn + (draw if first else 0)) % len(config.kinds)]  # of a given first one any will do
            second = self._second(rng, one, kind, part)
            if second is not None:
                return self._prompt(identity, one, *second, self._worked(one, rng))
        raise InputError(f"turns: no second question of kinds {', '.join(config.kinds)} can be asked of {identity}")

    def _second(self, rng: Random, first: Problem, kind: Kind, part: str) -> tuple[Problem, str] | None:
        """The second problem and its question; None where there is none of this kind."""
        config, language = self.config.problems, first.language
        word = spelled(pick(rng, ("again", "no")), language)
        if kind == "numbers":
            among = multisets(config, "dev" if part == "dev" else "test" if part == "test" else "train")
            fitting = [
                one for one in among if one != tuple(sorted(first.numbers)) and first.target in targets(config, one)
            ]
            if not fitting:
                return None
            numbers = tuple(rng.sample(pick(rng, fitting), len(first.numbers)))
            asked = " ".join((word, spelled("use", language), *map(str, numbers)))
            return Problem(numbers, first.target, language), asked
        if kind == "shift":
            by = 1 + int(rng.random() * SHIFTS)
            second = Problem(first.numbers, first.target + by, language)
            asked = f"{word} {'加' if language == 'zh' else 'add'} {by}"
        else:
            second = Problem(first.numbers, pick(rng, _targets(config, first)), language)
            asked = f"{word} {spelled('make', language)} {second.target}"
        right = second.target != first.target and second.target in _targets(config, second)
        return (second, asked) if right else None

    def _prompt(self, identity: str, first: Problem, second: Problem, asked: str, answered: str) -> Prompt:
        numbers = tuple(sorted(second.numbers))
        return Prompt(
            id=identity,
            task=self.name,
            question=asked,
            history=(
                Message(role="user", content=question(first)),
                Message(role="assistant", content=answered),
            ),
            answer=written(targets(self.config.problems, numbers)[second.target]),
            language=second.language,
            cluster=" ".join(map(str, sorted(first.numbers))),
            facts={
                "numbers": list(second.numbers),
                "target": second.target,
                "first_numbers": list(first.numbers),
                "first_target": first.target,
            },
        )

    def _worked(self, problem: Problem, rng: Random) -> str:
        """A right response with its thinking, in the problem's language."""
        asked = Prompt(
            question=question(problem),
            language=problem.language,
            facts={"numbers": list(problem.numbers), "target": problem.target},
        )
        for _ in range(DRAWS):
            response = self._writer.response(rng, problem, "long", True)
            refined = RuleRefiner().refine([asked], [response], [0])[0].response
            answer = refined.partition("<answer>")[2].partition("</answer>")[0].strip()
            if self._countdown.grade(asked, answer).correct:
                return refined
        raise InputError(f"turns: {question(problem)} was not solved in {DRAWS} tries")


def _problem(prompt: Prompt) -> Problem:
    return Problem(tuple(prompt.facts["numbers"]), prompt.facts["target"], _language(prompt))


def _language(prompt: Prompt) -> Literal["en", "zh"]:
    return "zh" if prompt.language == "zh" else "en"


def _targets(config: CountdownConfig, problem: Problem) -> list[int]:
    """What the problem's numbers make, within the targets that may be asked."""
    return list(targets(config, tuple(sorted(problem.numbers))))
