"""The experiment on process rewards: a tiny one whole and killed, its watch on an injected hack, its mistakes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from evals.evaluating import ByPlace, evaluator_of, place, scorer_of
from loops.tiny import questions, save_start

import r1kit.loops.best_of
import r1kit.loops.prm
from r1kit.errors import InputError
from r1kit.evals.hacking import HackingWatch
from r1kit.evals.settings import EvaluationConfig
from r1kit.plan.cost import Plan
from r1kit.plan.devices import DEVICES
from r1kit.plan.known import shape_of_hub
from r1kit.plan.planner import plan_pieces, plan_recipe
from r1kit.recipe import Recipe, parse_recipe
from r1kit.reward.stepwise import Stepwise
from r1kit.rollout.scripted import CodePoints
from r1kit.search.steps import Cutter, Steps
from r1kit.stages import prm as stage

SETTINGS: dict[str, Any] = {
    "start": "base",
    "steps": {"marks": [], "most": 2},
    "labels": {"prompts": 8, "solutions": 2, "rollouts": 2, "prompts_per_step": 4},
    "model": {"batch": 4, "held_out_share": 0.3, "optimiser": {"lr": 0.01}},
    "best_of": {"n": [1, 2], "limit": 3},
    "rl": {
        "steps": 2, "prompts_per_step": 2, "evaluate_every": 1, "final_limit": 2, "dtype": "float32",
        "sampling": {"n": 2, "max_tokens": 5}, "evaluation": {"k": 2, "limit": 2, "resamples": 10},
    },
    "rule_steps": 2,
}  # fmt: skip


def recipe_of(folder: Path, **changes: Any) -> Recipe:
    folder.mkdir(parents=True, exist_ok=True)
    return parse_recipe(
        {
            "name": "steps",
            "device": "cpu",
            "dtype": "float32",
            "model": {"name": str(save_start(folder / "start"))},
            "tasks": {"maths": questions(folder / "questions.jsonl")},
            "stages": {"prm": {**SETTINGS, **changes}},
        }
    )


WALL_CLOCK = ("seconds", "peak", "sample_seconds", "score_seconds", "update_seconds", "tokens_per_second")


def logs(run: Path) -> dict[str, list[dict[str, Any]]]:
    """Every log and result without what a clock says."""
    found = {}
    for path in sorted(run.rglob("*.json*")):
        if "resume" not in path.parts and "start" not in path.parts and path.name != "questions.jsonl":
            lines = [path.read_text()] if path.suffix == ".json" else path.read_text().splitlines()
            found[str(path.relative_to(run))] = [_timeless(json.loads(line)) for line in lines]
    return found


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(one) for name, one in value.items() if name not in WALL_CLOCK}
    return [_timeless(one) for one in value] if isinstance(value, list) else value


def weights(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("01_prm/**/*.safetensors"))}


PARTS = [
    "labels", "process", "outcome", "best_of", "process_rl", "labels_2", "process_2", "process_rl_2", "rule_rl"
]  # fmt: skip


class Killed(Exception):
    pass


@pytest.mark.slow
def test_the_whole_experiment_and_killed_in_the_middle_of_any_part_it_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(folder: Path) -> Any:
        recipe = recipe_of(folder)
        return stage.run(recipe.stages["prm"], place(folder, recipe=recipe, stage="prm"))

    whole = run(tmp_path / "whole")
    parts = [*PARTS, "budgets"]
    assert list(whole.metrics) == parts
    assert whole.metrics["labels"]["rollouts"] == 2 * whole.metrics["labels"]["prefixes"] > 0
    assert set(whole.metrics["best_of"]["maths"]["curves"]["process"]) == {"1", "2"}
    assert whole.metrics["budgets"]["with_model"] > whole.metrics["budgets"]["rl"] > 0
    assert {"process_reward", "process_sum", "process_steps"} <= set(
        logs(tmp_path / "whole")["01_prm/process_rl/metrics.jsonl"][0]
    )
    for module, name, at in (
        (r1kit.loops.prm, "learnt", 2),
        (r1kit.loops.best_of, "_ranked", 1),
        (r1kit.loops.prm, "StepsPaid", 2),
    ):
        _killed_at(module, name, at, monkeypatch, lambda: run(tmp_path / "cut"))
    run(tmp_path / "cut")
    assert logs(tmp_path / "cut") == logs(tmp_path / "whole")
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


def _killed_at(module: Any, name: str, at: int, monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
    """The run dies when what the module calls ``name`` is called for the ``at``-th time."""
    real, calls = getattr(module, name), []

    def dying(*arguments: Any, **more: Any) -> Any:
        calls.append(name)
        if len(calls) == at:
            raise Killed
        return real(*arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(module, name, dying)
        with pytest.raises(Killed):
            run()


def test_the_watch_fires_on_an_injected_hack(tmp_path: Path) -> None:
    """One, two, then three steps: the sum of their scores rises from .03 over .08 to .15 while answers turn wrong."""
    recipe = recipe_of(tmp_path / "own")
    config = replace(recipe.stages["prm"], watch=HackingWatch(rise=0.04, fall=0.5, patience=2))
    workspace = place(tmp_path, recipe=recipe, stage="prm")
    watch, said = r1kit.loops.prm._watch(config, workspace), {}
    models = Stepwise(ByPlace(), Cutter(CodePoints(), Steps(marks=(".",))), frozenset(("maths",)))  # type: ignore[arg-type]
    for step, text in {0: "yes", 2: "n.o", 4: "n.o.p", 6: "n.o.p.q"}.items():
        evaluator = evaluator_of(
            workspace,
            [text],
            tasks=("maths",),
            scorer=scorer_of(models=models),
            config=EvaluationConfig(k=2, resamples=10),
        )
        said[step] = watch(step, evaluator.evaluate(step))
        assert watch(step + 1, {}) == ""
    assert said[0] == said[2] == ""
    assert "reward hacking: since step 0" in said[4] + said[6]
    assert workspace.kept["hacking"]["best_step"] == 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"labels": {"rollouts": 0}}, "labels.rollouts = 0"),
        ({"steps": {"marks": []}}, "steps need marks"),
        ({"steps": {"marks": [""]}}, "^stages.prm.steps: most = 0"),
        ({"labels": {"prompts": 1}}, "labels.prompts = 1: must be at least 2"),
        ({"best_of": {"n": [4, 2]}}, "rising numbers"),
        ({"best_of": {"temperature": 0.0}}, "temperature = 0.0 must be above 0"),
        ({"best_of": {"top_p": 0.0}}, "top_p = 0.0 above 0"),
        ({"model": {"optimiser": {"kind": "muon"}}}, "adamw only"),
        ({"replay": 1.0}, "replay"),
        ({"rl": {**SETTINGS["rl"], "reward": {"parts": {"format": 1.0}}}}, "does not pay accuracy"),
        ({"rl": {**SETTINGS["rl"], "sampling": {"n": 1}}}, "at least 2 completions"),
        ({"start": "nowhere"}, "nowhere"),
    ],
)
def test_mistakes_are_seen_before_anything_loads(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    def check() -> None:
        recipe = recipe_of(tmp_path, **changes)
        recipe.stages["prm"].check("prm", recipe)

    with pytest.raises(InputError, match=told):
        check()


def test_it_is_planned_part_by_part(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, rounds=1)
    shape = shape_of_hub(tmp_path / "start" / "config.json")
    where = Plan(device=DEVICES["cpu"], devices=1, mfu=0.5, mbu=0.5, mean_share=0.5)
    pieces = plan_pieces(recipe, shape, where)["prm"]
    assert pieces is not None
    assert [piece.name for piece in pieces] == PARTS
    total = plan_recipe(recipe, shape, where)["prm"]
    assert total is not None
    assert total.flops == pytest.approx(sum(piece.work.flops for piece in pieces))
    assert all(piece.work.flops > 0 for piece in pieces)


def test_marks_that_the_model_never_writes_are_told(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, steps={"marks": ["@@"]})
    with pytest.raises(InputError, match=r"stages\.prm\.steps: none of 16 solutions has more than one step.*\['@@'\]"):
        stage.run(recipe.stages["prm"], place(tmp_path, recipe=recipe, stage="prm"))
