"""An evaluator over a world without models: engines that write what they are told, rules in this process.

``Crew`` is several ranks in one process, a thread each, that meet where ranks do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Barrier
from typing import Any, TypeVar

from torch import Tensor

from r1kit.cluster.ranks import Ranks, Solo
from r1kit.evals.evaluator import Evaluator
from r1kit.evals.settings import EvaluationConfig
from r1kit.recipe import Recipe, parse_recipe
from r1kit.records import Group, Prompt, Sampling, Score
from r1kit.reward.learned import Judging, LearnedReward
from r1kit.reward.scorer import Scorer
from r1kit.rollout.scripted import Script, ScriptedEngine
from r1kit.workspace import Workspace

_T = TypeVar("_T")

RECIPE = parse_recipe({"name": "judged", "model": {"name": "none"}, "stages": {"evaluate": {"stages": ["base"]}}})


@dataclass(frozen=True, slots=True)
class Numbers:
    """Held-out prompts 0, 1, 2 ...; only ``name`` says which task it is."""

    name: str
    size: int = 5

    def train(self, index: int) -> Prompt:
        return Prompt(id=f"{self.name}/train/{index}", task=self.name, question=str(index))

    def held_out(self, split: str, limit: int | None = None) -> list[Prompt]:
        count = self.size if limit is None else min(limit, self.size)
        return [Prompt(id=f"{self.name}/{split}/{i}", task=self.name, question=str(i)) for i in range(count)]


class Rules:
    """A verifier: right is what begins with ``y``; a right answer earns what ``accuracy`` says, form earns .25."""

    def __init__(self, accuracy: Mapping[str, float] | None = None) -> None:
        self.accuracy = accuracy or {}

    def score_groups(self, groups: Sequence[Group]) -> list[list[Score]]:
        return [[self._one(group, completion.text) for completion in group.completions] for group in groups]

    def _one(self, group: Group, text: str) -> Score:
        right = float(text.startswith("y"))
        total = self.accuracy.get(group.prompt.task, 1.0) * right + 0.25
        return Score(total=total, parts={"accuracy": right, "format": 1.0}, answer=text)

    def submit(self, group: Group) -> Future[list[Score]]:
        found: Future[list[Score]] = Future()
        found.set_result(self.score_groups([group])[0])
        return found

    def diagnose_groups(self, groups: Sequence[Group]) -> list[list[dict[str, float]]]:
        return [[{"tries": float(len(completion.text))} for completion in group.completions] for group in groups]


class ByLength:
    """A reward model of 7 parameters: a tenth of the response's characters, each of which it reads as a token."""

    parameters = 7

    def __init__(self) -> None:
        self.read = 0

    def score(self, questions: Sequence[str], responses: Sequence[str]) -> list[float]:
        self.read += sum(map(len, responses))
        return [len(response) / 10 for response in responses]


class ByPlace:
    """A process reward model of 7 parameters: a hundredth of the tokens up to a step's end, the prompt's counted."""

    parameters = 7

    def __init__(self) -> None:
        self.read = 0

    def steps_of(self, rows: Sequence[Sequence[int]], ends: Sequence[Sequence[int]], budget: int) -> list[list[float]]:
        self.read += sum(map(len, rows))
        return [[end / 100 for end in own] for own in ends]


def learned(*tasks: str) -> LearnedReward:
    """``ByLength`` for these tasks."""
    return LearnedReward({"helpfulness": ByLength()}, dict.fromkeys(tasks, "helpfulness"))


def place(folder: Path, ranks: Ranks | None = None, recipe: Recipe = RECIPE, stage: str = "evaluate") -> Workspace:
    """The stage's workspace, its folder made."""
    index = list(recipe.stages).index(stage) + 1
    found = Workspace(run=folder, stage=stage, index=index, recipe=recipe, ranks=ranks or Solo(), key="k")
    found.folder.mkdir(parents=True, exist_ok=True)
    return found


def scorer_of(verifier: Any = None, models: Judging | None = None, weight: float = 1.0) -> Scorer:
    """By ``Rules``, or another verifier."""
    return Scorer(verifier=verifier or Rules(), models=models, weight=weight)


def evaluator_of(
    workspace: Workspace, script: Script | Sequence[str], tasks: Sequence[str] = ("a",), **more: Any
) -> Evaluator:
    """An evaluator of ``Numbers`` by ``Rules``; prompts are rendered as their number."""
    settings: dict[str, Any] = {
        "tasks": {name: Numbers(name) for name in tasks},
        "config": EvaluationConfig(k=2, resamples=10),
        "sampling": Sampling(n=2, max_tokens=40),
        "engine": ScriptedEngine(script),
        "scorer": scorer_of(),
        "render": lambda prompt: [int(prompt.question) + 1],
        "workspace": workspace,
        **more,
    }
    return Evaluator(**settings)


@dataclass(slots=True)
class Crew:
    """``size`` ranks: each item handed to ``gather_objects`` waits for the others'."""

    size: int
    _barrier: Barrier = field(init=False)
    _items: list[Any] = field(init=False)

    def __post_init__(self) -> None:
        self._barrier, self._items = Barrier(self.size, timeout=30), [None] * self.size

    def exchange(self, rank: int, item: Any) -> list[Any]:
        self._items[rank] = item
        self._barrier.wait()
        found = list(self._items)
        self._barrier.wait()  # nobody hands in the next item before all have read this one
        return found

    def run(self, work: Callable[[Ranks], _T]) -> list[_T]:
        """``work`` on every rank; what each returned."""
        with ThreadPoolExecutor(self.size) as pool:
            tasks = [pool.submit(work, Member(self, rank, self.size)) for rank in range(self.size)]
            return [task.result() for task in tasks]


@dataclass(frozen=True, slots=True)
class Member:
    """One rank of a crew."""

    crew: Crew
    rank: int
    size: int

    def all_reduce_sum_(self, tensor: Tensor) -> Tensor:
        raise AssertionError("judging sums no tensors")

    def gather_objects(self, item: Any) -> list[Any]:
        return self.crew.exchange(self.rank, item)

    def broadcast_object(self, item: Any) -> Any:
        return self.crew.exchange(self.rank, item)[0]

    def close(self) -> None: ...
