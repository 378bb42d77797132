"""RL for all scenarios: which tasks take part when, what they are paid for, and the watch that reads the log."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from evals.evaluating import evaluator_of, learned, place, scorer_of
from loops.tiny import answered, questions, save_start

import r1kit.backends.rewards
import r1kit.loops.rl
from r1kit.checks import check_stages
from r1kit.errors import InputError
from r1kit.evals.hacking import HackingWatch
from r1kit.evals.settings import EvaluationConfig
from r1kit.recipe import Recipe, load_recipe, parse_recipe
from r1kit.stages import all_scenarios_rl as stage
from r1kit.workspace import Workspace

SETTINGS: dict[str, Any] = {
    "start": "base",
    "steps": 6,
    "preference_steps": 2,
    "preference_weight": 0.5,
    "routes": {"helpful": "helpfulness"},
    "sampling": {"n": 2, "max_tokens": 5},
    "evaluation": {"k": 2, "limit": 2, "resamples": 10},
}


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    task = questions(tmp_path / "questions.jsonl")
    return parse_recipe(
        {
            "name": "everything",
            "device": "cpu",
            "model": {"name": str(save_start(tmp_path / "start"))},
            "tasks": {"maths": task, "helpful": task},
            "stages": {
                "reward_models": {"start": "base", "models": ["helpfulness"], "helpfulness": {"task": "helpful"}},
                "all_scenarios_rl": SETTINGS,
            },
        }
    )


TRAINED = ("helpfulness", "safety")
"""Kinds whose folders lie there when RL begins."""


class Stop(Exception):
    """Ends the stage where the loop would begin."""


@pytest.fixture
def handed(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``handed(look)``: run the stage on a tiny model; ``look`` gets what the RL loop gets, in place of the loop."""
    opened: list[tuple[Any, ...]] = []

    def open_learned(folders: Any, routes: Any, *more: Any, **others: Any) -> Any:
        opened.append((dict(folders), dict(routes)))
        return learned(*routes)

    def go(look: Any) -> list[tuple[Any, ...]]:
        def train(config: Any, policy: Any, tasks_at: Any, watch: Any) -> int:
            look(tasks_at, policy)
            raise Stop

        monkeypatch.setattr(r1kit.loops.rl, "train", train)
        monkeypatch.setattr(r1kit.backends.rewards, "open_learned", open_learned)
        workspace = place(tmp_path, recipe=recipe, stage="all_scenarios_rl")
        for kind in TRAINED:
            (tmp_path / "01_reward_models" / kind / "checkpoint").mkdir(parents=True)
        with pytest.raises(Stop):
            stage.run(recipe.stages["all_scenarios_rl"], workspace)
        return opened

    return go


def test_tasks_without_a_rule_join_for_the_last_steps(handed: Any, tmp_path: Path) -> None:
    """6 steps, the last 2 with preferences: 0 to 3 are of the ruled task alone."""
    at: list[list[str]] = []
    opened = handed(lambda tasks_at, policy: at.extend(list(tasks_at(step)) for step in range(6)))
    assert at == [["maths"]] * 4 + [["maths", "helpful"]] * 2
    folders = {kind: tmp_path / "01_reward_models" / kind / "checkpoint" for kind in TRAINED}
    assert opened == [(folders, {"helpful": "helpfulness"})], "every kind that was trained can be told"


def test_a_routed_task_is_paid_form_language_and_its_model_but_no_right_answer(handed: Any) -> None:
    """Right, wrong; in form (.2), one language (1). ``maths``: 1 + 1.2 and 1.2. ``helpful``: 1.2 and half the model's
    score, a tenth of the characters."""
    scores: list[Any] = []

    def look(tasks_at: Any, policy: Any) -> None:
        prompts = [policy.evaluator.tasks[name].train(0) for name in ("maths", "helpful")]
        scores.extend(policy.scorer.score([answered(prompt, prompt.answer or "", "wrong") for prompt in prompts]))
        scores.append([len(answered(prompts[1], prompts[1].answer or "", "wrong").completions[i].text) for i in (0, 1)])

    handed(look)
    maths, helpful, lengths = scores
    assert [score.total for score in maths] == pytest.approx([2.2, 1.2])
    assert [score.parts["accuracy"] for score in helpful] == [1.0, 0.0], "measured, not paid"
    assert [score.total for score in helpful] == pytest.approx([1.2 + 0.5 * length / 10 for length in lengths])
    assert [score.parts["preference"] for score in helpful] == pytest.approx([length / 10 for length in lengths])


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ('all_scenarios_rl.routes={helpful="helpfulnes"}', r"trains helpfulness, safety; .*mean 'helpfulness'\?"),
        ('reward_models.models=["safety"]', r"helpful = 'helpfulness': stage 'reward_models' trains safety;"),
    ],
)
def test_a_route_to_a_model_that_nobody_trains_is_told_before_anything_loads(setting: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        check_stages(load_recipe("nano", [setting]))


# ---- the watch -----------------------------------------------------------------------------------------------------

RIGHT, WRONG = "y", "n"


def watched(folder: Path, recipe: Recipe, texts: dict[int, str]) -> tuple[dict[int, str], Workspace]:
    """Evaluations as the loop makes them, with what the policy writes for the routed task at each step; what the watch
    said, by step. The ruled task and the test split are always answered right: nobody is to look at them."""
    config = replace(
        recipe.stages["all_scenarios_rl"], steps=10, preference_steps=6, evaluate_every=2,
        watch=HackingWatch(rise=0.1, fall=0.4, patience=2),
    )  # fmt: skip
    workspace = place(folder, recipe=recipe, stage="all_scenarios_rl")
    said = {}
    watch = stage._watch(config, workspace)
    for step, text in texts.items():
        settings: dict[str, Any] = {
            "scorer": scorer_of(models=learned("helpful")),
            "config": EvaluationConfig(k=2, resamples=10),
        }
        evaluator_of(workspace, [RIGHT], tasks=("maths",), **settings).evaluate(step)
        evaluator_of(workspace, [RIGHT], tasks=("helpful",), **settings).evaluate(step, "test")
        found = evaluator_of(workspace, [text], tasks=("helpful",), **settings).evaluate(step)
        said[step] = watch(step, found)
        assert watch(step + 1, {}) == "", "where nothing is evaluated nothing is said"
    return said, workspace


def test_the_watch_reads_what_rl_logs(recipe: Recipe, tmp_path: Path) -> None:
    """Preferences begin at step 4 of 10. The model's score is a tenth of the characters: .1, .3, .5 while the answers
    turn wrong (gold 1, 0, 0): suspicious at 6 and 8, the second of which ends the stage."""
    said, workspace = watched(tmp_path, recipe, {4: RIGHT, 6: WRONG + "xx", 8: WRONG + "xxxx"})
    assert len(workspace.read("eval")) == 9
    assert (said[4], said[6]) == ("", "")
    assert said[8] == (
        "reward hacking: since step 4 the model's reward rose from 0.1 to 0.5 while the gold check fell from 1 to 0, "
        "2 evaluations in a row; stopped at step 8"
    )


def test_the_watch_begins_with_the_preferences(recipe: Recipe, tmp_path: Path) -> None:
    """What was right at steps 0 and 2, before any preference was paid, is no best to fall from."""
    texts = {0: RIGHT, 2: RIGHT, 4: WRONG, 6: WRONG + "xx", 8: WRONG + "xxxx"}
    assert set(watched(tmp_path, recipe, texts)[0].values()) == {""}


def test_a_model_that_keeps_its_answers_right_goes_on(recipe: Recipe, tmp_path: Path) -> None:
    texts = {4: RIGHT, 6: RIGHT + "xx", 8: RIGHT + "xxxx", 10: RIGHT + "x" * 8}
    assert set(watched(tmp_path, recipe, texts)[0].values()) == {""}
