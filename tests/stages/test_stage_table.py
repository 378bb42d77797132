"""What stage ``evaluate`` makes of the lines it has judged."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from r1kit.evals.settings import EvaluationConfig
from r1kit.recipe import load_recipe
from r1kit.stages.evaluate import Config, _table


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
        "templates": [line("r1_zero", [0.5] * 4, template="untold")],
    }
    config = Config(evaluation=EvaluationConfig.final(limit=4))
    workspace: Any = SimpleNamespace(read=logs.__getitem__, recipe=load_recipe("nano-zero"))
    table = _table(config, workspace)
    assert table["base"]["countdown"] == {"avg_at_k": 0.25}
    found = table["r1_zero"]["countdown"]
    assert found["change"]["from"] == "base"
    assert found["change"]["difference"] == pytest.approx(0.625)  # 1, .5, .5 and .5
    low, high = found["change"]["interval"]
    assert 0.5 <= low < 0.625 < high <= 1.0
    assert (found["templates"], found["worst_template"]) == ({"untold": 0.5}, 0.5)
