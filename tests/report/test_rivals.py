"""Stages that start from one model stand side by side: at equal completions and at equal operations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1kit.report.draw.sections import draw_page
from r1kit.report.read.rivals import rivals
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.run_view import read_run

RECIPE = """name = "two"
[tasks.sums]
kind = "countdown"
"""
STAGE = """[stages.{name}]
kind = "{kind}"
start = "{start}"
steps = 4
prompts_per_step = 2
sampling = {{n = 4}}
"""
ACCURACIES = {"grpo": (0.1, 0.5, 0.6), "ppo": (0.1, 0.4, 0.9)}
"""At steps 0, 2, 4."""
FLOPS = {"grpo": (50, 100, 150, 200), "ppo": (150, 300, 450, 600)}
"""After each step."""


def write(run: Path, starts: tuple[str, str]) -> RunFolder:
    text, kinds = RECIPE, {"grpo": "r1_zero", "ppo": "ppo"}
    for number, (name, start) in enumerate(zip(kinds, starts, strict=True), start=1):
        text += STAGE.format(name=name, kind=kinds[name], start=start)
        folder = run / f"{number:02d}_{name}"
        folder.mkdir()
        steps = [
            {"step": n, "seconds": n, "reward": 0.0, "response_tokens": 10.0 * n, "kl": 0.5, "flops": flops}
            for n, flops in enumerate(FLOPS[name], start=1)
        ]
        evals = [
            {"step": 2 * n, "task": "sums", "split": "dev", "k": 8, "avg_at_k": a, "interval": [a - 0.1, a + 0.1]}
            for n, a in enumerate(ACCURACIES[name])
        ]
        for log, lines in (("metrics", steps), ("eval", evals)):
            (folder / f"{log}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        states = [1000] if name == "grpo" else [1000, 1200]
        (folder / "memory.json").write_text(json.dumps({"states": states, "peak": 5_000_000}))
    (run / "recipe.toml").write_text(text)
    return RunFolder(run)


def test_two_stages_at_equal_samples_and_operations(tmp_path: Path) -> None:
    [group] = rivals(write(tmp_path, ("base", "base")))
    assert (group.task, group.samples, group.flops) == ("sums", 4 * 8, 200)
    grpo, ppo = group.held
    assert ppo.at("samples", 32)[0] == pytest.approx(0.9)
    value, ends = ppo.at("flops", 200)  # two thirds of the way from 0 to 300
    assert value == pytest.approx(0.1 + 0.3 * 2 / 3)
    assert ends == pytest.approx((0.2, 0.4))
    assert grpo.at("flops", 200)[0] == pytest.approx(0.6)
    assert grpo.at("flops", 201) == (None, None)
    assert ppo.at("samples", 8)[0] == pytest.approx(0.25)  # half way to step 2
    assert (ppo.states, ppo.peak, ppo.gap, ppo.length) == ([1000, 1200], 5_000_000, 0.5, 25.0)


def test_what_is_no_number_in_memory_json_is_left_out(tmp_path: Path) -> None:
    run = write(tmp_path, ("base", "base"))
    (run.path / "02_ppo" / "memory.json").write_text(
        f'{{"states": [1000, null, "x", {10**400}, 1200], "peak": {10**400}}}'
    )
    ppo = rivals(run)[0].held[1]
    assert (ppo.states, ppo.peak) == ([1000, 1200], None)


def test_stages_in_a_row_do_not_stand_side_by_side(tmp_path: Path) -> None:
    assert not rivals(write(tmp_path, ("base", "grpo")))


def test_the_page_draws_them(tmp_path: Path) -> None:
    page = draw_page(read_run(write(tmp_path, ("base", "base"))))
    assert "From one start, side by side" in page
    assert "operations of training" in page
    assert "completions learnt from" in page
    assert '.300 <span class="ends">[.20, .40]<' in page
