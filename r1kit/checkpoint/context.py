"""How many tokens a hub model's config gives room for, and what its rotary frequencies do on the way. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from r1kit.errors import InputError

__all__ = ["UNBOUNDED", "positions_of", "recurrent", "refuse_longer", "refuse_recurrent", "rope_kinds"]

NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx", "seq_length", "max_sequence_length")
"""What configs call the most tokens of a row."""
UNBOUNDED = 1 << 20
"""Most tokens where a config names no number, as with ALiBi."""
LAYERS = ("layer_types", "layers_block_type", "block_types")
STATEFUL = {"conv", "hybrid", "linear", "linear_attention", "mamba", "mamba2", "recurrent"}
"""Kinds of layers whose memory is a state and not keys and values."""
STATES = ("state_size", "ssm_state_size", "mamba_d_state", "lru_width", "conv_L_cache", "linear_num_key_heads")
"""Keys of models with such layers, where no list of kinds says which."""


def positions_of(text: Mapping[str, Any]) -> tuple[int, str]:
    """Most tokens of a row, and the kind of rotary embedding that would change beyond them.

    Args:
        text: the config of the language model, whole.
    """
    most = next((text[key] for key in NAMES if isinstance(text.get(key), int)), UNBOUNDED)
    for rope in rope_kinds(text):
        if rope.get("rope_type") in ("longrope", "dynamic"):
            original = rope.get("original_max_position_embeddings") or text.get("original_max_position_embeddings")
            return min(most, original or most), str(rope["rope_type"])
    return most, ""


def rope_kinds(text: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rope parameters of a config: one table, or one for each type of layer, whole attention first."""
    rope = text.get("rope_parameters") or {}
    if "rope_type" in rope or "rope_theta" in rope:
        return [dict(rope)]
    named = sorted(rope.items(), key=lambda item: item[0] != "full_attention")
    return [dict(one) for _, one in named if isinstance(one, Mapping)]


def refuse_longer(family: str, positions: tuple[int, str], longest: int) -> None:
    """InputError where a row of this many tokens would change its own frequencies.

    Args:
        positions: as ``positions_of`` gives them.
    """
    most, lengthens = positions
    if lengthens and longest > most:
        raise InputError(
            f"{family}: {lengthens} changes its frequencies for rows of more than {most} tokens, so a token's log-prob "
            f"would depend on what comes after it; keep a prompt and its completion within {most} tokens"
        )


def recurrent(text: Mapping[str, Any]) -> bool:
    """Whether some layers keep a state, by the config of the language model as it is written."""
    named = next((text[key] for key in LAYERS if text.get(key)), None)
    return bool(STATEFUL & set(named)) if named else any(text.get(key) for key in STATES)


def refuse_recurrent(family: str) -> InputError:
    """A state can neither be taken apart by rows nor padded on the left."""
    return InputError(f"{family} keeps a recurrent state, which is not supported; use an attention model")
