"""Settings of pretraining. No torch here: ``r1 check`` reads this."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from r1kit.checkpoint.source import check_tokenizer
from r1kit.data.settings import Reading
from r1kit.errors import InputError
from r1kit.evals.settings import EvaluationConfig
from r1kit.factory.sources import check_rows
from r1kit.loops.settings import Evaluated, Schedule, check_least, check_rates
from r1kit.records import Sampling
from r1kit.reward.settings import RewardConfig
from r1kit.tasks.corpora import CorpusConfig, build_corpus, shown
from r1kit.text.template_source import syntax_fault
from r1kit.update.settings import DtypeSetting, ExpertSettings, OptimiserSettings

if TYPE_CHECKING:
    from r1kit.contracts import Recipe

__all__ = ["FillInMiddle", "Pretrain", "TokenizerSettings"]

LEAST_VOCABULARY = 300
"""The 256 bytes, the special tokens and the tags."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerSettings:
    """Which tokens text is read as: those of a model, or byte pairs found in the text itself."""

    name: str = ""
    """A model's, by any name that a model has, or a folder with a tokenizer alone; empty: byte pairs of the text."""
    vocab_size: int = 8192
    """Of byte pairs, special tokens included; a small text has fewer."""
    special: tuple[str, ...] = ()
    """Further tokens of byte pairs that are never split."""
    split_digits: bool = True
    """A digit is a token, so that numbers are read digit by digit."""
    chat_template: str = ""
    """Jinja text, or a file of it; empty: ChatML for byte pairs, and a model's own."""
    trained_on: int = 100_000_000
    """Characters of the text that byte pairs are found in, the first."""

    def __post_init__(self) -> None:
        if self.vocab_size < LEAST_VOCABULARY or self.trained_on < 1:
            raise InputError(
                f"tokenizer: vocab_size = {self.vocab_size} must be at least {LEAST_VOCABULARY}, trained_on = "
                f"{self.trained_on} at least 1"
            )
        if any(not token.strip() for token in self.special):
            raise InputError(f"tokenizer.special = {list(self.special)}: a token must not be blank")
        if self.name and self.special:
            raise InputError("tokenizer.special is for byte pairs; the tokens of a model are what they are: drop one")

    def template(self) -> str:
        """The chat template's text; empty without one. Raises InputError for what is neither Jinja text nor a file of
        it."""
        text, given = self.chat_template, f"tokenizer.chat_template = {self.chat_template!r}"
        if text and "{" not in text:
            try:
                text = Path(text).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(f"{given} is neither Jinja text nor a file: {error}") from None
        if fault := syntax_fault(text):
            raise InputError(f"{given} is not valid Jinja: {fault}")
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class FillInMiddle:
    """Documents cut in three and learnt in another order, so that the middle is written last (2207.14255)."""

    rate: float = 0.0
    """Share of the pieces that are cut."""
    spm: float = 0.5
    """Of those, the share that is written suffix, prefix, middle; the others prefix, suffix, middle."""

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1 or not 0 <= self.spm <= 1:
            raise InputError(f"fill_in_middle: rate = {self.rate} and spm = {self.spm} must be from 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrain(Evaluated):
    """A base from text, or from a corpus."""

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
    experts: ExpertSettings = field(default_factory=lambda: ExpertSettings(bias_speed=0.001, balance=0.0001))
    """How the experts of a model that has some are balanced (paper: these, the speed 0 in the last 3%)."""
    mtp_weight: float = 0.3
    """Of the loss of the token after the next, where ``model.mtp_layers`` = 1 (paper: 0.3, later 0.1)."""
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

    @property
    def files(self) -> tuple[str, ...]:
        """The chat template's, where it is one."""
        template = self.tokenizer.chat_template
        return (template,) if template and "{" not in template else ()

    def uses(self, recipe: Recipe) -> tuple[str, ...]:
        """Tasks that the gate judges."""
        return self.evaluation.tasks or tuple(recipe.tasks)

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
        check_least(self, stage, 0, "context", "decontaminate", "mtp_weight")
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
        self.tokenizer.template()
        if self.tokenizer.name:
            check_tokenizer(self.tokenizer.name)
        check_rows(self.data, self.read, "text", f"stages.{stage}")

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
