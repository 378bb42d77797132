"""A world small enough to learn in seconds: the reward is the share of a wanted token in what was written."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch

from r1kit.cluster.ranks import Ranks, Solo
from r1kit.loops import rl
from r1kit.loops.policy import Policy
from r1kit.loops.settings import RL, Schedule
from r1kit.model.decoder import Decoder, DecoderConfig
from r1kit.recipe import load_recipe
from r1kit.records import Group, Prompt, Sampling, Score
from r1kit.reward.scorer import Scoring
from r1kit.rollout.local import LocalEngine
from r1kit.rollout.scripted import CodePoints
from r1kit.tasks.task import Split
from r1kit.update.local import LearnerSettings, LocalLearner
from r1kit.update.settings import OptimiserSettings
from r1kit.workspace import Workspace

VOCABULARY, WANTED = 12, 7
SHAPE = DecoderConfig(
    vocab_size=VOCABULARY, hidden_size=16, intermediate_size=32, num_layers=1, num_heads=2, num_kv_heads=2, head_dim=8
)
CONFIG = RL(
    steps=6,
    prompts_per_step=4,
    sampling=Sampling(n=8, max_tokens=6),
    optimiser=OptimiserSettings(kind="adamw", lr=2e-2),
    schedule=Schedule(warmup=0, shape="constant"),
    evaluate_every=100,
)


@dataclass
class ToyTask:
    name: str = "toy"
    levels: int = 0
    questions: ClassVar[int] = 0
    """Different ones; 0: endless."""

    def train(self, index: int) -> Prompt:
        question = index % self.questions if self.questions else index
        return Prompt(id=f"{self.name}/train/{index}", task=self.name, question=str(question))

    def train_at(self, index: int, level: int) -> Prompt:
        return self.train(index)


@dataclass(slots=True)
class ToyScorer:
    """Scores by counting."""

    flat: frozenset[str] = frozenset()
    """Prompts whose completions all earn the same."""

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        return [[self.one(group, c.token_ids) for c in group.completions] for group in groups]

    def begin(self) -> Scoring:
        return Scoring(self)  # type: ignore[arg-type]

    @property
    def verifier(self) -> ToyScorer:
        return self

    def submit(self, group: Group) -> Future[list[Score]]:
        found: Future[list[Score]] = Future()
        found.set_result(self.score([group])[0])
        return found

    def with_models(self, groups: Sequence[Group], scores: list[list[Score]]) -> list[list[Score]]:
        return scores

    def read(self) -> dict[int, int]:
        return {}

    def one(self, group: Group, tokens: Sequence[int]) -> Score:
        total = 1.0 if group.prompt.id in self.flat else tokens.count(WANTED) / len(tokens)
        return Score(total=total, parts={"accuracy": total})


@dataclass(slots=True)
class ToyEvaluator:
    """Notes when it was asked to evaluate."""

    evaluated: list[tuple[int, str]] = field(default_factory=list)
    limits: list[int | None] = field(default_factory=list)

    def evaluate(self, step: int, split: Split | None = None, limit: int | None = None) -> dict[str, Any]:
        self.evaluated.append((step, split or "dev"))
        self.limits.append(limit)
        return {}


def policy_of(workspace: Workspace, engine: Any, learner: Any, scorer: Any, evaluator: Any, levels: int = 0) -> Policy:
    """What ``open_policy`` would give, of the toy task."""
    found: Any = {"tasks": {"toy": ToyTask(levels=levels)}, "render": render, "spell": spell, "loaded": None}
    found |= {"engine": engine, "learner": learner, "scorer": scorer, "evaluator": evaluator, "started_from": "base"}
    return Policy(workspace=workspace, **found)


def spell(ids: Sequence[int], text: str) -> list[str]:
    return [chr(token) for token in ids]


def render(prompt: Prompt) -> list[int]:
    """The begin token, then a digit of the question."""
    return [1, 2 + int(prompt.question) % 5]


@dataclass(slots=True)
class Toy:
    """One sitting of one rank."""

    workspace: Workspace
    learner: LocalLearner
    scorer: ToyScorer
    evaluator: ToyEvaluator
    levels: int = 0

    def train(self, config: RL = CONFIG, watch: rl.Watch | None = None) -> int:
        engine = LocalEngine(self.learner.flat.model, CodePoints(), end_ids=[0])  # type: ignore[arg-type]
        policy = policy_of(self.workspace, engine, self.learner, self.scorer, self.evaluator, self.levels)
        return rl.train(config, policy, watch=watch)


def toy(folder: Path, ranks: Ranks | None = None, scorer: ToyScorer | None = None, levels: int = 0) -> Toy:
    ranks = ranks or Solo()
    model = Decoder(SHAPE)
    model.initialise(torch.Generator().manual_seed(3))
    workspace = Workspace(run=folder, stage="r1_zero", index=2, recipe=load_recipe("nano-zero"), ranks=ranks, key="k")
    workspace.folder.mkdir(parents=True, exist_ok=True)
    learner = LocalLearner(model, LearnerSettings(optimiser=CONFIG.optimiser), ranks)
    return Toy(workspace, learner, scorer or ToyScorer(), ToyEvaluator(), levels)


def turns(one: Toy) -> list[str]:
    """Grows by a ``u`` for each update that the learner makes, and an ``R`` whenever it sets its reference anew."""
    found: list[str] = []
    learner: Any = one.learner
    update, refresh = learner.update, learner.refresh_reference

    def updated(*given: Any) -> Any:
        found.append("u")
        return update(*given)

    def refreshed() -> None:
        found.append("R")
        refresh()

    learner.update, learner.refresh_reference = updated, refreshed
    return found
