"""What a sharded learner writes and reads: a resume point that every rank writes its part of, and a hub folder."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from r1kit.checkpoint.folder import replacing
from r1kit.cluster.ranks import Ranks
from r1kit.errors import InputError, first_line
from r1kit.model.language_model import LanguageModel
from r1kit.model.load import save_model
from r1kit.model.weights import WeightStream

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

METADATA = ".metadata"
"""What torch.distributed.checkpoint writes last: the folder is one of its checkpoints."""

__all__ = ["export_weights", "holds", "read_state", "write_state"]


def write_state(folder: Path, state: dict[str, Any], ranks: Ranks) -> None:
    """Write a folder, whole or not at all: every rank a file with its rows, which rank 0 then puts in its place.

    Raises:
        InputError: some rank cannot write it; what was there before is untouched.
    """
    new: Path
    with replacing(folder) if ranks.rank == 0 else nullcontext(folder) as new:
        new = ranks.broadcast_object(new)  # it is there, and empty
        try:
            with ranks.together():
                save(state, checkpoint_id=new)
        except CheckpointException as error:
            raise InputError(f"cannot write {folder}: {_cause(error)}; what was there before is untouched") from error
    ranks.broadcast_object(None)


def holds(folder: Path, part: str) -> bool:
    """Whether a state that was written has this part; False where there is none."""
    if not (folder / METADATA).is_file():
        return False
    return any(key.startswith(f"{part}.") for key in FileSystemReader(folder).read_metadata().state_dict_metadata)


def read_state(folder: Path, state: dict[str, Any], ranks: Ranks) -> None:
    """Fill ``state``, whatever number of ranks wrote it, in place; a collective.

    Raises:
        InputError: no such folder, or it is of another learner, model or optimiser, or damaged; on every rank alike.
    """
    if not folder.is_dir():
        raise InputError(f"no learner state at {folder}; it is written by the run that is to go on")
    if not (folder / METADATA).is_file():
        raise InputError(f"{folder} holds no state of this learner; go on with the learner that wrote it")
    try:
        with ranks.together():
            load(state, checkpoint_id=folder)
    except CheckpointException as error:
        raise InputError(f"{folder} does not fit this model and optimiser, or is damaged: {_cause(error)}") from error


def export_weights(
    folder: Path, model: LanguageModel, tokenizer: PreTrainedTokenizerBase, weights: WeightStream, ranks: Ranks
) -> None:
    """All ranks go through the weights; rank 0 writes them as they come, one tensor at a time in its memory."""
    if ranks.rank == 0:
        save_model(folder, model, tokenizer, weights=weights)
    else:
        for _ in weights:
            pass
    ranks.broadcast_object(None)


def _cause(error: CheckpointException) -> str:
    """What the first rank that failed met."""
    return first_line(next(iter(error.failures.values()))[0])
