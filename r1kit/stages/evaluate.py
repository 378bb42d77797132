"""Every checkpoint on every benchmark: the stage table (R1 paper, section 3; v2, table 3 and appendix D.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from r1kit.contracts import BASE
from r1kit.errors import InputError
from r1kit.evals.settings import EvaluationConfig
from r1kit.factory.examples import FewShot, check_room, check_shown, few_shot_question, shown_examples
from r1kit.loops.settings import Evaluated, check_least, check_source
from r1kit.records import Prompt, Sampling, StageResult
from r1kit.resume import Stateless
from r1kit.reward.settings import RewardConfig
from r1kit.text.paraphrases import PLAIN, paraphrased, paraphrases
from r1kit.text.template import Template
from r1kit.update.settings import DtypeSetting
from r1kit.workspace import Workspace

if TYPE_CHECKING:
    from r1kit.backends.models import LoadedModel
    from r1kit.contracts import Recipe
    from r1kit.reward.verifier import Verifying
    from r1kit.tasks.task import Task

Render = Callable[[Prompt], Sequence[int]]

__all__ = ["Config", "other_ways", "run"]

TOLD = (
    "avg_at_k", "interval", "cons_at_k", "cons_interval", "pass_at_k", "k", "problems", "response_tokens",
    "format_rate", "accuracy_given_format", "language_consistency", "language_interval",
    "mixed_share", "reflection_rate", "truncated_share", "by_language", "solved_tokens", "diagnostics",
)  # fmt: skip
"""What of an evaluation goes into the stage table; the rest is in ``eval.jsonl``."""
LOOKED_AT = 16
"""Held-out problems of a task whose facts are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Evaluated):
    stages: tuple[str, ...] = ()
    """Whose checkpoints are judged, in the order of the table; empty: the base, and every earlier stage that leaves a
    model of the same line (students are not)."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig.final)
    """The paper's protocol: temperature .6, top-p .95, on the test split."""
    templates: Mapping[str, Template] = field(default_factory=dict)
    """Other prompt templates by name; the worst of them and the recipe's own is the prompt sensitivity."""
    paraphrases: tuple[str, ...] = ()
    """Other ways to ask the question in the recipe's own template, as texts with ``{question}``, or a set of ten by its
    name, ``nano`` or ``english``; they count as templates."""
    few_shot: FewShot = field(default_factory=lambda: FewShot(shots=0))
    """Worked examples before the question, to compare with none; ``shots = 0``: not asked."""
    template_tasks: tuple[str, ...] = ()
    """Tasks that are asked in every template, and with examples; empty: the first one judged."""
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

    def asked(self, recipe: Recipe) -> tuple[str, ...]:
        """Tasks that are asked in every template."""
        return self.template_tasks or self.evaluation.tasks[:1] or tuple(recipe.tasks)[:1]

    @property
    def prompts(self) -> int:
        """Ways besides the recipe's own in which they are asked."""
        texts = paraphrases(self.paraphrases, "paraphrases")
        return len(self.templates) + len([text for text in texts if text != PLAIN]) + (self.few_shot.shots > 0)

    def check(self, stage: str, recipe: Recipe) -> None:
        """Ranges, before anything loads."""
        check_least(self, stage, 1, "rows_in_flight", "sampling.max_tokens")
        self.check_asked(f"stages.{stage}", recipe)
        for source in self.stages:
            check_source(source, stage, recipe)
        if self.evaluation.easy_fact:
            self._check_easy(stage, recipe)

    def _check_easy(self, stage: str, recipe: Recipe) -> None:
        """Whether problems say how easy they are; some of each task are looked at."""
        from r1kit.evals.thinking import is_easy

        some = min(LOOKED_AT, self.evaluation.limit or LOOKED_AT)
        for task in recipe.built(self.evaluation.tasks or recipe.tasks).values():
            try:
                is_easy(task.held_out(self.evaluation.split, some) if task.graded else (), (), self.evaluation)
            except InputError as error:
                raise InputError(f"stages.{stage}.{error}; name a number of every problem, or none") from None

    def check_asked(self, where: str, recipe: Recipe) -> None:
        """The other ways to ask."""
        if self.few_shot.shots < 0:
            raise InputError(f"{where}: few_shot.shots = {self.few_shot.shots}; must be at least 0")
        check_shown(self.few_shot, where)
        paraphrases(self.paraphrases, f"{where}: paraphrases")
        if self.few_shot.shots:
            if not recipe.model.name and recipe.stages:
                longest = self.evaluation.max_tokens or self.sampling.max_tokens
                check_room(self.few_shot, longest, recipe.model.max_positions, where)
            shown_examples(self.few_shot, recipe.built(self.asked(recipe)), self.reward.answer_style, recipe.seed)


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
        asked = config.asked(workspace.recipe)
        for name, log, render in other_ways(config, loaded, workspace.recipe.built(asked), workspace.seed):
            evaluator.evaluate(
                step,
                config=replace(config.evaluation, tasks=asked),
                render=render,
                log=log,
                labels={**labels, "template": name},
            )


def other_ways(
    config: Config, loaded: LoadedModel, tasks: Mapping[str, Task], seed: int
) -> Iterator[tuple[str, str, Render]]:
    """(name, log, prompt -> token ids) of every other way to ask."""
    for name, template in config.templates.items():
        yield name, "templates", replace(loaded, template=template).render
    for text in paraphrases(config.paraphrases, "paraphrases"):
        if text != PLAIN:  # the recipe's own prompt is asked already
            yield text, "templates", partial(_reworded, loaded.render, partial(paraphrased, text))
    if config.few_shot.shots:
        shown = shown_examples(config.few_shot, tasks, config.reward.answer_style, seed)
        yield "few_shot", "few_shot", lambda prompt: loaded.encode(few_shot_question(config.few_shot, shown, prompt))


def _reworded(render: Render, reword: Callable[[str], str], prompt: Prompt) -> Sequence[int]:
    return render(replace(prompt, question=reword(prompt.question)))


def _table(config: Config, workspace: Workspace) -> dict[str, Any]:
    """Checkpoint -> task -> its numbers; with ``templates``, the average in each and what ``sensitivity`` says of all.

    ``change``: accuracy less that of the checkpoint judged before, paired by problem. ``easy_tokens``: of the problems
    that the best of the checkpoints finds easy. ``few_shot``: with examples, and accuracy less that without.
    """
    from r1kit.evals.evaluator import accuracy_difference
    from r1kit.evals.prompting import sensitivity

    found: dict[str, Any] = {}
    before: dict[str, dict[str, Any]] = {}
    judged = {(line["checkpoint"], line["task"]): line for line in workspace.read("eval")}
    for line in judged.values():
        task = line["task"]
        numbers = {name: line[name] for name in TOLD if name in line}
        if task in before and "per_problem" in line:  # one that grades nothing has none
            moved = accuracy_difference(line, before[task], config.evaluation, workspace)
            numbers["change"] = {"from": before[task]["checkpoint"], **moved}
        before[task] = line
        found.setdefault(line["checkpoint"], {})[task] = numbers
    for checkpoint, task, tokens in _easy(config, list(judged.values()), workspace):
        found[checkpoint][task]["easy_tokens"] = tokens
    for line in workspace.read("templates"):
        numbers = found[line["checkpoint"]][line["task"]]
        if "avg_at_k" in line:
            numbers.setdefault("templates", {})[line["template"]] = line["avg_at_k"]
            numbers |= sensitivity({"": numbers["avg_at_k"], **numbers["templates"]})
    for line in workspace.read("few_shot"):
        if "avg_at_k" in line:
            alone = judged[line["checkpoint"], line["task"]]
            found[line["checkpoint"]][line["task"]]["few_shot"] = {
                "shots": config.few_shot.shots,
                **{name: line[name] for name in ("avg_at_k", "interval", "response_tokens")},
                "minus_zero_shot": accuracy_difference(line, alone, config.evaluation, workspace),
            }
    return found


def _easy(
    config: Config, judged: Sequence[Mapping[str, Any]], workspace: Workspace
) -> Iterator[tuple[str, str, float]]:
    """(checkpoint, task, tokens of a solved easy problem); the same problems for every checkpoint."""
    from r1kit.evals.thinking import easy_tokens, is_easy

    lines = [line for line in judged if "solved_tokens_per_problem" in line]
    for task in dict.fromkeys(line["task"] for line in lines):
        own = [line for line in lines if line["task"] == task]
        best = max(own, key=lambda line: float(line["avg_at_k"]))
        prompts = workspace.recipe.task(task).held_out(config.evaluation.split, config.evaluation.limit)
        easy = is_easy(prompts, best["per_problem"], config.evaluation)
        for line in own:
            if (tokens := easy_tokens(line, easy)) is not None:
                yield line["checkpoint"], task, tokens
