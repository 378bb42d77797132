"""The decoder against `transformers`, family by family, and its checkpoints on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_model as save_tied
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from r1kit.checkpoint import headers
from r1kit.checkpoint.description import describe
from r1kit.checkpoint.streamed import StoredWeights
from r1kit.errors import InputError
from r1kit.model.decoder import Decoder
from r1kit.model.families import family, unsupported
from r1kit.model.load import load_model, save_model
from r1kit.model.segments import Segments
from r1kit.model.weights import NamedWeights
from r1kit.text.template import Template
from r1kit.text.tokenizer import build_tokenizer

Build = Callable[..., PreTrainedModel]
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 16}
KINDS: dict[str, dict[str, Any]] = {
    "llama_tied": {"model_type": "llama", "tie_word_embeddings": True},
    "llama_untied": {"model_type": "llama", "tie_word_embeddings": False, "rms_norm_eps": 1e-5},
    "llama_gqa": {"model_type": "llama", "num_key_value_heads": 1, "head_dim": 16},
    "llama3_rope": {"model_type": "llama", "num_key_value_heads": 2, "rope_parameters": LLAMA3},
    "llama_yarn": {"model_type": "llama", "num_key_value_heads": 2, "rope_parameters": YARN},
    "llama_linear": {
        "model_type": "llama",
        "rope_parameters": {"rope_type": "linear", "rope_theta": 5e3, "factor": 2.0},
    },
    "qwen2": {"model_type": "qwen2", "num_key_value_heads": 2, "tie_word_embeddings": True},
    "qwen3": {"model_type": "qwen3", "num_key_value_heads": 2, "head_dim": 16},
}


@pytest.fixture(params=KINDS)
def pair(request: pytest.FixtureRequest, tiny_model: Build) -> tuple[PreTrainedModel, Decoder]:
    model = tiny_model(**KINDS[request.param])
    return model, _ours(model)


def _ours(model: PreTrainedModel) -> Decoder:
    decoder = Decoder(family(model.config.model_type).from_hub(model.config))
    decoder.load_hub_weights(NamedWeights(model.state_dict()))
    return decoder


def _tokens(seed: int, length: int) -> torch.Tensor:
    return torch.randint(0, 256, (length,), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def _theirs(model: PreTrainedModel, tokens: torch.Tensor) -> torch.Tensor:
    return model(input_ids=tokens[None]).logits[0]


@torch.no_grad()
def _logits(decoder: Decoder, segments: Segments) -> torch.Tensor:
    return decoder.hidden(segments) @ decoder.head.T


def test_packed_documents_get_the_logits_of_each_alone(pair: tuple[PreTrainedModel, Decoder]) -> None:
    model, decoder = pair
    documents = [_tokens(seed, length) for seed, length in enumerate((7, 1, 50, 16))]
    expected = torch.cat([_theirs(model, document) for document in documents])
    assert expected.abs().max() > 1  # logits of a size at which 1e-4 says something
    torch.testing.assert_close(_logits(decoder, Segments.pack(documents)), expected, atol=1e-4, rtol=0)


def test_children_get_the_logits_of_prompt_plus_completion(pair: tuple[PreTrainedModel, Decoder]) -> None:
    model, decoder = pair
    first, second = _tokens(0, 9), _tokens(1, 20)
    one, two, three = _tokens(2, 5), _tokens(3, 1), _tokens(4, 30)
    segments = Segments.pack([first, one, two, second, three], [-1, 0, 0, -1, 3])
    expected = torch.cat(
        [
            _theirs(model, torch.cat([first, one])),
            _theirs(model, torch.cat([first, two]))[9:],
            _theirs(model, torch.cat([second, three])),
        ]
    )
    torch.testing.assert_close(_logits(decoder, segments), expected, atol=1e-4, rtol=0)


def test_a_saved_folder_opens_in_transformers(
    pair: tuple[PreTrainedModel, Decoder], byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model, decoder = pair
    save_model(tmp_path / "model", decoder, byte_tokenizer)
    opened = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert type(opened) is type(model)
    tokens = _tokens(0, 40)
    assert torch.equal(_theirs(opened, tokens), _theirs(model, tokens))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert tokenizer.encode("2 + 2 = é</s>") == byte_tokenizer.encode("2 + 2 = é</s>")
    assert (tokenizer.chat_template, tokenizer.eos_token_id) == (byte_tokenizer.chat_template, 257)
    again, _ = load_model(tmp_path / "model")
    assert again.config == decoder.config
    assert {name: weight.tolist() for name, weight in again.hub_weights().items()} == {
        name: weight.tolist() for name, weight in decoder.hub_weights().items()
    }
    greedy = opened.generate(tokens[None, :8], attention_mask=torch.ones(1, 8), do_sample=False, max_new_tokens=12)[0]
    mine = tokens[:8]
    for _ in range(len(greedy) - 8):
        mine = torch.cat([mine, _logits(again, Segments.pack([mine]))[-1].argmax()[None]])
    assert mine.tolist() == greedy.tolist()


def test_a_tokenizer_of_words_comes_back_as_it_was(pair: tuple[PreTrainedModel, Decoder], tmp_path: Path) -> None:
    """Also in a folder of type qwen2, where AutoTokenizer of transformers 5 takes Qwen2's own and splits otherwise."""
    _, decoder = pair
    words = build_tokenizer(["use", "12", "make", "+"])
    save_model(tmp_path / "model", decoder, words)
    text = "use 12 + 12 make <think>"
    again = load_model(tmp_path / "model")[1]
    assert again.encode(text) == words.encode(text)
    assert again.decode(again.encode(text)) == text
    if decoder.config.family != "qwen2":
        assert AutoTokenizer.from_pretrained(tmp_path / "model").encode(text) == words.encode(text)


def test_names_are_the_hubs_and_alias_the_decoder(pair: tuple[PreTrainedModel, Decoder]) -> None:
    model, decoder = pair
    names = decoder.hub_weights()
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    assert names.keys() == model.state_dict().keys() - tied
    own = {weight.untyped_storage().data_ptr() for weight in decoder.parameters()}
    assert {weight.untyped_storage().data_ptr() for weight in names.values()} == own
    assert sum(weight.numel() for weight in names.values()) == sum(weight.numel() for weight in decoder.parameters())
    assert not any(weight.requires_grad for weight in names.values())
    names["model.layers.1.self_attn.k_proj.weight"].fill_(7.0)
    c = decoder.config
    fused = decoder.blocks[1].qkv.weight
    start = c.num_heads * c.head_dim
    assert (fused[start : start + c.num_kv_heads * c.head_dim] == 7).all()
    assert (fused == 7).sum() == c.num_kv_heads * c.head_dim * c.hidden_size


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("model.norm.weight"), "weight 'model.norm.weight' missing"),
        (lambda w: w.update(extra=torch.zeros(1)), "weight 'extra' unknown"),
        (
            lambda w: w.update({"model.norm.weight": torch.zeros(3)}),
            r"model.norm.weight is \[3\], the config asks for \[32\]",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_whole(tiny_model: Build, change: Callable[..., Any], message: str) -> None:
    decoder = _ours(tiny_model("llama"))
    before = {name: weight.clone() for name, weight in decoder.hub_weights().items()}
    weights = {name: weight + 1 for name, weight in before.items()}
    change(weights)
    with pytest.raises(InputError, match=message):
        decoder.load_hub_weights(NamedWeights(weights))
    assert all(torch.equal(weight, before[name]) for name, weight in decoder.hub_weights().items())


def test_a_tied_head_may_come_along_only_if_it_is_the_embedding(tiny_model: Build) -> None:
    model = tiny_model("llama", tie_word_embeddings=True)
    weights = dict(model.state_dict())
    assert "lm_head.weight" in weights
    weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.zeros(4)  # old checkpoints carry these
    decoder = Decoder(family(model.config.model_type).from_hub(model.config))
    decoder.load_hub_weights(NamedWeights(weights))
    weights["lm_head.weight"] = weights["lm_head.weight"] + 1
    with pytest.raises(InputError, match=r"lm_head\.weight differs from model\.embed_tokens\.weight"):
        decoder.load_hub_weights(NamedWeights(weights))


def test_a_tied_head_may_be_all_that_is_stored(
    tiny_model: Build, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """``safetensors``' ``save_model`` keeps the first of two names, the head's; `transformers` opens that."""
    hub_model = tiny_model("qwen2", tie_word_embeddings=True)
    hub_model.save_pretrained(tmp_path)
    byte_tokenizer.save_pretrained(tmp_path)
    save_tied(hub_model, str(tmp_path / "model.safetensors"), metadata={"format": "pt"})
    table = hub_model.get_input_embeddings().weight
    decoder, _ = load_model(tmp_path)
    assert torch.equal(decoder.hub_weights()["model.embed_tokens.weight"], table)
    load_model(tmp_path, empty=True)
    (rows,) = StoredWeights(tmp_path).rows({"model.embed_tokens.weight": slice(2, 4)})
    assert torch.equal(rows[1], table[2:4])
    assert describe(tmp_path, Template(name="plain")).tied


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"model_type": "gpt2"}, "model type 'gpt2'"),
        ({"model_type": "mixtral", "num_key_value_heads": 4}, "model type 'mixtral'"),
        ({"model_type": "llama", "attention_bias": True}, "attention_bias is True"),
        ({"model_type": "llama", "mlp_bias": True}, "mlp_bias is True"),
        ({"model_type": "llama", "hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"model_type": "llama", "architectures": ["LlamaForSequenceClassification"]}, "its class is Llama"),
        ({"model_type": "llama", "quantization_config": {"quant_method": "gptq"}}, "quantization_config is"),
        ({"model_type": "qwen3", "attention_bias": True}, "attention_bias is True"),
        ({"model_type": "llama", "layer_types": ["chunked_attention"] * 32}, "some layers are 'chunked_attention'"),
        (
            {"model_type": "llama", "rope_parameters": {"rope_type": "proportional", "rope_theta": 1e4}},
            "rope type 'proportional'",
        ),
        (
            {
                "model_type": "gemma3_text",
                "layer_types": ["sliding_attention"] * 26,
                "rope_parameters": {"sliding_attention": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}},
            },
            "rope type 'linear' is not one of default",
        ),
        ({"model_type": "gemma3_text", "final_logit_softcapping": 30.0}, "final_logit_softcapping is 30.0"),
        ({"model_type": "qwen3_moe", "decoder_sparse_step": 2}, "some layers have no experts"),
        (
            {"model_type": "smollm3", "layer_types": ["sliding_attention"] * 36, "sliding_window": 16},
            "some layers have a window",
        ),
        (
            {"model_type": "qwen2", "layer_types": ["sliding_attention"] * 32},
            "some layers are 'sliding_attention' and there is no sliding_window",
        ),
        ({"model_type": "phi3", "partial_rotary_factor": 0.75}, "partial_rotary_factor is 0.75"),
        ({"model_type": "llama", "partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5"),
    ],
)
def test_what_the_decoder_would_get_wrong_is_refused(settings: dict[str, Any], reason: str) -> None:
    config = AutoConfig.for_model(**settings)
    assert reason in unsupported(config)
    with pytest.raises(InputError, match="the built-in decoder cannot run this model"):
        family("llama").from_hub(config)


def test_shards_are_written_read_and_missed(
    tiny_model: Build, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = _ours(tiny_model("qwen2", num_key_value_heads=2))
    monkeypatch.setattr(headers, "SHARD_BYTES", 30_000)
    save_model(tmp_path / "m", decoder, byte_tokenizer)
    shards = sorted((tmp_path / "m").glob("model-*.safetensors"))
    assert len(shards) > 2
    again, _ = load_model(tmp_path / "m")
    for name, weight in again.hub_weights().items():
        assert torch.equal(weight, decoder.hub_weights()[name])
    tokens = _tokens(0, 10)
    opened = AutoModelForCausalLM.from_pretrained(tmp_path / "m")
    torch.testing.assert_close(_theirs(opened, tokens), _logits(decoder, Segments.pack([tokens])), atol=1e-4, rtol=0)
    shards[1].rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=f"lacks {shards[1].name}"):
        load_model(tmp_path / "m")


def test_cut_weights_are_one_clear_line(
    tiny_model: Build, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    save_model(tmp_path / "m", _ours(tiny_model("llama")), byte_tokenizer)
    file = tmp_path / "m" / "model.safetensors"
    whole = file.read_bytes()
    for size in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(InputError, match="damaged or cut short") as caught:
            load_model(tmp_path / "m")
        assert "\n" not in str(caught.value)


def test_a_cut_tokenizer_is_one_clear_line(
    tiny_model: Build, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    save_model(tmp_path / "m", _ours(tiny_model("llama")), byte_tokenizer)
    file = tmp_path / "m" / "tokenizer.json"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot read the tokenizer") as caught:
        load_model(tmp_path / "m")
    assert "\n" not in str(caught.value)


def test_precision_and_generation_settings_are_kept(
    tiny_model: Build, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    decoder = _ours(tiny_model("llama")).to(torch.bfloat16)
    save_model(
        tmp_path / "m", decoder, byte_tokenizer, {"eos_token_id": [257, 10], "temperature": 0.6, "do_sample": True}
    )
    assert json.loads((tmp_path / "m" / "config.json").read_text())["dtype"] == "bfloat16"
    generation = GenerationConfig.from_pretrained(tmp_path / "m")
    assert (generation.eos_token_id, generation.temperature, generation.bos_token_id) == ([257, 10], 0.6, 256)
    wide, _ = load_model(tmp_path / "m", torch.float32)
    for name, weight in wide.hub_weights().items():
        assert weight.dtype == torch.float32
        assert torch.equal(weight, decoder.hub_weights()[name].float())
