"""Rejection sampling as a data factory: many samples a prompt, only right and readable ones kept, other data mixed in.

R1 paper, section 2.3.3 (v2, B.3.3): about 600k reasoning samples from the policy of reasoning RL and 200k others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from r1kit.errors import InputError
from r1kit.factory.filters import FilterConfig
from r1kit.factory.mixture import check_weights
from r1kit.loops.collection import Collection, named
from r1kit.loops.settings import check_least
from r1kit.records import Sampling, StageResult
from r1kit.reward.settings import RewardConfig
from r1kit.workspace import Workspace

if TYPE_CHECKING:
    from r1kit.contracts import Recipe

__all__ = ["Config", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Collection):
    start: str = "reasoning_rl"
    """Stage whose policy is sampled."""
    prompts: int = 800
    """Questions asked."""
    sampling: Sampling = field(default_factory=lambda: Sampling(n=8))
    reward: RewardConfig = field(default_factory=lambda: RewardConfig(format_style="think_summary"))
    filters: FilterConfig = field(default_factory=lambda: FilterConfig(language=0.95, code=False))
    weights: Mapping[str, float] = field(default_factory=dict)
    """Share of each domain in the final samples relative to the others, 1 where it is not named; empty: everything."""
    size: int = 0
    """Samples in all at most; 0: as many as the weights allow."""

    @property
    def model_sources(self) -> tuple[str, ...]:
        """Earlier stages, or models by name, that sample, judge or refine."""
        return named(self.start, self.judge)

    def uses(self, recipe: Recipe) -> tuple[str, ...]:
        """Every task: no sample may overlap with any evaluation prompt."""
        named = (*self.asked(recipe), *self.general.tasks)
        return (*named, *recipe.tasks) if self.decontaminate else named

    def check(self, stage: str, recipe: Recipe) -> None:
        """Ranges and weights, before anything loads."""
        Collection.check(self, stage, recipe)
        check_least(self, stage, 1, "prompts")
        check_least(self, stage, 0, "size")
        check_weights(self.weights, f"stages.{stage}.weights")
        domains = {*self.asked(recipe), *self.general.tasks}
        other = self.general.path or self.general.dataset  # their domains are not known yet
        if not other and not any(self.weights.get(name, 1.0) for name in domains):
            raise InputError(f"stages.{stage}.weights sum to nothing; give a domain more than 0")


def run(config: Config, workspace: Workspace) -> StageResult:
    from r1kit.loops import rejection_sampling
    from r1kit.loops.collect import is_collected, on_writer

    if not is_collected(workspace):
        rejection_sampling.sample(config, workspace)
    metrics = on_writer(workspace, lambda: rejection_sampling.finish(config, workspace))
    return StageResult(metrics=metrics, inputs=workspace.recipe.inputs(workspace.stage))
