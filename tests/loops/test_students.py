"""The distil-against-RL table: what the teacher cost, and RL stopped at the step that spends a budget."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from evals.evaluating import evaluator_of, place
from safetensors.torch import save_file

from r1kit.contracts import Model
from r1kit.evals.settings import EvaluationConfig
from r1kit.loops import students
from r1kit.loops.settings import RL
from r1kit.loops.student_settings import Student
from r1kit.model.weights import NamedWeights
from r1kit.recipe import Recipe, parse_recipe
from r1kit.records import Sampling, StageResult
from r1kit.rollout.engine import Engine
from r1kit.stages.distill import Config
from r1kit.text.template import Template
from r1kit.update.learner import Batch

STAGES: dict[str, dict[str, Any]] = {
    "pretrain": {},
    "r1_zero": {"start": "base"},
    "cold_start": {"tasks": ["countdown"], "routes": {"r1_zero": 4}},
    "cold_start_sft": {"start": "base", "data": "cold_start"},
    "reasoning_rl": {"start": "cold_start_sft"},
    "rejection_sampling": {"tasks": ["countdown"], "start": "reasoning_rl"},
    "sft": {"start": "base", "data": "rejection_sampling"},
    "distill": {"data": "rejection_sampling", "students": {"small": {"model": {"name": "none"}}}},
}


@pytest.fixture
def recipe() -> Recipe:
    return parse_recipe({"name": "table", "tasks": {"countdown": {}}, "stages": STAGES})


def test_a_student_is_asked_as_the_recipe_asks_with_what_its_own_chat_template_is_told(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = Template(arguments={"thinks": True}, date="1999-01-31", system="unread")
    student = Student(model=Model(name="small", template=theirs))
    own = Template(arguments={"enable_thinking": False}, date="2025-01-20", suffix="!")
    taught: list[Template] = []

    def part(name: str, do: Any) -> Any:
        do(SimpleNamespace())

    def stop(inner: Any, recipe: Recipe, *more: Any) -> Any:
        taught.append(recipe.model.template)
        raise KeyboardInterrupt

    monkeypatch.setattr(students, "_of", stop)
    asked = replace(recipe, model=replace(recipe.model, template=own))
    with pytest.raises(KeyboardInterrupt):
        students.teach(Config(), "small", student, SimpleNamespace(recipe=asked, part=part))  # type: ignore[arg-type]
    assert taught == [Template(arguments={"thinks": True}, date="1999-01-31", suffix="!")]


def test_the_teacher_cost_every_stage_back_to_the_base_once(recipe: Recipe, tmp_path: Path) -> None:
    """Powers of two, so that a stage that is left out or counted twice shows: pretrain is reached by two ways; the
    stage sft, which learnt the same samples, is no teacher."""
    costs = {name: 2**number for number, name in enumerate(STAGES)}
    workspace = place(tmp_path, recipe=recipe, stage="distill")
    for name, flops in costs.items():
        if name != "distill":
            folder = workspace.folder_of(name)
            folder.mkdir()
            (folder / "result.json").write_text(json.dumps({"cost": {"training_flops": flops}}))
    found = students.teacher_cost(recipe.stages["distill"], workspace)
    assert found["sampling_flops"] == costs["rejection_sampling"] == 32
    assert found["training_flops"] == 1 + 2 + 4 + 8 + 16  # pretrain, r1_zero, cold_start, cold_start_sft, reasoning_rl


def test_the_teacher_s_size_is_that_of_the_largest_model_that_was_sampled(recipe: Recipe, tmp_path: Path) -> None:
    """Half the bytes a parameter: bfloat16, in two files."""
    workspace = place(tmp_path, recipe=recipe, stage="distill")
    (tmp_path / "teacher").mkdir()
    for shard in (1, 2):
        tensors = {f"{shard}": torch.zeros(4, 5, dtype=torch.bfloat16)}
        save_file(tensors, tmp_path / f"teacher/model-{shard}.safetensors")
    workspace.checkpoints = {"reasoning_rl": "teacher"}
    assert students._parameters_of("rejection_sampling", workspace) == 40
    workspace.checkpoints = {}
    assert students._parameters_of("rejection_sampling", workspace) == 0


@dataclass(slots=True)
class Writer:
    """A learner that learns nothing from every token."""

    updates: int = 0

    def update(self, batch: Batch, loss: Any, lr: float) -> dict[str, float]:
        self.updates += 1
        return {"loss": 0.0, "tokens": float(sum(len(row.tokens) for row in batch.rows))}

    def logprobs(self, batch: Batch) -> list[torch.Tensor]:
        """Those that the scripted engine says: it writes nothing else."""
        return [torch.zeros(len(row.tokens)) for row in batch.rows]

    def publish(self, engine: Engine, version: int) -> None:
        engine.load_weights(NamedWeights({}), version)

    def save(self, folder: Path) -> None:
        folder.mkdir()
        torch.save(self.updates, folder / "updates")

    def load(self, folder: Path) -> None:
        self.updates = torch.load(folder / "updates")


PARAMETERS = 10
A_STEP = PARAMETERS * (2 + 6) * 2 * 4 * 5
"""2 prompts x 4 completions x 5 tokens ("xxxx" and the end), each sampled once and learnt from once."""


def rl_within(
    budgets: dict[str, int], folder: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, steps: int = 20
) -> tuple[dict[str, Any], Any, Writer]:
    """``_direct`` with these budgets; its result, workspace and learner."""
    workspace, learner = place(folder, recipe=recipe, stage="distill"), Writer()
    rl = RL(
        steps=steps, prompts_per_step=2, sampling=Sampling(n=4, max_tokens=9), evaluate_every=10,
        evaluation=EvaluationConfig(k=2, limit=2, resamples=10),
    )  # fmt: skip
    config = Config(rl=rl, evaluation=EvaluationConfig(k=3, limit=1, split="test", resamples=10))

    @contextmanager
    def opened(settings: RL, inner: Any) -> Iterator[Any]:
        assert (settings.start, settings.final_split) == ("base", "")
        inner.parameters = PARAMETERS
        evaluator = evaluator_of(
            inner, lambda prompt, seed, row: "xxxx", ("countdown",), config=settings.evaluation, render=lambda _: [1]
        )
        yield SimpleNamespace(
            tasks=evaluator.tasks, render=evaluator.render, engine=evaluator.engine, learner=learner,
            scorer=evaluator.scorer, evaluator=evaluator, workspace=inner, spell=lambda ids, text: [*map(str, ids)],
            result=lambda: StageResult(metrics={}, checkpoint="c"),
        )  # fmt: skip

    monkeypatch.setattr(students, "open_policy", opened)
    return students._direct(config, budgets, workspace), workspace, learner


def test_rl_stops_at_the_step_that_spends_the_budget_not_at_an_evaluation(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step costs 3,200. 6,400 is spent exactly at step 2, 6,401 not before step 3; evaluations are 10 apart."""
    assert A_STEP == 3200
    found, workspace, learner = rl_within({"sft": 6400, "with_sampling": 6401}, tmp_path, recipe, monkeypatch)
    assert found["reached"] == {"sft": 2, "with_sampling": 3}
    assert learner.updates == 3
    assert workspace.cost["training_flops"] == 9600
    assert [line["step"] for line in workspace.read("metrics")] == [1, 2, 3]


def test_each_budget_s_model_is_judged_once_with_the_table_s_own_evaluation(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, workspace, _ = rl_within({"sft": 3200, "with_sampling": 9600}, tmp_path, recipe, monkeypatch)
    lines = workspace.read("budgets")
    assert [(line["budget"], line["step"], line["split"], line["k"]) for line in lines] == [
        ("sft", 1, "test", 3),
        ("with_sampling", 3, "test", 3),
    ]
    assert {name: line["countdown"]["step"] for name, line in found["metrics"].items()} == found["reached"]
    own = workspace.read("eval")
    assert [(line["step"], line["split"], line["k"]) for line in own] == [(0, "dev", 2), (3, "dev", 2)]
    assert not any("budget" in line for line in own), "the stage's own evaluations are not of a budget"


def test_evaluations_are_not_on_the_budget(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, workspace, _ = rl_within({"sft": 3200, "with_sampling": 3200}, tmp_path, recipe, monkeypatch)
    assert found["reached"] == {"sft": 1, "with_sampling": 1}
    # two problems twice at steps 0 and 1, one problem three times for each budget; 5 tokens each
    assert workspace.cost["evaluated_tokens"] == (2 * 2 * 2 + 2 * 3) * 5
    assert workspace.cost["evaluation_flops"] == 70 * 2 * PARAMETERS


def test_a_budget_that_all_steps_do_not_spend_is_judged_at_the_end(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _, learner = rl_within({"sft": 3200, "with_sampling": 10**9}, tmp_path, recipe, monkeypatch, steps=4)
    assert found["reached"] == {"sft": 1, "with_sampling": 4}
    assert learner.updates == 4


def test_rl_gets_what_distilling_took_once_alone_and_once_with_the_teacher_s_sampling(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The base's pretraining is nobody's budget: both start from it."""
    workspace, budgets = place(tmp_path, recipe=recipe, stage="distill"), []

    def base(config: Any, inner: Any) -> dict[str, Any]:
        inner.parameters = PARAMETERS
        inner.spend(trained=1000)
        return {"checkpoint": "base", "weights": PARAMETERS, "metrics": {}}

    def distilled(config: Any, inner: Any) -> dict[str, Any]:
        inner.parameters = PARAMETERS
        inner.spend(trained=7, evaluated=5)  # 6 x 10 x 7 = 420; an evaluation is no part of it
        return {"checkpoint": "distilled", "metrics": {}}

    def direct(config: Any, given: dict[str, int], inner: Any) -> dict[str, Any]:
        budgets.append(given)
        return {"checkpoint": "rl", "reached": {}, "metrics": {}}

    for name, work in (("_base", base), ("_distilled", distilled), ("_direct", direct)):
        monkeypatch.setattr(students, name, work)
    cost = {"sampling_flops": 1000, "training_flops": 5000, "weights": 99}
    monkeypatch.setattr(students, "teacher_cost", lambda *_: cost)
    config = recipe.stages["distill"]
    found = students.teach(config, "small", replace(config.students["small"], direct_rl=True), workspace)
    assert budgets == [{"sft": 420, "with_sampling": 1420}]
    assert (found["distilled_flops"], found["rl_budgets"]) == (420, budgets[0])
    cost["sampling_flops"] = 0  # of a file: what it cost is not known, and one budget is enough
    students.teach(config, "other", replace(config.students["small"], direct_rl=True), workspace)
    assert budgets[1:] == [{"sft": 420}]
