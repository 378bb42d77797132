"""Settings of the cold start. No torch here: ``r1 check`` reads this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from r1kit.errors import InputError, nearest
from r1kit.factory.collection import Collection, named
from r1kit.factory.examples import FewShot, check_room, check_shown, worked_examples
from r1kit.factory.filters import FilterConfig, check_filters
from r1kit.factory.refine import is_model, rule_refiner
from r1kit.loops.settings import check_least
from r1kit.records import Sampling
from r1kit.reward.format import FormatStyle

if TYPE_CHECKING:
    from r1kit.contracts import Recipe

__all__ = ["ROUTES", "ColdStart", "Direct"]

ROUTES = ("few_shot", "direct", "r1_zero")


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct:
    """Asking for what a good response has."""

    prefix: str = ""
    suffix: str = "\n\nAnswer in detail: reflect on every step, and verify the result before you give it."


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStart(Collection):
    source: str = "r1_zero"
    """Stage whose outputs the route ``r1_zero`` filters and rewrites."""
    model: str = ""
    """Stage or model that the routes ``few_shot`` and ``direct`` ask; empty: the source."""
    routes: Mapping[str, int] = field(default_factory=lambda: {"r1_zero": 160})
    """Prompts asked by each route, out of ``few_shot``, ``direct`` and ``r1_zero``."""
    few_shot: FewShot = field(default_factory=FewShot)
    direct: Direct = field(default_factory=Direct)
    refiner: str = "rules"
    """Makes the chain's language one and adds the summary: ``rules`` (of the nano world's two languages), a class in
    ``FILE.py:NAME`` with a method ``refine``, or a stage or model."""
    refiner_sampling: Sampling = field(default_factory=lambda: Sampling(n=1, max_tokens=1024, temperature=0.6))
    form: FormatStyle = "think_summary"
    """What a refined response must look like."""
    refined: FilterConfig = field(default_factory=lambda: FilterConfig(language=0.95))
    """Filters of refined responses."""
    keep: int = 2
    limit: int = 300
    review: Literal["automatic", "human"] = "automatic"
    """Who decides on the refined samples; ``human``: people do, on the page of ``r1 review`` or in ``review.jsonl``."""
    review_least: int = 0
    """Samples that people must have decided before the stage ends; 0: all of them."""
    review_rest: Literal["leave_out", "accept"] = "leave_out"
    """What becomes of those that nobody has decided by then; what is accepted so says ``automatic``."""
    review_wait: bool = False
    """Stay, and go on by itself once enough are decided, instead of ending with exit code 3 and a line."""
    review_twice: float = 0.0
    """Share of the samples that two people decide, each without seeing the other's decision; counts when the queue is
    made (later: ``r1 review --twice``)."""

    @property
    def model_sources(self) -> tuple[str, ...]:
        """Earlier stages, or models by name, that sample, judge or refine."""
        refiner = self.refiner if is_model(self.refiner) else ""
        return named(self.source, self.model, refiner, self.judge)

    def uses(self, recipe: Recipe) -> tuple[str, ...]:
        """Tasks whose prompts it asks, and those with samples of their own."""
        return (*self.asked(recipe), *self.general.tasks)

    def check(self, stage: str, recipe: Recipe) -> None:
        """Routes and ranges, before anything loads."""
        Collection.check(self, stage, recipe)
        check_filters(self.refined, f"stages.{stage}.refined")
        if not self.routes or not any(self.routes.values()):
            raise InputError(f"stages.{stage}.routes asks no prompt; set for example routes = {{ r1_zero = 160 }}")
        for route, count in self.routes.items():
            if route not in ROUTES:
                raise InputError(
                    f"stages.{stage}.routes: {route!r} is unknown; routes are {', '.join(ROUTES)}."
                    f"{nearest(route, ROUTES)}"
                )
            if count < 0:
                raise InputError(f"stages.{stage}.routes.{route} = {count}: must be at least 0")
        check_least(self, stage, 0, "review_least", "review_twice")
        if self.review_twice > 1:
            raise InputError(f"stages.{stage}.review_twice = {self.review_twice}: a share is at most 1")
        for name in ("review_least", "review_twice"):
            if self.review == "automatic" and (value := getattr(self, name)):
                raise InputError(
                    f"stages.{stage}.{name} = {value} is of people's decisions, and review = 'automatic' accepts all "
                    f'without; set review = "human", or drop it'
                )
        if not is_model(self.refiner):
            rule_refiner(self.refiner)
        if self.routes.get("few_shot"):
            self._check_few_shot(stage, recipe)

    def _check_few_shot(self, stage: str, recipe: Recipe) -> None:
        check_least(self, stage, 1, "few_shot.shots", "few_shot.longest")
        check_shown(self.few_shot, f"stages.{stage}")
        tasks = recipe.built(self.asked(recipe))
        alone = [name for name, task in tasks.items() if "worked_example" not in task.offers]
        if alone and not self.few_shot.path:
            raise InputError(
                f"stages.{stage}.few_shot.path is empty, and task {alone[0]!r} writes no worked examples; name a JSONL "
                f"file of samples"
            )
        try:
            worked_examples(self.few_shot, tasks, recipe.seed)
        except InputError as error:
            raise InputError(f"stages.{stage}: {error}") from None
        if not recipe.model.name:
            check_room(self.few_shot, self.sampling.max_tokens, recipe.model.max_positions, f"stages.{stage}")
