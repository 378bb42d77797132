"""Parameters counted from the headers of a checkpoint's files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from r1kit.checkpoint.parameters import parameter_count
from r1kit.errors import InputError


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8])
def test_the_arithmetic_of_the_file_does_not_matter(tmp_path: Path, dtype: torch.dtype) -> None:
    """3 x 5 and a vector of 7 and a number: 23, in files of 92, 46 or 23 bytes of tensors."""
    tensors = {"a": torch.zeros(3, 5, dtype=dtype), "b": torch.zeros(7, dtype=dtype), "c": torch.zeros((), dtype=dtype)}
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert parameter_count(tmp_path) == 23


def test_shards_are_added_up(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3, 5)}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"b": torch.zeros(2, 2)}, tmp_path / "model-00002-of-00002.safetensors")
    assert parameter_count(tmp_path) == 19


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0not json", b"\x02\0\0\0\0\0\0\0[]", b"\xff" * 9])
def test_a_damaged_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"model\.safetensors is no safetensors file"):
        parameter_count(tmp_path)


def test_a_folder_without_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no \.safetensors file"):
        parameter_count(tmp_path)
