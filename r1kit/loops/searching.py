"""What rounds of tree search open and share out over the ranks: the actor as it stands, the value model, prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from r1kit.backends.backend import backend_of
from r1kit.backends.models import LoadedModel
from r1kit.backends.verifiers import open_verifier
from r1kit.loops.mcts_settings import MCTS
from r1kit.model.reward_model import RewardModel
from r1kit.records import Prompt
from r1kit.reward.verifier import Verifying
from r1kit.search.player import Player
from r1kit.seeds import training_index
from r1kit.workspace import Workspace

__all__ = ["Opened", "everyones", "mine_of", "opened", "training_prompts", "value_model"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    player: Player
    loaded: LoadedModel
    verifier: Verifying


@contextmanager
def opened(config: MCTS, model: str, inner: Workspace) -> Iterator[Opened]:
    """The actor as it stands, to draw with."""
    backend, recipe = backend_of(inner.recipe, inner.ranks), inner.recipe
    loaded = backend.load(model)
    inner.parameters = loaded.parameters
    tasks = dict.fromkeys(config.uses(recipe))
    with (
        open_verifier(tasks, recipe, config.reward, ranks=inner.ranks, opens=loaded.opens_think) as verifier,
        closing(backend.open_engine(loaded, dtype=config.dtype, max_rows=config.rows_in_flight)) as engine,
    ):
        player = Player.of(engine, loaded, verifier.score_groups)
        yield Opened(player=player, loaded=loaded, verifier=verifier)


def value_model(folder: str, inner: Workspace) -> RewardModel:
    model = RewardModel.open(inner.run / folder)
    model.model.to(backend_of(inner.recipe, inner.ranks).device)
    return model


def training_prompts(config: MCTS, inner: Workspace, first: int, count: int) -> list[Prompt]:
    """A stage's prompts from number ``first`` on, its tasks in turn; they begin at the run's seed."""
    tasks = list(inner.recipe.built(config.searched(inner.recipe)).values())
    numbers = range(first, first + count)
    return [tasks[number % len(tasks)].train(training_index(inner.seed, number // len(tasks))) for number in numbers]


def mine_of(items: Sequence[_T], inner: Workspace) -> list[_T]:
    return list(items)[inner.ranks.rank :: inner.ranks.size]


def everyones(items: Sequence[_T], inner: Workspace) -> list[_T]:
    """One a prompt, of this rank's share -> of all, in the prompts' order."""
    shares = inner.ranks.gather_objects(list(items))
    count = sum(map(len, shares))
    return [shares[place % len(shares)][place // len(shares)] for place in range(count)]
