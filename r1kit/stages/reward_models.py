"""Reward models: helpfulness on pairs, which sees the summary; safety on labels, which sees all (R1 paper, 2.3.4).

Sizes and rates are the Nature version's supplement: batch 256, rate 6e-6, one epoch, 8,192 tokens, where not said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from r1kit.contracts import StartsFrom
from r1kit.data.settings import Reading
from r1kit.errors import InputError
from r1kit.factory.collection import named
from r1kit.factory.preferences import LabelData, PairData, check_data, labels_of, pairs_of, split_by_prompt
from r1kit.loops.settings import Schedule, check_least, check_rates, check_source
from r1kit.records import StageResult
from r1kit.update.settings import DtypeSetting, OptimiserSettings
from r1kit.workspace import Workspace

if TYPE_CHECKING:
    from r1kit.contracts import Recipe
    from r1kit.tasks.task import Task
    from r1kit.text.seen import Sees

__all__ = ["Config", "run"]

Kind = Literal["helpfulness", "safety"]
SEES: dict[Kind, Sees] = {"helpfulness": "summary", "safety": "response"}
"""So that thinking is left free where only the reply should please, and watched where it could do harm."""
FEW = 256
"""Examples that are written to see whether they are enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(StartsFrom):
    start: str = "sft"
    """Stage whose model's body both start from."""
    models: tuple[Kind, ...] = ("helpfulness", "safety")
    """Which are trained."""
    helpfulness: PairData = field(default_factory=PairData)
    safety: LabelData = field(default_factory=LabelData)
    epochs: float = 1.0
    """Times that every example is seen."""
    batch: int = 256
    """Examples an update, over all ranks; each epoch has an order of its own."""
    max_tokens: int = 8192
    """Longer examples are not trained on; scoring has no limit."""
    optimiser: OptimiserSettings = field(default_factory=lambda: OptimiserSettings(lr=6e-6))
    schedule: Schedule = field(default_factory=lambda: Schedule(warmup=0, shape="constant"))
    held_out_share: float = 0.1
    """Share of the prompts whose examples are only judged."""
    standardise: bool = True
    """Scores are given less their held-out mean, over their held-out standard deviation; the paper does not say."""
    dtype: DtypeSetting = "auto"
    """Of the matrix products, the policy's that samples pairs too; master weights are float32."""
    micro_batch_tokens: int = 16384
    """Tokens in one forward and backward: bounds memory."""
    log_every: int = 1
    """Updates to a line of metrics."""

    @property
    def model_sources(self) -> tuple[str, ...]:
        """An earlier stage, or a model by name, that judges the policy's own samples."""
        return named(self.helpfulness.judge) if "helpfulness" in self.models and self.helpfulness.own_samples else ()

    @property
    def data_sources(self) -> tuple[tuple[str, Reading], ...]:
        """Files and data sets of pairs and labels."""
        found: list[PairData | LabelData] = [getattr(self, kind) for kind in self.models]
        return tuple((data.path, data.read) for data in found if data.path)

    def uses(self, recipe: Recipe) -> tuple[str, ...]:
        """Tasks whose prompts are in the data."""
        pairs, labels = self.helpfulness, self.safety
        named = [pairs.task] if "helpfulness" in self.models and (pairs.own_samples or not pairs.path) else []
        return (*named, *([labels.task] if "safety" in self.models and not labels.path else []))

    @property
    def lengths(self) -> Mapping[str, int]:
        """Longest completion, in tokens, by the name of the setting."""
        own = self.helpfulness.own_samples and "helpfulness" in self.models
        return {"helpfulness.sampling.max_tokens": self.helpfulness.sampling.max_tokens} if own else {}

    def check(self, stage: str, recipe: Recipe) -> None:
        """Ranges and data, before anything loads."""
        check_source(self.start, stage, recipe)
        check_least(self, stage, 1, "batch", "max_tokens", "micro_batch_tokens", "log_every")
        check_rates(self.optimiser.lr, self.schedule, stage)
        if not self.models or len(set(self.models)) < len(self.models):
            raise InputError(
                f"stages.{stage}.models = {list(self.models)}: name helpfulness, safety or both, each once"
            )
        if self.optimiser.kind != "adamw":
            raise InputError(f"stages.{stage}.optimiser.kind = {self.optimiser.kind!r}: reward models take adamw only")
        if not self.epochs > 0 or not 0 < self.held_out_share < 1:
            raise InputError(
                f"stages.{stage}: epochs = {self.epochs} must be above 0 and held_out_share = {self.held_out_share} "
                f"between 0 and 1"
            )
        tasks = recipe.built(self.uses(recipe))
        for kind in self.models:
            check_data(getattr(self, kind), tasks, f"stages.{stage}.{kind}")
            self._check_sides(kind, tasks, recipe.seed, f"stages.{stage}.{kind}")

    def _check_sides(self, kind: Kind, tasks: Mapping[str, Task], seed: int, where: str) -> None:
        """Whether few examples that a task writes are enough for both sides; many are."""
        data = self.safety if kind == "safety" else self.helpfulness
        if data.path or data.count > FEW or (isinstance(data, PairData) and data.own_samples):
            return
        try:
            if isinstance(data, PairData):
                split_by_prompt(pairs_of(data, tasks, seed), self.held_out_share, where)
            else:
                split_by_prompt(labels_of(data, tasks, seed), self.held_out_share, where)
        except InputError as error:
            raise InputError(f"{where}.count = {data.count} is too few; raise it ({error})") from None


def run(config: Config, workspace: Workspace) -> StageResult:
    found = {str(kind): workspace.part(kind, partial(_train, config, kind)) for kind in config.models}
    return StageResult(metrics=found, inputs=workspace.recipe.inputs(workspace.stage))


def _train(config: Config, kind: Kind, workspace: Workspace) -> Mapping[str, Any]:
    """One reward model: data, training, what is held out, its folder ``checkpoint``; what it is like."""
    from r1kit.backends.backend import backend_of
    from r1kit.loops import preference
    from r1kit.model.reward_model import Outlook

    backend = backend_of(workspace.recipe, workspace.ranks)
    learnt, judged = _data(config, kind, workspace)
    outlook = Outlook(sees=SEES[kind], template=backend.template)
    model = backend.create_reward_model(workspace.start(config.start)[0], outlook, config.dtype)
    preference.train(config, kind, model, learnt, workspace)
    found = preference.held_out(model, judged, workspace, config.micro_batch_tokens)
    if config.standardise:
        model.outlook = replace(outlook, mean=found["score_mean"], std=found["score_std"] or 1.0)
    if workspace.is_writer:
        model.save(workspace.folder / "checkpoint")
    workspace.ranks.broadcast_object(None)
    return {"trained": len(learnt), **found}


def _data(config: Config, kind: Kind, workspace: Workspace) -> tuple[Any, Any]:
    """(to train on, held out)."""
    where, seed = f"stages.{workspace.stage}.{kind}", workspace.seed
    tasks = workspace.recipe.built(config.uses(workspace.recipe))

    def say(line: str) -> None:
        workspace.say(f"{workspace.stage}: {line}")

    if kind == "safety":
        return split_by_prompt(labels_of(config.safety, tasks, seed, say), config.held_out_share, where)
    own = []
    if config.helpfulness.own_samples:
        from r1kit.factory.own_pairs import own_pairs

        own = own_pairs(config.helpfulness, config.start, workspace, config.dtype)
    return split_by_prompt(pairs_of(config.helpfulness, tasks, seed, own, say), config.held_out_share, where)
