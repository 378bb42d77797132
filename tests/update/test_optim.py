"""Muon on fused matrices equals torch.optim.Muon on the separate ones; AdamW on the flat buffer equals torch's."""

from __future__ import annotations

import pytest
import torch

from r1kit.model.decoder import Decoder, DecoderConfig
from r1kit.update.flat import FlatWeights
from r1kit.update.optim import BLOCK, Optimiser, orthogonalise, squares
from r1kit.update.settings import Dtype, OptimiserSettings

CONFIG = DecoderConfig(
    vocab_size=11, hidden_size=16, intermediate_size=24, num_layers=2, num_heads=4, num_kv_heads=2, head_dim=4
)


def flat_weights(seed: int = 0) -> FlatWeights:
    model = Decoder(CONFIG)
    model.initialise(torch.Generator().manual_seed(seed))
    weights = FlatWeights(model, torch.float32)
    weights.grad.normal_(generator=torch.Generator().manual_seed(seed + 1))
    return weights


def test_adamw_is_torchs_with_vectors_not_decayed() -> None:
    weights = flat_weights()
    copies = {name: view.clone().requires_grad_() for name, view in weights.views(weights.master)}
    for name, grad in weights.views(weights.grad):
        copies[name].grad = grad.clone()
    groups = [
        {"params": [p for p in copies.values() if p.dim() > 1], "weight_decay": 0.3},
        {"params": [p for p in copies.values() if p.dim() < 2], "weight_decay": 0.0},
    ]
    theirs = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.95), fused=True)
    ours = Optimiser(weights, OptimiserSettings(weight_decay=0.3))
    for _ in range(3):
        theirs.step()
        ours.step(0.01)
    for name, view in weights.views(weights.master):
        torch.testing.assert_close(view, copies[name].detach(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_muon_works_on_each_of_the_fused_matrices_as_torchs_does(dtype: Dtype) -> None:
    torch_muon = pytest.importorskip("torch.optim", reason="torch >= 2.9").Muon
    weights = flat_weights()
    settings = OptimiserSettings(kind="muon", muon_lr_ratio=2.0, muon_weight_decay=0.1, muon_dtype=dtype)
    ours, pieces = Optimiser(weights, settings), {}
    rows = {"qkv": [16, 8, 8], "gate_up": [24, 24], "out": [16], "down": [16]}
    grads = dict(weights.views(weights.grad))
    for name, view in weights.views(weights.master):
        if not name.startswith("blocks") or view.dim() < 2:
            continue
        split = rows[name.split(".")[2]]
        pieces[name] = [torch.nn.Parameter(piece.clone()) for piece in view.split(split)]
        for piece, grad in zip(pieces[name], grads[name].split(split), strict=True):
            piece.grad = grad.clone()
    theirs = torch_muon(
        [p for group in pieces.values() for p in group], lr=0.02, weight_decay=0.1, adjust_lr_fn="original"
    )
    for _ in range(2):
        theirs.step()
        ours.step(0.01)
    after = dict(weights.views(weights.master))
    before = dict(flat_weights().views(flat_weights().master))
    for name, group in pieces.items():
        expected = torch.cat([piece.detach() for piece in group])
        gap = (after[name] - expected).norm() / (expected - before[name]).norm()
        assert gap < 0.02, f"{name}: the steps differ by {gap:.3f}"  # theirs runs in bf16


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_orthogonalised_singular_values_are_near_one(dtype: torch.dtype) -> None:
    matrices = torch.randn(3, 8, 32, generator=torch.Generator().manual_seed(0))
    found = orthogonalise(matrices, dtype=dtype)
    assert found.dtype == dtype
    values = torch.linalg.svdvals(found.float())
    assert values.min() > 0.5
    assert values.max() < 1.5


def test_clip_scales_the_whole_gradient_and_returns_its_norm_before() -> None:
    weights = flat_weights()
    norm = weights.grad.norm().item()
    assert Optimiser(weights, OptimiserSettings(max_grad_norm=0.5)).clip() == pytest.approx(norm)
    assert weights.grad.norm().item() == pytest.approx(0.5)
    assert Optimiser(weights, OptimiserSettings(max_grad_norm=9.0)).clip() == pytest.approx(0.5)
    assert weights.grad.norm().item() == pytest.approx(0.5)


def test_the_norm_of_a_long_gradient_is_not_too_small() -> None:
    """Of 20M equal numbers torch's own, which adds all squares up in float32, is more than a hundredth off."""
    weights, value = flat_weights(), torch.tensor(0.001)
    optimiser = Optimiser(weights, OptimiserSettings(max_grad_norm=0.0))
    weights.grad = value.expand(20_000_000)
    assert optimiser.clip() == pytest.approx(20_000_000**0.5 * float(value), rel=1e-5)


@pytest.mark.parametrize("count", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
def test_squares_of_any_number_of_numbers_are_added_up(count: int) -> None:
    x = torch.randn(count, generator=torch.Generator().manual_seed(count))
    assert float(squares(x)) == pytest.approx(float(x.double().square().sum()), rel=1e-6)


def test_a_gradient_that_is_not_finite_shows_in_its_norm() -> None:
    x = torch.ones(2 * BLOCK + 1)
    x[BLOCK] = float("nan")
    assert not torch.isfinite(squares(x))
