"""The sampler draws from the distribution that its log-probs describe."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from r1kit.rollout.sampler import sample
from r1kit.rollout.streams import uniforms


def grid(count: int) -> Tensor:
    """Evenly spaced uniforms: frequencies then equal probabilities to 1 / count, without chance."""
    return (torch.arange(count) + 0.5) / count


def nucleus(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    """Reference for one row [V]: sort, cut, renormalise, in float64 (Holtzman et al., 2020)."""
    chances = (logits.double() / temperature).softmax(-1)
    ordered, order = chances.sort(descending=True)
    kept = ordered.cumsum(-1) - ordered < top_p
    result = torch.zeros_like(chances)
    result[order[kept]] = ordered[kept]
    return result / result.sum()


@pytest.mark.parametrize("vocab", [2, 218, 1000, 5003])
@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.6, 1.0), (1.0, 0.9), (1.3, 0.5), (0.7, 0.02)])
def test_frequencies_and_logprobs_match_the_reference(vocab: int, temperature: float, top_p: float) -> None:
    logits = torch.randn(vocab, generator=torch.Generator().manual_seed(vocab)) * 2
    expected = nucleus(logits, temperature, top_p)
    draws = 4_000
    tokens, logprobs = (
        torch.cat(parts)
        for parts in zip(
            *(sample(logits.expand(len(u), -1), u, temperature, top_p) for u in grid(draws).split(500)), strict=True
        )
    )
    frequency = torch.bincount(tokens, minlength=vocab).double() / draws
    assert (frequency - expected).abs().max() < 2 / draws
    assert torch.allclose(logprobs.double(), expected[tokens].log(), atol=1e-4)


def test_hand_worked_row() -> None:
    """exp gives 1, 2, 1 over 4: u in [0, .25) is token 0, [.25, .75) token 1, [.75, 1) token 2."""
    logits = torch.tensor([[0.0, 2.0, 0.0]]).mul(torch.log(torch.tensor(2.0)) / 2).expand(6, -1)
    tokens, logprobs = sample(logits, torch.tensor([0.0, 0.2499, 0.2501, 0.7499, 0.7501, 0.9999]))
    assert tokens.tolist() == [0, 0, 1, 1, 2, 2]
    assert torch.allclose(logprobs.exp(), torch.tensor([0.25, 0.25, 0.5, 0.5, 0.25, 0.25]))


@pytest.mark.parametrize("vocab", [218, 5003])
def test_extreme_uniforms_never_give_an_impossible_token(vocab: int) -> None:
    logits = torch.full((4, vocab), -torch.inf)
    possible = torch.tensor([vocab // 2, vocab // 2 + 1, vocab - 2])
    logits[:, possible] = torch.tensor([0.0, 1.0, 3.0])
    edges = torch.tensor([0.0, 2.0**-24, 1 - 2.0**-24, 1 - 2.0**-23])
    for top_p in (1.0, 0.99):
        tokens, logprobs = sample(logits, edges, top_p=top_p)
        assert torch.isin(tokens, possible).all()
        assert logprobs.isfinite().all()


@pytest.mark.parametrize("shift", [-500.0, -60.0, 60.0, 500.0])
@pytest.mark.parametrize("vocab", [218, 5003])
def test_a_shift_of_all_logits_changes_nothing(shift: float, vocab: int) -> None:
    logits = (torch.randn(8, vocab, generator=torch.Generator().manual_seed(3)) * 64).round() / 64
    tokens, logprobs = sample(logits, grid(8))
    shifted, logprobs_shifted = sample(logits + shift, grid(8))
    assert torch.equal(tokens, shifted)
    assert torch.allclose(logprobs, logprobs_shifted, atol=1e-4)


@pytest.mark.parametrize("vocab", [218, 5003])
def test_greedy_takes_the_first_largest_with_logprob_zero(vocab: int) -> None:
    logits = torch.randn(3, vocab, generator=torch.Generator().manual_seed(4)).bfloat16()
    tokens, logprobs = sample(logits, grid(3), temperature=0.0)
    best = logits.float().max(-1, keepdim=True).values
    assert tokens.tolist() == [int((row == top).nonzero()[0]) for row, top in zip(logits.float(), best, strict=True)]
    assert logprobs.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("vocab", [50, 5000])
@pytest.mark.parametrize("top_p", [1.0, 0.95])
@pytest.mark.parametrize("temperature", [1e-300, 1e-45, 1e-38, 1e-7, 1e-5])
def test_however_cold_it_takes_a_token_that_is_there(temperature: float, top_p: float, vocab: int) -> None:
    logits = torch.randn(3, vocab, generator=torch.Generator().manual_seed(1)) * 30
    tokens, logprobs = sample(logits, torch.tensor([0.0, 0.5, 0.999]), temperature, top_p)
    assert tokens.tolist() == logits.argmax(-1).tolist()
    assert logprobs.tolist() == [0.0] * 3


@pytest.mark.parametrize("vocab", [218, 5003])
@pytest.mark.parametrize("top_p", [1.0, 0.8])
def test_rows_are_independent(vocab: int, top_p: float) -> None:
    logits = torch.randn(40, vocab, generator=torch.Generator().manual_seed(5)) * 3
    logits[7] += 300
    uniform = uniforms(torch.arange(40), 0, 1)[:, 0]
    tokens, logprobs = sample(logits, uniform, 1.0, top_p)
    for row in (0, 7, 39):
        alone, logprob = sample(logits[row : row + 1], uniform[row : row + 1], 1.0, top_p)
        assert alone.item() == tokens[row].item()
        assert logprob.item() == pytest.approx(logprobs[row].item(), abs=1e-5)
