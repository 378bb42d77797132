"""What runs on a GPU gives what the CPU gives: attention, learner, engine, the RL loop.

python -m pytest -m gpu tests/gpu
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from r1kit.cluster.ranks import Solo
from r1kit.loops import rl
from r1kit.maths.policy_loss import supervised_loss
from r1kit.model import decoder as decoding
from r1kit.model.decoder import Decoder, DecoderConfig
from r1kit.model.experts import grouped_product
from r1kit.model.families.dense import Layer
from r1kit.model.segments import Segments
from r1kit.model.streamed_attention import plan_lengths, streamed_attention, variable_length_attention
from r1kit.recipe import load_recipe
from r1kit.records import Sampling
from r1kit.rollout import graphs
from r1kit.rollout.graphs import GraphedDecoder
from r1kit.rollout.local import LocalEngine
from r1kit.rollout.scripted import CodePoints
from r1kit.update.learner import Batch
from r1kit.update.local import LearnerSettings, LocalLearner
from r1kit.update.settings import OptimiserSettings
from r1kit.workspace import Workspace
from tests.loops.toy import CONFIG as RL_CONFIG
from tests.loops.toy import SHAPE, ToyEvaluator, ToyScorer, policy_of
from tests.model.test_attention import GROUPS, LONG, packed
from tests.rollout.test_engines import FAMILIES, PROMPTS, SEEDS, Words, texts
from tests.rollout.test_engines import decoder as engine_decoder
from tests.update.test_local import CONFIG, LOSS, assert_close, decoder, documents, gradient, rollouts, settings

DEVICE = "cuda"
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


# ---- model -------------------------------------------------------------------------------------------------------


def qkv(segments: Segments, dtype: torch.dtype, device: str) -> list[Tensor]:
    """q, k, v that bf16 holds exactly, as leaves."""
    g, N = torch.Generator().manual_seed(0), len(segments.tokens)
    parts = [torch.randn(N, heads, 64, generator=g).bfloat16() for heads in (6, 2, 2)]
    return [part.to(device, dtype).requires_grad_() for part in parts]


@pytest.mark.parametrize(("lengths", "parents"), [*GROUPS, *LONG])
def test_the_variable_length_kernel_equals_streamed_attention(
    lengths: tuple[int, ...], parents: tuple[int, ...]
) -> None:
    segments = packed(lengths, parents)
    theirs, ours = qkv(segments, torch.float32, "cpu"), qkv(segments, torch.bfloat16, DEVICE)
    expected = streamed_attention(*theirs, segments)
    found = variable_length_attention(*ours, plan_lengths(replace(segments, tokens=segments.tokens.to(DEVICE))))
    assert (found.cpu().float() - expected).norm() < 0.01 * expected.norm()
    weight = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1)).bfloat16()
    (expected * weight).sum().backward()
    (found * weight.to(DEVICE)).sum().backward()
    for own, reference in zip(ours, theirs, strict=True):
        assert own.grad is not None
        assert reference.grad is not None
        assert (own.grad.cpu().float() - reference.grad).norm() < 0.02 * reference.grad.norm() + 1e-4


@pytest.mark.parametrize("stored", [0, 1e9])
def test_hidden_states_in_fp32_equal_the_cpus(stored: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "STORED", stored)
    g = torch.Generator().manual_seed(0)
    segments = replace(packed(*LONG[1]), tokens=torch.randint(0, CONFIG.vocab_size, (sum(LONG[1][0]),), generator=g))
    expected = decoder().hidden(segments)
    found = decoder().to(DEVICE).hidden(replace(segments, tokens=segments.tokens.to(DEVICE)))
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-3, atol=1e-4)


def test_the_variable_length_kernel_keeps_to_a_window() -> None:
    config = replace(CONFIG, layers=(Layer(window=40),) * 2)
    g = torch.Generator().manual_seed(0)
    segments = replace(packed(*LONG[1]), tokens=torch.randint(0, CONFIG.vocab_size, (sum(LONG[1][0]),), generator=g))
    moved = replace(segments, tokens=segments.tokens.to(DEVICE))
    found = decoder(config).to(DEVICE, torch.bfloat16).hidden(moved).cpu().float()
    expected, whole = decoder(config).hidden(segments), decoder().hidden(segments)
    assert (found - expected).norm() < 0.03 * expected.norm() < (expected - whole).norm()


def test_experts_in_bfloat16_choose_and_add_as_in_fp32() -> None:
    weight = torch.randn(5, 16, 24, generator=torch.Generator().manual_seed(0))
    x = torch.randn(40, 24, generator=torch.Generator().manual_seed(1))
    ends = torch.tensor([8, 8, 16, 32, 40])
    sides = []
    for place, dtype in (("cpu", torch.float32), (DEVICE, torch.bfloat16)):
        rows, matrices = (one.to(place, dtype, copy=True).requires_grad_() for one in (x, weight))
        out = grouped_product(rows, matrices, ends.to(place))
        out.square().sum().backward()
        sides.append([one.detach().cpu().float() for one in (out, rows.grad, matrices.grad)])
    for expected, found in zip(*sides, strict=True):
        assert (found - expected).norm() < 0.02 * expected.norm()


def test_long_segments_in_bfloat16_stay_within_memory() -> None:
    """16 segments of 4,096 tokens: stored probabilities would be 16 x 8 x 4096^2 x 2 bytes = 4 GiB a layer."""
    config = DecoderConfig(
        vocab_size=64, hidden_size=256, intermediate_size=256, num_layers=2, num_heads=8, num_kv_heads=2, head_dim=32
    )
    model = decoder(config).to(DEVICE, torch.bfloat16)
    tokens = torch.zeros(16 * 4096, dtype=torch.int64, device=DEVICE)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    model.hidden(Segments(tokens, (4096,) * 16, (-1,) * 16)).sum().backward()
    assert torch.cuda.max_memory_allocated() - before < 2**30


# ---- learner -----------------------------------------------------------------------------------------------------


def host(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight.cpu() for name, weight in weights.items()}


FAMILY_CONFIGS = {
    "llama": CONFIG,
    "qwen2": replace(CONFIG, family="qwen2", qkv_bias=True, tie_embeddings=False),
    "qwen3": replace(CONFIG, family="qwen3", qk_norm=True, num_kv_heads=1),
    "windowed": replace(CONFIG, layers=(Layer(window=4, rope="local"), Layer()), local_theta=100.0),
    "both norms": replace(CONFIG, norms="both", norm_offset=True, activation="gelu_tanh", embedding_scale=5.6),
    "norms after": replace(CONFIG, norms="after", qk_norm=True, wide_qk_norm=True),
    "experts": replace(CONFIG, experts=6, experts_per_token=2, intermediate_size=24),
}


@pytest.mark.parametrize("family", list(FAMILY_CONFIGS))
@pytest.mark.parametrize("changes", [{}, {"token_budget": 20}, {"head_chunk": 5}])
def test_gradient_equals_the_cpus(family: str, changes: dict[str, int]) -> None:
    config = FAMILY_CONFIGS[family]
    found = gradient(rollouts(), decoder(config).to(DEVICE), **changes)
    assert_close(host(found), gradient(rollouts(), decoder(config), **changes), tolerance=1e-4)


def test_gradient_of_streamed_attention_equals_the_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = gradient(rollouts(), decoder())
    monkeypatch.setattr(decoding, "STORED", 0)
    assert_close(host(gradient(rollouts(), decoder().to(DEVICE))), expected, tolerance=1e-4)


def test_bfloat16_computes_nearly_the_same_gradient() -> None:
    rows = [replace(row, old_logprobs=None, reference_logprobs=None) for row in rollouts().rows]
    on_policy = Batch(prompts=rollouts().prompts, rows=rows)
    found = gradient(on_policy, decoder().to(DEVICE), dtype="bfloat16")
    assert_close(host(found), gradient(on_policy), tolerance=0.06)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_training_lowers_the_loss(kind: Any, dtype: Any) -> None:
    optimiser = OptimiserSettings(kind=kind, muon_dtype=dtype)
    learner = LocalLearner(decoder().to(DEVICE), LearnerSettings(dtype=dtype, optimiser=optimiser), Solo())
    lr = 3e-3 if kind == "muon" else 1e-2
    losses = [learner.update(documents(), supervised_loss, lr)["loss"] for _ in range(20)]
    assert losses[-1] < 0.5 * losses[0]
    assert learner.flat.master.is_cuda
    assert learner.flat.master.dtype == torch.float32


def test_logprobs_come_back_to_the_host_and_equal_the_cpus() -> None:
    on_cpu, on_gpu = LocalLearner(decoder(), settings()), LocalLearner(decoder().to(DEVICE), settings())
    on_gpu.refresh_reference()
    for batch in (rollouts(), documents()):
        expected = on_cpu.logprobs(batch)
        for found in (on_gpu.logprobs(batch), on_gpu.reference_logprobs(batch)):
            assert {one.device.type for one in found} == {"cpu"}
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_metrics_equal_the_cpus() -> None:
    on_cpu, on_gpu = LocalLearner(decoder(), settings()), LocalLearner(decoder().to(DEVICE), settings())
    for step in range(3):
        expected = on_cpu.update(rollouts(step), LOSS, 1e-3)
        assert on_gpu.update(rollouts(step), LOSS, 1e-3) == pytest.approx(expected, rel=1e-2, abs=1e-4)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("to", [DEVICE, "cpu"])
def test_saved_and_loaded_goes_on(kind: Any, dtype: Any, to: str, tmp_path: Path) -> None:
    """Weights, optimiser and reference travel exactly, to a GPU and to a CPU; sums on a GPU have no fixed order."""
    chosen = settings(dtype=dtype, optimiser=OptimiserSettings(kind=kind, weight_decay=0.1, muon_dtype=dtype))
    straight = LocalLearner(decoder().to(DEVICE), chosen)
    straight.refresh_reference()
    for step in range(3):
        straight.update(rollouts(step), LOSS, 1e-3)
    straight.save(tmp_path / "learner")
    resumed = LocalLearner(decoder(seed=7).to(to), chosen)
    resumed.load(tmp_path / "learner")
    assert torch.equal(resumed.flat.master.cpu(), straight.flat.master.cpu())
    assert torch.equal(resumed.optimiser.momentum.cpu(), straight.optimiser.momentum.cpu())
    assert resumed.reference is not None
    assert resumed.reference.device == resumed.device
    expected, found = (one.update(rollouts(3), LOSS, 1e-3) for one in (straight, resumed))
    assert found["entropy"] == pytest.approx(expected["entropy"], rel=0.05)
    assert (resumed.flat.master.cpu() - straight.flat.master.cpu()).norm() < 0.05 * straight.flat.master.norm().cpu()


def test_any_other_architecture_learns_on_the_gpu_too() -> None:
    from transformers import AutoModelForCausalLM, GPT2Config

    from r1kit.model.families.fallback import HubModel

    shape = GPT2Config(vocab_size=61, n_embd=16, n_layer=2, n_head=2, n_positions=64, bos_token_id=1, eos_token_id=2)
    grads = []
    for device in ("cpu", DEVICE):
        torch.manual_seed(0)
        learner = LocalLearner(HubModel(AutoModelForCausalLM.from_config(shape).eval()).to(device), settings())
        learner.update(documents(), supervised_loss, 0.0)
        grads.append(learner.flat.grad.cpu())
    assert (grads[1] - grads[0]).norm() < 1e-4 * grads[0].norm()


# ---- engine and loop ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", list(FAMILIES))
@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 0.9), (0.0, 1.0)])
def test_the_engines_tokens_equal_the_cpus(family: str, temperature: float, top_p: float) -> None:
    sampling = Sampling(n=6, max_tokens=40, temperature=temperature, top_p=top_p, stop=("w17",))
    on_cpu = LocalEngine(engine_decoder(**FAMILIES[family]), Words(), max_rows=7)
    on_gpu = LocalEngine(engine_decoder(**FAMILIES[family]), Words(), max_rows=7, device=DEVICE)
    expected, found = (engine.generate(PROMPTS, sampling, SEEDS) for engine in (on_cpu, on_gpu))
    assert texts(found) == texts(expected)
    for one, other in zip(sum(found, ()), sum(expected, ()), strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_replayed_steps_are_those_that_were_not_captured(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same kernels at the same shapes, so the same bits; rows are refilled and end one by one."""
    recorded: list[tuple[int, int]] = []
    record = GraphedDecoder._record

    def counted(self: GraphedDecoder, shape: Any) -> None:
        recorded.append((shape.rows, shape.columns))
        record(self, shape)

    monkeypatch.setattr(GraphedDecoder, "_record", counted)
    monkeypatch.setattr(graphs, "_WORTH", 0)
    sampling = Sampling(n=24, max_tokens=100)
    engine = LocalEngine(engine_decoder(), Words(), max_rows=60, device=DEVICE, dtype=dtype)
    found = engine.generate(PROMPTS, sampling, SEEDS)
    assert len(recorded) == len(set(recorded)) >= 3
    monkeypatch.setattr(graphs, "_BEFORE", 1 << 30)
    assert engine.generate(PROMPTS, sampling, SEEDS) == found


def loop(folder: Path, device: str, dtype: Any) -> tuple[list[dict[str, float]], float]:
    """Three steps: the metrics of each, and how far the weights went."""
    model = Decoder(SHAPE)
    model.initialise(torch.Generator().manual_seed(3))
    model.to(device)
    folder.mkdir()
    workspace = Workspace(run=folder, stage="r1_zero", index=2, recipe=load_recipe("nano-zero"), key="k")
    workspace.folder.mkdir(parents=True, exist_ok=True)
    config = replace(RL_CONFIG, steps=3, minibatches=2, loss=replace(RL_CONFIG.loss, kl_weight=0.01))
    engine = LocalEngine(model, CodePoints(), end_ids=[0], device=device, dtype=getattr(torch, dtype))
    learner = LocalLearner(model, LearnerSettings(dtype=dtype, optimiser=config.optimiser))
    before = learner.flat.master.clone()
    rl.train(config, policy_of(workspace, engine, learner, ToyScorer(), ToyEvaluator()))
    lines = (workspace.folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines], float((learner.flat.master - before).norm())


def test_three_steps_of_the_rl_loop_equal_the_cpus(tmp_path: Path) -> None:
    (expected, far), (found, went) = (loop(tmp_path / name, name, "float32") for name in ("cpu", DEVICE))
    assert len(found) == 3
    assert went == pytest.approx(far, rel=1e-2)
    for name in ("loss", "grad_norm", "entropy", "kl", "ratio", "tokens"):
        assert [line[name] for line in found] == pytest.approx([line[name] for line in expected], rel=1e-2, abs=1e-4)


def test_three_steps_of_the_rl_loop_in_bfloat16(tmp_path: Path) -> None:
    metrics, went = loop(tmp_path / "run", DEVICE, "bfloat16")
    assert [line["step"] for line in metrics] == [1, 2, 3]
    assert went > 0
    assert all(line["sampler_gap"] < 0.1 for line in metrics)
