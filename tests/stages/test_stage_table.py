"""What stage ``evaluate`` makes of the lines it has judged."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from r1kit.errors import InputError
from r1kit.evals.settings import EvaluationConfig
from r1kit.factory.examples import FewShot
from r1kit.recipe import load_recipe
from r1kit.records import Prompt
from r1kit.stages.evaluate import Config, _table, other_ways
from r1kit.text.paraphrases import SETS
from r1kit.text.template import Template


def line(checkpoint: str, right: list[float], **more: Any) -> dict[str, Any]:
    average = sum(right) / len(right)
    return {
        "checkpoint": checkpoint,
        "task": "countdown",
        "avg_at_k": average,
        "per_problem": right,
        "seconds": 1.0,
    } | more


def test_each_checkpoint_is_paired_with_the_one_before() -> None:
    logs = {
        "eval": [line("base", [0.0, 0.5, 0.0, 0.5]), line("r1_zero", [1.0, 1.0, 0.5, 1.0])],
        "templates": [
            line("r1_zero", [0.5] * 4, template="untold"),
            line("r1_zero", [1.0] * 4, template="so {question}"),
        ],
        "few_shot": [line("r1_zero", [0.5, 1.0, 0.5, 1.0], interval=[0.4, 0.9], response_tokens=30.0)],
    }
    config = Config(evaluation=EvaluationConfig.final(limit=4), few_shot=FewShot(shots=2))
    workspace: Any = SimpleNamespace(read=logs.__getitem__, recipe=load_recipe("nano-zero"))
    table = _table(config, workspace)
    assert table["base"]["countdown"] == {"avg_at_k": 0.25}
    found = table["r1_zero"]["countdown"]
    assert found["change"]["from"] == "base"
    assert found["change"]["difference"] == pytest.approx(0.625)  # 1, .5, .5 and .5
    low, high = found["change"]["interval"]
    assert 0.5 <= low < 0.625 < high <= 1.0
    assert (found["templates"], found["worst_template"]) == ({"untold": 0.5, "so {question}": 1.0}, 0.5)
    assert (found["mean_template"], found["template_spread"]) == (pytest.approx((0.875 + 0.5 + 1) / 3), 0.5)
    shown = found["few_shot"]
    assert (shown["shots"], shown["avg_at_k"], shown["response_tokens"]) == (2, 0.75, 30.0)
    assert shown["minus_zero_shot"]["difference"] == pytest.approx(-0.125)  # -.5, 0, 0, 0


def test_easy_problems_are_the_same_for_every_checkpoint() -> None:
    """Those that the best one solves in at least three of four: the first and the last."""
    logs: dict[str, list[dict[str, Any]]] = {
        "eval": [
            line("base", [0.25, 1.0, 0.0, 0.0], solved_tokens_per_problem=[40.0, 10.0, None, None]),
            line("r1_zero", [1.0, 0.5, 0.5, 0.75], solved_tokens_per_problem=[60.0, 90.0, 90.0, 80.0]),
        ],
        "templates": [], "few_shot": [],
    }  # fmt: skip
    workspace: Any = SimpleNamespace(read=logs.__getitem__, recipe=load_recipe("nano-zero"))
    table = _table(Config(evaluation=EvaluationConfig.final(limit=4)), workspace)
    assert table["base"]["countdown"]["easy_tokens"] == 40.0
    assert table["r1_zero"]["countdown"]["easy_tokens"] == 70.0


def test_other_ways() -> None:
    """Each other template, each paraphrase but the recipe's own, and the examples: what r1 plan counts."""
    recipe = load_recipe("nano-zero")
    shots = FewShot(shots=1, text="examples User: {question} Assistant: {response} ", last="User: ")
    config = Config(templates={"untold": Template(name="plain")}, paraphrases=("nano",), few_shot=shots)

    class Loaded:
        """Stands for a model: prompts stay texts."""

        def render(self, prompt: Prompt) -> str:
            return prompt.question

        encode = staticmethod(lambda question: question)

    tasks = recipe.built(("countdown",))
    prompt = tasks["countdown"].held_out("test", 1)[0]
    ways = {name: (log, render) for name, log, render in other_ways(replace(config, templates={}), Loaded(), tasks, 1)}  # type: ignore[arg-type]
    assert [*ways] == [*SETS["nano"][1:], "few_shot"]
    assert len(ways) + 1 == config.prompts
    log, render = ways["so {question}"]
    assert (log, render(prompt)) == ("templates", f"so {prompt.question}")
    log, render = ways["few_shot"]
    asked = str(render(prompt))
    assert log == "few_shot"
    assert asked.startswith("examples User: ")
    assert asked.endswith(f"</answer> User: {prompt.question}")


def test_what_cannot_be_asked_is_told_before_anything_loads() -> None:
    recipe = load_recipe("nano-zero")
    with pytest.raises(InputError, match=r"stages.evaluate: paraphrases names 'nan'"):
        Config(paraphrases=("nan",)).check_asked("stages.evaluate", recipe)
    with pytest.raises(InputError, match=r"stages.evaluate: few_shot.shots = 1 of up to .* model.max_positions = 256"):
        Config(few_shot=FewShot(shots=1)).check_asked("stages.evaluate", recipe)
    with pytest.raises(InputError, match=r"few_shot.shots = -1"):
        Config(few_shot=FewShot(shots=-1)).check_asked("stages.evaluate", recipe)
    with pytest.raises(InputError, match=r"few_shot.text = '{question}' has no {response}"):
        Config(few_shot=FewShot(shots=1, text="{question}")).check_asked("stages.evaluate", recipe)
    with pytest.raises(InputError, match=r"few_shot.path = 'a.jsonl' and few_shot.shots = 0"):
        Config(few_shot=FewShot(shots=0, path="a.jsonl")).check_asked("stages.evaluate", recipe)


def test_a_fact_that_problems_lack_is_told_before_anything_loads() -> None:
    """Of Countdown's facts the target is a number, and the level is none of them."""
    with pytest.raises(InputError, match=r"^stages.evaluate.evaluation.easy_fact = 'level': problem countdown/test/0"):
        check_easy("level")
    check_easy("target")


def check_easy(fact: str) -> None:
    recipe = load_recipe("nano", [f"evaluate.evaluation.easy_fact={fact}", 'evaluate.evaluation.tasks=["countdown"]'])
    recipe.stages["evaluate"].check("evaluate", recipe)
