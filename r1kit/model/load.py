"""A model in or out of a hub-format folder, whatever its family."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from r1kit.checkpoint.folder import replacing
from r1kit.checkpoint.hub import open_tokenizer, read_config, save_tokenizer, write_generation
from r1kit.model.families import family_of
from r1kit.model.language_model import LanguageModel
from r1kit.model.weights import WeightStream
from r1kit.text.ends import as_ids, generation_of, put_ends, put_setting

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["load_model", "save_model"]


def load_model(
    folder: Path, dtype: torch.dtype = torch.float32, empty: bool = False
) -> tuple[LanguageModel, PreTrainedTokenizerBase]:
    """The model in ``dtype`` on the CPU, and its tokenizer: of the first family that computes it exactly.

    ``empty``: on the ``meta`` device where the family can, its numbers still to be read (``checkpoint.streamed``).

    Raises:
        InputError: the folder holds no whole language model.
    """
    config, tokenizer = read_config(folder), open_tokenizer(folder)
    model = family_of(config).load(folder, config, dtype, empty)
    model.generation = generation_of(folder, tokenizer.eos_token_id)
    return model, tokenizer


def save_model(
    folder: Path,
    model: LanguageModel,
    tokenizer: PreTrainedTokenizerBase,
    generation: dict[str, Any] | None = None,
    weights: WeightStream | None = None,
) -> None:
    """Write a folder that AutoModelForCausalLM and AutoTokenizer open, or leave what was there before.

    Args:
        folder: created or replaced, as a whole.
        generation: keys of ``generation_config.json`` beside the model's own; begin, end and pad token come from the
            tokenizer if neither has them.
        weights: instead of the model's own; gone through once.
    """
    settings = {**model.generation, **(generation or {})}
    with replacing(folder) as new:
        model.save(new, tokenizer, weights)
        save_tokenizer(new, tokenizer)
        write_generation(new, tokenizer, settings)
        if weights is not None and all(one.dtype == torch.float32 for one in weights.metadata()):
            put_setting(new / "config.json", "dtype", "float32")  # the model that holds none of them may be of another
        if ends := as_ids(settings.get("eos_token_id"), new):
            put_ends(new / "config.json", ends)
