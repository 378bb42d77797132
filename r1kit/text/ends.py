"""Which tokens end a completion: the one place that gathers a model's end tokens. No torch.

A chat model often has several (Llama 3, Gemma 3, Phi, Qwen), and the tokenizer names one of them only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from r1kit.checkpoint.headers import check_pointer
from r1kit.errors import InputError

__all__ = ["as_ids", "as_setting", "end_sources", "generation_of", "put_ends", "put_setting", "read_json"]

GENERATION, CONFIG, TOKENIZER = "generation_config.json", "config.json", "the tokenizer"


def end_sources(folder: Path, eos: int | None) -> dict[int, tuple[str, ...]]:
    """End token -> what names it, of a hub-format folder: the union of its two configs and the tokenizer.

    Args:
        eos: the tokenizer's end token.

    Raises:
        InputError: ``eos_token_id`` of a config is neither a number nor a list of them.
    """
    config = read_json(folder / CONFIG)
    text = config.get("text_config")
    named = [
        (GENERATION, as_ids(read_json(folder / GENERATION).get("eos_token_id"), folder / GENERATION)),
        (CONFIG, as_ids(config.get("eos_token_id"), folder / CONFIG)),
        (CONFIG, as_ids(text.get("eos_token_id") if isinstance(text, dict) else None, folder / CONFIG)),
        (TOKENIZER, () if eos is None else (eos,)),
    ]
    found: dict[int, tuple[str, ...]] = {}
    for where, ids in named:
        for token in ids:
            found[token] = tuple(dict.fromkeys((*found.get(token, ()), where)))
    return found


def generation_of(folder: Path, eos: int | None) -> dict[str, Any]:
    """What generation_config.json says, to be kept when the model is saved; ``eos_token_id`` has all of its ends."""
    kept = read_json(folder / GENERATION)
    kept.pop("transformers_version", None)
    return {**kept, "eos_token_id": as_setting(end_sources(folder, eos))}


def as_ids(value: object, where: Path | str) -> tuple[int, ...]:
    """``eos_token_id`` as configs write it (a number, a list, nothing) -> the tokens; -1 and the like are none."""
    ids: list[Any] = list(value) if isinstance(value, (list, tuple)) else [] if value is None else [value]
    for token in ids:
        if not isinstance(token, int) or isinstance(token, bool):
            raise InputError(f"{where}: eos_token_id = {value!r} must be a token's number or a list of them")
    return tuple(dict.fromkeys(token for token in ids if token >= 0))


def as_setting(ids: Iterable[int]) -> int | list[int] | None:
    """``as_ids`` turned round: one token is written as a number, none as null."""
    found = list(dict.fromkeys(ids))
    return None if not found else found[0] if len(found) == 1 else found


def put_ends(file: Path, ids: Iterable[int]) -> None:
    """Write a config's ``eos_token_id`` where it says something else."""
    put_setting(file, "eos_token_id", as_setting(ids))


def put_setting(file: Path, name: str, wanted: Any) -> None:
    """Write one setting of a config where it says something else."""
    table = read_json(file)
    if table.get(name) != wanted:
        table[name] = wanted
        file.write_text(json.dumps(table, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file, a byte order mark taken; empty where there is no such file.

    Raises:
        InputError: it holds something else.
    """
    if not file.is_file():
        return {}
    check_pointer(file)
    try:
        table = json.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError) as error:
        raise InputError(f"{file} is not valid JSON ({error}); fetch or write it again") from None
    if not isinstance(table, Mapping):
        raise InputError(f"{file}: expected a JSON object")
    return dict(table)
