"""What a stage or a command computes with: one frozen value that opens models, engines and learners alike."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from r1kit.backends import AUTO, LEARNERS, SHARDED, models, opening, rewards
from r1kit.backends.arithmetic import resolve_dtype, warn_if_slow
from r1kit.backends.device import device_of
from r1kit.backends.models import LoadedModel
from r1kit.cluster.ranks import Ranks, Solo
from r1kit.cluster.settings import Cluster, EngineChoice, LearnerChoice, Whole
from r1kit.registry import find
from r1kit.rollout.engine import Engine
from r1kit.text.template import Template
from r1kit.update.learner import Learner
from r1kit.update.local import LearnerSettings
from r1kit.update.optim import DTYPES
from r1kit.update.reward import RewardLearner
from r1kit.update.settings import DtypeSetting, ExpertSettings, LoRA, OptimiserSettings, settled

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from r1kit.contracts import Model, Recipe
    from r1kit.model.language_model import LanguageModel
    from r1kit.model.reward_model import Outlook, RewardModel
    from r1kit.reward.learned import LearnedReward
    from r1kit.update.critic import Critic

__all__ = ["Backend", "backend_of"]


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    device: torch.device
    """Of this rank."""
    ranks: Ranks = field(default_factory=Solo)
    template: Template = field(default_factory=Template)
    """How a question becomes a prompt."""
    engine: EngineChoice = field(default_factory=EngineChoice)
    """A name of ``ENGINES``, a reference to an ``OpenEngine`` of the user's, or ``auto``: what runs the model."""
    learner: LearnerChoice = field(default_factory=LearnerChoice)
    """A name of ``LEARNERS``, a reference to an ``OpenLearner`` of the user's, or ``auto``: the local one."""

    cluster: Cluster = field(default_factory=Cluster)
    """What stands beside the ranks."""
    tell: Callable[[str], None] = _to_stderr
    """Where a warning goes."""

    # ---- language models ------------------------------------------------------------------------------------------

    def load(self, name: str, dtype: DtypeSetting = "float32") -> LoadedModel:
        """A model by the name a user writes, or a folder.

        Raises:
            InputError: the name or the folder is wrong.
            MissingError: it is not on this machine and cannot be fetched.
        """
        return models.read_model(name, self.device, self._torch_dtype(dtype), self.template, self._shares)

    def draw(self, shape: Model, tokenizer: PreTrainedTokenizerBase, seed: int) -> LoadedModel:
        """A fresh decoder of the shape, with as many rows as the tokenizer has tokens."""
        return models.draw_model(shape, tokenizer, seed, self.device, self._shares)

    @property
    def _shares(self) -> bool:
        """The learner shares weights out, so no rank is to read more than it keeps."""
        return self.learner.kind == SHARDED

    def open_engine(self, loaded: LoadedModel, *, dtype: DtypeSetting = "float32", max_rows: int = 512) -> Engine:
        """An engine that samples from the model's present weights; close it.

        Raises:
            InputError: the engine that the recipe names cannot run the model.
        """
        self._warn(dtype, loaded)
        arguments = (loaded, self.engine, self._torch_dtype(dtype), max_rows, self.ranks)
        if opening.has_engines(self.cluster):
            return opening.open_pool(*arguments, self.cluster, self.tell)
        return opening.open_here(*arguments)

    def open_learner(
        self, loaded: LoadedModel, optimiser: OptimiserSettings, *, dtype: DtypeSetting = "float32", token_budget: int,
        temperature: float = 1.0, experts: ExpertSettings | None = None, further: float = 0.0,
        lora: LoRA | None = None, seed: int = 0,
    ) -> Learner:  # fmt: skip
        """A learner that takes the model over.

        Args:
            loaded: float32 weights, the same on every rank.
            dtype: of the matrix products; master weights are float32.
            token_budget: tokens in one forward and backward: bounds memory, changes no result.
            temperature: of the sampling that it learns from.
            experts: how they are balanced; None: not at all.
            further: weight of the loss of the token after the next.
            lora: an adapter to train in place of the weights; None, or of rank 0: the weights.
            seed: of what the learner draws.
        """
        settings = LearnerSettings(
            experts=experts or ExpertSettings(),
            further=further,
            lora=lora or LoRA(),
            seed=seed,
            dtype=resolve_dtype(dtype, self.device),
            token_budget=token_budget,
            temperature=temperature,
            optimiser=settled(optimiser, resolve_dtype("auto", self.device)),
            own=self.learner.settings,
        )
        self._warn(settings.dtype, loaded)
        if isinstance(settings.own, Whole) and settings.own.offload != "none" and loaded.device.type == "cpu":
            self.tell("learner.offload moves nothing on a CPU: its memory is the host's")
        if settings.optimiser.kind == "muon":
            self._warn(settings.optimiser.muon_dtype, loaded)
        name = "local" if self.learner.kind == AUTO else self.learner.kind
        learner: Learner = find(name, LEARNERS, "learner", "learner")(loaded, settings, self.ranks)
        return learner

    def open_critic(
        self, model: LanguageModel, optimiser: OptimiserSettings, *, dtype: DtypeSetting = "float32", token_budget: int
    ) -> Critic:
        """PPO's value model, which takes over a copy of the policy as it is before RL."""
        from r1kit.update.critic import Critic

        settings = LearnerSettings(
            dtype=resolve_dtype(dtype, self.device),
            token_budget=token_budget,
            optimiser=settled(optimiser, resolve_dtype("auto", self.device)),
            own=self.learner.settings,
        )
        return Critic(model, settings, self.ranks)

    def _warn(self, setting: DtypeSetting, loaded: LoadedModel) -> None:
        """Rank 0 tells, once, what bfloat16 costs where no hardware multiplies it."""
        if self.ranks.rank == 0:
            width = loaded.model.config.hidden_size
            warn_if_slow(resolve_dtype(setting, self.device), self.device, width, self.tell)

    def _torch_dtype(self, setting: DtypeSetting) -> torch.dtype:
        return DTYPES[resolve_dtype(setting, self.device)]

    # ---- reward models --------------------------------------------------------------------------------------------

    def create_reward_model(self, name: str, outlook: Outlook, dtype: DtypeSetting = "float32") -> RewardModel:
        """An untrained reward model over a language model's body."""
        return rewards.create_reward_model(name, outlook, self.device, self._torch_dtype(dtype))

    def open_reward_model(self, folder: Path, dtype: DtypeSetting = "float32") -> RewardModel:
        """One that was trained."""
        return rewards.open_reward_model(folder, self.device, self._torch_dtype(dtype))

    def open_reward_learner(self, model: RewardModel, optimiser: OptimiserSettings, token_budget: int) -> RewardLearner:
        """What trains a reward model in place."""
        return RewardLearner(model, optimiser, self.ranks, token_budget)

    def open_learned(
        self, folders: Mapping[str, Path], routes: Mapping[str, str], dtype: DtypeSetting = "float32"
    ) -> LearnedReward:
        """Reward models by kind, for the tasks that they score."""
        return rewards.open_learned(folders, routes, self.device, self._torch_dtype(dtype))


def backend_of(recipe: Recipe, ranks: Ranks | None = None) -> Backend:
    """What the recipe asks for, on this rank."""
    ranks = ranks or Solo()
    return Backend(
        device=device_of(recipe.device, ranks),
        ranks=ranks,
        template=recipe.model.template,
        engine=recipe.engine,
        learner=recipe.learner,
        cluster=recipe.cluster,
    )
