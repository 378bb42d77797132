"""What a sharded learner writes and reads: a resume point that every rank writes its part of, and a hub folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from r1kit.checkpoint.folder import replacing
from r1kit.cluster.ranks import Ranks, peers
from r1kit.errors import InputError, first_line
from r1kit.model.language_model import LanguageModel
from r1kit.model.load import save_model
from r1kit.model.weights import WeightStream

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["export_weights", "holds", "read_state", "write_state"]


def write_state(folder: Path, state: dict[str, Any], ranks: Ranks) -> None:
    """Every rank writes its shares into one new folder, which rank 0 then puts in its place."""
    parts = folder.with_name(f".{folder.name}.parts")
    if ranks.rank == 0:
        parts.mkdir(parents=True, exist_ok=True)
    ranks.broadcast_object(None)
    with peers():
        save(state, checkpoint_id=parts)
    if ranks.rank == 0:
        with replacing(folder) as new:
            for path in parts.iterdir():
                path.rename(new / path.name)
        parts.rmdir()
    ranks.broadcast_object(None)


def holds(folder: Path, part: str) -> bool:
    """Whether a state that was written has this part; False where there is none."""
    if not (folder / ".metadata").is_file():
        return False
    return any(key.startswith(f"{part}.") for key in FileSystemReader(folder).read_metadata().state_dict_metadata)


def read_state(folder: Path, state: dict[str, Any]) -> None:
    """Fill ``state``, of any number of ranks, in place.

    Raises:
        InputError: no such folder, or it is of another model or optimiser.
    """
    if not folder.is_dir():
        raise InputError(f"no learner state at {folder}; it is written by the run that is to go on")
    try:
        with peers():
            load(state, checkpoint_id=folder)
    except (CheckpointException, KeyError, ValueError) as error:
        raise InputError(f"{folder} does not fit this model and optimiser: {first_line(error)}") from error


def export_weights(
    folder: Path, model: LanguageModel, tokenizer: PreTrainedTokenizerBase, weights: WeightStream, ranks: Ranks
) -> None:
    """All ranks go through the weights; rank 0 keeps and writes them."""
    whole = {name: weight.clone() for name, weight in weights if ranks.rank == 0}
    if ranks.rank == 0:
        save_model(folder, model, tokenizer, weights=whole)
    ranks.broadcast_object(None)
