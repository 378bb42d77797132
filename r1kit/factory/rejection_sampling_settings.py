"""Settings of rejection sampling. No torch here: ``r1 check`` reads this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from r1kit.errors import InputError, nearest
from r1kit.factory.collection import Collection, named
from r1kit.factory.filters import FilterConfig
from r1kit.factory.mixture import check_weights
from r1kit.loops.settings import check_least
from r1kit.records import Sampling
from r1kit.reward.settings import RewardConfig

if TYPE_CHECKING:
    from r1kit.contracts import Recipe

__all__ = ["RejectionSampling"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionSampling(Collection):
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
        domains = tuple(dict.fromkeys((*self.asked(recipe), *self.general.tasks)))
        other = self.general.path or self.general.dataset  # their domains are not known yet
        if not other and (unknown := [name for name in self.weights if name not in domains]):
            raise InputError(
                f"stages.{stage}.weights names {unknown[0]!r}, of which there will be no sample; domains are "
                f"{', '.join(domains)}.{nearest(unknown[0], domains)}"
            )
        if not other and not any(self.weights.get(name, 1.0) for name in domains):
            raise InputError(f"stages.{stage}.weights sum to nothing; give a domain more than 0")
