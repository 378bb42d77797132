"""Folders whose files are whole and whose content `transformers` or arithmetic cannot use: one line each."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from r1kit.checkpoint.fits import Fits
from r1kit.errors import InputError
from r1kit.model.load import load_model
from r1kit.records import Prompt
from r1kit.text.light_tokenizer import LightTokenizer
from r1kit.text.template import Template

from .tiny import write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path, "llama")


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"max_position_embeddings": None}, "'max_position_embeddings' expected int"),
        ({"max_position_embeddings": "512"}, "'max_position_embeddings' expected int"),
        ({"num_attention_heads": 5}, "not a multiple of the number of attention heads"),
        ({"dtype": "float7", "torch_dtype": "float7"}, "float7"),
        ({"rope_parameters": {"rope_type": "spiral", "factor": 2.0}}, "no rope_type 'spiral'; known ones are default,"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "factor"),
    ],
)
def test_a_config_that_its_class_refuses(folder: Path, keys: dict[str, Any], told: str) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **keys}))
    with pytest.raises(InputError, match=told) as refused:
        load_model(folder)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_one_number_that_is_none(family: str, value: float, tmp_path: Path) -> None:
    folder = write(tmp_path, family)
    file = folder / "model.safetensors"
    weights = load_file(file)
    name = next(name for name, weight in weights.items() if weight.dim() == 2 and "0" in name)
    load_model(folder, torch.bfloat16)
    weights[name][1, 2] = value
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(InputError, match="holds NaN or infinity, in bfloat16"):
        load_model(folder, torch.bfloat16)


def test_a_chat_template_in_another_encoding(folder: Path) -> None:
    (folder / "chat_template.jinja").write_bytes("你好 {{ messages[0].content }}".encode("gbk"))
    with pytest.raises(InputError, match=r"chat_template.jinja is not UTF-8 .*; write it as UTF-8"):
        LightTokenizer(folder)


def test_a_tokenizer_behind_a_byte_order_mark(folder: Path) -> None:
    before = LightTokenizer(folder).encode("12 + 34")
    file = folder / "tokenizer.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert LightTokenizer(folder).encode("12 + 34") == before


def test_a_context_that_not_even_a_prompt_fits_in(folder: Path) -> None:
    """Nothing is gained by a lower ``max_tokens`` there, so none is advised."""
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "max_position_embeddings": 4}))
    prompts = [Prompt(id="p", task="sums", question="what is 7 and 5, and what is 8 and 6?", answer="12")]
    with pytest.raises(InputError, match=r"the shortest prompt has \d+ tokens and the model 4 positions"):
        Fits(folder, Template(name="plain")).check(
            "r1_zero", SimpleNamespace(lengths={"sampling.max_tokens": 8}), prompts
        )
