"""The sharded learner on all GPUs of a host over NCCL finds what the local learner finds on one of them.

python -m pytest -m gpu tests/gpu/test_sharded_cuda.py       # on one GPU, or on eight

Passed on one H200; not run on several GPUs. fp32 products (TF32 is off by default) come in another order, so the
tolerances are those over gloo on CPUs but for one digit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

WAYS = [{}, {"checkpointing": True}, {"offload": "optimiser"}, {"offload": "all"}, {"replicate": 2}]


@pytest.mark.parametrize("own", WAYS, ids=str)
@pytest.mark.parametrize("course", ["sft", "grpo"])
def test_it_equals_the_local_learner(on_ranks: Callable[..., list[Any]], course: str, own: dict[str, Any]) -> None:
    count = torch.cuda.device_count()
    if count % own.get("replicate", 1):
        pytest.skip("copies need an even number of GPUs")
    for expected, found in on_ranks(count, "update.ranked_sharded:compare_on_gpus", course, own):
        for own_metrics, metrics in zip(found[0], expected[0], strict=True):
            assert own_metrics == pytest.approx(metrics, rel=1e-3, abs=1e-4)
        for name, weight in expected[2].items():
            torch.testing.assert_close(found[2][name], weight.cpu(), rtol=0, atol=5e-4)


def test_experts_on_their_gpus_equal_the_local_learner(on_ranks: Callable[..., list[Any]]) -> None:
    """Two experts of a layer on each GPU, rows by ``all_to_all_single`` of NCCL: norms to 1e-5, weights to 5e-4, since
    an expert's products are over the rows of all GPUs at once and sums come in another order."""
    count = torch.cuda.device_count()
    if count < 2:
        pytest.skip("experts on one GPU are all there")
    for wanted, found in on_ranks(count, "update.ranked_expert_parallel:on_gpus"):
        for one, other in zip(wanted[0], found[0], strict=True):
            assert other["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-5)
            assert other == pytest.approx(one, rel=1e-3, abs=1e-4)
        for name, weight in wanted[2].items():
            torch.testing.assert_close(found[2][name], weight.cpu(), rtol=0, atol=5e-4)
