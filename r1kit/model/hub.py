"""The decoder under the hub's names: what lets `transformers`, vLLM and every other tool open our checkpoints.

Axes as in ``decoder.py``. Only what the decoder computes exactly is taken; ``unsupported`` says what is not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from r1kit.errors import InputError, first_line
from r1kit.model.decoder import Block, Decoder, DecoderConfig
from r1kit.model.folder import replacing

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

__all__ = [
    "config_from_hub",
    "hub_config",
    "load_hub",
    "load_hub_names",
    "open_tokenizer",
    "read_config",
    "read_weights",
    "save_hub",
    "to_hub_names",
    "unsupported",
    "write_generation",
    "write_settings",
    "write_weights",
]

FAMILIES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
"""Family (the hub's ``model_type``) and the class that a checkpoint opens with."""
STATIC_ROPE = ("default", "linear", "llama3", "yarn")
"""Rope types whose frequencies do not depend on the length of the sequence."""
SHARD_BYTES = 5_000_000_000


def unsupported(config: PretrainedConfig) -> str:
    """Why the decoder cannot compute this model exactly, or an empty string when it can."""
    if config.model_type not in FAMILIES:
        return f"model type {config.model_type!r} is not one of {', '.join(FAMILIES)}"
    if config.architectures and config.architectures[0] != FAMILIES[config.model_type]:
        return f"its class is {config.architectures[0]}, not {FAMILIES[config.model_type]}"
    settings, rope = config.to_dict(), dict(config.rope_parameters)
    wanted = {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "quantization_config": None}
    for key, value in wanted.items():
        if settings.get(key, value) != value:
            return f"{key} is {settings[key]!r}"
    if any(kind != "full_attention" for kind in settings.get("layer_types") or ()):
        return "some layers attend through a sliding window"
    if rope.get("rope_type", "default") not in STATIC_ROPE:
        return f"rope type {rope['rope_type']!r} is not one of {', '.join(STATIC_ROPE)}"
    if (rope.get("partial_rotary_factor") or 1.0) != 1.0:
        return f"partial_rotary_factor is {rope['partial_rotary_factor']}"
    return ""


def config_from_hub(config: PretrainedConfig) -> DecoderConfig:
    """The decoder's settings for a hub config; InputError where the decoder would not compute the same thing."""
    if reason := unsupported(config):
        raise InputError(f"the built-in decoder cannot run this model: {reason}; load it with load_model instead")
    rope = {key: value for key, value in config.rope_parameters.items() if value is not None and key != "type"}
    kind, theta = rope.get("rope_type", "default"), rope.pop("rope_theta")
    return DecoderConfig(
        family=config.model_type,
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_layers=config.num_hidden_layers,
        num_heads=config.num_attention_heads,
        num_kv_heads=config.num_key_value_heads,
        head_dim=config.to_dict().get("head_dim") or config.hidden_size // config.num_attention_heads,
        rope_theta=float(theta),
        rope_scaling={} if kind == "default" else rope,
        rms_norm_eps=config.rms_norm_eps,
        tie_embeddings=config.tie_word_embeddings,
        qkv_bias=config.model_type == "qwen2",
        qk_norm=config.model_type == "qwen3",
        max_positions=config.max_position_embeddings,
    )


def hub_config(config: DecoderConfig) -> PretrainedConfig:
    """The hub config with which `transformers` builds the same model."""
    from transformers import AutoConfig

    assert config.qkv_bias == (config.family == "qwen2"), f"{config.family} has no switch for the QKV bias"
    assert config.qk_norm == (config.family == "qwen3"), f"{config.family} has no switch for the QK norm"
    return AutoConfig.for_model(
        config.family,
        architectures=[FAMILIES[config.family]],
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_kv_heads,
        head_dim=config.head_dim,
        rope_parameters={"rope_type": "default", **config.rope_scaling, "rope_theta": config.rope_theta},
        rms_norm_eps=config.rms_norm_eps,
        tie_word_embeddings=config.tie_embeddings,
        max_position_embeddings=config.max_positions,
    )


def to_hub_names(decoder: Decoder) -> dict[str, Tensor]:
    """Every weight under its hub name, detached; views into the decoder's own memory, no copies."""
    c = decoder.config
    heads = [c.num_heads * c.head_dim, c.num_kv_heads * c.head_dim, c.num_kv_heads * c.head_dim]
    names = {"model.embed_tokens.weight": decoder.embedding.weight}
    for index, block in enumerate(decoder.blocks):
        assert isinstance(block, Block)
        prefix = f"model.layers.{index}."
        q, k, v = torch.split(block.qkv.weight, heads)
        gate, up = torch.split(block.gate_up.weight, c.intermediate_size)
        attention = {"q_proj.weight": q, "k_proj.weight": k, "v_proj.weight": v, "o_proj.weight": block.out.weight}
        if c.qkv_bias:
            biases = torch.split(block.qkv.bias, heads)
            attention |= dict(zip(("q_proj.bias", "k_proj.bias", "v_proj.bias"), biases, strict=True))
        if block.q_norm is not None and block.k_norm is not None:
            attention |= {"q_norm.weight": block.q_norm.weight, "k_norm.weight": block.k_norm.weight}
        names |= {f"{prefix}self_attn.{name}": weight for name, weight in attention.items()}
        names |= {
            f"{prefix}mlp.gate_proj.weight": gate,
            f"{prefix}mlp.up_proj.weight": up,
            f"{prefix}mlp.down_proj.weight": block.down.weight,
            f"{prefix}input_layernorm.weight": block.attention_norm.weight,
            f"{prefix}post_attention_layernorm.weight": block.ffn_norm.weight,
        }
    names["model.norm.weight"] = decoder.norm.weight
    if decoder.lm_head is not None:
        names["lm_head.weight"] = decoder.lm_head.weight
    return {name: weight.detach() for name, weight in names.items()}


def load_hub_names(decoder: Decoder, weights: Mapping[str, Tensor]) -> None:
    """Copy hub-named weights into the decoder, in its own dtype and on its own device.

    A tied head may come along as ``lm_head.weight`` if it equals the embedding, and the ``inv_freq`` buffers of old
    checkpoints are passed over; any other name too many or too few, or a wrong shape, is an InputError that leaves
    the decoder as it was.
    """
    own = to_hub_names(decoder)
    given = {name: weight for name, weight in weights.items() if not name.endswith("rotary_emb.inv_freq")}
    if decoder.lm_head is None and "lm_head.weight" in given:
        head = given.pop("lm_head.weight")
        if "model.embed_tokens.weight" in given and not torch.equal(head, given["model.embed_tokens.weight"]):
            raise InputError("lm_head.weight differs from the embedding, but the config says that they are tied")
    for problem, names in (("missing", own.keys() - given.keys()), ("unknown", given.keys() - own.keys())):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise InputError(f"the checkpoint does not fit its config: weight {min(names)!r}{more} {problem}")
    for name, weight in given.items():
        if weight.shape != own[name].shape:
            shapes = f"{list(weight.shape)}, the config asks for {list(own[name].shape)}"
            raise InputError(f"the checkpoint does not fit its config: {name} is {shapes}")
    for name, weight in given.items():
        own[name].copy_(weight)


def save_hub(
    folder: Path, decoder: Decoder, tokenizer: PreTrainedTokenizerBase, generation: dict[str, Any] | None = None
) -> None:
    """Write a folder that AutoModelForCausalLM and AutoTokenizer open, or leave what was there before.

    Args:
        folder: created or replaced, as a whole.
        generation: keys of ``generation_config.json``; begin, end and pad token come from the tokenizer if not given.
    """
    config = hub_config(decoder.config)
    config.dtype = decoder.embedding.weight.dtype
    with replacing(folder) as new:
        write_weights(new, to_hub_names(decoder))
        write_settings(new, config, tokenizer, generation)


def write_settings(
    folder: Path, config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase, generation: dict[str, Any] | None
) -> None:
    """Write config.json, the tokenizer with its chat template, and generation_config.json."""
    config.update(_special_ids(tokenizer))
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_generation(folder, tokenizer, generation)


def write_generation(folder: Path, tokenizer: PreTrainedTokenizerBase, generation: dict[str, Any] | None) -> None:
    """Write generation_config.json: the tokenizer's begin, end and pad token unless ``generation`` names others."""
    from transformers import GenerationConfig

    GenerationConfig.from_dict(_special_ids(tokenizer) | (generation or {})).save_pretrained(folder)


def _special_ids(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    return {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def write_weights(folder: Path, weights: Mapping[str, Tensor]) -> None:
    """Write safetensors: one file up to 5 GB, else shards and their index. A tied weight keeps its first name only."""
    from huggingface_hub import split_torch_state_dict_into_shards

    seen: set[tuple[int, torch.Size]] = set()
    sizes = {}
    for name, weight in weights.items():
        if (place := (weight.data_ptr(), weight.shape)) not in seen:
            sizes[name] = torch.empty_like(weight, device="meta")  # a view's own size, not its storage's
        seen.add(place)
    split = split_torch_state_dict_into_shards(sizes, max_shard_size=SHARD_BYTES)
    for file, names in split.filename_to_tensors.items():
        save_file({name: weights[name].contiguous() for name in names}, folder / file, metadata={"format": "pt"})
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Every tensor of a hub-format folder's safetensors, single or sharded, on the CPU."""
    index = folder / "model.safetensors.index.json"
    files = ["model.safetensors"]
    if index.exists():
        files = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    weights: dict[str, Tensor] = {}
    for file in files:
        if not (folder / file).exists():
            raise InputError(f"{folder} lacks {file}; a model folder holds its weights as safetensors")
        try:
            with safe_open(folder / file, framework="pt") as shard:
                weights |= {name: shard.get_tensor(name) for name in shard.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise InputError(f"{folder / file} is damaged or cut short ({error}); fetch or write it again") from error
    return weights


def load_hub(folder: Path, dtype: torch.dtype = torch.float32) -> tuple[Decoder, PreTrainedTokenizerBase]:
    """The decoder with its weights in ``dtype`` on the CPU, and the tokenizer, from a hub-format folder."""
    config = config_from_hub(read_config(folder))
    with torch.device("meta"):
        decoder = Decoder(config)
    assert not list(decoder.buffers()), "to_empty would leave buffers undefined"
    decoder.to(dtype).to_empty(device="cpu")
    load_hub_names(decoder, read_weights(folder))
    return decoder, open_tokenizer(folder)


def read_config(folder: Path) -> PretrainedConfig:
    """The hub config of a folder; its own code, if it brings any, is not run."""
    from transformers import AutoConfig

    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(folder)
    except (ValueError, KeyError, OSError) as error:
        raise InputError(f"transformers cannot read {folder}/config.json: {first_line(error)}") from error
    return config


GENERIC_TOKENIZERS = ("TokenizersBackend", "PreTrainedTokenizerFast")
"""Classes that are what ``tokenizer.json`` says. AutoTokenizer passes over them for some model types (qwen2 in
transformers 5), takes the type's own class instead and splits text in another way."""


def open_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a hub-format folder."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    try:
        settings = folder / "tokenizer_config.json"
        named = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
        generic = named.get("tokenizer_class") in GENERIC_TOKENIZERS and (folder / "tokenizer.json").is_file()
        kind = PreTrainedTokenizerFast if generic else AutoTokenizer
        tokenizer: PreTrainedTokenizerBase = kind.from_pretrained(folder)
    except (ValueError, KeyError, OSError) as error:
        raise InputError(f"transformers cannot read the tokenizer in {folder}: {first_line(error)}") from error
    return tokenizer
