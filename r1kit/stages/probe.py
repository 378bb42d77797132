"""How often each checkpoint's drafts hit (R1 paper, v2, appendix B.1: self-speculative decoding in rollouts), and how
far engine and learner are apart, with and without routing replay."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from r1kit.contracts import BASE, StageConfig
from r1kit.errors import InputError
from r1kit.loops.settings import check_least, check_source
from r1kit.records import Sampling, StageResult
from r1kit.resume import Stateless
from r1kit.update.settings import Dtype
from r1kit.workspace import Workspace

if TYPE_CHECKING:
    from r1kit.contracts import Recipe

__all__ = ["Config", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(StageConfig):
    stages: tuple[str, ...] = ()
    """Whose checkpoints are looked at, in order; empty: the base, and every earlier stage that leaves a model of the
    same line."""
    tasks: tuple[str, ...] = ()
    """Whose dev prompts are sampled from; empty: the first."""
    prompts: int = 16
    """Of each task."""
    sampling: Sampling = field(default_factory=lambda: Sampling(n=8))
    dtypes: tuple[Dtype, ...] = ("float32", "bfloat16")
    """Of engine and learner: in each they are held against each other."""
    rows_in_flight: int = 512

    @property
    def inputs(self) -> tuple[str, ...]:
        """Earlier stages that it takes in."""
        return self.stages

    @property
    def lengths(self) -> dict[str, int]:
        """Longest completion, in tokens."""
        return {"sampling.max_tokens": self.sampling.max_tokens}

    def resolved(self, stage: str, recipe: Recipe) -> Config:
        """With the stages to look at and the tasks, where none was named."""
        compared = (name for name in recipe.earlier(stage) if recipe.about[name].compared)
        return replace(self, stages=self.stages or (BASE, *compared), tasks=self.tasks or tuple(recipe.tasks)[:1])

    def uses(self, recipe: Recipe) -> tuple[str, ...]:
        """Tasks that it takes prompts of."""
        return self.tasks

    def check(self, stage: str, recipe: Recipe) -> None:
        """Ranges, before anything loads."""
        check_least(self, stage, 1, "prompts", "rows_in_flight", "sampling.max_tokens", "sampling.n")
        check_least(self, stage, 0, "sampling.temperature")
        if not self.dtypes:
            raise InputError(f"stages.{stage}.dtypes is empty: name float32, bfloat16 or both")
        for source in self.stages:
            check_source(source, stage, recipe)


def run(config: Config, workspace: Workspace) -> StageResult:
    from r1kit.backends.backend import backend_of
    from r1kit.loops.probing import probed

    tasks = workspace.recipe.built(config.tasks)
    prompts = [prompt for task in tasks.values() for prompt in task.held_out("dev", config.prompts)]
    found: dict[str, Any] = {}
    for step in workspace.steps(len(config.stages), Stateless()):
        stage = config.stages[step]
        if not workspace.has_model(stage):
            continue
        for dtype in config.dtypes:
            loaded = backend_of(workspace.recipe, workspace.ranks).load(workspace.start(stage)[0])
            workspace.parameters = loaded.parameters
            told = probed(loaded, prompts, config.sampling, dtype, config.rows_in_flight, workspace)
            workspace.log(step, {"checkpoint": stage, "dtype": dtype, **told})
    for line in workspace.read("metrics"):
        told = {name: value for name, value in line.items() if name not in ("step", "seconds", "checkpoint", "dtype")}
        found.setdefault(line["checkpoint"], {})[line["dtype"]] = told
    return StageResult(metrics=found, inputs=workspace.recipe.inputs(workspace.stage))
