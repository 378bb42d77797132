"""The shape of a model that somebody published: by its config.json, by its folder, or by its name alone."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from r1kit.checkpoint.source import local_folder
from r1kit.contracts import Model
from r1kit.errors import InputError, nearest
from r1kit.plan.shape import Experts, Latent, Shape, shape_of_fresh

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["is_counted", "known_config", "known_models", "shape_of_config", "shape_of_hub", "shape_of_named"]

NEEDED = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
QKV_BIAS = {"qwen2", "qwen2_moe", "qwen2_vl", "qwen2_vl_text", "qwen2_5_vl", "qwen2_5_vl_text"}
NORMED = {
    "qwen3": "head", "qwen3_moe": "head", "qwen3_vl_text": "head", "qwen3_vl_moe_text": "head", "gemma3_text": "head",
    "olmo2": "all", "olmo3": "all",
}  # fmt: skip
FOUR_NORMS = {"gemma2", "gemma3_text", "glm4"}
GATED = frozenset({
    "bitnet", "cohere", "cohere2", "cohere2_moe", "cwm", "deepseek_v2", "deepseek_v3", "diffllama", "ernie4_5",
    "exaone4", "flex_olmo", "gemma", "gemma2", "gemma3_text", "glm", "glm4", "glm4_moe", "gpt_oss", "granite",
    "granite_swa", "granitemoe", "granitemoe_swa", "helium", "hunyuan_v1_dense", "hyperclovax", "internlm3",
    "iquestcoder", "llama", "mellum", "minicpm3", "minimax_m2", "ministral", "ministral3", "mistral", "mixtral", "olmo",
    "olmo2", "olmo3", "olmoe", "phi3", "phimoe", "qwen2", "qwen2_moe", "qwen2_vl", "qwen2_vl_text", "qwen2_5_vl",
    "qwen2_5_vl_text", "qwen3", "qwen3_moe", "qwen3_vl_text", "qwen3_vl_moe_text", "seed_oss", "smollm3", "stablelm",
    "vaultgemma", "youtu",
})  # fmt: skip
PLAIN = frozenset("apertus arcee gpt_neox jais2 nanochat nemotron persimmon phi starcoder2".split())  # noqa: SIM905
"""Model types whose parameters are `transformers`' own (5.23) within 0.1% in several shapes: with a gate in their
feed-forwards, and without. Others have layers of more kinds, or say their sizes in keys of their own."""
TIED = {"gemma", "gemma2", "gemma3_text", "cohere", "cohere2"}
"""Whose config.json leaves out that they are."""
TUNED = frozenset("instruct base chat it hf pt sft dpo text gguf awq gptq mlx bnb".split())  # noqa: SIM905
"""Parts of a name that say nothing of the shape, wherever they stand."""
LATER = re.compile(r"\d{4}|i?q\d\w*|f16|bf16|fp8|fp4|int\d|\dbit|v\d[\d.]*|latest")
"""And at its end: a month, a quantisation, a version."""


def shape_of_named(model: Model, vocab: int, where: str = "model") -> Shape:
    """The shape of a model with a name: its table's own keys, its folder where it is on this machine, or what is known
    of the name.

    Raises:
        InputError: none of them says it; ``where`` is the table's dotted name.
    """
    given, fresh = model.shape, type(model.shape)()
    if any(getattr(given, key, 0) != getattr(fresh, key, 0) for key in ("hidden_size", "num_layers")):
        if not vocab:
            raise InputError(f"the {where}.* keys do not say the vocabulary; add --vocab N")
        return shape_of_fresh(model, vocab)
    if found := known_config(model.name):
        return shape_of_config(found, model.name)
    if folder := local_folder(model.name):
        return shape_of_hub(folder / "config.json")
    file = "give --config FILE (its config.json), or " if where == "model" else ""
    raise InputError(
        f"{model.name} is not on this machine and not among the {len(known_models())} models that are known by name; "
        f"{file}--set {where}.hidden_size=... {where}.intermediate_size, num_layers, num_heads, num_kv_heads and "
        f"--vocab.{nearest(_plain_name(model.name), known_models())}"
    )


def known_config(name: str) -> Mapping[str, Any] | None:
    """The keys of config.json of a model that is known by name, whoever publishes it; None for any other name.

    A folder that is there is never taken for one.
    """
    if Path(name).expanduser().exists():
        return None
    return known_models().get(_plain_name(name))


def _plain_name(name: str) -> str:
    """``unsloth/Meta-Llama-3.1-8B-Instruct-GGUF`` -> ``llama-3.1-8b``."""
    whole = name.rpartition("/")[2].rpartition(":")[2].lower().removesuffix(".gguf").removeprefix("meta-")
    parts = [part for part in whole.split("-") if part not in TUNED]
    if whole in known_models():
        return whole
    while len(parts) > 1 and "-".join(parts) not in known_models() and LATER.fullmatch(parts[-1]):
        parts.pop()
    return "-".join(parts)


@cache
def known_models() -> Mapping[str, Mapping[str, Any]]:
    """Name -> its entry in ``models.toml``; every other name of it too."""
    table = tomllib.loads(Path(__file__).with_name("models.toml").read_text(encoding="utf-8"))
    return {name: entry for own, entry in table.items() for name in (own, *entry.get("also", ()))}


def shape_of_hub(file: Path) -> Shape:
    """The shape that a hub-format ``config.json`` describes.

    Raises:
        InputError: no such file, not JSON, or no decoder of a kind that is known.
    """
    try:
        config = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: not a readable config.json ({error})") from None
    shape = shape_of_config(config, str(file))
    if not is_counted(config):
        known, kind = sorted(GATED | PLAIN), _kind(config)
        raise InputError(
            f"{file}: what layers a model_type {kind!r} has is not known, only of {len(known)} types such as llama, "
            f"qwen3 and mixtral; tell a shape of its size: --set model.hidden_size=... model.intermediate_size, "
            f"num_layers, num_heads, num_kv_heads and --vocab.{nearest(kind, known)}"
        )
    return shape


def is_counted(config: Mapping[str, Any]) -> bool:
    """Whether ``shape_of_config`` is right for a model of this type."""
    return _kind(config) in GATED | PLAIN


def _kind(config: Mapping[str, Any]) -> str:
    return str((config.get("text_config") or config).get("model_type") or "")


def shape_of_config(config: Mapping[str, Any], where: str) -> Shape:
    """The shape that the keys of a ``config.json`` describe; of a model that also sees, its language model alone.

    Raises:
        InputError: keys are missing.
    """
    config = config.get("text_config") or config
    if missing := [key for key in NEEDED if not isinstance(config.get(key), int)]:
        raise InputError(f"{where} has no {', '.join(missing)}; only decoders with these are understood")
    family, heads = str(config.get("model_type", "")), config["num_attention_heads"]
    biased = bool(config.get("attention_bias", False))
    return Shape(
        vocab=config["vocab_size"],
        hidden=config["hidden_size"],
        ffn=config["intermediate_size"],
        layers=config["num_hidden_layers"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("qk_nope_head_dim") or config.get("head_dim") or config["hidden_size"] // heads,
        tied=bool(config.get("tie_word_embeddings", family in TIED)),
        gated=family not in PLAIN,
        qkv_bias=family in QKV_BIAS or biased,
        output_bias=biased,
        ffn_bias=bool(config.get("mlp_bias", False)),
        qk_norm=NORMED.get(family, ""),  # type: ignore[arg-type]
        norms=4 if family in FOUR_NORMS else 2,
        sinks=family == "gpt_oss",
        experts=_experts(config, family),
        latent=_latent(config),
    )


def _experts(config: Mapping[str, Any], family: str) -> Experts | None:
    names = ("n_routed_experts", "num_experts", "num_local_experts")
    number = next((config[name] for name in names if config.get(name)), 0)
    if not number:
        return None
    width = config.get("moe_intermediate_size") or config["intermediate_size"]
    shared = config.get("shared_expert_intermediate_size", 0)
    layers, step = config["num_hidden_layers"], config.get("decoder_sparse_step") or 1
    own = set(config.get("mlp_only_layers") or ())
    return Experts(
        number=number,
        used=config.get("num_experts_per_tok") or 2,
        ffn=width,
        shared=shared or width * (config.get("n_shared_experts") or 0),
        shared_gate=bool(shared),
        dense_layers=config.get("first_k_dense_replace")
        or sum(layer in own or bool((layer + 1) % step) for layer in range(layers)),
        bias=family == "gpt_oss",
    )


def _latent(config: Mapping[str, Any]) -> Latent | None:
    if not config.get("kv_lora_rank"):
        return None
    return Latent(
        query=config.get("q_lora_rank") or 0,
        kept=config["kv_lora_rank"],
        rotary=config["qk_rope_head_dim"],
        value=config["v_head_dim"],
    )
