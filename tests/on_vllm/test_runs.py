"""Whole runs on vLLM: two ranks, each with an engine of its own, and what it cannot compute told in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from vllm_world import lines_of, r1_run

pytestmark = [pytest.mark.vllm]
SHORT = {
    "engine": "vllm", "pretrain.steps": 20, "pretrain.evaluation": '{k=2,tasks=["countdown"],limit=4}',
    "r1_zero.steps": 2, "r1_zero.evaluate_every": 2, "r1_zero.evaluation": "{k=2,limit=4}", "r1_zero.final_split": "",
    "r1_zero.prompts_per_step": 4, "r1_zero.sampling": "{n=4,max_tokens=24}",
}  # fmt: skip


def test_two_ranks_have_an_engine_each(tmp_path: Path) -> None:
    """One after another, for pretraining's evaluation and for R1-Zero; the ranks' own process group outlives them."""
    code, told = r1_run("nano-zero", tmp_path, {**SHORT, "model.hidden_size": 128}, ranks=2)
    assert code == 0, told[-3000:]
    lines = lines_of(tmp_path)
    assert [line["step"] for line in lines] == [1, 2]
    assert all(line["engine_gap"] < 1e-5 for line in lines)


def test_heads_that_its_kernels_do_not_know_are_one_line(tmp_path: Path) -> None:
    """The nano world's heads have 24 numbers."""
    code, told = r1_run("nano-zero", tmp_path, SHORT)
    last = told.strip().splitlines()[-1]
    assert code == 2, told[-3000:]
    assert last.startswith('r1: engine = "vllm" cannot run llama here')
    assert "head_dim=24" in last
    assert "Traceback" not in told
