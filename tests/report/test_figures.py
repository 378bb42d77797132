from __future__ import annotations

from types import SimpleNamespace

import pytest

from r1kit.report.draw.figures import accuracy_over_steps, expert_loads, panel
from r1kit.report.read.evaluations import Curve
from r1kit.report.read.run_view import _loads
from r1kit.report.read.series import MOST_POINTS, all_series, rolling, series


def test_a_long_line_is_thinned_by_means_over_equal_runs() -> None:
    rows = [{"step": step, "loss": float(step % 2)} for step in range(2 * MOST_POINTS)]
    line = series(rows, "loss")
    assert len(line) == MOST_POINTS
    assert line.steps[:2] == [1, 3]
    assert set(line.values) == {0.5}


def test_missing_and_broken_values_are_left_out() -> None:
    rows = [{"step": 0, "kl": 0.5}, {"step": 1}, {"step": 2, "kl": float("nan")}, {"step": 3, "kl": 0.25}]
    line = series(rows, "kl")
    assert (line.steps, line.values) == ([0, 3], [0.5, 0.25])


def test_the_running_mean_is_centred() -> None:
    assert rolling([0.0, 3.0, 6.0, 3.0]) == [1.5, 3.0, 4.0, 4.5]


def test_the_band_runs_along_the_highs_and_back_along_the_lows() -> None:
    rows = [
        {"step": 0, "avg_at_k": 0.1, "interval": [0.05, 0.15]},
        {"step": 10, "avg_at_k": 0.5, "interval": [0.4, 0.6]},
    ]
    figure = accuracy_over_steps([Curve(task="sums", split="dev", k=16, rows=rows)])
    band = next(trace for trace in figure.data if trace.fill == "toself")
    assert list(band.x) == [0, 10, 10, 0]
    assert list(band.y) == [0.15, 0.6, 0.4, 0.05]


def test_each_task_has_its_own_line() -> None:
    rows = [{"step": 0, "avg_at_k": 0.1}, {"step": 10, "avg_at_k": 0.5}]
    figure = accuracy_over_steps([Curve(task=task, split="dev", k=4, rows=rows) for task in ("sums", "words")])
    assert {trace.name for trace in figure.data} >= {"sums avg@4", "words avg@4"}


@pytest.mark.parametrize("rows", [[], [{"step": 0, "kl": 0.0}, {"step": 1, "kl": 0.0}], [{"step": 0}, {"step": 1}]])
def test_a_panel_that_never_moves_is_not_drawn(rows: list[dict[str, float]]) -> None:
    assert panel(all_series(rows), {"kl": "KL"}) is None


def test_experts_loads_are_a_line_a_layer() -> None:
    rows = [{"step": step, "max_violation_layer1": 2.0 / step, "max_violation_layer2": 0.5} for step in (1, 2, 4)]
    stage = SimpleNamespace(metrics=[{**row, "max_violation": 1.0} for row in rows])
    figure = expert_loads(_loads(stage))  # type: ignore[arg-type]
    assert [(trace.name, list(trace.y)) for trace in figure.data] == [
        ("layer 1", [2.0, 1.0, 0.5]),
        ("layer 2", [0.5, 0.5, 0.5]),
    ]
    assert expert_loads({}) is None
