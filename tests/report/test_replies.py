from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from r1kit.report.read.replies import showcase
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.stage_folder import StageFolder

WriteRun = Callable[..., Path]


def test_pairs_are_the_first_samples_of_prompts_at_both_ends(write_run: WriteRun, tmp_path: Path) -> None:
    stage = RunFolder(write_run(tmp_path / "run")).stages[1]
    found = stage.rollouts.pairs()
    assert [pair.before.prompt_id for pair in found] == [f"countdown/dev/{index}" for index in range(7)]
    assert all(pair.same_prompt and (pair.before.step, pair.after.step) == (0, 110) for pair in found)
    best = showcase(found)
    assert best is not None
    assert best.before.prompt_id == "countdown/dev/1"  # the first that went from wrong to right


def test_without_a_shared_prompt_the_ends_stand_side_by_side(tmp_path: Path) -> None:
    rows = [{"step": step, "prompt_id": f"p{step}-{i}", "completion": "x"} for step in (1, 2, 3) for i in (0, 0, 1)]
    (tmp_path / "rollouts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = StageFolder(tmp_path, "r1_zero").rollouts.pairs()
    ids = [(pair.before.prompt_id, pair.after.prompt_id) for pair in found]
    assert ids == [("p1-0", "p3-0"), ("p1-1", "p3-1")]
    assert not any(pair.same_prompt for pair in found)


def test_one_step_of_samples_makes_no_pair(tmp_path: Path) -> None:
    (tmp_path / "rollouts.jsonl").write_text('{"step": 1, "prompt_id": "p", "completion": "x"}\n')
    assert StageFolder(tmp_path, "r1_zero").rollouts.pairs() == []
