"""Random streams: uniform, separate, and a function of seed and index alone."""

from __future__ import annotations

import pytest
import torch

from r1kit.rollout.streams import row_seeds, stream_seed, uniforms

MASK = (1 << 64) - 1


def splitmix_finaliser(x: int) -> int:
    """The published finaliser in Python's unbounded integers."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def test_equals_splitmix64_computed_in_python_integers() -> None:
    seeds = torch.tensor([0, 1, 2**62 + 12345, -7])
    drawn = uniforms(seeds, 5, 4)
    for row, seed in enumerate(seeds.tolist()):
        for column in range(4):
            state = (seed + (5 + column + 1) * 0x9E3779B97F4A7C15) & MASK
            assert drawn[row, column].item() == (splitmix_finaliser(state) >> 40) / 2**24


def test_known_first_output_of_splitmix64() -> None:
    """Seed 0 gives 0xE220A8397B1DCDAF first (reference implementation by Vigna)."""
    assert uniforms(torch.tensor([0]), 0, 1).item() == (0xE220A8397B1DCDAF >> 40) / 2**24


def test_uniform_by_chi_square() -> None:
    drawn = uniforms(row_seeds([stream_seed(1, "test", index) for index in range(20)], 20), 0, 500).flatten()
    assert drawn.min() >= 0
    assert drawn.max() < 1
    counts = torch.histc(drawn, bins=100, min=0, max=1).double()
    expected = len(drawn) / 100
    statistic = ((counts - expected) ** 2 / expected).sum().item()
    assert 50 < statistic < 160  # 99 degrees of freedom: outside has probability below 1e-4


def test_neighbouring_rows_and_steps_are_uncorrelated() -> None:
    drawn = uniforms(row_seeds(range(50), 40), 0, 200).double() - 0.5
    variance = 1 / 12
    for left, right in ((drawn[1:], drawn[:-1]), (drawn[:, 1:], drawn[:, :-1])):
        correlation = (left * right).mean().item() / variance
        assert abs(correlation) < 5 / left.numel() ** 0.5


def test_a_row_does_not_depend_on_its_batch_or_on_where_a_call_starts() -> None:
    seeds = row_seeds([11, 22, 33], 4)
    whole = uniforms(seeds, 0, 32)
    assert torch.equal(uniforms(seeds[5:6], 0, 32), whole[5:6])
    assert torch.equal(uniforms(seeds, 7, 9), whole[:, 7:16])
    starts = torch.arange(12)
    ragged = uniforms(seeds, starts, 3)
    assert all(torch.equal(ragged[row], whole[row, row : row + 3]) for row in range(12))


def test_row_seeds_depend_on_seed_and_row_alone() -> None:
    assert torch.equal(row_seeds([5, 6, 7], 8)[8:16], row_seeds([6], 8))
    assert torch.equal(row_seeds([6], 8)[:3], row_seeds([6], 3))


def test_streams_do_not_overlap() -> None:
    """Two hundred thousand 64-bit states of 2,000 streams: all different."""
    seeds = row_seeds(range(200), 10)
    states = seeds[:, None] + torch.arange(1, 101)[None, :] * -7046029254386353131
    assert len(states.unique()) == states.numel()


def test_stream_seed_tells_its_parts_apart() -> None:
    parts = [(1, 2), (12,), ("1", 2), (1, "2"), ("ab", "c"), ("a", "bc"), (-1,), ()]
    seeds = [stream_seed(*part) for part in parts]
    assert len(set(seeds)) == len(parts)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert stream_seed(7, "r1_zero", 3, 11) == stream_seed(7, "r1_zero", 3, 11)


@pytest.mark.gpu
def test_cuda_gives_the_same_numbers() -> None:
    seeds = row_seeds(range(64), 4)
    assert torch.equal(uniforms(seeds.cuda(), 0, 100).cpu(), uniforms(seeds, 0, 100))
