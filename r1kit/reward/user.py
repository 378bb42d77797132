"""A user's own function as a part of a reward. Three shapes are taken, told apart by their parameters' names.

=================================================================  ===============================================
``f(prompt, completion, ...) -> float | Mapping | None``           one completion at a time; both are strings that
                                                                   carry more (``PromptText``, ``CompletionText``);
                                                                   further parameters are filled by name
``f(prompts, completions, **columns) -> list[float | None]``       TRL's: all completions of a group at once
``f(data_source, solution_str, ground_truth, extra_info=None)``    verl's ``compute_score``: float or dict
=================================================================  ===============================================

None abstains. Of a mapping, ``score`` (or ``reward``) is the value and the other numbers are logged; a mapping without
either is worth the sum of its values.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import numbers
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from r1kit.errors import InputError, nearest
from r1kit.records import Prompt, with_own_facts
from r1kit.registry import short, split_reference
from r1kit.reward.messages import Job
from r1kit.reward.part import Mark
from r1kit.structure import scalar
from r1kit.users_code import blame

__all__ = [
    "SHAPES",
    "CompletionText",
    "PromptText",
    "Shape",
    "UnfilledError",
    "UserReward",
    "WrongLengthError",
    "shape_of",
]

SHAPES = (
    "f(prompt, completion), TRL's f(prompts, completions, **columns) or verl's "
    "f(data_source, solution_str, ground_truth, extra_info=None)"
)
Shape = Literal["one", "trl", "verl"]
_VALUES = ("score", "reward")
_REST = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class WrongLengthError(InputError):
    """A list of rewards that does not match the completions; it is never broadcast, and ends the run."""


class UnfilledError(InputError):
    """A parameter without a default that no prompt's field fills."""


class PromptText(str):
    """The question, with every field of its ``records.Prompt``: ``answer``, ``facts``, ``language``, ``task`` ..."""

    def __new__(cls, prompt: Prompt) -> PromptText:
        made = super().__new__(cls, prompt.question)
        for field in dataclasses.fields(prompt):
            setattr(made, field.name, getattr(prompt, field.name))
        return made


class CompletionText(str):
    """What the policy wrote, special tokens kept and the end token left out."""

    text: str
    finish: str
    """``stop``, or ``length`` where it was cut."""
    tokens: int
    """How many, the end token counted."""
    token_ids: tuple[int, ...]

    def __new__(cls, job: Job) -> CompletionText:
        made = super().__new__(cls, job.text)
        made.text, made.finish, made.tokens, made.token_ids = job.text, job.finish, job.length, job.token_ids
        return made


class UserReward:
    """A user's function that keeps the contract of ``Reward``.

    Args:
        function: as his file has it.
        reference: ``FILE.py:NAME`` or ``package.module:NAME``, as the recipe writes it.

    Raises:
        InputError: it has none of the shapes.
    """

    def __init__(self, function: Any, reference: str) -> None:
        self.where = short(reference)
        self.folder = _folder(reference)
        self.parameters = _parameters(function, self.where)
        self.function: Callable[..., Any] = function
        self.shape = shape_of(self.parameters)
        if self.shape is None:
            raise InputError(f"{self.where} is not a reward: write {SHAPES}")
        self.grouped = self.shape == "trl"

    def __call__(self, prompt: Prompt, jobs: Sequence[Job]) -> list[Mark]:
        completions = [CompletionText(job) for job in jobs]
        if self.shape == "trl":
            return self._group(prompt, completions)
        values = [self.function(**self._filled(self._columns(prompt, completion))) for completion in completions]
        return [self._mark(value) for value in values]

    def told(self, error: BaseException) -> str:
        """``my_rewards.py:12: ZeroDivisionError: division by zero``."""
        return str(error) if isinstance(error, InputError) else blame(error, self.folder)

    def _group(self, prompt: Prompt, completions: list[CompletionText]) -> list[Mark]:
        rows = [self._columns(prompt, completion) for completion in completions]
        columns = {
            f"{name}s" if name in ("prompt", "completion") else name: [row[name] for row in rows] for name in rows[0]
        }
        values = self.function(**self._filled(columns))
        if hasattr(values, "tolist"):
            values = values.tolist()
        if not isinstance(values, (list, tuple)):
            raise InputError(f"{self.where} gave {_spelled(values)}; it gives a list, a number or None a completion")
        if len(values) != len(completions):
            raise WrongLengthError(
                f"{self.where} gave {len(values)} values for {len(completions)} completions; give each one, or None"
            )
        return [self._mark(value) for value in values]

    def _columns(self, prompt: Prompt, completion: CompletionText) -> dict[str, Any]:
        """All that a function may ask for of one completion; its facts are a copy, which it may use up."""
        record: Any = PromptText(with_own_facts(prompt))
        answers = {"answers": record.facts.get("answers", list(prompt.answers))}
        if self.shape == "verl":
            own = {name: getattr(record, name) for name in ("question", "id", "language", "task")}
            given = record.facts.get("extra_info")  # as verl's data sets hold it
            return {
                "data_source": record.facts.get("data_source", record.task),
                "solution_str": completion.text,
                "ground_truth": record.answer,
                "extra_info": {**record.facts, **answers, **own, **(given if isinstance(given, Mapping) else {})},
            }
        own = {name: getattr(record, name) for name in ("answer", "language", "task", "id", "question")}
        own |= {"finish": completion.finish, "tokens": completion.tokens}
        own |= {"completion_ids": list(completion.token_ids)}
        return {**record.facts, **own, **answers, "prompt": record, "completion": completion}

    def _filled(self, there: Mapping[str, Any]) -> dict[str, Any]:
        """What is there of what the function takes, by name."""
        if any(each.kind is each.VAR_KEYWORD for each in self.parameters.values()):
            found = dict(there)
        else:
            found = {name: there[name] for name in self.parameters if name in there}
        for name, each in self.parameters.items():
            if name not in found and each.default is each.empty and each.kind not in _REST:
                raise UnfilledError(
                    f"{self.where} asks for {name!r}; there are {', '.join(there)}.{nearest(name, there)}"
                )
        return found

    def _mark(self, value: Any) -> Mark:
        if not isinstance(value, Mapping):
            return Mark(self._number(value))
        named = next((name for name in _VALUES if name in value), None)
        rest = {str(name): each for name, each in value.items() if name != named}
        if named is None:
            told = {name: self._number(each) for name, each in rest.items()}
            more = {name: each for name, each in told.items() if each is not None}
            return Mark(sum(more.values()) if more else None, more)
        more = {name: number for name, each in rest.items() if (number := self._logged(name, each)) is not None}
        return Mark(self._number(value[named]), more)

    def _logged(self, name: str, value: Any) -> float | None:
        """A number beside the reward; None for what is none, a text say. Raises InputError for NaN and infinity."""
        value = scalar(value)
        if not isinstance(value, numbers.Real):
            return None
        number = _float(value)
        if not math.isfinite(number):
            raise InputError(f"{self.where} gave {name} = {number}; what is beside a reward is finite, or left out")
        return number

    def _number(self, value: Any) -> float | None:
        """A reward as a float, one of numpy's or torch's too; None abstains."""
        value = scalar(value)
        if value is None:
            return None
        if not isinstance(value, numbers.Real):  # a truth value is one, as for verl
            raise InputError(f"{self.where} gave {_spelled(value)}; a reward is a number, or None to abstain")
        number = _float(value)
        if not math.isfinite(number):
            raise InputError(f"{self.where} gave {number}; a reward is a finite number, or None to abstain")
        return number


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond any float
        return math.inf


def shape_of(parameters: Mapping[str, inspect.Parameter]) -> Shape | None:
    """Which of the three, by the parameters' names; None: none of them."""
    if "solution_str" in parameters:
        return "verl"
    if "completion" in parameters:
        return "one"
    return "trl" if {"completions", "completion_ids"} & set(parameters) else None


def _parameters(function: Any, where: str) -> Mapping[str, inspect.Parameter]:
    if not callable(function) or inspect.isclass(function):
        raise InputError(f"{where} is {_spelled(function)}, not a function; write {SHAPES}")
    called = function if inspect.isroutine(function) else type(function).__call__
    if inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called):
        raise InputError(f"{where} is async; a reward is a plain function: write {SHAPES}")
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        raise InputError(f"{where} does not say its parameters; write {SHAPES}") from None


def _folder(reference: str) -> Path:
    """Below which a traceback's lines are the user's."""
    place, _ = split_reference(reference)
    if not place.endswith(".py"):
        place = getattr(sys.modules.get(place), "__file__", None) or "."
    return Path(place).absolute().parent


def _spelled(value: Any) -> str:
    text = " ".join(repr(value).split())
    return f"{type(value).__name__} {text[:60]}{'…' if len(text) > 60 else ''}"
