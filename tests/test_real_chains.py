"""The recipes for real bases, every stage of them, on tiny random weights of the same family."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from r1kit.recipe import load_recipe
from tests.model import tiny

SHORT = {
    "dtype": "float32",
    "r1_zero.steps": "1", "reasoning_rl.steps": "1", "all_scenarios_rl.steps": "2",
    "all_scenarios_rl.preference_steps": "1",
    **{f"{stage}.prompts_per_step": "4" for stage in ("r1_zero", "reasoning_rl", "all_scenarios_rl")},
    **{
        f"{stage}.evaluation": "{k = 2, limit = 2, max_tokens = 8}"
        for stage in ("r1_zero", "cold_start_sft", "reasoning_rl", "sft", "all_scenarios_rl", "evaluate")
    },
    **{
        f"{stage}.sampling.max_tokens": "8"
        for stage in (
            "r1_zero", "cold_start", "cold_start_sft", "reasoning_rl", "rejection_sampling", "sft", "all_scenarios_rl",
            "evaluate",
        )
    },
    **{f"{stage}.sampling.n": "2" for stage in ("r1_zero", "reasoning_rl", "all_scenarios_rl")},
    "cold_start.routes": "{r1_zero = 4, direct = 2}", "cold_start_sft.epochs": "0.5", "rejection_sampling.prompts": "4",
    "sft.epochs": "0.5", "reward_models.epochs": "1",
}  # fmt: skip
"""Of a chain: a few steps a stage."""


def run(recipe: str, folder: Path, settings: dict[str, str]) -> Path:
    model = tiny.write(folder, "llama" if "llama" in recipe else "qwen2")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 2048}))
    words = [
        word for key, value in {"model.name": str(model), **settings}.items() for word in ("--set", f"{key}={value}")
    ]
    command = [sys.executable, "-m", "r1kit", "run", recipe, "--out", str(folder / "run"), "--ranks", "1", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder / "run"


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["qwen2.5-1.5b", "qwen2.5-7b"])
def test_every_stage_of_a_chain_runs(recipe: str, tmp_path: Path) -> None:
    found = run(recipe, tmp_path, SHORT)
    for number, stage in enumerate(load_recipe(recipe).stages, start=1):
        assert (found / f"{number:02d}_{stage}" / "result.json").is_file(), stage
    table = json.loads((found / "09_evaluate" / "result.json").read_text())["metrics"]
    assert set(table["base"]) >= {"word_problems", "equations", "countdown"}
    assert (found / "report.html").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["distill-qwen-1.5b", "distill-llama-8b"])
def test_a_student_learns_its_samples(recipe: str, tmp_path: Path) -> None:
    """Cosine down to a tenth, from the paper's rate: three batches of 64 are an epoch of 169."""
    settings = {"dtype": "float32", "sft.epochs": "2", "sft.sampling.max_tokens": "8", "sft.max_tokens": "1024"}
    found = run(recipe, tmp_path, {**settings, "sft.evaluation": "{k = 1, limit = 2, max_tokens = 8}"})
    rows = [json.loads(line) for line in (found / "01_sft" / "metrics.jsonl").read_text().splitlines()]
    peak = load_recipe(recipe).stages["sft"].optimiser.lr
    assert rows[0]["lr"] == pytest.approx(peak)
    assert rows[-1]["lr"] == pytest.approx(peak / 10)
    assert rows[-1]["loss"] < rows[0]["loss"]


@pytest.mark.parametrize(
    ("name", "base", "rate"),
    [
        ("distill-qwen-1.5b", "Qwen/Qwen2.5-Math-1.5B", 1e-4), ("distill-qwen-7b", "Qwen/Qwen2.5-Math-7B", 8e-5),
        ("distill-qwen-14b", "Qwen/Qwen2.5-14B", 7e-5), ("distill-qwen-32b", "Qwen/Qwen2.5-32B", 6e-5),
        ("distill-llama-8b", "meta-llama/Llama-3.1-8B", 5e-5),
        ("distill-llama-70b", "meta-llama/Llama-3.3-70B-Instruct", 2e-5),
    ],
)  # fmt: skip
def test_students_have_the_paper_s_settings(name: str, base: str, rate: float) -> None:
    """v2 B.4.3, table 6: base, rate, cosine to a tenth of it, 64 a batch, 2 to 3 epochs."""
    recipe = load_recipe(name)
    stage = recipe.stages["sft"]
    assert recipe.model.name == base
    assert stage.optimiser.lr == rate
    assert (stage.schedule.shape, stage.schedule.floor, stage.schedule.warmup) == ("cosine", 0.1, 0)
    assert stage.samples_per_step == 64
    assert 2 <= stage.epochs <= 3
