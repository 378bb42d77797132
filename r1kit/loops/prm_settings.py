"""Settings of the experiment on process rewards. No torch here: ``r1 check`` reads this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from r1kit.contracts import StartsFrom
from r1kit.errors import InputError
from r1kit.evals.hacking import HackingWatch
from r1kit.evals.settings import EvaluationConfig
from r1kit.loops.checked import check_no_own_advantage
from r1kit.loops.settings import RL, Schedule, check_graded, check_least, check_rates, check_source
from r1kit.maths.step_scores import Aggregate
from r1kit.records import Sampling
from r1kit.search.steps import Steps
from r1kit.tasks.task import Split
from r1kit.update.settings import OptimiserSettings

if TYPE_CHECKING:
    from r1kit.contracts import Recipe

__all__ = ["PRM", "BestOf", "StepLabels", "StepTraining"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLabels:
    """Solutions of the policy, and what becomes of each of their prefixes (Math-Shepherd, 2312.08935, section 3.3)."""

    prompts: int = 512
    """Training prompts that are answered."""
    solutions: int = 8
    """Of each prompt."""
    rollouts: int = 8
    """From each prefix that ends a step, the last step excepted: its label is the solution's own."""
    label: Literal["hard", "soft"] = "hard"
    """A step is as good as: 1 where any rollout from it is right, 0 where none is; or the share that is right."""
    prompts_per_step: int = 32
    """Prompts that are labelled at once, over all ranks; a killed stage goes on behind the last of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTraining:
    """How the process reward model, and the outcome reward model beside it, learn the labels."""

    epochs: float = 1.0
    batch: int = 128
    """Solutions an update, over all ranks."""
    optimiser: OptimiserSettings = field(default_factory=lambda: OptimiserSettings(lr=6e-6))
    schedule: Schedule = field(default_factory=lambda: Schedule(warmup=0, shape="cosine", floor=0.1))
    held_out_share: float = 0.1
    """Share of the prompts whose solutions are only judged."""
    micro_batch_tokens: int = 16384
    """Tokens in one forward and backward: bounds memory."""
    log_every: int = 1
    """Updates to a line of metrics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BestOf:
    """The reward models choose among N samples of held-out problems."""

    n: tuple[int, ...] = (1, 2, 4, 8, 16)
    """Numbers to choose among; the largest is how many are drawn."""
    by: Aggregate = "min"
    """What a solution is worth by its steps (Math-Shepherd: the least); the others are told too."""
    split: Literal["dev", "test"] = "test"
    limit: int | None = None
    """Use only the first so many problems of it; None: all."""
    temperature: float = 1.0
    top_p: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PRM(StartsFrom):
    start: str = "r1_zero"
    """Stage whose model writes the solutions, and which RL starts from; ``base``: the pretrained model."""
    steps: Steps = field(default_factory=Steps)
    """What a step is."""
    labels: StepLabels = field(default_factory=StepLabels)
    model: StepTraining = field(default_factory=StepTraining)
    best_of: BestOf = field(default_factory=BestOf)
    rl: RL = field(default_factory=RL)
    """RL by process rewards, and by rules beside it. Its sampling, reward and tasks are those of the labels too; its
    start is the stage's."""
    rule_steps: int = 0
    """Most steps of RL by rules, which ends where it has cost what RL by process rewards did, labels and reward model
    counted; 0: four times ``rl.steps``."""
    watched: Aggregate = "mean"
    """What the watch is told of a completion, of its steps' scores."""
    watch: HackingWatch = field(default_factory=lambda: HackingWatch(rise=0.02))
    """When RL by process rewards is stopped: what is ``watched`` rises while the tasks' rule falls."""
    rounds: int = 1
    """Times that the process reward model is trained on with the new policy's samples, and RL done with it."""
    again_from: Literal["start", "policy"] = "start"
    """What RL of a later round starts from: the stage's start, so that only the reward model differs, or the policy
    that RL left (DeepSeekMath, 4.1.4)."""
    replay: float = 0.1
    """Share of old solutions among those that a later round learns (DeepSeekMath, 4.1.4: 10%)."""

    def uses(self, recipe: Recipe) -> tuple[str, ...]:
        """Tasks that it trains on or is judged by."""
        return self.rl.uses(recipe)

    @property
    def splits(self) -> tuple[Split, ...]:
        """Held-out splits that the stage looks at."""
        return (self.best_of.split, *self.rl.splits)

    @property
    def lengths(self) -> Mapping[str, int]:
        """Longest completion, in tokens, by the name of the setting."""
        return {f"rl.{name}": length for name, length in self.rl.lengths.items()}

    @property
    def solving(self) -> Sampling:
        """How the solutions that are labelled are drawn."""
        return replace(self.rl.sampling, n=self.labels.solutions)

    @property
    def ranked(self) -> Sampling:
        """How the samples that are chosen among are drawn."""
        own = self.best_of
        return replace(self.rl.sampling, n=max(own.n), temperature=own.temperature, top_p=own.top_p)

    @property
    def best_of_evaluation(self) -> EvaluationConfig:
        """The same as an evaluation, for what it costs."""
        own = self.best_of
        return EvaluationConfig(k=max(own.n), split=own.split, limit=own.limit, tasks=self.rl.evaluation.tasks)

    def check(self, stage: str, recipe: Recipe) -> None:
        """Ranges and references, before anything loads."""
        check_source(self.start, stage, recipe)
        replace(self.rl, start=self.start).check(f"{stage}.rl", recipe)
        check_no_own_advantage(self.rl.loss, f"stages.{stage}.rl", "process rewards have one of their own, by steps")
        check_graded(self.rl, stage, self.rl.tasks or tuple(recipe.tasks), recipe)
        check_least(self, stage, 1, "labels.solutions", "labels.rollouts", "labels.prompts_per_step")
        check_least(self, stage, 2, "labels.prompts")  # one to train on, one held out
        check_least(self, stage, 1, "model.batch", "model.micro_batch_tokens", "model.log_every")
        check_least(self, stage, 0, "rounds", "rule_steps")
        check_rates(self.model.optimiser.lr, self.model.schedule, f"{stage}.model")
        if self.model.optimiser.kind != "adamw":
            raise InputError(
                f"stages.{stage}.model.optimiser.kind = {self.model.optimiser.kind!r}: reward models take adamw only"
            )
        if not self.model.epochs > 0 or not 0 < self.model.held_out_share < 1 or not 0 <= self.replay < 1:
            raise InputError(
                f"stages.{stage}: model.epochs = {self.model.epochs} must be above 0, model.held_out_share = "
                f"{self.model.held_out_share} between 0 and 1 and replay = {self.replay} from 0 to below 1"
            )
        if not self.best_of.n or list(self.best_of.n) != sorted(set(self.best_of.n)) or self.best_of.n[0] < 1:
            raise InputError(
                f"stages.{stage}.best_of.n = {list(self.best_of.n)}: give rising numbers from 1 on, for example "
                f"[1, 2, 4, 8, 16]"
            )
        if not self.best_of.temperature > 0 or not 0 < self.best_of.top_p <= 1:
            raise InputError(
                f"stages.{stage}.best_of: temperature = {self.best_of.temperature} must be above 0, else all samples "
                f"are one, and top_p = {self.best_of.top_p} above 0 and at most 1"
            )
        if self.best_of.limit is not None:
            check_least(self, stage, 1, "best_of.limit")
        if not self.rl.reward.parts.get("accuracy"):
            raise InputError(
                f"stages.{stage}.rl.reward.parts does not pay accuracy, which labels of steps and RL by rules are about"
            )
