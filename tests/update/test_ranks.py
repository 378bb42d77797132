"""Two ranks give what one gives, up to the order of fp32 sums; the ranks are threads with a shared sum."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from r1kit.cluster.ranks import Ranks
from r1kit.update.learner import Batch
from r1kit.update.local import LocalLearner
from r1kit.update.optim import Optimiser
from r1kit.update.settings import OptimiserSettings
from tests.update.test_local import LOSS, decoder, documents, rollouts, settings
from tests.update.test_optim import flat_weights


class Shared:
    """What threads that play ranks exchange."""

    def __init__(self, size: int) -> None:
        self.barrier = threading.Barrier(size, timeout=60)
        self.slots: list[Any] = [None] * size


class ThreadRanks:
    def __init__(self, shared: Shared, rank: int) -> None:
        self.shared, self.rank, self.size = shared, rank, len(shared.slots)

    def gather_objects(self, item: Any) -> list[Any]:
        self.shared.slots[self.rank] = item
        self.shared.barrier.wait()
        gathered = list(self.shared.slots)
        self.shared.barrier.wait()
        return gathered

    def all_reduce_sum_(self, tensor: Tensor) -> Tensor:
        total = sum(self.gather_objects(tensor.clone()))
        assert isinstance(total, Tensor)
        return tensor.copy_(total)

    def broadcast_object(self, item: Any) -> Any:
        return self.gather_objects(item)[0]

    def close(self) -> None:
        pass


def on_ranks(size: int, batches: list[Batch]) -> list[tuple[LocalLearner, dict[str, float], list[Tensor]]]:
    shared = Shared(size)
    results: list[Any] = [None] * size

    def play(rank: int) -> None:
        learner = LocalLearner(decoder(), settings(), ThreadRanks(shared, rank))
        metrics = learner.update(batches[rank], LOSS, 1e-3)
        results[rank] = learner, metrics, learner.logprobs(rollouts())

    threads = [threading.Thread(target=play, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize("batch", [rollouts(), rollouts(prompts=(5,))], ids=["two groups", "one group, which is cut"])
def test_two_ranks_equal_one(batch: Batch) -> None:
    alone = LocalLearner(decoder(), settings())
    expected = alone.update(batch, LOSS, 1e-3)
    results = on_ranks(2, [batch, batch])
    assert results[0][1] == results[1][1]
    assert results[0][1] == pytest.approx(expected, rel=1e-4)
    for learner, _, logprobs in results:
        torch.testing.assert_close(learner.flat.grad, alone.flat.grad, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(learner.flat.master, alone.flat.master, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(logprobs, alone.logprobs(rollouts()), rtol=1e-3, atol=1e-3)
    assert torch.equal(results[0][0].flat.master, results[1][0].flat.master)


def test_a_sharded_batch_is_not_cut_again() -> None:
    whole = documents()
    halves = [replace(whole, rows=whole.rows[:2], sharded=True), replace(whole, rows=whole.rows[2:], sharded=True)]
    alone = LocalLearner(decoder(), settings())
    expected = alone.update(whole, LOSS, 1e-3)
    for learner, metrics, _ in on_ranks(2, halves):
        assert metrics["tokens"] == expected["tokens"] == 28
        torch.testing.assert_close(learner.flat.grad, alone.flat.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("size", [2, 3])
def test_muons_products_are_shared_out_and_no_bit_is_another(size: int) -> None:
    muon = OptimiserSettings(kind="muon", muon_dtype="float32")
    alone = flat_weights()
    Optimiser(alone, muon).step(0.01)
    shared, stepped = Shared(size), [flat_weights() for _ in range(size)]

    def play(rank: int) -> None:
        Optimiser(stepped[rank], muon, cast(Ranks, ThreadRanks(shared, rank))).step(0.01)

    threads = [threading.Thread(target=play, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for weights in stepped:
        assert torch.equal(weights.master, alone.master)
