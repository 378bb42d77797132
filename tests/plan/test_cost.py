from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from r1kit.errors import InputError
from r1kit.loops.settings import RL
from r1kit.model import decoder as decoder_module
from r1kit.model.decoder import Decoder, DecoderConfig
from r1kit.model.segments import Segments
from r1kit.plan.cost import STORED, Plan, activation_bytes, gather_bytes, host_bytes, learner_bytes, travel_bytes
from r1kit.plan.devices import DEVICES, Device
from r1kit.plan.known import shape_of_hub
from r1kit.plan.planner import shape_of
from r1kit.plan.shape import Experts, Shape
from r1kit.plan.sizes import Sizes
from r1kit.plan.stage_cost import FORMULAS
from r1kit.recipe import load_recipe
from r1kit.records import Sampling
from r1kit.stages.pretrain import Config as Pretrain
from r1kit.update.settings import OptimiserSettings

SHAPE = Shape(vocab=100, hidden=8, ffn=16, layers=2, heads=2, kv_heads=1, head_dim=4, tied=True)
PLAN = Plan(
    device=Device(bf16=4e6, fp32=2e6, bandwidth=1e6, memory=0, price=1), devices=1, mfu=0.5, mbu=0.5, mean_share=0.5
)


def test_parameters_by_hand() -> None:
    # a layer: q 8 x 8, k and v 8 x 4 each, out 8 x 8, three matrices of 8 x 16; the head 100 x 8
    assert SHAPE.matrix_parameters == 2 * (64 + 32 + 32 + 64 + 384) + 800
    assert SHAPE.parameters == SHAPE.matrix_parameters + 2 * 16 + 8
    assert SHAPE.cache_bytes(4) == 2 * 2 * 4 * 4


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("tied", [True, False])
def test_parameters_are_the_decoder_s(family: str, tied: bool) -> None:
    config = DecoderConfig(
        family=family, vocab_size=50, hidden_size=16, intermediate_size=24, num_layers=3, num_heads=4, num_kv_heads=2,
        head_dim=8, tie_embeddings=tied, qkv_bias=family == "qwen2", qk_norm=family == "qwen3",
    )  # fmt: skip
    with torch.device("meta"):
        decoder = Decoder(config)
    shape = Shape(
        vocab=50, hidden=16, ffn=24, layers=3, heads=4, kv_heads=2, head_dim=8, tied=tied, qkv_bias=family == "qwen2",
        qk_norm="head" if family == "qwen3" else "",
    )  # fmt: skip
    assert shape.parameters == sum(parameter.numel() for parameter in decoder.parameters())


def test_pretraining_by_hand() -> None:
    config = Pretrain(steps=10, tokens_per_step=100, dtype="float32")
    work = FORMULAS["pretrain"](config, SHAPE, Sizes(prompt=6, document=20), PLAN)
    attention = 4 * 2 * 2 * 4 * 10  # layers, heads, head size, half a document
    assert work.trained_tokens == 1000
    assert work.flops == 1000 * (6 * SHAPE.matrix_parameters + 3 * attention)
    assert work.seconds == pytest.approx(work.flops / 1e6)


@pytest.mark.parametrize("dtype", ["bfloat16", "auto"])
def test_bfloat16_is_reckoned_at_its_own_speed(dtype: Any) -> None:
    """The device is twice as fast in it; ``auto`` is it wherever hardware multiplies it, as on every device known."""
    sizes = Sizes(prompt=6, document=20)
    slow = FORMULAS["pretrain"](Pretrain(steps=10, tokens_per_step=100, dtype="float32"), SHAPE, sizes, PLAN)
    fast = FORMULAS["pretrain"](Pretrain(steps=10, tokens_per_step=100, dtype=dtype), SHAPE, sizes, PLAN)
    assert (fast.flops, fast.seconds) == (slow.flops, pytest.approx(slow.seconds / 2))


def test_rl_by_hand() -> None:
    config = RL(
        steps=3, prompts_per_step=2, sampling=Sampling(n=4, max_tokens=10), rows_in_flight=8, dtype="float32"
    )  # fmt: skip
    work = FORMULAS["r1_zero"](config, SHAPE, Sizes(prompt=6), PLAN)
    n, attention = SHAPE.matrix_parameters, 4 * 2 * 2 * 4 * (6 + 2.5)
    responses, learnt = 2 * 4 * 5, 2 * 4 * 5 + 2 * 6
    forward = 2 * n * learnt + responses * attention
    assert (work.sampled_tokens, work.trained_tokens) == (3 * responses, 3 * learnt)
    assert work.flops == 3 * (forward + 3 * forward)
    moved = 10 * SHAPE.parameters * 4 + responses * 8.5 * SHAPE.cache_bytes(4)
    assert work.seconds == pytest.approx(3 * (max(forward / 1e6, moved / 5e5) + 3 * forward / 1e6))


def test_probabilities_that_attention_keeps_by_hand() -> None:
    """SHAPE's 2 layers of 2 heads, rows of 30: 4 bytes a token, head and token seen; one layer's with checkpointing."""
    cpu, gpu = replace(PLAN, device=DEVICES["cpu"]), replace(PLAN, device=DEVICES["h100"])

    def more(plan: Plan, seen: float, width: int = 4) -> float:
        return activation_bytes(10, SHAPE, width, plan, seen=seen) - activation_bytes(10, SHAPE, width, plan)

    layers, heads = SHAPE.layers, SHAPE.heads
    assert more(cpu, 30) == more(gpu, 30) == more(cpu, 30, width=2) == 10 * layers * 4 * heads * 30
    assert more(replace(cpu, checkpointing=True), 30) == 10 * 4 * heads * 30
    assert more(gpu, 30, width=2) == 0  # a fused kernel takes rows of several lengths
    assert more(cpu, STORED) == 0  # streamed


@pytest.mark.parametrize("length", [64, 256])
def test_activations_are_what_backward_keeps(length: int) -> None:
    """Counted in the decoder itself, weights aside."""
    shape = replace(SHAPE, hidden=48, ffn=128, heads=4, kv_heads=4, head_dim=12, vocab=64)
    decoder = Decoder(
        DecoderConfig(
            vocab_size=64, hidden_size=48, intermediate_size=128, num_layers=2, num_heads=4, num_kv_heads=4,
            head_dim=12,
        )
    )  # fmt: skip
    decoder.initialise(torch.Generator().manual_seed(0))
    weights = {weight.untyped_storage().data_ptr() for weight in decoder.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        states = decoder.hidden(Segments.pack([torch.arange(length) % 64 for _ in range(512 // length)]))
    counted = sum(size for place, size in kept.items() if place not in weights)
    reckoned = activation_bytes(512, shape, 4, replace(PLAN, device=DEVICES["cpu"]), seen=length) - 3 * 1024 * 64 * 4
    assert states.requires_grad
    assert STORED == decoder_module.STORED
    assert 1.0 <= reckoned / counted < 1.3, reckoned / counted


def test_more_devices_take_less_time_and_the_same_work() -> None:
    recipe = load_recipe("nano-zero")
    sizes = Sizes(prompt=8, problems=lambda evaluation: 20)
    one, four = (
        FORMULAS["r1_zero"](recipe.stages["r1_zero"], SHAPE, sizes, Plan(
            device=PLAN.device, devices=count, mfu=0.5, mbu=0.5, mean_share=0.5
        )) for count in (1, 4)
    )  # fmt: skip
    assert one.flops == four.flops
    assert one.seconds / 4 <= four.seconds < one.seconds


def test_experts_on_their_ranks_by_hand() -> None:
    """2 layers of 4 experts of 3 x 8 x 16: a device has a half of them, as one of two, and a quarter of the rest, 16
    bytes each with AdamW in float32; only the rest is gathered, a layer and the next."""
    mixed = replace(SHAPE, experts=Experts(number=4, used=2, ffn=16))
    apart, adamw = 2 * 4 * 3 * 8 * 16, OptimiserSettings()
    rest = mixed.parameters - apart
    where = replace(PLAN, devices=4, shards=4, expert_parallel=2)
    assert learner_bytes(adamw, mixed, 4, where) == 16 * (rest / 4 + apart / 2) + 2 * rest / 2 * 4
    whole = replace(where, expert_parallel=1)
    assert learner_bytes(adamw, mixed, 4, whole) == 16 * mixed.parameters / 4 + 2 * mixed.parameters / 2 * 4
    assert host_bytes(adamw, mixed, where) == 0
    host = replace(where, offload="optimiser")
    assert learner_bytes(adamw, mixed, 4, host, reference=True) == 8 * (rest / 4 + apart / 2) + 4 * rest
    assert host_bytes(adamw, mixed, host, reference=True) == (8 + 4) * (rest / 4 + apart / 2)
    host = replace(where, offload="all")  # of experts the copies that compute, all layers' or two
    assert learner_bytes(adamw, mixed, 2, host) == 2 * rest + 2 * apart / 2
    assert learner_bytes(adamw, mixed, 2, replace(host, checkpointing=True)) == 2 * rest + 2 * apart / 2 * 2 / 2
    assert host_bytes(adamw, mixed, host) == 16 * (rest / 4 + apart / 2)


def test_what_crosses_by_hand() -> None:
    """A token goes to 2 experts in each of 2 layers and back, forward and backward, 8 numbers of 2 bytes; of half of
    them the expert is where it is. Gathered, 3,072 numbers come twice in 2 bytes and their gradient in 4."""
    mixed = replace(SHAPE, experts=Experts(number=4, used=2, ffn=16))
    where = replace(PLAN, expert_parallel=2)
    assert travel_bytes(mixed, where, 2) == 2 * 2 * 2 * 2 * 8 * 2 / 2
    assert travel_bytes(mixed, replace(where, checkpointing=True), 2) == 3 * 2 * 2 * 2 * 8 * 2 / 2
    assert travel_bytes(SHAPE, where, 2) == 0
    assert gather_bytes(mixed, 2) == 3072 * (2 + 2 + 4)


def test_shapes_are_found_or_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R1KIT_CACHE", str(tmp_path))
    nano = shape_of(load_recipe("nano-zero"))
    assert nano.parameters < 500_000
    far = "[model]\nname = 'pypi:no-such-model'\n[tasks.countdown]\n[stages.r1_zero]\n"
    (tmp_path / "far.toml").write_text(far)
    recipe = load_recipe(str(tmp_path / "far.toml"))
    with pytest.raises(InputError, match="give --config FILE"):
        shape_of(recipe)
    given = load_recipe(str(tmp_path / "far.toml"), ["model.hidden_size=64", "model.num_layers=5"])
    assert shape_of(given, vocab=1000).vocab == 1000
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
                                  "num_attention_heads": 4, "vocab_size": 10, "model_type": "qwen3"}))  # fmt: skip
    found = shape_of(recipe, config)
    assert (found.kv_heads, found.head_dim, found.qk_norm, found.tied) == (4, 16, "head", False)
    config.write_text("{}")
    with pytest.raises(InputError, match="has no vocab_size"):
        shape_of_hub(config)
