"""Headers of safetensors files: names, shapes and dtypes of the tensors, and whether the file is whole. No torch."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from r1kit.errors import InputError

__all__ = ["Stored", "check_pointer", "is_narrow", "named_table", "read_header", "read_headers", "weight_files"]

MAX_HEADER = 100_000_000
"""Bytes; what the format allows."""
DTYPES = frozenset({
    "BOOL", "I8", "U8", "I16", "U16", "F16", "BF16", "I32", "U32", "F32", "I64", "U64", "F64", "C64",
})  # fmt: skip
"""The format's, besides the narrow floats."""
NARROW = ("F8", "F6", "F4")
"""Beginnings of the names of floats of 8 bits and fewer: F8_E4M3, F6_E2M3, F4 ..."""
POINTER = b"version https://git-lfs"
HEAD, TABLE = "lm_head.weight", "model.embed_tokens.weight"
SHARD_BYTES = 5_000_000_000
"""Most of a file that is written."""
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor in a file."""

    dtype: str
    """As the format writes it: F32, BF16, F8_E4M3, I8 ..."""
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """Numbers in it."""
        return math.prod(self.shape)


def is_narrow(dtype: str) -> bool:
    """Whether it is a float of 8 bits or fewer; F64 is none, though it begins as F6 does."""
    return dtype.startswith(NARROW) and dtype not in DTYPES


def check_pointer(file: Path) -> None:
    """Raise InputError for what Git LFS leaves in a clone in place of a large file."""
    with file.open("rb") as stream:
        if stream.read(len(POINTER)) == POINTER:
            raise InputError(
                f"{file} is a Git LFS pointer, not the file itself; run 'git lfs pull' in its folder or fetch it again"
            )


def read_header(file: Path) -> dict[str, Stored]:
    """Name -> tensor. A file begins with the length of its header (8 bytes, little-endian) and the header, JSON.

    Raises:
        InputError: it is no safetensors file, or it is cut short or a pointer to one, or of a dtype that there is not.
    """
    check_pointer(file)
    size = file.stat().st_size
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size >= 8 and 8 + length > size and length <= MAX_HEADER:
                raise InputError(f"{file} is damaged or cut short ({size} bytes); fetch or write it again")
            header = json.loads(stream.read(min(length, MAX_HEADER)))
        header.pop("__metadata__", None)
        found = {name: Stored(str(one["dtype"]), tuple(one["shape"])) for name, one in header.items()}
        end = 8 + length + max((one["data_offsets"][1] for one in header.values()), default=0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{file} is no safetensors file ({error}); fetch or write it again") from None
    if end != size:
        raise InputError(f"{file} is damaged or cut short ({size} of {end} bytes); fetch or write it again")
    for name, one in found.items():
        if one.dtype not in DTYPES and not is_narrow(one.dtype):
            raise InputError(
                f"{file} holds {name} as {one.dtype!r}, which is no dtype of safetensors; fetch it again, or write it "
                f"as F32, F16 or BF16"
            )
    return found


def named_table(names: Iterable[str]) -> dict[str, str]:
    """Stored name -> the name it goes by, for the head of a model whose embedding is the same matrix and was left out:
    safetensors' own ``save_model`` keeps the first name in the alphabet."""
    found = set(names)
    left_out = HEAD in found and not any("embed" in name for name in found)
    return {HEAD: TABLE} if left_out and any(name.startswith("model.layers.") for name in found) else {}


def read_headers(folder: Path) -> dict[str, Stored]:
    """Name -> tensor of a hub-format folder, all of its files.

    Raises:
        InputError: the index is damaged, a file is missing or not whole, or one does not hold what the index says.
    """
    files, index = weight_files(folder), folder / INDEX
    headers = {file: read_header(folder / file) for file in files}
    if index.is_file() and files != [WHOLE]:
        for name, file in json.loads(index.read_text(encoding="utf-8-sig"))["weight_map"].items():
            if name not in headers[file]:
                raise InputError(f"{index} says that {file} holds {name}, which it does not; fetch both again")
    return {name: one for header in headers.values() for name, one in header.items()}


def weight_files(folder: Path) -> list[str]:
    """Names of the files with a folder's weights: one, or those of the index; all of them are there.

    Where the one stands beside an index it is the one that counts, as it does to `transformers`: shards and index are
    then of the weights that were there before.

    Raises:
        InputError: the index is damaged, or a file is missing.
    """
    index = folder / INDEX
    if (folder / WHOLE).is_file():
        return [WHOLE]
    try:
        table = json.loads(index.read_text(encoding="utf-8-sig"))["weight_map"] if index.is_file() else None
        files = [WHOLE] if table is None else sorted(set(table.values()))
        if not files or not all(Path(file).name == file for file in files):
            raise ValueError("it names no files beside it")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{index} is damaged ({error}): not valid JSON with a weight_map; fetch it again") from None
    missing = [file for file in files if not (folder / file).is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(f"{folder} lacks {missing[0]}{more}; {_instead(folder)}")
    return files


def _instead(folder: Path) -> str:
    """What a folder without safetensors holds, and what to do."""
    pickled = sorted(file.name for file in folder.glob("*.bin"))
    if pickled:
        return (
            f"its weights are in {pickled[0]}, which can run code when it is opened; open it with transformers once "
            f"and write it by save_pretrained"
        )
    return "a model folder holds all of its weights as safetensors"
