from __future__ import annotations

import json
from pathlib import Path

from r1kit.report.draw.figures import ladder_over_steps
from r1kit.report.read.rl_stage import RLStage, rl_stage
from r1kit.report.read.run_folder import RunFolder


def stage(run: Path, diagnostics: list[dict[str, float]]) -> RLStage:
    folder = run / "01_r1_zero"
    folder.mkdir()
    rows = [
        {"step": step, "task": "code", "split": "dev", "k": 4, "avg_at_k": 0.5, "interval": [0.4, 0.6],
         "cons_at_k": 0.5, "response_tokens": 50, "diagnostics": found}
        for step, found in enumerate(diagnostics)
    ]  # fmt: skip
    (folder / "eval.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = RunFolder(run)
    return rl_stage(found, found.stages[0])


def test_rungs_are_drawn_over_steps_where_a_task_has_them(tmp_path: Path) -> None:
    low = {"block": 0.25, "lint": 0.2, "runs": 0.15, "tests_passed": 0.1, "answer_right": 0.05}
    high = {"block": 1.0, "lint": 0.95, "runs": 0.9, "tests_passed": 0.85, "answer_right": 0.8125}
    (curve,) = stage(tmp_path, [low, high]).programs
    lines = {trace.name: (trace.x, trace.y) for trace in ladder_over_steps(curve).data}
    assert lines["it runs"] == ((0, 1), (0.15, 0.9))
    assert lines["all tests passed"] == ((0, 1), (0.05, 0.8125))
    assert len(lines) == 5


def test_a_task_without_programs_has_no_ladder(tmp_path: Path) -> None:
    assert stage(tmp_path, [{"tries": 2.0}, {"tries": 3.0}]).programs == []
