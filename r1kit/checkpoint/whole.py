"""Whether a folder is a whole language model that can be run here, by its configs and headers alone. No torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from r1kit.checkpoint.agreement import EMBEDDINGS, check_together
from r1kit.checkpoint.generic import brings_code
from r1kit.checkpoint.headers import Stored, check_pointer, is_narrow, read_headers
from r1kit.errors import InputError
from r1kit.text.ends import read_json

__all__ = ["check_whole", "drop_rowless", "embedding_rows", "text_config"]

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
WRITES = ("ForCausalLM", "LMHeadModel")
"""Ends of the class names of models that write tokens."""
QUANTISED = ("quantization_config", "compression_config", "quantization")
"""Keys of a config that say how; the last is MLX's."""


def check_whole(folder: Path) -> Path:
    """The folder itself if it holds a config, a tokenizer and all of the weights of a model that can be run.

    Raises:
        InputError: what it lacks, or what it is instead; one line.
    """
    config = read_json(folder / "config.json")
    _check_adapter(folder)
    _check_code(folder, config)
    _check_kind(folder, config)
    headers = read_headers(folder)
    _check_quantised(folder, config, headers)
    if not any((folder / file).is_file() for file in TOKENIZERS):
        raise InputError(f"{folder} has no tokenizer.json; a model folder holds its tokenizer")
    _check_tokens(folder, config, headers)
    check_together(folder, text_config(config), headers)
    return folder


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a config that speaks of the language model."""
    text = config.get("text_config")
    return text if isinstance(text, Mapping) else config


def embedding_rows(config: Mapping[str, Any], headers: Mapping[str, Stored]) -> int:
    """Tokens that a model has a row for; 0 where neither its weights nor its config say."""
    found = [one.shape[0] for name, one in headers.items() if name.endswith(EMBEDDINGS) and len(one.shape) == 2]
    size = text_config(config).get("vocab_size")
    return max(found, default=size if isinstance(size, int) else 0)


# ---- what it is instead ---------------------------------------------------------------------------------------------


def _check_adapter(folder: Path) -> None:
    """An adapter's folder holds its config and small matrices, and not the model that it changes."""
    if not (folder / "adapter_config.json").is_file() or _has_weights(folder):
        return
    base = read_json(folder / "adapter_config.json").get("base_model_name_or_path") or "its base"
    raise InputError(
        f"{folder} is an adapter over {base}, not a whole model; name that folder as the model, and the two are merged"
    )


def _has_weights(folder: Path) -> bool:
    return any(not file.name.startswith("adapter_") for file in folder.glob("*.safetensors"))


def _check_code(folder: Path, config: Mapping[str, Any]) -> None:
    """Code that comes with a model is never run; a folder that has some is refused before anything could."""
    for name, table in (("config.json", config), ("tokenizer_config.json", _settings(folder))):
        if table.get("auto_map") and brings_code(folder):
            raise InputError(
                f"{folder} wants code of its own to be run ({name} has auto_map), which is never done; take a model "
                f"that transformers knows, or delete auto_map if it knows this one"
            )


def _check_kind(folder: Path, config: Mapping[str, Any]) -> None:
    named = config.get("architectures")
    architecture = str(named[0]) if isinstance(named, list) and named else ""
    if config.get("is_encoder_decoder"):
        kind = "an encoder-decoder"
    elif not architecture or (architecture.endswith(WRITES) and "vision_config" not in config):
        return
    elif (
        any(f"{sense}_config" in config for sense in ("vision", "audio")) or "ForConditionalGeneration" in architecture
    ):
        kind = "a model of more than text"
    elif "Classification" in architecture or "Reward" in architecture:
        kind = "a classifier"
    elif "MaskedLM" in architecture or "PreTraining" in architecture:
        kind = "an encoder"
    else:
        kind = "a model without a head that writes tokens"
    raise InputError(f"{folder} is {kind} ({architecture or config.get('model_type')}); take a causal language model")


def _check_quantised(folder: Path, config: Mapping[str, Any], headers: Mapping[str, Stored]) -> None:
    text = text_config(config)
    settings = next((one[key] for one in (config, text) for key in QUANTISED if one.get(key)), None)
    stored = sorted({one.dtype for name, one in headers.items() if _is_quantised(name, one)})
    if not settings and not stored:
        return
    how = str(settings.get("quant_method", "")) if isinstance(settings, Mapping) else ""
    told = how or ", ".join(stored) or "its config says so"
    raise InputError(f"{folder} is quantised ({told}); take the full-precision checkpoint to train or sample from")


def _is_quantised(name: str, one: Stored) -> bool:
    """Whether it is a matrix of narrow floats or of whole numbers: GPTQ's and AWQ's are I32, MLX's U32."""
    if is_narrow(one.dtype):
        return True
    return one.dtype[0] in "IU" and len(one.shape) >= 2 and name.endswith(("weight", "qweight", "_packed"))


# ---- tokens ---------------------------------------------------------------------------------------------------------


def _check_tokens(folder: Path, config: Mapping[str, Any], headers: Mapping[str, Stored]) -> None:
    """Every token must have a row; only those of padding and of unknown text may lie beyond: none is looked up."""
    for file in TOKENIZERS:
        if (folder / file).is_file():
            check_pointer(folder / file)
    rows, size = embedding_rows(config, headers), text_config(config).get("vocab_size")
    if isinstance(size, int) and 0 < rows < size:
        raise InputError(
            f"{folder}: config.json says vocab_size {size} and the weights have {rows} rows; fetch the model again"
        )
    beyond = {token: text for token, text in _tokens(folder) if token >= rows} if rows else {}
    settings = _settings(folder)
    named = [settings.get(name) for name in ("pad_token", "unk_token")]
    unused = [_content(one) for one in named]
    extra = sorted(token for token, text in beyond.items() if text not in unused)
    if extra:
        raise InputError(
            f"{folder}: the tokenizer has {max(extra) + 1} tokens and the model {rows} rows; {beyond[extra[0]]!r} "
            f"(token {extra[0]}) has none: resize the model's embeddings, or take the tokenizer that belongs to it"
        )


def drop_rowless(file: Path, rows: int) -> None:
    """Take tokens without a row out of a tokenizer: `transformers` adds ``<|endoftext|>`` to one that it reads off a
    GGUF file."""
    table = _read_tokenizer(file)
    kept = [one for one in table.get("added_tokens") or () if int(one["id"]) < rows]
    if len(kept) < len(table.get("added_tokens") or ()):
        file.write_text(json.dumps({**table, "added_tokens": kept}, ensure_ascii=False, indent=2), encoding="utf-8")


def _settings(folder: Path) -> dict[str, Any]:
    return read_json(folder / "tokenizer_config.json")


def _tokens(folder: Path) -> Iterator[tuple[int, str]]:
    """(id, text) of the last token of the vocabulary, and of every token that was added to it."""
    settings, file = _settings(folder), folder / "tokenizer.json"
    added = {int(token): text for text, token in read_json(folder / "added_tokens.json").items()}
    for token, table in (settings.get("added_tokens_decoder") or {}).items():
        added[int(token)] = _content(table)
    yield from added.items()
    if not file.is_file():
        return
    tokens, texts = _in_tokenizer(file, file.stat().st_mtime_ns)
    yield from tokens
    named = [_content(value) for name, value in settings.items() if name.endswith("_token")]
    last = max(token for token, _ in (*tokens, *added.items()))
    new = [text for text in dict.fromkeys(named) if text and text not in texts and text not in added.values()]
    yield from enumerate(new, last + 1)  # `transformers` adds a special token that the vocabulary does not have


def _content(token: Any) -> str:
    """A token's text: written as it is, or as a table that holds it; empty for a setting that is no token."""
    found = token.get("content") if isinstance(token, Mapping) else token
    return found if isinstance(found, str) else ""


@lru_cache(maxsize=8)
def _in_tokenizer(file: Path, changed: int) -> tuple[tuple[tuple[int, str], ...], frozenset[str]]:
    """(id, text) of the last token and of those that were added; all texts. Read once for each version of the file,
    which may have 30 MB."""
    table = _read_tokenizer(file)
    vocabulary = table["model"].get("vocab") or {}
    pairs = (
        vocabulary.items() if isinstance(vocabulary, Mapping) else ((one[0], at) for at, one in enumerate(vocabulary))
    )
    ids = {str(text): int(token) for text, token in pairs}
    added = {str(one["content"]): int(one["id"]) for one in table.get("added_tokens") or ()}
    last = max(ids, key=ids.__getitem__, default="")
    shown = [(ids[last], last)] if ids else [(-1, "")]
    return (*shown, *((token, text) for text, token in added.items())), frozenset((*ids, *added))


def _read_tokenizer(file: Path) -> dict[str, Any]:
    try:
        table: dict[str, Any] = json.loads(file.read_text(encoding="utf-8-sig"))
        table["model"].get("vocab")
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise InputError(f"{file} is damaged ({error}); fetch it again") from None
    return table
