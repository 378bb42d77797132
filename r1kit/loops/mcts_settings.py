"""Settings of tree search with self-improvement. No torch here: ``r1 check`` reads this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from r1kit.contracts import StartsFrom
from r1kit.errors import InputError
from r1kit.evals.settings import EvaluationConfig
from r1kit.loops.settings import SFT, Evaluated, Schedule, check_least, check_rates, check_source
from r1kit.records import Sampling
from r1kit.reward.settings import RewardConfig
from r1kit.search.settings import Search
from r1kit.update.settings import DtypeSetting, OptimiserSettings

if TYPE_CHECKING:
    from r1kit.contracts import Recipe

__all__ = ["MCTS", "ValueTraining"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueTraining:
    """How the value model learns: each example is a prefix, with how often, or how likely, its chain ends right."""

    prompts: int = 256
    """Training prompts whose chains it is pre-trained on."""
    chains: int = 8
    """Chains a prompt, drawn whole by the policy."""
    epochs: float = 1.0
    batch: int = 128
    """Prefixes an update."""
    optimiser: OptimiserSettings = field(default_factory=lambda: OptimiserSettings(lr=3e-4))
    schedule: Schedule = field(default_factory=lambda: Schedule(warmup=5, shape="cosine", floor=0.1))


@dataclass(frozen=True, slots=True, kw_only=True)
class MCTS(StartsFrom, Evaluated):
    """Search, learn what it found, search again (R1 paper, section 4.2; after AlphaZero)."""

    start: str = "base"
    """Stage that the actor starts from, and the body of the value model."""
    tasks: tuple[str, ...] = ()
    """Whose training prompts are searched; empty: every task of the recipe."""
    rounds: int = 3
    """Of search and training."""
    prompts: int = 128
    """Training prompts that a round searches."""
    search: Search = field(default_factory=Search)
    """On training prompts the rule says what an ended chain is worth; on held-out ones the value model does."""
    learns: Literal["trees", "whole_chains"] = "trees"
    """What the actor learns: right chains of the trees, or, the control of what search earns, right ones of chains that
    are drawn whole, of each prompt as many as cost what its tree did. The value model learns the trees either way."""
    chains: int = 4
    """Most right chains of a prompt that the actor learns, those worth most first."""
    actor: SFT = field(
        default_factory=lambda: SFT(epochs=1.0, samples_per_step=64, optimiser=OptimiserSettings(lr=1e-4))
    )
    """How the actor learns them; its start, data and evaluation are the stage's own."""
    value: ValueTraining = field(default_factory=ValueTraining)
    go_on_from: Literal["last", "start"] = "last"
    """Actor and value model learn a round's data from where the last round left them, or from the start's weights."""
    least_visits: int = 1
    """A node of a tree is an example of the value model when so many walks came through it: their mean is its label."""
    reward: RewardConfig = field(default_factory=RewardConfig)
    """How an answer is read."""
    sampling: Sampling = field(default_factory=Sampling)
    """Of whole chains: the value model's first data."""
    evaluation: EvaluationConfig = field(default_factory=lambda: EvaluationConfig(limit=64))
    """Before the first round and after each: ``k`` plain chains, the search, and the controls at its tokens."""
    dtype: DtypeSetting = "auto"
    micro_batch_tokens: int = 16384
    """Tokens in one forward and backward: bounds memory."""
    rows_in_flight: int = 512
    """Completions that decode side by side on a rank: bounds memory."""

    def uses(self, recipe: Recipe) -> tuple[str, ...]:
        """Tasks that it searches and is judged by."""
        return (*self.searched(recipe), *self.evaluation.tasks)

    def searched(self, recipe: Recipe) -> tuple[str, ...]:
        return self.tasks or tuple(recipe.tasks)

    @property
    def lengths(self) -> Mapping[str, int]:
        """Longest completion, in tokens, by the name of the setting; a search draws a step behind its longest chain."""
        return {
            "sampling.max_tokens": self.sampling.max_tokens,
            "evaluation.max_tokens": self.evaluation.max_tokens,
            "search.max_tokens + search.steps.most": self.search.max_tokens + self.search.steps.most,
        }

    def check(self, stage: str, recipe: Recipe) -> None:
        """Ranges, before anything loads."""
        check_source(self.start, stage, recipe)
        check_least(self, stage, 1, "rounds", "prompts", "chains", "least_visits", "micro_batch_tokens")
        check_least(self, stage, 1, "rows_in_flight", "value.prompts", "value.chains", "value.batch")
        check_least(self, stage, 1, "sampling.max_tokens", "actor.samples_per_step")
        check_rates(self.value.optimiser.lr, self.value.schedule, f"{stage}.value")
        check_rates(self.actor.optimiser.lr, self.actor.schedule, f"{stage}.actor")
        if not self.sampling.temperature > 0:
            raise InputError(
                f"stages.{stage}.sampling.temperature = {self.sampling.temperature}: must be above 0, else all chains "
                f"of a prompt are one"
            )
        if not recipe.tasks:
            raise InputError(f"stages.{stage} has no task; add one, for example [tasks.countdown]")
        if self.value.optimiser.kind != "adamw":
            raise InputError(f"stages.{stage}.value.optimiser.kind: value models take adamw only")
        if not self.value.epochs > 0 or not self.actor.epochs > 0:
            raise InputError(f"stages.{stage}: value.epochs and actor.epochs must be above 0")
        for name, task in recipe.built(self.uses(recipe)).items():
            if not task.graded:
                raise InputError(
                    f"stages.{stage} searches for right answers, and task {name!r} has no reference answers; name "
                    f"others in stages.{stage}.tasks"
                )
