"""Stage probe: drafts and gaps of a tiny model with experts, and the numbers of a gap by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from r1kit import pipeline
from r1kit.cluster.ranks import Solo
from r1kit.loops.probing import gap_of
from r1kit.recipe import load_recipe
from r1kit.records import Completion
from r1kit.report.draw.sections import draw_page
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.run_view import read_run

RECIPE = """name = "tiny"
ranks = 1
dtype = "float32"
[model]
family = "deepseek_v3"
hidden_size = 32
intermediate_size = 48
num_layers = 2
num_heads = 2
q_lora_rank = 16
kv_lora_rank = 16
qk_nope_head_dim = 8
qk_rope_head_dim = 8
v_head_dim = 16
n_routed_experts = 4
num_experts_per_tok = 2
moe_intermediate_size = 16
n_shared_experts = 1
first_k_dense_replace = 1
mtp_layers = 1
max_positions = 128
[tasks.countdown]
[stages.pretrain]
steps = 3
log_every = 1
tokens_per_step = 512
corpus = {shares = {countdown = 1.0}}
evaluation = {k = 1, limit = 2}
sampling = {max_tokens = 8}
[stages.probe]
prompts = 2
sampling = {n = 2, max_tokens = 8}
"""


def completion(*logprobs: float) -> Completion:
    return Completion(text="", token_ids=(1,) * len(logprobs), logprobs=logprobs, finish="stop", version=0)


def test_the_gap_by_hand() -> None:
    """Ratios 1, 2 and 1/2 over three tokens of two completions."""
    read = [torch.tensor([-1.0, -1.0 + math.log(2)]), torch.tensor([-3.0 - math.log(2)])]
    found = gap_of(read, [[completion(-1.0, -1.0)], [completion(-3.0)]], "engine")
    assert found["engine_gap"] == pytest.approx(2 * math.log(2) / 3)
    assert found["engine_gap_max"] == pytest.approx(math.log(2))
    assert found["engine_off_share"] == pytest.approx(2 / 3)


@pytest.mark.slow
def test_each_checkpoint_in_each_arithmetic(tmp_path: Path) -> None:
    path, out = tmp_path / "tiny.toml", tmp_path / "run"
    path.write_text(RECIPE)
    recipe = load_recipe(str(path))
    out.mkdir()
    pipeline.write_manifest(recipe, out)
    pipeline.run(recipe, out, Solo(), None, lambda line: None)
    found = json.loads((out / "02_probe" / "result.json").read_text())["metrics"]["base"]
    assert list(found) == ["float32", "bfloat16"]
    for name in ("engine", "replay"):
        assert found["float32"][f"{name}_gap_max"] < 1e-4 < found["bfloat16"][f"{name}_gap_max"]
        assert found["float32"][f"{name}_off_share"] == 0
    assert 0 <= found["float32"]["draft_hit_share"] <= 1
    page = draw_page(read_run(RunFolder(out)))
    assert "Drafts that hit, along the chain." in page
    assert "Engine against learner." in page
    assert "Experts' loads: Pretraining." in page or "Experts&#39; loads: Pretraining." in page
