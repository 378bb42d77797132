"""A base model by language modelling on a corpus (R1 paper, section 1: a base only ever predicts text)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from r1kit.contracts import StageConfig
from r1kit.data.settings import Reading
from r1kit.errors import InputError
from r1kit.evals.settings import EvaluationConfig
from r1kit.factory.sources import check_rows
from r1kit.loops.settings import Schedule, check_least, check_rates, lengths_of
from r1kit.loops.text_settings import FillInMiddle, TokenizerSettings
from r1kit.records import Sampling, StageResult
from r1kit.reward.settings import RewardConfig
from r1kit.tasks.corpora import CorpusConfig, build_corpus, shown
from r1kit.tasks.task import Split
from r1kit.update.settings import DtypeSetting, OptimiserSettings
from r1kit.workspace import Workspace

if TYPE_CHECKING:
    from r1kit.contracts import Recipe

__all__ = ["Config", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(StageConfig):
    data: str = ""
    """Text to learn: a file, a folder or a hub data set; empty: ``corpus``."""
    read: Reading = field(default_factory=lambda: Reading(sample_by="document"))
    """How the rows of ``data`` are read; a plain text file is one document, unless ``sample_by`` says otherwise."""
    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)
    """Of ``data``; a corpus has its own words."""
    fill_in_middle: FillInMiddle = field(default_factory=FillInMiddle)
    """Of the documents of ``data``."""
    context: int = 0
    """Most tokens of a piece of a document of ``data``; 0: the model's positions."""
    decontaminate: int = 10
    """Words in a row that no document of ``data`` may share with a problem that a task holds out (paper: 10); 0: not
    looked at."""
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    """Where documents come from that are made, not read."""
    steps: int = 2000
    tokens_per_step: int = 2560
    """Tokens an update, over all ranks; documents are packed and do not see each other."""
    optimiser: OptimiserSettings = field(
        default_factory=lambda: OptimiserSettings(
            kind="muon", lr=3e-3, betas=(0.9, 0.98), weight_decay=0.05, muon_weight_decay=0.05
        )
    )
    schedule: Schedule = field(default_factory=lambda: Schedule(warmup=100, shape="cosine", floor=0.02))
    dtype: DtypeSetting = "auto"
    """Of the matrix products, the gate's evaluation included; master weights are float32."""
    log_every: int = 20
    """Updates to a line of metrics."""
    micro_batch_tokens: int = 65536
    evaluation: EvaluationConfig = field(default_factory=lambda: EvaluationConfig(split="dev"))
    """Of the finished base: what the gate before RL judges."""
    sampling: Sampling = field(default_factory=lambda: Sampling(max_tokens=200))
    reward: RewardConfig = field(default_factory=RewardConfig)

    @property
    def data_sources(self) -> tuple[tuple[str, Reading], ...]:
        """The text."""
        return ((self.data, self.read),) if self.data else ()

    def uses(self, recipe: Recipe) -> tuple[str, ...]:
        """Tasks that the gate judges."""
        return self.evaluation.tasks or tuple(recipe.tasks)

    @property
    def splits(self) -> tuple[Split, ...]:
        """Held-out splits that the stage looks at."""
        return (self.evaluation.split,)

    @property
    def lengths(self) -> Mapping[str, int]:
        """Longest completion, in tokens, by the name of the setting."""
        return lengths_of(self)

    def check(self, stage: str, recipe: Recipe) -> None:
        """Batch divisions, before anything loads."""
        if recipe.model.name:
            raise InputError(
                f"stages.{stage} trains a fresh model, but model.name = {recipe.model.name!r} is set; drop one"
            )
        if recipe.ranks and self.tokens_per_step % recipe.ranks:
            raise InputError(
                f"stages.{stage}.tokens_per_step = {self.tokens_per_step} does not divide over {recipe.ranks} ranks; "
                f"choose a multiple, or other --ranks"
            )
        check_least(self, stage, 1, "steps", "log_every", "micro_batch_tokens", "sampling.max_tokens")
        check_least(self, stage, 2 * max(1, recipe.ranks), "tokens_per_step")
        check_least(self, stage, 0, "context", "decontaminate")
        check_rates(self.optimiser.lr, self.schedule, stage)
        if self.data:
            self._check_text(stage, recipe)
        else:
            self._check_held_out(stage, recipe)

    def _check_text(self, stage: str, recipe: Recipe) -> None:
        if self.corpus.shares:
            raise InputError(f"stages.{stage} has data = {self.data!r} and a corpus; drop one")
        if self.context > recipe.model.max_positions:
            raise InputError(
                f"stages.{stage}.context = {self.context} passes model.max_positions = {recipe.model.max_positions}"
            )
        check_rows(self.data, self.read, "text", stage, recipe)

    def _check_held_out(self, stage: str, recipe: Recipe) -> None:
        """The corpus must not show what a task holds out."""
        self.corpus.check(f"stages.{stage}.corpus")
        corpus = build_corpus(self.corpus)
        for name, task in recipe.built(recipe.tasks).items():
            if count := shown(corpus, task):
                raise InputError(
                    f"stages.{stage}.corpus would show {count} of the problems that tasks.{name} holds out; give the "
                    f"corpus the task's own settings"
                )


def run(config: Config, workspace: Workspace) -> StageResult:
    from r1kit.evals.evaluator import last_evaluation
    from r1kit.evals.gate import write_gate
    from r1kit.loops.policy import open_evaluator, save_checkpoint
    from r1kit.loops.pretraining import pretrain

    loaded, learner = pretrain(config, workspace)
    checkpoint = save_checkpoint(workspace, loaded, learner)
    if workspace.recipe.tasks:
        with open_evaluator(
            loaded, config.evaluation, config.sampling, config.reward, workspace, config.dtype, learner=learner
        ) as evaluator:
            write_gate(evaluator.evaluate(config.steps), workspace)
    return StageResult(metrics=last_evaluation(workspace), checkpoint=checkpoint, inputs=())
