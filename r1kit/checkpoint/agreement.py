"""Whether a config's numbers go together, and with the weights beside it. No torch."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from r1kit.checkpoint.headers import Stored
from r1kit.errors import InputError

__all__ = ["EMBEDDINGS", "check_together"]

EMBEDDINGS = (
    "embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight", "embeddings.weight",
    "tok_embeddings.weight",
)  # fmt: skip
"""Ends of the names of the matrix with a row for each token."""
EXPERTS = ("n_routed_experts", "num_local_experts", "num_experts")
ROPES = ("rope_parameters", "rope_scaling")
FREQUENCIES = (
    "factor", "rope_theta", "rope_local_base_freq", "low_freq_factor", "high_freq_factor",
    "original_max_position_embeddings",
)  # fmt: skip
_LAYER = re.compile(r"(?:^|\.)(?:layers|h)\.(\d+)\.")


def check_together(folder: Path, config: Mapping[str, Any], headers: Mapping[str, Stored]) -> None:
    """Raise InputError, one line, for what `transformers` would leave to the first forward pass, or to chance.

    Args:
        config: the part of config.json that speaks of the language model.
        headers: of its weights.
    """
    told = next((told for told in (*_frequencies(config), *_experts(config), *_layers(config, headers))), None)
    if told:
        raise InputError(f"{folder}/config.json: {told}")


def _frequencies(config: Mapping[str, Any]) -> Iterator[str]:
    """Rotary frequencies are powers and quotients of these."""
    tables = [config, *(config[name] for name in ROPES if isinstance(config.get(name), Mapping))]
    tables += [one for table in tables[1:] for one in table.values() if isinstance(one, Mapping)]
    for table in tables:
        for name in FREQUENCIES:
            value = table.get(name)
            if value is None or (_is_number(value) and 0 < value < math.inf):
                continue
            yield f"{name} = {value!r} must be a number above 0"


def _experts(config: Mapping[str, Any]) -> Iterator[str]:
    name = next((name for name in EXPERTS if _whole(config, name) > 1), "")
    most, chosen = _whole(config, name), _whole(config, "num_experts_per_tok")
    groups, kept = _whole(config, "n_group"), _whole(config, "topk_group")
    if not name or not chosen:
        return
    if chosen > most:
        yield f"num_experts_per_tok = {chosen} of {name} = {most}; take the config.json that belongs to the weights"
    if groups and most % groups:
        yield f"n_group = {groups} does not divide {name} = {most}"
    if groups and kept and (kept > groups or chosen > most // groups * kept):
        yield f"topk_group = {kept} of n_group = {groups} does not hold num_experts_per_tok = {chosen} experts"


def _layers(config: Mapping[str, Any], headers: Mapping[str, Stored]) -> Iterator[str]:
    """Every layer that is counted, and a head where embedding and head are said to be two; layers to spare may be those
    that predict a token further."""
    asked, turning = _whole(config, "num_hidden_layers"), config.get("no_rope_layers")
    found = [int(layer[1]) + 1 for layer in map(_LAYER.search, headers) if layer]
    if found and max(found) < asked:
        yield f"num_hidden_layers = {asked}, and the weights have {max(found)} layers; one is another model's"
    if isinstance(turning, list) and turning and asked and len(turning) != asked:
        yield f"no_rope_layers has {len(turning)} entries, and num_hidden_layers is {asked}"
    matrices = [name for name, one in headers.items() if len(one.shape) == 2 and _LAYER.search(name) is None]
    if config.get("tie_word_embeddings") is False and len(matrices) == 1 and matrices[0].endswith(EMBEDDINGS):
        yield f"tie_word_embeddings is false, and the weights have {matrices[0]} and no head; fetch the model again"


def _whole(config: Mapping[str, Any], name: str) -> int:
    """A whole number above 0 of the config; 0 where it has none."""
    value = config.get(name)
    return max(value, 0) if isinstance(value, int) and not isinstance(value, bool) else 0


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
