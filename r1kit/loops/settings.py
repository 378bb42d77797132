"""Settings that stages share. No torch here: ``r1 check`` reads this."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from r1kit.contracts import StageConfig, StartsFrom
from r1kit.data.settings import Reading
from r1kit.errors import InputError, nearest
from r1kit.evals.settings import EvaluationConfig
from r1kit.factory.mixture import check_weights
from r1kit.factory.sources import Source, check_rows
from r1kit.loops.caps import Shorter, capped, check_shorter
from r1kit.loops.checked import check_least, check_source
from r1kit.loops.curriculum import Curriculum
from r1kit.loops.lag import Verdicts, check_lag
from r1kit.maths.schedule import learning_rate
from r1kit.maths.settings import PolicyLoss
from r1kit.records import Sampling
from r1kit.registry import is_reference
from r1kit.reward.settings import RewardConfig
from r1kit.tasks.task import Split
from r1kit.text.paraphrases import paraphrases
from r1kit.update.settings import DtypeSetting, LoRA, OptimiserSettings

if TYPE_CHECKING:
    from r1kit.contracts import Recipe

__all__ = [
    "RL",
    "SFT",
    "Evaluated",
    "Schedule",
    "Shorter",
    "check_least",
    "check_rates",
    "check_samples",
    "check_source",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Learning rate over the updates of a stage: warm-up, then a shape from 1 down to ``floor``."""

    warmup: int = 5
    """Updates of linear rise."""
    shape: Literal["constant", "linear", "cosine"] = "linear"
    floor: float = 0.3
    """The last update's rate as a share of the peak."""

    def rate(self, update: int, updates: int, peak: float) -> float:
        """Of update number ``update``, 0-based, of ``updates``."""
        return learning_rate(update, steps=updates, peak=peak, warmup=self.warmup, shape=self.shape, floor=self.floor)


class Evaluated(StageConfig):
    """A stage that samples, and evaluates what it leaves."""

    evaluation: EvaluationConfig
    sampling: Sampling

    @property
    def splits(self) -> tuple[Split, ...]:
        """Held-out splits that the stage looks at."""
        return (self.evaluation.split,)

    @property
    def lengths(self) -> Mapping[str, int]:
        """Longest completion, in tokens, by the name of the setting."""
        return {f"{part}.max_tokens": getattr(self, part).max_tokens for part in ("sampling", "evaluation")}


@dataclass(frozen=True, slots=True, kw_only=True)
class RL(StartsFrom, Evaluated):
    """GRPO on prompts of one or more tasks (R1 paper, section 2.1 and table of hyper-parameters)."""

    start: str = "base"
    """Stage it starts from; ``base``: the pretrained model."""
    tasks: tuple[str, ...] = ()
    """Empty: every task of the recipe."""
    task_weights: Mapping[str, float] = field(default_factory=dict)
    """Share of the prompts that a task gets, relative to the others; 1 where it is not named."""
    steps: int = 100
    """Rollouts; each is followed by ``minibatches`` updates."""
    prompts_per_step: int = 32
    """Questions a rollout, over all ranks."""
    minibatches: int = 1
    """Updates a rollout; 1 is on policy. The paper: 16, of 512 completions each."""
    old_logprobs: Literal["trainer", "sampler"] = "trainer"
    """What the ratio is to, from the second update of a rollout on: the trainer's own log-probs, a pass over what these
    updates learn from, or the sampler's, at every update, for nothing: where the two hardly differ (``max_gap``)."""
    paraphrases: tuple[str, ...] = ()
    """Other ways to ask: texts with ``{question}``, or the ten of ``nano`` or ``english``; a prompt in one, by seed."""
    sampling: Sampling = field(default_factory=Sampling)
    shorter: tuple[Shorter, ...] = ()
    """Lower caps on the length, before ``sampling.max_tokens`` counts: ``[{until = 512, max_tokens = 32768}]``."""
    reward: RewardConfig = field(default_factory=RewardConfig)
    loss: PolicyLoss = field(default_factory=PolicyLoss)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    lora: LoRA = field(default_factory=LoRA)
    """Train an adapter in place of every weight; the reference is then the model with its adapter off."""
    schedule: Schedule = field(default_factory=Schedule)
    reference_every: int = 400
    """Updates between refreshes of the reference, where the loss has a KL term (paper: 400)."""
    dynamic_sampling: int = 0
    """Extra rollouts of a step at most, to replace flat groups (DAPO); 0: flat groups stay and earn nothing."""
    long_prompts: Literal["drop", "refuse"] = "drop"
    """A training prompt that leaves no room for ``sampling.max_tokens`` in the model's positions is left out and
    counted, or ends the run. One that is held out is never asked and counts as wrong."""
    curriculum: Curriculum = field(default_factory=Curriculum)
    """Which prompts are asked; by default every one in its turn."""
    max_lag: int = 0
    """Steps that a completion's weights may be behind the learner's: above 0 engines of their own sample ahead while
    the learner learns. 0: in turn, every completion by the newest weights."""
    over_update: Literal["wait", "keep", "recompute"] = "wait"
    """New weights come in between completions, which an engine finishes first, or in the middle of them: over the keys
    and values of the old ones, or after these were computed again (the local engine)."""
    order: Literal["in_turn", "ready"] = "in_turn"
    """A step learns from the prompts that were dealt to it, or from whichever are ready and not too old."""
    late: Literal["wait", "drop"] = "wait"
    """A group that would be too old for the next step is waited for, or left out and counted (``order = "ready"``)."""
    verdicts: Verdicts = field(default_factory=Verdicts)
    """What becomes of a group whose verdict is slow; by default it is waited for."""
    max_gap: float = 0.2
    """Most nats a token between the engine's log-probs and the learner's on one group of a step, before it learns; more
    ends the run. 0: only logged."""
    deadline: float = 10.0
    """Seconds a verifier has for one completion."""
    verifier_workers: int = 0
    """Verifier processes of a rank, which score while it samples; 0: one a core that is left over, at least 1."""
    dtype: DtypeSetting = "auto"
    """Of rollouts and of the matrix products of an update; master weights are float32."""
    micro_batch_tokens: int = 8192
    """Tokens in one forward and backward: bounds memory, changes no result."""
    rows_in_flight: int = 512
    """Completions that decode side by side on a rank: bounds memory."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    evaluate_every: int = 25
    """Steps between evaluations on ``evaluation.split``; the first and the last model are always evaluated."""
    final_split: Literal["", "dev", "test"] = "test"
    """The first and the last model are evaluated on this split too; settings are chosen without looking at it."""
    final_limit: int | None = None
    """Use only the first so many problems of it; None: as many as ``evaluation`` does."""
    record_groups: int = 1
    """Groups a step whose rollouts are written out, to read."""
    record_tokens: int = 1
    """Of these, groups whose rollouts are written with the text, log-prob, entropy and gap of each token; 0: none, and
    none of the evaluations'. More than one a step costs a pass of the learner over the others."""

    def uses(self, recipe: Recipe) -> tuple[str, ...]:
        """Tasks that it trains on or is judged by."""
        return (*(self.tasks or recipe.tasks), *self.evaluation.tasks)

    @property
    def splits(self) -> tuple[Split, ...]:
        """Held-out splits that the stage looks at."""
        return (self.evaluation.split, self.final_split) if self.final_split else (self.evaluation.split,)

    @property
    def passes(self) -> float:
        """Over a rollout, for log-probs alone: the old ones, of all updates but the first, and the reference's."""
        old = 0.0 if self.old_logprobs == "sampler" else 1.0 - 1.0 / self.minibatches
        return old + (self.loss.kl_weight > 0)

    def is_held(self, step: int) -> bool:
        """Whether a step's updates have the KL term, and so read the reference."""
        return self.loss.kl_weight > 0

    def renews(self, update: int) -> bool:
        """Whether the reference of the KL term is set anew before an update, from 0."""
        return self.loss.kl_weight > 0 and update % self.reference_every == 0

    def sampling_at(self, step: int) -> Sampling:
        """How the completions of a step, from 0, are drawn."""
        return capped(self.sampling, self.shorter, step)

    def check(self, stage: str, recipe: Recipe) -> None:
        """Batch divisions and references, before anything loads."""
        check_source(self.start, stage, recipe)
        check_shorter(self.shorter, self.steps, self.sampling, self.reward.parts, stage)
        check_least(self, stage, 1, "steps", "prompts_per_step", "minibatches", "micro_batch_tokens", "rows_in_flight")
        check_least(self, stage, 1, "reference_every", "evaluate_every", "sampling.max_tokens", "final_limit")
        check_least(self, stage, 0, "dynamic_sampling", "verifier_workers", "max_gap", "record_groups", "record_tokens")
        check_rates(self.optimiser.lr, self.schedule, stage)
        self.optimiser.check(stage, recipe.learner.kind)
        self.lora.check(stage, recipe.learner.kind, sampled=True)
        self.curriculum.check(stage)
        paraphrases(self.paraphrases, f"stages.{stage}.paraphrases")
        check_lag(self, stage, recipe)
        if wrong := self.loss.wrong():
            raise InputError(f"stages.{stage}.loss.{wrong}")
        if not any(self.reward.parts.values()) and not getattr(self, "routes", None):
            raise InputError(
                f"stages.{stage}.reward.parts pays nothing; give a part a weight, for example {{ accuracy = 1.0 }}"
            )
        for key, value in (("sampling.temperature", self.sampling.temperature), ("deadline", self.deadline)):
            if not value > 0:
                raise InputError(f"stages.{stage}.{key} = {value}: must be above 0")
        if self.sampling.top_p != 1:
            raise InputError(
                f"stages.{stage}.sampling.top_p = {self.sampling.top_p}: must be 1. The learner's probabilities are "
                f"over all tokens, a sampler's with less over those that it kept, so every ratio would be biased; "
                f"evaluation.top_p may be what it likes"
            )
        if "overlong" in self.reward.parts and self.reward.max_tokens > self.sampling.max_tokens:
            raise InputError(
                f"stages.{stage}.reward.max_tokens = {self.reward.max_tokens} is above sampling.max_tokens = "
                f"{self.sampling.max_tokens}, so the overlong penalty would never be whole; set both alike"
            )
        completions = self.prompts_per_step * self.sampling.n
        if completions % self.minibatches:
            raise InputError(
                f"stages.{stage}: {self.prompts_per_step} prompts x {self.sampling.n} completions = {completions} do "
                f"not divide into minibatches = {self.minibatches}; choose a divisor"
            )
        if recipe.ranks and self.prompts_per_step % recipe.ranks:
            raise InputError(
                f"stages.{stage}.prompts_per_step = {self.prompts_per_step} does not divide over {recipe.ranks} ranks; "
                f"choose a multiple, or other --ranks"
            )
        if self.sampling.n < 2:
            raise InputError(f"stages.{stage}.sampling.n = {self.sampling.n}: a group needs at least 2 completions")
        if not recipe.tasks:
            raise InputError(f"stages.{stage} has no task; add one, for example [tasks.countdown]")
        trained = self.tasks or tuple(recipe.tasks)
        check_graded(self, stage, trained, recipe)
        for task, weight in self.task_weights.items():
            if task not in trained:
                raise InputError(
                    f"stages.{stage}.task_weights names {task!r}; the stage trains on {', '.join(trained)}."
                    f"{nearest(task, trained)}"
                )
            if not 0 < weight < math.inf:
                raise InputError(f"stages.{stage}.task_weights.{task} = {weight}: must be above 0 and finite")


@dataclass(frozen=True, slots=True, kw_only=True)
class SFT(StartsFrom, Evaluated):
    """Supervised fine-tuning on the samples of an earlier stage or of a file (R1 paper v2, appendix B.4.2)."""

    start: str = "base"
    """Stage it starts from; ``base``: the pretrained model."""
    data: str = "cold_start"
    """An earlier stage whose ``samples.jsonl`` is learnt, or a file, a folder or a hub data set: prompts with
    responses, chats, or any layout of ``docs/data.md`` with a response in it."""
    read: Reading = field(default_factory=Reading)
    """How the rows of ``data`` are read, where it is no stage."""
    mix: Mapping[str, Source] = field(default_factory=dict)
    """Several sources in place of ``data``, by names of your own, each with its weight."""
    epochs: float = 2.0
    """Times that every sample is seen (paper: 2 to 3)."""
    samples_per_step: int = 128
    """Samples an update, over all ranks (paper: 128), no more than there are; each epoch has an order of its own."""
    thinking: Literal["last", "every"] = "last"
    """Of a chat whose template drops the thinking of earlier turns: ``last`` learns the turns that are whole, the last
    one always; ``every`` learns each earlier turn too, with its thinking, as the answer to what comes before it."""
    max_tokens: int = 0
    """Most tokens of a sample, its prompt included; 0: the model's positions."""
    too_long: Literal["refuse", "cut", "drop"] = "refuse"
    """What is done with longer ones; how many those are is told."""
    optimiser: OptimiserSettings = field(default_factory=lambda: OptimiserSettings(lr=5e-5))
    lora: LoRA = field(default_factory=LoRA)
    """Train an adapter in place of every weight."""
    schedule: Schedule = field(default_factory=lambda: Schedule(warmup=0, shape="cosine", floor=0.1))
    dtype: DtypeSetting = "auto"
    """Of the matrix products; master weights are float32."""
    micro_batch_tokens: int = 16384
    """Tokens in one forward and backward: bounds memory, changes no result."""
    log_every: int = 1
    """Updates to a line of metrics."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """Of the finished model."""
    sampling: Sampling = field(default_factory=Sampling)
    """Length and stop strings of the evaluation."""
    reward: RewardConfig = field(default_factory=RewardConfig)
    """How the evaluation reads an answer."""

    @property
    def sources(self) -> Mapping[str, Source]:
        """What it learns, by name."""
        return self.mix or {self.data: Source(data=self.data, read=self.read)}

    @property
    def data_sources(self) -> tuple[tuple[str, Reading], ...]:
        """Stages, files and data sets that it learns."""
        return tuple((source.data, source.read) for source in self.sources.values())

    def uses(self, recipe: Recipe) -> tuple[str, ...]:
        """Tasks that it is judged by."""
        return self.evaluation.tasks or tuple(recipe.tasks)

    def check(self, stage: str, recipe: Recipe) -> None:
        """Ranges, before anything loads."""
        check_source(self.start, stage, recipe)
        for name, source in self.sources.items():
            check_samples(source, stage, recipe)
            check_weights({name: source.weight or 0.0}, f"stages.{stage}.mix")
        check_least(self, stage, 1, "samples_per_step", "micro_batch_tokens", "log_every", "sampling.max_tokens")
        check_least(self, stage, 0, "max_tokens")
        check_rates(self.optimiser.lr, self.schedule, stage)
        self.optimiser.check(stage, recipe.learner.kind)
        self.lora.check(stage, recipe.learner.kind)
        if not self.epochs > 0:
            raise InputError(f"stages.{stage}.epochs = {self.epochs}: must be above 0")


def check_graded(config: RL, stage: str, trained: Iterable[str], recipe: Recipe) -> None:
    """Refuse to pay accuracy alone on a task that grades nothing."""
    parts = config.reward.parts
    if not parts.get("accuracy") or any(is_reference(name) and weight for name, weight in parts.items()):
        return
    for name, task in recipe.built(trained).items():
        if not task.graded and name not in getattr(config, "routes", {}):
            raise InputError(
                f"stages.{stage} pays accuracy, and task {name!r} has no reference answers; what can be paid there are "
                f"the parts format, language and overlong, functions of your own as FILE.py:NAME, and a reward model "
                f'(kind all_scenarios_rl, routes = {{{name} = "helpfulness"}})'
            )


def check_samples(source: Source, stage: str, recipe: Recipe) -> None:
    """Refuse a stage that leaves no samples, and rows that cannot be learnt."""
    if source.data in recipe.stages:
        check_source(source.data, stage, recipe, "samples")
    else:
        check_rows(source.data, source.read, "responses", f"stages.{stage}")


def check_rates(lr: float, schedule: Schedule, stage: str) -> None:
    if not 0 < lr < math.inf:
        raise InputError(f"stages.{stage}.optimiser.lr = {lr}: must be above 0 and finite")
    if schedule.warmup < 0 or not 0 <= schedule.floor <= 1:
        raise InputError(
            f"stages.{stage}.schedule: warmup = {schedule.warmup} must be at least 0 and floor = {schedule.floor} "
            f"between 0 and 1"
        )
