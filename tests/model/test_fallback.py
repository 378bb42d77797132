"""Other architectures through `transformers`: packed and cached passes against the plain forward."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from r1kit.checkpoint.hub import read_config
from r1kit.checkpoint.streamed import StoredWeights
from r1kit.errors import InputError
from r1kit.model.decoder import Decoder
from r1kit.model.families.fallback import FAMILY, HubModel, select_rows
from r1kit.model.load import load_model, save_model
from r1kit.model.segments import Segments
from r1kit.model.weights import NamedWeights

Build = Callable[..., PreTrainedModel]
KINDS: dict[str, dict[str, Any]] = {
    "learned_positions": {"model_type": "gpt2", "n_positions": 64},
    "rotary_parallel_biased": {"model_type": "gpt_neox"},
    "alibi_without_position_ids": {"model_type": "bloom"},
    "sliding_window": {"model_type": "mistral", "num_key_value_heads": 2, "sliding_window": 4},
    "scaled_embedding": {"model_type": "gemma", "num_key_value_heads": 1, "head_dim": 8},
    "llama_with_biases": {"model_type": "llama", "attention_bias": True, "mlp_bias": True},
    "capped_logits": {"model_type": "gemma2", "num_key_value_heads": 2, "head_dim": 8},
    "multiplied_logits": {"model_type": "cohere", "num_key_value_heads": 2, "logit_scale": 0.3},
    "divided_logits": {"model_type": "granite", "num_key_value_heads": 2, "logits_scaling": 3.0},
    "biased_logits": {"model_type": "phi"},
    "sinusoids_added": {
        "model_type": "xglm", "ffn_dim": 40, "d_model": 32, "attention_heads": 4, "num_layers": 2, "pad_token_id": 1,
    },
}  # fmt: skip


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, tiny_model: Build) -> PreTrainedModel:
    return tiny_model(**KINDS[request.param])


@torch.no_grad()
def _last(model: PreTrainedModel, *parts: torch.Tensor) -> torch.Tensor:
    return model(input_ids=torch.cat(parts)[None]).logits[0]


def _tokens(seed: int, length: int) -> torch.Tensor:
    return torch.randint(0, 256, (length,), generator=torch.Generator().manual_seed(seed))


def test_packed_logits_are_those_of_every_sequence_alone(model: PreTrainedModel) -> None:
    ours = HubModel(model)
    first, second, one, two = _tokens(0, 5), _tokens(1, 12), _tokens(2, 7), _tokens(3, 1)
    with torch.no_grad():
        logits = ours.logits(ours.hidden(Segments.pack([first, second, one, two], [-1, -1, 0, 0])))
    expected = torch.cat(
        [_last(model, first), _last(model, second), _last(model, first, one)[5:], _last(model, first, two)[5:]]
    )
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_cached_steps_after_choosing_rows_equal_the_plain_forward(model: PreTrainedModel) -> None:
    ours, prompts, more = HubModel(model), [_tokens(0, 5), _tokens(1, 9)], _tokens(2, 6)
    ids, mask, positions = torch.zeros(2, 9, dtype=torch.long), torch.zeros(2, 9, dtype=torch.bool), torch.zeros(2, 9)
    for row, prompt in enumerate(prompts):
        ids[row, 9 - len(prompt) :], mask[row, 9 - len(prompt) :] = prompt, True
        positions[row, 9 - len(prompt) :] = torch.arange(len(prompt))
    logits, cache = ours.step(ids, None, mask, positions.long())
    for row, prompt in enumerate(prompts):
        torch.testing.assert_close(logits[row], _last(model, prompt)[-1], atol=1e-4, rtol=0)
    chosen = [1, 0, 1]
    cache, mask, lengths = select_rows(cache, torch.tensor(chosen)), mask[chosen], torch.tensor([9, 5, 9])
    for step, token in enumerate(more):
        mask = torch.cat([mask, torch.ones(3, 1, dtype=torch.bool)], dim=1)
        logits, cache = ours.step(token.expand(3, 1), cache, mask, (lengths + step)[:, None])
        for row, prompt in enumerate(chosen):
            expected = _last(model, prompts[prompt], more[: step + 1])[-1]
            torch.testing.assert_close(logits[row], expected, atol=1e-4, rtol=0)


def test_a_saved_folder_opens_here_and_there(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    ours = HubModel(model)
    save_model(tmp_path / "m", ours, byte_tokenizer)
    tokens = _tokens(0, 20)
    assert torch.equal(_last(AutoModelForCausalLM.from_pretrained(tmp_path / "m"), tokens), _last(model, tokens))
    assert AutoTokenizer.from_pretrained(tmp_path / "m").encode("a+b") == byte_tokenizer.encode("a+b")
    again = FAMILY.load(tmp_path / "m", read_config(tmp_path / "m"), torch.float32)
    assert again.config == ours.config
    expected = ours.hub_weights()
    assert again.hub_weights().keys() == expected.keys()
    assert all(torch.equal(weight, expected[name]) for name, weight in again.hub_weights().items())


GLM = {
    "model_type": "glm4_moe", "num_key_value_heads": 2, "head_dim": 8, "n_routed_experts": 4, "num_experts_per_tok": 2,
    "moe_intermediate_size": 16, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1,
}  # fmt: skip


def _biased(tiny_model: Build) -> tuple[PreTrainedModel, torch.Tensor]:
    """GLM-4.5's kind, which chooses experts by a buffer that is stored with the weights; that buffer."""
    model = tiny_model(**GLM)
    bias = next(buffer for name, buffer in model.named_buffers() if name.endswith("e_score_correction_bias"))
    return model, bias.copy_(torch.tensor([0.301, -0.2, 0.1003, 0.4]))


def test_a_stream_of_weights_brings_the_buffers_that_a_checkpoint_holds(
    tiny_model: Build, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """To a folder (FSDP and adapters stream what they export), and to an engine that held others."""
    model, bias = _biased(tiny_model)
    ours, tokens = HubModel(model), _tokens(0, 20)
    expected, weights = _last(model, tokens), {name: weight.clone() for name, weight in ours.hub_weights().items()}
    bias.neg_()
    assert not torch.allclose(_last(model, tokens), expected)
    save_model(tmp_path / "m", ours, byte_tokenizer, weights=NamedWeights(weights))
    assert torch.equal(_last(AutoModelForCausalLM.from_pretrained(tmp_path / "m"), tokens), expected)
    ours.load_hub_weights(NamedWeights(weights))
    assert torch.equal(_last(model, tokens), expected)


@pytest.mark.parametrize("kind", [GLM, {"model_type": "mixtral", "num_key_value_heads": 2, "num_local_experts": 4}])
def test_published_weights_are_those_of_a_folder(
    kind: dict[str, Any], tiny_model: Build, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """`transformers` has all experts of a layer in one tensor and renames Mixtral's; vLLM knows the hub's names."""
    model = tiny_model(**kind)
    save_model(tmp_path / "m", HubModel(model), byte_tokenizer)
    expected = dict(StoredWeights(tmp_path / "m"))
    read = load_model(tmp_path / "m")[0]
    for ours in (HubModel(model), read):  # built here, and as `transformers` read it
        stream = ours.published(NamedWeights(ours.hub_weights()))
        assert [(name, weight.dtype, tuple(weight.shape)) for name, weight in stream] == stream.metadata()
        found = dict(stream)
        assert found.keys() == expected.keys() != ours.hub_weights().keys()
        assert all(torch.equal(weight, expected[name]) for name, weight in found.items())
    monkeypatch.delattr("transformers.core_model_loading.PrefixChange")  # which transformers 5.0 does not have
    assert dict(read.published(NamedWeights(read.hub_weights()))).keys() == expected.keys()


def test_weights_that_are_made_of_several_are_not_handed_over_one_by_one(
    tiny_model: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def joined(model: Any, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return weights if len(weights) == 1 else {"all": next(iter(weights.values()))}

    monkeypatch.setattr("transformers.core_model_loading.revert_weight_conversion", joined)
    ours = HubModel(tiny_model("gpt2"))
    with pytest.raises(InputError, match="gpt2 has weights that transformers cuts up"):
        ours.published(NamedWeights(ours.hub_weights())).metadata()


def test_weights_are_copied_in_place_and_checked(tiny_model: Build) -> None:
    model = HubModel(tiny_model("gpt2"))
    weights = {name: weight + 1 for name, weight in model.hub_weights().items()}
    model.load_hub_weights(NamedWeights(weights))
    assert all(torch.equal(weight, weights[name]) for name, weight in model.hub_weights().items())
    assert any(parameter is model.head for parameter in model.parameters())  # the tied head moved with the embedding
    assert torch.equal(model.head, weights["transformer.wte.weight"])
    with pytest.raises(InputError, match=r"weight .* missing"):
        model.load_hub_weights(NamedWeights({"transformer.wte.weight": weights["transformer.wte.weight"]}))
    weights["transformer.wte.weight"] = torch.zeros(3, 3)
    with pytest.raises(InputError, match=r"transformer.wte.weight is \[3, 3\]"):
        model.load_hub_weights(NamedWeights(weights))


def test_training_has_gradients_and_no_dropout(tiny_model: Build) -> None:
    model = HubModel(tiny_model("gpt2", resid_pdrop=0.5, embd_pdrop=0.5, attn_pdrop=0.5)).train()
    assert model.training
    prompt, child = _tokens(0, 4), _tokens(1, 3)
    segments = Segments.pack([prompt, child, child], [-1, 0, 0])
    hidden = model.hidden(segments)
    torch.testing.assert_close(hidden[4:7], hidden[7:10])  # dropout would be another row; a rounding is not
    assert torch.equal(model.hidden(segments), hidden)
    (hidden @ model.head.T).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_what_would_be_wrong_is_refused(tiny_model: Build) -> None:
    with pytest.raises(InputError, match="keeps a recurrent state"):
        HubModel(tiny_model("mamba"))
    with pytest.raises(InputError, match="openai-gpt cannot go on from a cache") as told:
        HubModel(tiny_model("openai-gpt", n_positions=64))
    assert "\n" not in str(told.value)
    with pytest.raises(InputError, match=r"rwkv computes a row of a batch otherwise than alone"):
        HubModel(tiny_model("rwkv", context_length=64))
    model = tiny_model("llama")
    model.lm_head.register_forward_hook(lambda module, given, output: output.sin())
    with pytest.raises(InputError, match="llama does more to its logits than scale, cap or shift them"):
        HubModel(model)
    model = tiny_model("llama")
    model.lm_head.register_forward_pre_hook(lambda module, given: (given[0].roll(1, -1),))
    with pytest.raises(InputError, match="llama does more"):
        HubModel(model)


def test_a_cast_model_computes_what_transformers_does_in_that_dtype(model: PreTrainedModel, tmp_path: Path) -> None:
    """Some buffers must follow the weights (XGLM's sinusoids), others must not (rotary frequencies)."""
    model.save_pretrained(tmp_path)
    same = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    ours, tokens = HubModel(model).to(torch.bfloat16), _tokens(0, 40)
    with torch.no_grad():
        logits = ours.logits(ours.hidden(Segments.pack([tokens])))
    assert torch.equal(logits, _last(same, tokens))


def test_a_cast_leaves_rotary_frequencies_as_they_are(tiny_model: Build) -> None:
    """Rounded to bfloat16 they turn far positions by whole radians."""
    model = HubModel(tiny_model("mistral", num_key_value_heads=2))
    before = [one.clone() for one in model.buffers() if one.is_floating_point()]
    model.to(torch.bfloat16)
    assert {one.dtype for one in model.parameters()} == {torch.bfloat16}
    after = [one for one in model.buffers() if one.is_floating_point()]
    assert before
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    model.float()
    assert {one.dtype for one in model.parameters()} == {torch.float32}


LONGROPE = {
    "model_type": "phi3", "num_key_value_heads": 4, "max_position_embeddings": 64,
    "original_max_position_embeddings": 16,
    "rope_parameters": {
        "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 4, "long_factor": [1.0, 2.0, 4.0, 8.0],
        "original_max_position_embeddings": 16, "factor": 4.0,
    },
}  # fmt: skip


def test_rows_that_would_change_their_own_frequencies_are_refused(tiny_model: Build) -> None:
    hub = tiny_model(**LONGROPE)
    model, short, long = HubModel(hub), _tokens(0, 16), _tokens(1, 17)
    assert model.config.max_positions == 16
    with torch.no_grad():
        logits = model.logits(model.hidden(Segments.pack([short, long[:5]])))
    expected = torch.cat([_last(hub, short), _last(hub, long[:5])])
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)
    with pytest.raises(InputError, match="longrope changes its frequencies for rows of more than 16 tokens") as told:
        model.hidden(Segments.pack([short, long]))
    assert "\n" not in str(told.value)


def test_the_decoder_is_taken_where_it_can_be(
    tiny_model: Build, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    tiny_model("qwen3", head_dim=8, num_key_value_heads=2).save_pretrained(tmp_path)
    byte_tokenizer.save_pretrained(tmp_path)
    model, _ = load_model(tmp_path, torch.bfloat16)
    assert isinstance(model, Decoder)
    assert model.head.dtype == torch.bfloat16
    assert model.hub_weights().keys() >= {"model.layers.0.self_attn.q_norm.weight", "lm_head.weight"}


def test_a_model_that_cannot_write_is_refused(byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    config = AutoConfig.for_model(
        "llama", vocab_size=258, hidden_size=32, intermediate_size=40, num_hidden_layers=1, num_attention_heads=4
    )
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path)
    byte_tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"no language model that can write: weight 'lm_head.weight' is missing"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "from_the_future"}')
    with pytest.raises(InputError, match=r"transformers cannot read") as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value)
