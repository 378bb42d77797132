"""The forms' pretraining text: questions worked and answered, some in JSON, many in what is almost JSON.

A document reads ``User: fill sum even of 7 5 Assistant: <think> 7 + 5 = 12 yes </think> <answer> { "sum" : 12 , "even"
: true } </answer>``. A base learns both the arithmetic and every way to spoil the form, so that what RL has to bring is
the form.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from random import Random
from typing import Any

from r1kit.errors import InputError
from r1kit.nano.forms.problems import KEYS, FormsConfig, Problem, answer_of, draw_problem, pairs, question
from r1kit.nano.styles import pick
from r1kit.nano.words import ASSISTANT, TAGS, USER
from r1kit.records import Prompt
from r1kit.seeds import stream
from r1kit.tasks.corpus import Corpus
from r1kit.tasks.split import part_of

__all__ = ["FAULTS", "FormsCorpus", "FormsCorpusConfig"]

FAULTS = ("open", "bare", "comma", "trailing", "missing", "extra", "quoted", "twice", "prose")
"""No last brace; keys without quotes; no comma; one too many; a key left out; one too many; numbers as text; a key
twice; no JSON at all."""
WORDS = ("fill", "of", "is", "yes", "no", "so", "and", "+", "*", "=", ">", "<", "{", "}", ":", ",")
VALUES = ("true", "false", '"rising"', '"falling"', '"level"', "rising", "falling", "level")


@dataclass(frozen=True, slots=True, kw_only=True)
class FormsCorpusConfig:
    problems: FormsConfig = field(default_factory=FormsConfig)
    right_share: float = 0.2
    """Documents whose answer is JSON of the schema; the others have one of nine faults."""
    slip: float = 0.05
    """Share of the values that are wrong, by one."""
    fact_share: float = 0.3
    """Documents that hold four lines of work and no question."""
    thinking_share: float = 0.7
    """Documents with tags; the others write the answer alone."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("right_share", "slip", "fact_share", "thinking_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"forms: {name} = {getattr(self, name)}; allowed is 0..1")


class FormsCorpus(Corpus):
    Config = FormsCorpusConfig

    def __init__(self, config: FormsCorpusConfig) -> None:
        self.config = config
        self._pairs = pairs(config.problems, "train")

    def document(self, index: int) -> str:
        config, rng = self.config, stream(self.config.seed, "forms/corpus", index)
        if rng.random() < config.fact_share:
            return " and ".join(self._fact(rng) for _ in range(4))
        problem = draw_problem(rng, config.problems, self._pairs)
        values = {key: self._slipped(rng, value) for key, value in answer_of(problem).items()}
        fault = "" if rng.random() < config.right_share else pick(rng, FAULTS)
        answer = spelled(rng, values, fault)
        if rng.random() < config.thinking_share:
            answer = f"<think> {worked(problem, values)} </think> <answer> {answer} </answer>"
        return f"{USER} {question(problem)} {ASSISTANT} {answer}"

    def _fact(self, rng: Random) -> str:
        """A right line of work about any two numbers, of those too that no form in the corpus asks about."""
        highest = self.config.problems.highest
        numbers = 1 + int(rng.random() * highest), 1 + int(rng.random() * highest)
        problem = Problem(numbers, (pick(rng, list(KEYS)),))
        return worked(problem, answer_of(problem))

    def shows(self, prompt: Prompt) -> bool:
        """Whether documents may ask about this pair; facts about it are no question."""
        problems = self.config.problems
        return part_of(prompt.cluster, problems.dev_share, problems.test_share, problems.split_seed) == "train"

    def vocabulary(self) -> list[str]:
        numbers = [str(number) for number in range(self.config.problems.highest**2 + 2)]
        keys = [name for key in KEYS for name in (key, f'"{key}"')]
        return list(
            dict.fromkeys(
                (*TAGS, USER, ASSISTANT, *WORDS, *VALUES, *keys, *numbers, *(f'"{each}"' for each in numbers))
            )
        )

    def _slipped(self, rng: Random, value: Any) -> Any:
        wrong = rng.random() < self.config.slip
        if not wrong or isinstance(value, str):
            return value
        return not value if isinstance(value, bool) else value + 1


def worked(problem: Problem, values: dict[str, Any]) -> str:
    """One line of work for each thing that is asked."""
    one, other = problem.numbers
    sign = "<" if one < other else ">" if one > other else "="
    lines = {
        "sum": f"{one} + {other} = {values.get('sum')}",
        "product": f"{one} * {other} = {values.get('product')}",
        "larger": f"{one} {sign} {other} so {values.get('larger')}",
        "even": f"{one} + {other} = {one + other} {'yes' if values.get('even') else 'no'}",
        "order": f"{one} {sign} {other} so {values.get('order')}",
    }
    return " and ".join(lines[key] for key in problem.keys)


def spelled(rng: Random, values: dict[str, Any], fault: str) -> str:
    """The answer with a fault, or none; in words, one space between any two."""
    pairs = list(values.items())
    if fault == "missing":
        pairs.pop(int(rng.random() * len(pairs)))
    if fault == "extra":
        others = [key for key in KEYS if key not in values]
        pairs.append((pick(rng, others), 1))
    if fault == "twice":
        pairs.append(pick(rng, pairs))
    written = [
        f"{key if fault == 'bare' else json.dumps(key)} : {_value(value, quoted=fault == 'quoted')}"
        for key, value in pairs
    ]
    if fault == "prose":
        return " and ".join(f"{key} is {str(value).lower()}" for key, value in pairs)
    inside = " ".join(written) if fault == "comma" else " , ".join(written)
    inside += " ," * (fault == "trailing" or (fault == "comma" and len(written) == 1))
    return f"{{ {inside}".rstrip() + (" }" if fault != "open" else "")


def _value(value: Any, quoted: bool) -> str:
    text = json.dumps(value)
    return f'"{text}"' if quoted and isinstance(value, int) and not isinstance(value, bool) else text
