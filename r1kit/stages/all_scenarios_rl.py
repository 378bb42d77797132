"""R1: RL for all scenarios, rules where they apply, reward models elsewhere (R1 paper, 2.3.4; v2, equations 8-10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from r1kit.errors import InputError, nearest
from r1kit.evals.hacking import HackingWatch, find_hacking
from r1kit.loops.settings import RL, check_least, check_source
from r1kit.records import Sampling, StageResult
from r1kit.reward.settings import PAID, RewardConfig
from r1kit.workspace import Workspace

if TYPE_CHECKING:
    from r1kit.contracts import Recipe
    from r1kit.evals.evaluator import Evaluation
    from r1kit.loops.rl import Watch
    from r1kit.tasks.task import Task

__all__ = ["Config", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(RL):
    """Reasoning RL's settings at temperature .7; tasks without a rule join late, judged by the reward models."""

    start: str = "sft"
    """Stage it starts from; ``base``: the pretrained model."""
    sampling: Sampling = field(default_factory=lambda: Sampling(temperature=0.7))
    reward: RewardConfig = field(default_factory=lambda: RewardConfig(parts={**PAID, "language": 1.0}))
    """Of the tasks with a rule; the others are paid form and language by it, and their reward model instead of a right
    answer (v2, equation 10)."""
    reward_models: str = "reward_models"
    """Stage that trained them."""
    routes: Mapping[str, str] = field(default_factory=dict)
    """Task -> the reward model that judges it, ``helpfulness`` or ``safety``; at least one."""
    preference_steps: int = 24
    """Last steps, in which these tasks take part (paper: 400 of 1,700; longer led to reward hacking)."""
    preference_weight: float = 1.0
    """Of a reward model's score, in standard deviations, in the reward."""
    watch: HackingWatch = field(default_factory=HackingWatch)
    """When to stop: the models' reward rises while the tasks' own rule, which nobody is paid by, falls."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Earlier stages that it takes in."""
        return (self.start, self.reward_models)

    def check(self, stage: str, recipe: Recipe) -> None:
        """Batch divisions and references, before anything loads."""
        RL.check(self, stage, recipe)
        check_source(self.reward_models, stage, recipe, "reward models")
        check_least(self, stage, 0, "preference_steps")
        trained = self.tasks or tuple(recipe.tasks)
        if not self.routes:
            raise InputError(
                f"stages.{stage}.routes is empty; name the tasks that reward models judge, for example "
                f'routes = {{{trained[0]} = "helpfulness"}}'
            )
        for task in self.routes:
            if task not in trained:
                raise InputError(
                    f"stages.{stage}.routes names {task!r}; the stage trains on {', '.join(trained)}."
                    f"{nearest(task, trained)}"
                )
        about = recipe.stages[self.reward_models]
        known = about.models if recipe.kinds[self.reward_models] == "reward_models" else tuple(self.routes.values())
        for task, kind in self.routes.items():
            if kind not in known:
                raise InputError(
                    f"stages.{stage}.routes.{task} = {kind!r}: stage {self.reward_models!r} trains {', '.join(known)}; "
                    f"name one of them, or add it to stages.{self.reward_models}.models.{nearest(kind, known)}"
                )
        if set(trained) <= set(self.routes) and self.preference_steps < self.steps:
            raise InputError(
                f"stages.{stage}: the first {self.steps - self.preference_steps} steps have no task: all are judged by "
                f"reward models; name one with a rule, or set preference_steps = {self.steps}"
            )


def run(config: Config, workspace: Workspace) -> StageResult:
    from r1kit.backends.backend import backend_of
    from r1kit.loops import rl
    from r1kit.loops.policy import open_policy

    unpaid = dict.fromkeys(config.routes, replace(config.reward, parts={**config.reward.parts, "accuracy": 0.0}))
    folder = workspace.folder_of(config.reward_models)
    folders = {path.parent.name: path for path in sorted(folder.glob("*/checkpoint"))}
    models = backend_of(workspace.recipe, workspace.ranks).open_learned(folders, config.routes, config.dtype)
    with open_policy(config, workspace, unpaid, models, config.preference_weight) as policy:
        ruled = {name: task for name, task in policy.tasks.items() if name not in config.routes}

        def tasks_at(step: int) -> Mapping[str, Task]:
            return ruled if step < config.steps - config.preference_steps else policy.tasks

        watch = _watch(config, workspace)
        done = rl.train(config, policy, tasks_at, watch)
        result = policy.result()
        stopped = {"stopped_at": done} if done < config.steps else {}
        return replace(result, metrics={**result.metrics, **stopped}, inputs=(*result.inputs, config.reward_models))


def _watch(config: Config, workspace: Workspace) -> Watch:
    """Looks at every evaluation since the preference rewards began, as ``eval.jsonl`` has them."""
    first = config.steps - config.preference_steps

    def watch(step: int, found: Mapping[str, Evaluation]) -> str:
        if not found or step < first:
            return ""
        lines = [
            line
            for line in (workspace.read("eval") if workspace.is_writer else [])
            if line["step"] >= first
            and line["split"] == config.evaluation.split
            and line["task"] in config.routes
            and "avg_at_k" in line  # without a rule there is nothing that could fall
        ]
        steps = sorted({line["step"] for line in lines})
        rewards = [_mean(lines, at, "model_reward") for at in steps]
        gold = [_mean(lines, at, "avg_at_k") for at in steps]
        hacking = find_hacking(steps, rewards, gold, config.watch)
        return str(workspace.ranks.broadcast_object(hacking.reason if hacking else ""))

    return watch


def _mean(lines: list[dict[str, Any]], step: int, key: str) -> float:
    """Mean over the tasks' lines of a step."""
    values = [float(line[key]) for line in lines if line["step"] == step]
    return sum(values) / len(values)
