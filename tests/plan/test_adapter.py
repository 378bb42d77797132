"""The plan's count of an adapter's weights against the adapter itself, and what memory it spares."""

from __future__ import annotations

import pytest
import torch

from r1kit.contracts import Model
from r1kit.model.adapter import Adapter, linears_of
from r1kit.model.families import fresh_family
from r1kit.plan.cost import Plan, adapter_parameters, learner_bytes
from r1kit.plan.devices import DEVICES
from r1kit.plan.shape import shape_of_fresh
from r1kit.update.settings import LoRA, OptimiserSettings

WHERE = Plan(device=DEVICES["cpu"], devices=1, mfu=1, mbu=1, mean_share=1)


@pytest.mark.parametrize("family", ["llama", "qwen3", "deepseek_v3"])
@pytest.mark.parametrize("targets", [(), ("o_proj", "down_proj")])
def test_it_counts_what_an_adapter_has(family: str, targets: tuple[str, ...]) -> None:
    shape, lora = Model.from_table({"family": family}, "model"), LoRA(rank=3, targets=targets)
    with torch.device("meta"):
        linears = linears_of(fresh_family(family, "model").fresh(shape.shape, 61))
    names = lora.chosen({name: one.shape for name, one in linears.items()}, "lora")
    count = Adapter([linears[name] for name in names], 3, 1.0, seed=0).count
    assert adapter_parameters(lora, shape_of_fresh(shape, 61)) == count


def test_bytes_by_hand() -> None:
    """Every weight: 4 + 4 + 8 bytes, in 8 bits 4 + 4 + 2 1/32; with an adapter 4, and 16 for each of its own."""
    shape = shape_of_fresh(Model.from_table({}, "model"), 61)
    count, lora = shape.parameters, LoRA(rank=2)
    assert learner_bytes(OptimiserSettings(), shape, 4, WHERE) == 16 * count
    assert learner_bytes(OptimiserSettings(kind="adamw8bit"), shape, 4, WHERE) == (10 + 1 / 32) * count
    own = adapter_parameters(lora, shape)
    assert learner_bytes(OptimiserSettings(), shape, 4, WHERE, lora=lora, reference=True) == 4 * count + 16 * own
    assert learner_bytes(OptimiserSettings(), shape, 2, WHERE, lora=lora) == 2 * count + 16 * own
