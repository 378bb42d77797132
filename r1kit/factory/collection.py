"""Settings of the stages that make samples instead of a model, and which prompts they ask. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from r1kit.contracts import StageConfig
from r1kit.errors import InputError, nearest
from r1kit.factory.filters import FilterConfig, check_filters
from r1kit.factory.general import General, check_general
from r1kit.loops.settings import check_least, check_source
from r1kit.records import Prompt, Sampling
from r1kit.reward.settings import RewardConfig
from r1kit.seeds import training_index
from r1kit.tasks.task import Split, Task
from r1kit.update.settings import DtypeSetting

if TYPE_CHECKING:
    from r1kit.contracts import Recipe

__all__ = ["Collection", "Plan", "named"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection(StageConfig):
    """Sample, judge, filter, keep: what cold start and rejection sampling share."""

    tasks: tuple[str, ...] = ()
    """Tasks whose training prompts are asked, in turn; empty: every task of the recipe."""
    prompts_per_step: int = 64
    """Questions sampled and judged at once, over all ranks; a resume point can be written after each."""
    sampling: Sampling = field(default_factory=lambda: Sampling(n=4))
    reward: RewardConfig = field(default_factory=RewardConfig)
    """How the answer is read and which form a completion must have; nothing is paid here."""
    filters: FilterConfig = field(default_factory=FilterConfig)
    """Of completions, as they were written."""
    judge: str = ""
    """Stage or model that judges the tasks in ``judged`` in place of their rule."""
    judged: tuple[str, ...] = ()
    """Tasks whose answers no rule can check; their prompts need a reference answer."""
    judge_sampling: Sampling = field(default_factory=lambda: Sampling(n=1, max_tokens=512, temperature=0.6, top_p=0.95))
    decontaminate: int = 10
    """Words of the n-grams that no sample may share with an evaluation prompt (paper: 10); 0: not looked at."""
    keep: int = 4
    """Samples of one question at most, all of them different; 0: all."""
    limit: int = 0
    """Reasoning samples at most, spread over the questions; 0: all."""
    general: General = field(default_factory=lambda: General(tasks=()))
    """Samples that are no reasoning problems."""
    deadline: float = 10.0
    """Seconds a verifier has for one completion."""
    verifier_workers: int = 0
    """Verifier processes of a rank; 0: one a core that the ranks leave over, at least 1."""
    dtype: DtypeSetting = "auto"
    """Of the models that sample."""
    rows_in_flight: int = 512
    """Completions that decode side by side on a rank: bounds memory."""

    @property
    def model_sources(self) -> tuple[str, ...]:
        """Earlier stages, or models by name, that sample, judge or refine."""
        return named(self.judge)

    @property
    def splits(self) -> tuple[Split, ...]:
        """Held-out splits that the stage looks at: no sample may overlap with them."""
        return ("dev", "test") if self.decontaminate else ()

    @property
    def lengths(self) -> Mapping[str, int]:
        """Longest completion, in tokens, by the name of the setting."""
        return {"sampling.max_tokens": self.sampling.max_tokens}

    def asked(self, recipe: Recipe) -> tuple[str, ...]:
        """Tasks whose prompts are asked."""
        return self.tasks or tuple(recipe.tasks)

    def check(self, stage: str, recipe: Recipe) -> None:
        """Ranges and references, before anything loads."""
        for source in self.model_sources:
            check_source(source, stage, recipe)
        check_filters(self.filters, f"stages.{stage}.filters")
        check_least(self, stage, 1, "prompts_per_step", "sampling.n", "sampling.max_tokens", "rows_in_flight")
        check_least(self, stage, 0, "verifier_workers", "keep", "limit", "decontaminate", "sampling.temperature")
        if not 0 < self.sampling.top_p <= 1 or not self.deadline > 0:
            raise InputError(
                f"stages.{stage}: sampling.top_p = {self.sampling.top_p} must be above 0 and at most 1, deadline = "
                f"{self.deadline} above 0"
            )
        if not recipe.tasks:
            raise InputError(f"stages.{stage} has no task; add one, for example [tasks.countdown]")
        asked = self.asked(recipe)
        for name in self.judged:
            if name not in asked:
                raise InputError(
                    f"stages.{stage}.judged names {name!r}; the stage asks {', '.join(asked)}.{nearest(name, asked)}"
                )
        if bool(self.judge) != bool(self.judged):
            raise InputError(
                f"stages.{stage}: judge = {self.judge!r} and judged = {list(self.judged)}; set both (a judging stage "
                f"or model, and the tasks it judges) or neither"
            )
        for name, task in recipe.built(asked).items():
            if not task.graded and name not in self.judged:
                raise InputError(
                    f"stages.{stage} keeps right answers, and task {name!r} has no reference answers; name others in "
                    f'stages.{stage}.tasks, or a judge: judge = "MODEL", judged = ["{name}"]'
                )
        check_general(self.general, recipe.built(self.general.tasks), f"stages.{stage}.general")


def named(*names: str) -> tuple[str, ...]:
    """Those that are not empty, each once."""
    return tuple(dict.fromkeys(filter(None, names)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which prompts each step asks, and by which route: a pure function of the step."""

    tasks: Mapping[str, Task]
    """Asked in turn."""
    routes: Mapping[str, int]
    """Route -> prompts to ask by it; one route after the other, no prompt number twice."""
    per_step: int
    seed: int
    _steps: list[tuple[str, range]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        first = 0
        for route, count in self.routes.items():
            for begin in range(0, count, self.per_step):
                self._steps.append((route, range(first + begin, first + min(count, begin + self.per_step))))
            first += count

    def __len__(self) -> int:
        return len(self._steps)

    def step(self, number: int, rank: int = 0, ranks: int = 1) -> tuple[str, list[tuple[int, Prompt]]]:
        """The step's route and a rank's share of its prompts, each with its running number."""
        route, places = self._steps[number]
        return route, [(place, self.prompt(place)) for place in places[rank::ranks]]

    def prompt(self, place: int) -> Prompt:
        """The prompt of a running number."""
        names = list(self.tasks)
        task = self.tasks[names[place % len(names)]]
        return task.train(training_index(self.seed, place // len(names)))
