"""A hub folder's weights as a stream, in and out: one tensor at a time is in memory, of a read even only its rows.

What is written is what ``hub.write_weights`` writes, byte for byte where all tensors are of one dtype.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from r1kit.checkpoint import headers
from r1kit.checkpoint.headers import named_table, read_header, weight_files
from r1kit.errors import InputError
from r1kit.model.weights import Weight, WeightStream

__all__ = ["StoredWeights", "write_stream"]

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
NAMES = {dtype: name for name, dtype in DTYPES.items()}


class StoredWeights:
    """See ``WeightStream``: a folder's tensors, read when they are asked for."""

    def __init__(self, folder: Path) -> None:
        """Raises InputError where the files are not whole, as ``hub.read_weights``, or a dtype is no weight's."""
        self._files: dict[Path, list[Weight]] = {}
        for file in (folder / name for name in weight_files(folder)):
            found = read_header(file)
            for name, one in found.items():
                if one.dtype not in DTYPES:
                    raise InputError(
                        f"{file} holds {name} as {one.dtype}, which is not computed with; take the full-precision "
                        f"checkpoint (F32, F16 or BF16)"
                    )
            self._files[file] = [Weight(name, DTYPES[one.dtype], one.shape) for name, one in found.items()]
        self._renamed = named_table(weight.name for weights in self._files.values() for weight in weights)
        """Name in the files -> the one it goes by."""

    def metadata(self) -> Sequence[Weight]:
        """See ``WeightStream``."""
        stored = [weight for weights in self._files.values() for weight in weights]
        return [weight._replace(name=self._renamed.get(weight.name, weight.name)) for weight in stored]

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        yield from self.rows({weight.name: slice(None) for weight in self.metadata()})

    def rows(self, wanted: Mapping[str, slice]) -> Iterator[tuple[str, Tensor]]:
        """These rows (of the first axis) of these tensors; no others are read."""
        for path, weights in self._files.items():
            try:
                with safe_open(path, framework="pt") as file:
                    for weight in weights:
                        name = self._renamed.get(weight.name, weight.name)
                        if name in wanted:
                            whole = wanted[name] == slice(None)
                            read = file.get_tensor if whole else file.get_slice
                            yield name, read(weight.name) if whole else read(weight.name)[wanted[name]]
            except SafetensorError as error:
                raise InputError(f"{path} is damaged or cut short ({error}); fetch or write it again") from error


def write_stream(folder: Path, weights: WeightStream) -> None:
    """Write safetensors, shards and their index by the rules of ``hub.write_weights``, tensor by tensor."""
    from huggingface_hub import split_torch_state_dict_into_shards

    sizes = {one.name: torch.empty(one.shape, dtype=one.dtype, device="meta") for one in weights.metadata()}
    split = split_torch_state_dict_into_shards(sizes, max_shard_size=headers.SHARD_BYTES)
    places: dict[str, tuple[Path, int]] = {}
    for file, names in split.filename_to_tensors.items():
        path = folder / file
        places |= {name: (path, at) for name, at in _begin(path, {name: sizes[name] for name in names}).items()}
    for name, weight in weights:
        path, at = places[name]
        with path.open("r+b") as stream:
            stream.seek(at)
            weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tofile(stream)
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2), encoding="utf-8")


def _begin(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Write a file's header, and its length with nothing in it; where each tensor's bytes go.

    A file is the header's length (8 bytes, little-endian), the header (JSON, filled up with blanks to 8 bytes), the
    numbers; wide dtypes come first.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offsets, end = {}, 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0])):
        offsets[name], end = end, end + tensor.numel() * tensor.element_size()
        shape = list(tensor.shape)
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": shape, "data_offsets": [offsets[name], end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(8 + len(text) + end)
    return {name: 8 + len(text) + at for name, at in offsets.items()}
