"""A student's three models: its base, the base that learnt the teacher's samples, the base after RL of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from r1kit.backends.backend import backend_of
from r1kit.checkpoint.parameters import parameter_count
from r1kit.contracts import BASE
from r1kit.evals.evaluator import Evaluation, Evaluator, accuracy_difference, last_evaluation
from r1kit.loops import rl
from r1kit.loops.policy import open_evaluator, open_policy, save_checkpoint
from r1kit.loops.pretraining import pretrain
from r1kit.loops.sft import fine_tune
from r1kit.workspace import Workspace

if TYPE_CHECKING:
    from r1kit.loops.student_settings import Distill, Student

__all__ = ["teach", "teacher_cost"]

Numbers = dict[str, Any]


def teacher_cost(config: Distill, workspace: Workspace) -> Numbers:
    """Operations that the data took: sampling it, and training what sampled it, stage by stage back to the base.

    Of a file or a data set that is not known, and none is counted.
    """
    if config.data not in workspace.recipe.stages:
        return {"sampling_flops": 0, "training_flops": 0, "weights": 0}
    seen: dict[str, int] = {}
    todo = [config.data]
    while todo:
        stage = todo.pop()
        if stage not in seen:
            path = workspace.folder_of(stage) / "result.json"
            result = json.loads(path.read_text(encoding="utf-8"))
            seen[stage] = int(result["cost"]["training_flops"])
            todo += workspace.recipe.inputs(stage)
    return {
        "sampling_flops": seen[config.data],
        "training_flops": sum(flops for stage, flops in seen.items() if stage != config.data),
        "weights": _parameters_of(config.data, workspace),
    }


def _parameters_of(stage: str, workspace: Workspace) -> int:
    """Of the models of the run that a stage takes in, the largest."""
    folders = [
        workspace.run / workspace.checkpoints[source]
        for source in workspace.recipe.inputs(stage)
        if source in workspace.checkpoints
    ]
    return max(map(parameter_count, folders), default=0)


def teach(config: Distill, name: str, student: Student, workspace: Workspace) -> Numbers:
    """Base, distilled and, where asked, RL at equal compute, each a part of the stage: a line of table 6."""
    theirs = student.model.template
    asked = replace(workspace.recipe.model.template, arguments=theirs.arguments, date=theirs.date)
    recipe = workspace.recipe
    learner, engine = recipe.learner.dense(), recipe.engine.dense()
    own = replace(recipe, model=replace(student.model, template=asked), learner=learner, engine=engine)
    base = workspace.part(f"{name}/base", lambda inner: _base(config, _of(inner, own)))
    _warn(name, int(base["weights"]), teacher_cost(config, workspace)["weights"], workspace)
    starts = {**workspace.checkpoints, BASE: base["checkpoint"]}
    distilled = workspace.part(f"{name}/distilled", lambda inner: _distilled(config, _of(inner, own, starts)))
    found = {"weights": base["weights"], "base": base["metrics"], "distilled": distilled["metrics"]}
    found["distilled_flops"] = distilled["cost"]["training_flops"]
    if student.direct_rl:
        budgets = {"sft": distilled["cost"]["training_flops"]}
        if sampling := teacher_cost(config, workspace)["sampling_flops"]:
            budgets["with_sampling"] = budgets["sft"] + sampling
        direct = workspace.part(f"{name}/rl", lambda inner: _direct(config, budgets, _of(inner, own, starts)))
        found |= {"rl": direct["metrics"], "rl_budgets": budgets, "rl_reached": direct["reached"]}
        found["distilled_minus_rl"] = _differences(distilled["metrics"], direct["metrics"], config, workspace)
    return found


def _of(inner: Workspace, recipe: Any, checkpoints: Mapping[str, str] | None = None) -> Workspace:
    """The part's workspace with the student in the recipe's place."""
    inner.recipe = recipe
    if checkpoints is not None:
        inner.checkpoints = checkpoints
    return inner


def _warn(name: str, parameters: int, teacher: int, workspace: Workspace) -> None:
    if teacher and parameters > teacher:
        workspace.say(
            f"warning: student {name!r} has {parameters:,} parameters and its teacher {teacher:,}: a student is smaller"
        )


def _base(config: Distill, inner: Workspace) -> Numbers:
    """A fresh student pretrained as the recipe's base is, or a named model as it comes."""
    learner = None
    if inner.recipe.model.name:
        loaded = backend_of(inner.recipe, inner.ranks).load(inner.recipe.model.name)
    else:
        settings = replace(inner.recipe.stages[inner.recipe.base_stage], steps=config.base_steps)
        loaded, learner = pretrain(settings, inner)
    checkpoint = save_checkpoint(inner, loaded, learner)
    with open_evaluator(
        loaded, config.evaluation, config.rl.sampling, config.rl.reward, inner, config.rl.dtype, learner=learner
    ) as evaluator:
        evaluator.evaluate(0)
    size = parameter_count(inner.run / checkpoint)
    return {"checkpoint": checkpoint, "weights": size, "metrics": last_evaluation(inner)}


def _distilled(config: Distill, inner: Workspace) -> Numbers:
    settings = replace(
        config.sft, start=BASE, data=config.data, read=config.read, mix={}, evaluation=config.evaluation,
        sampling=config.rl.sampling, reward=config.rl.reward,
    )  # fmt: skip
    result = fine_tune(settings, inner)
    return {"checkpoint": result.checkpoint, "metrics": result.metrics}


def _direct(config: Distill, budgets: Mapping[str, int], inner: Workspace) -> Numbers:
    """RL until the largest budget is spent; evaluated whenever one is."""
    settings = replace(config.rl, start=BASE, final_split="")
    with open_policy(settings, inner) as policy:

        def watch(step: int, found: Mapping[str, Evaluation]) -> str:
            spent = inner.cost["training_flops"]
            for name, budget in budgets.items():
                if spent >= budget and f"reached_{name}" not in inner.cursor:
                    _evaluate_budget(name, step, config, policy.evaluator, inner)
            return "the budget is spent" if spent >= max(budgets.values()) else ""

        done = rl.train(settings, policy, watch=watch)
        for name in budgets:
            if f"reached_{name}" not in inner.cursor:  # steps ran out
                _evaluate_budget(name, done, config, policy.evaluator, inner)
        result = policy.result()
    lines = inner.read("budgets")
    metrics = {name: {line["task"]: line for line in lines if line["budget"] == name} for name in budgets}
    return {
        "checkpoint": result.checkpoint,
        "reached": {name: inner.cursor[f"reached_{name}"] for name in budgets},
        "metrics": metrics,
    }


def _evaluate_budget(name: str, step: int, config: Distill, evaluator: Evaluator, inner: Workspace) -> None:
    """Into ``budgets.jsonl``, with the student's final evaluation."""
    inner.cursor[f"reached_{name}"] = step
    evaluator.evaluate(step, config=config.evaluation, log="budgets", labels={"budget": name})


def _differences(distilled: Numbers, direct: Numbers, config: Distill, workspace: Workspace) -> Numbers:
    """Distilled minus RL, by budget and task, paired by problem."""
    found: Numbers = {}
    for budget, lines in direct.items():
        for task, line in lines.items():
            if task in distilled and "per_problem" in line:
                moved = accuracy_difference(distilled[task], line, config.evaluation, workspace)
                found.setdefault(budget, {})[task] = moved
    return found
