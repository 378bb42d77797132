"""vLLM in this process with a mixture of experts, for real. No dense engine is open beside it: vLLM makes the groups of
a process for the first model alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from vllm_world import PROMPTS, SAMPLING, SEEDS, VOCAB, engine_of, groups_of, learner_of, weights

from r1kit.errors import InputError
from r1kit.loops.gap import engine_gaps, read_by
from r1kit.model.families.fallback import HubModel
from r1kit.vllm.engine import VLLMEngine

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]
OLD, NEW = 1, 2
"""Seeds of two models of one shape."""
EXPERTS: dict[str, dict[str, Any]] = {
    "glm4_moe": {
        "head_dim": 32, "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24,
        "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1, "n_shared_experts": 1,
    },
    "mixtral": {"num_local_experts": 4},
    "gpt_oss": {"head_dim": 32, "num_local_experts": 4},
}  # fmt: skip


def hub_model(kind: str, seed: int) -> HubModel:
    """A tiny mixture that `transformers` runs; GLM's experts are chosen by a buffer."""
    shape: dict[str, Any] = {
        "vocab_size": VOCAB, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 512, "pad_token_id": 0,
    }  # fmt: skip
    torch.manual_seed(seed)
    config = AutoConfig.for_model(kind, **shape, **EXPERTS[kind])
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval().requires_grad_(False)
    for weight in (*model.parameters(), *(held for name, held in model.named_buffers() if name.endswith("bias"))):
        weight.add_(torch.randn_like(weight) * (0.1 if weight.dim() > 1 else 1.0))
    return HubModel(model)


def gap(engine: VLLMEngine, model: HubModel) -> float:
    """The largest of the groups, nats a token."""
    groups = groups_of(engine.generate(PROMPTS, SAMPLING, SEEDS))
    return max(engine_gaps(groups, read_by(learner_of(model), groups)))


@pytest.mark.parametrize(("kind", "devices"), [("glm4_moe", 1), ("mixtral", 2)])
def test_experts_come_under_the_hub_s_names_with_what_chooses_them(kind: str, devices: int) -> None:
    """`transformers` has a layer's in one tensor, vLLM packs them for its CPU kernel, also anew; half of each matrix in
    either of two processes."""
    engine = engine_of(hub_model(kind, OLD), devices=devices)
    try:
        assert gap(engine, hub_model(kind, OLD)) < 1e-5
        engine.load_weights(weights(hub_model(kind, NEW)), version=1)
        assert gap(engine, hub_model(kind, NEW)) < 1e-5
    finally:
        engine.close()


def test_experts_that_vllm_cannot_take_anew_are_one_line() -> None:
    with pytest.raises(InputError, match=r"cannot run gpt_oss here: .*vLLM takes no new experts of GptOss") as caught:
        engine_of(hub_model("gpt_oss", OLD))
    assert "\n" not in str(caught.value)
