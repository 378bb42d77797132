"""Every checkpoint on every benchmark: the stage table (R1 paper, section 3; v2, table 3 and appendix D.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from r1kit.contracts import BASE
from r1kit.evals.settings import EvaluationConfig
from r1kit.loops.settings import Evaluated, check_least, check_source
from r1kit.records import Sampling, StageResult
from r1kit.resume import Stateless
from r1kit.reward.settings import RewardConfig
from r1kit.text.template import Template
from r1kit.update.settings import DtypeSetting
from r1kit.workspace import Workspace

if TYPE_CHECKING:
    from r1kit.contracts import Recipe
    from r1kit.reward.verifier import Verifying

__all__ = ["Config", "run"]

TOLD = (
    "avg_at_k", "interval", "cons_at_k", "cons_interval", "pass_at_k", "k", "problems", "response_tokens",
    "format_rate", "accuracy_given_format", "language_consistency", "language_interval",
    "mixed_share", "reflection_rate", "truncated_share",
)  # fmt: skip
"""What of an evaluation goes into the stage table; the rest is in ``eval.jsonl``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Evaluated):
    stages: tuple[str, ...] = ()
    """Whose checkpoints are judged, in the order of the table; empty: the base, and every earlier stage that leaves a
    model of the same line (students are not)."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig.final)
    """The paper's protocol: temperature .6, top-p .95, on the test split."""
    templates: Mapping[str, Template] = field(default_factory=dict)
    """Other prompt templates by name; the worst of them and the recipe's own is the prompt sensitivity."""
    template_tasks: tuple[str, ...] = ()
    """Tasks that are asked in every template; empty: the first one judged."""
    sampling: Sampling = field(default_factory=Sampling)
    """Length and stop strings of a completion."""
    reward: RewardConfig = field(default_factory=RewardConfig)
    """How an answer is read; nothing is paid here."""
    dtype: DtypeSetting = "auto"
    """Of the models that are judged."""
    rows_in_flight: int = 512
    """Completions that decode side by side on a rank: bounds memory."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Earlier stages that it takes in."""
        return self.stages

    def resolved(self, stage: str, recipe: Recipe) -> Config:
        """With the stages to judge, where none was named."""
        compared = (name for name in recipe.earlier(stage) if recipe.about[name].compared)
        return self if self.stages else replace(self, stages=(BASE, *compared))

    def uses(self, recipe: Recipe) -> tuple[str, ...]:
        """Tasks that it judges by."""
        return (*(self.evaluation.tasks or recipe.tasks), *self.template_tasks)

    def check(self, stage: str, recipe: Recipe) -> None:
        """Ranges, before anything loads."""
        check_least(self, stage, 1, "rows_in_flight", "sampling.max_tokens")
        for source in self.stages:
            check_source(source, stage, recipe)


def run(config: Config, workspace: Workspace) -> StageResult:
    from r1kit.backends.verifiers import open_verifier
    from r1kit.checkpoint.source import resolve_model
    from r1kit.text.light_tokenizer import prompts_open

    recipe = workspace.recipe
    for stage in config.stages:
        if not workspace.has_model(stage):
            workspace.say(f"{workspace.stage}: {stage} left no model and is not judged")
    config = replace(config, stages=tuple(stage for stage in config.stages if workspace.has_model(stage)))
    judged = next((workspace.start(stage)[0] for stage in config.stages), "")
    opens = bool(judged) and prompts_open(resolve_model(judged), recipe.model.template)
    with open_verifier(
        recipe.tasks_of(workspace.stage), recipe, config.reward, ranks=workspace.ranks, opens=opens
    ) as verifier:
        for step in workspace.steps(len(config.stages), Stateless()):
            _evaluate(config, step, verifier, workspace)
    return StageResult(metrics=_table(config, workspace), inputs=workspace.recipe.inputs(workspace.stage))


def _evaluate(config: Config, step: int, verifier: Verifying, workspace: Workspace) -> None:
    """One checkpoint: every task in the recipe's template, some in the others."""
    from r1kit.backends.backend import backend_of
    from r1kit.loops.policy import open_evaluator

    path, _ = workspace.start(config.stages[step])
    loaded = backend_of(workspace.recipe, workspace.ranks).load(path)
    with open_evaluator(
        loaded,
        config.evaluation,
        config.sampling,
        config.reward,
        workspace,
        config.dtype,
        config.rows_in_flight,
        verifier,
    ) as evaluator:
        labels = {"checkpoint": config.stages[step]}
        evaluator.evaluate(step, labels=labels)
        asked = config.template_tasks or config.evaluation.tasks[:1] or tuple(workspace.recipe.tasks)[:1]
        for name, template in config.templates.items():
            evaluator.evaluate(
                step,
                config=replace(config.evaluation, tasks=asked),
                render=replace(loaded, template=template).render,
                log="templates",
                labels={**labels, "template": name},
            )


def _table(config: Config, workspace: Workspace) -> dict[str, Any]:
    """Checkpoint -> task -> its numbers; with ``templates``, the average in each and the worst of all.

    ``change``: accuracy less that of the checkpoint judged before, paired by problem.
    """
    from r1kit.evals.evaluator import accuracy_difference

    found: dict[str, Any] = {}
    before: dict[str, dict[str, Any]] = {}
    for line in workspace.read("eval"):
        task = line["task"]
        numbers = {name: line[name] for name in TOLD if name in line}
        if task in before and "per_problem" in line:  # one that grades nothing has none
            moved = accuracy_difference(line, before[task], config.evaluation, workspace)
            numbers["change"] = {"from": before[task]["checkpoint"], **moved}
        before[task] = line
        found.setdefault(line["checkpoint"], {})[task] = numbers
    for line in workspace.read("templates"):
        numbers = found[line["checkpoint"]][line["task"]]
        if "avg_at_k" not in line:
            continue
        numbers.setdefault("templates", {})[line["template"]] = line["avg_at_k"]
        numbers["worst_template"] = min(numbers["avg_at_k"], *numbers["templates"].values())
    return found
