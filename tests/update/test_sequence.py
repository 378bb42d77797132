"""Sequence parallel: two ranks that share the tokens of every micro-batch find what one finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from r1kit.model.segments import Segments
from r1kit.update.pack import MicroBatch
from r1kit.update.sequence import Together

CASES = ("sft", "grpo", "muon, untied, checkpointing", "gemma 3", "deepseek", "pretraining", "shared")


@pytest.fixture(scope="module")
def two(on_ranks_once: Callable[..., list[Any]]) -> list[dict[str, Any]]:
    return on_ranks_once(2, "update.ranked_sequence:compare")


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_of_one_group_equal_one(two: list[dict[str, Any]], case: str) -> None:
    """Loss, gradient norm, every metric, log-probs, weights: shared prompts, packed rows, rows longer than a slice."""
    agree(two, case)


@pytest.mark.slow
def test_four_ranks_in_two_groups_equal_one(on_ranks_once: Callable[..., list[Any]]) -> None:
    four = on_ranks_once(4, "update.ranked_sequence:compare")
    for case in CASES:
        agree(four, case)


def agree(found: list[dict[str, Any]], case: str) -> None:
    for rank in found:
        wanted, got = rank[case]
        if case == "shared":
            (logprobs, metrics, weights), (own, own_metrics, own_weights) = wanted, got
            metrics, own_metrics = [metrics], [own_metrics]
        else:
            (metrics, logprobs, weights), (own_metrics, own, own_weights) = wanted, got
        for update, (one, other) in enumerate(zip(metrics, own_metrics, strict=True)):
            assert set(one) == set(other)
            near = 2e-3 if update else 1e-4  # updates enlarge what rounding did to the ones before (gemma 3, AVX2)
            for name, value in one.items():
                assert other[name] == pytest.approx(value, rel=near, abs=1e-5), name
        for one, other in zip(logprobs, own, strict=True):
            torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-3)
        for name, weight in weights.items():
            torch.testing.assert_close(own_weights[name], weight, rtol=0, atol=1e-3)
            assert torch.equal(own_weights[name], found[0][case][1][-1][name])


def test_what_cannot_be_shared_is_one_line(two: list[dict[str, Any]]) -> None:
    assert two[0]["refused"] == two[1]["refused"] == [
        "learner.sequence = 3 does not divide the 2 ranks; choose a divisor",
        "learner.sequence = 2 must divide the model's 4 heads and 1 key-value heads",
        "learner.sequence = 2: gpt2 runs in transformers, whose attention is not shared out; set 1",
    ]  # fmt: skip


def test_a_micro_batch_is_cut_by_its_tokens() -> None:
    """A prompt of 3 with answers of 2 and 4 tokens: 3 + 1 + 3 = 7 inputs, one more to fill up, 4 a rank.

    The first target of each answer is predicted by the prompt's last token (2); the others by the answer's own.
    """
    segments = Segments.pack([torch.arange(3), torch.tensor([5]), torch.tensor([6, 7, 8])], [-1, 0, 0])
    targets, index = torch.tensor([5, 9, 6, 7, 8, 9]), torch.tensor([2, 3, 2, 4, 5, 6])
    micro = MicroBatch(segments, (0, 1), (2, 4), targets, index)
    cuts = []
    for rank in range(2):
        place: Any = type("Place", (), {"rank": rank, "size": 2})
        cuts.append(Together(None, 2, place).cut(micro))  # type: ignore[arg-type]
    assert [cut.own.tolist() for cut in cuts] == [[0, 1, 2], [3, 4, 5]]
    assert [cut.micro.index.tolist() for cut in cuts if cut.micro.index is not None] == [[2, 3, 2], [0, 1, 2]]
    assert [cut.micro.targets.tolist() for cut in cuts] == [[5, 9, 6], [7, 8, 9]]
    assert {cut.micro.segments.lengths for cut in cuts} == {(3, 1, 3, 1)}
    assert {cut.micro.segments.parents for cut in cuts} == {(-1, 0, 0, -1)}
    chosen = torch.arange(4)[:, None]  # by a rank's 4 tokens: no expert is busier for the one that fills up
    assert [cut.micro.segments.counted(chosen)[:, 0].tolist() for cut in cuts] == [[0, 1, 2, 3], [0, 1, 2]]
    late = MicroBatch(Segments.pack([torch.arange(4)]), (0,), (1,), targets[:1], torch.tensor([3]))
    place = type("Place", (), {"rank": 0, "size": 2})
    cut = Together(None, 2, place).cut(late)  # type: ignore[arg-type]
    assert (cut.own.tolist(), cut.micro.targets.tolist(), cut.targets) == ([], [0], 1)
