"""What a search plays with: a model that draws steps, the rules that judge chains, and a valuer put together for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from r1kit.records import Group, Prompt
from r1kit.rollout.engine import Engine
from r1kit.rollout.stopping import Tokenizer, text_of
from r1kit.search.explore import Valuer
from r1kit.search.settings import Search
from r1kit.search.value import Agreement, Grade, ModelValue, NoValue, RolloutValue, Ruled, is_right

if TYPE_CHECKING:
    from r1kit.backends.models import LoadedModel
    from r1kit.model.reward_model import RewardModel

__all__ = ["Player", "valuer_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    engine: Engine
    tokenizer: Tokenizer
    ends: frozenset[int]
    """Tokens that end a chain."""
    render: Callable[[Prompt], Sequence[int]]
    grade: Grade

    @classmethod
    def of(cls, engine: Engine, loaded: LoadedModel, grade: Grade) -> Player:
        """``loaded``: the model that the engine samples."""
        ends = frozenset(loaded.stop_ids)
        return cls(engine=engine, tokenizer=cast(Any, loaded.tokenizer), ends=ends, render=loaded.render, grade=grade)

    def decode(self, tokens: Sequence[int]) -> str:
        """A chain's text, as a completion has it: without its end token."""
        return text_of(self.tokenizer, tokens[:-1] if tokens and tokens[-1] in self.ends else tokens)


def valuer_of(config: Search, player: Player, model: RewardModel | None, *, ruled: bool) -> Valuer:
    """Of leaves and chains.

    Args:
        config: says what values them.
        player: of the search.
        model: the value model, where there is one.
        ruled: the rule knows the answers and says what an ended chain is worth: in training. Without it chains of a
            rollout are worth the share of the problem's chains that agree with them.
    """
    found: Valuer = NoValue()
    if config.value == "model":
        assert model is not None, "a search by a value model has one"
        found = ModelValue(model)
    elif config.value == "rollouts":
        worth = _by_rule(player.grade) if ruled else Agreement(player.grade)
        found = RolloutValue(player.engine, config, player.ends, player.decode, worth)
    return Ruled(found, player.grade, player.decode) if ruled else found


def _by_rule(grade: Grade) -> Callable[[Sequence[Group]], list[list[float]]]:
    return lambda groups: [[float(is_right(score)) for score in row] for row in grade(groups)]
