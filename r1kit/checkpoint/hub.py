"""The hub's folder format: what lets `transformers`, vLLM and every other tool open our checkpoints, and us theirs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from r1kit.checkpoint import headers
from r1kit.checkpoint.context import rope_kinds
from r1kit.checkpoint.generic import GENERIC_CLASS, GENERIC_MODULE
from r1kit.checkpoint.headers import named_table, weight_files
from r1kit.errors import InputError, first_line

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

__all__ = [
    "open_tokenizer",
    "read_config",
    "read_tensors",
    "read_weights",
    "save_tokenizer",
    "write_generation",
    "write_settings",
    "write_weights",
]


def write_settings(folder: Path, config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write config.json, with the tokenizer's special tokens in it."""
    config.update(_special_ids(tokenizer))
    config.save_pretrained(folder)


def write_generation(folder: Path, tokenizer: PreTrainedTokenizerBase, generation: Mapping[str, Any] | None) -> None:
    """Write generation_config.json: the tokenizer's begin, end and pad token unless ``generation`` names others."""
    import transformers

    given = {name: value for name, value in (generation or {}).items() if value is not None}
    table = _special_ids(tokenizer) | given | {"transformers_version": transformers.__version__}
    if SAMPLED & set(given):  # `transformers` opens such a file without do_sample, but refuses to save it again
        table["do_sample"] = True
    named = {name: value for name, value in sorted(table.items()) if value is not None}
    (folder / "generation_config.json").write_text(json.dumps(named, indent=2) + "\n", encoding="utf-8")


SAMPLED = {"temperature", "top_p", "top_k", "min_p", "typical_p"}
"""Generation settings that mean something only where tokens are drawn."""


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
    split = split_torch_state_dict_into_shards(sizes, max_shard_size=headers.SHARD_BYTES)
    for file, names in split.filename_to_tensors.items():
        save_file({name: weights[name].contiguous() for name in names}, folder / file, metadata={"format": "pt"})
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2), encoding="utf-8")


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Every tensor of a hub-format folder's safetensors, single or sharded, on the CPU."""
    weights: dict[str, Tensor] = {}
    for file in weight_files(folder):
        weights |= read_tensors(folder / file)
    renamed = named_table(weights)
    return {renamed.get(name, name): weight for name, weight in weights.items()}


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Every tensor of one safetensors file, on the CPU."""
    try:
        with safe_open(file, framework="pt") as shard:
            return {name: shard.get_tensor(name) for name in shard.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(f"{file} is damaged or cut short ({error}); fetch or write it again") from error


def read_config(folder: Path) -> PretrainedConfig:
    """The hub config of a folder; its own code, if it brings any, is not run."""
    from transformers import AutoConfig

    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # each class of configs has checks of its own, and they raise what they like
        told = error.__cause__ if isinstance(error.__cause__, Exception) else error
        raise InputError(f"transformers cannot read {folder}/config.json: {_cause(told)}") from error
    _check_rope(folder, config)
    return config


def _check_rope(folder: Path, config: PretrainedConfig) -> None:
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    for rope in rope_kinds(config.get_text_config().to_dict()):
        if (kind := rope.get("rope_type", "default")) not in ("default", *ROPE_INIT_FUNCTIONS):
            raise InputError(
                f"{folder}/config.json: transformers knows no rope_type {kind!r}; known ones are "
                f"{', '.join(['default', *ROPE_INIT_FUNCTIONS])}"
            )


def _cause(error: Exception) -> str:
    """One line; nobody is told to trust code that comes with a model."""
    if "trust_remote_code" in str(error):
        return "it wants code of its own to be run, which is never done; take a model that transformers knows"
    return first_line(error)


def save_tokenizer(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write the tokenizer's files beside a ``config.json``, so that AutoTokenizer opens them as they are.

    A class of `transformers` that is no more than its ``tokenizer.json`` is passed over for some model types, qwen2
    among them, unless the settings name a class by ``auto_map`` too: for these types transformers 5 then drops that
    name, unless code of the folder is trusted, and goes by ``tokenizer_class``.
    """
    tokenizer.save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    if kind in _overruled_types() and settings.get("tokenizer_class") in GENERIC_TOKENIZERS:
        settings["auto_map"] = {"AutoTokenizer": [None, f"{GENERIC_MODULE}.GenericTokenizer"]}
        file.write_text(json.dumps(settings, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        (folder / f"{GENERIC_MODULE}.py").write_text(GENERIC_CLASS, encoding="utf-8")


def _overruled_types() -> frozenset[str]:
    """Model types whose own tokenizer class AutoTokenizer takes, whatever the folder says."""
    from transformers.models.auto import tokenization_auto

    return frozenset(getattr(tokenization_auto, "MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS", ("qwen2",)))


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
        tokenizer: PreTrainedTokenizerBase = kind.from_pretrained(folder, trust_remote_code=False)
    except (ValueError, KeyError, OSError) as error:
        raise InputError(f"transformers cannot read the tokenizer in {folder}: {_cause(error)}") from error
    return tokenizer
