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
from r1kit.checkpoint.whole import check_whole
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


@pytest.mark.parametrize(
    ("family", "keys", "told"),
    [
        (
            "llama",
            {"rope_parameters": {"rope_type": "linear", "factor": "2", "rope_theta": 1e4}},
            "factor = '2' must be",
        ),
        ("llama", {"rope_scaling": {"type": "linear", "factor": 0.0}}, "factor = 0.0 must be a number above 0"),
        ("gemma3_text", {"rope_parameters": {"full_attention": {"rope_theta": -1.0}}}, "rope_theta = -1.0 must be"),
        ("llama", {"num_hidden_layers": 3}, "num_hidden_layers = 3, and the weights have 2 layers"),
        ("gpt2", {"num_hidden_layers": 3}, "num_hidden_layers = 3, and the weights have 2 layers"),
        ("llama_tied", {"tie_word_embeddings": False}, "tie_word_embeddings is false, and .* and no head"),
        ("qwen3_moe", {"num_experts_per_tok": 9}, "num_experts_per_tok = 9 of num_local_experts = 4"),
        ("deepseek_v3", {"n_group": 3}, "n_group = 3 does not divide n_routed_experts = 4"),
        ("deepseek_v3", {"topk_group": 3}, "topk_group = 3 of n_group = 2 does not hold"),
        ("smollm3", {"no_rope_layers": [1]}, "no_rope_layers has 1 entries, and num_hidden_layers is 2"),
    ],
)
def test_numbers_that_do_not_go_together_are_told_before_a_weight_is_read(
    family: str, keys: dict[str, Any], told: str, tmp_path: Path
) -> None:
    folder = write(tmp_path, family)
    assert check_whole(folder) == folder
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **keys}))
    with pytest.raises(InputError, match=told) as refused:
        check_whole(folder)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_an_activation_that_there_is_not(family: str, tmp_path: Path) -> None:
    folder = write(tmp_path, family)
    file = folder / "config.json"
    name = "hidden_act" if family == "llama" else "activation_function"
    file.write_text(json.dumps({**json.loads(file.read_text()), name: "swoosh"}))
    with pytest.raises(InputError, match=r"it knows no 'swoosh', which config\.json names"):
        load_model(folder)


def test_a_tokenizer_that_was_last_used_to_cut_and_to_pad(folder: Path) -> None:
    before = LightTokenizer(folder).encode("12 + 34 = 46, and 46 + 12 = 58")
    file = folder / "tokenizer.json"
    cut = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
    padded = {"strategy": {"Fixed": 64}, "direction": "Right", "pad_id": 0, "pad_type_id": 0, "pad_token": "<|pad|>"}
    file.write_text(json.dumps({**json.loads(file.read_text()), "truncation": cut, "padding": padded}))
    assert LightTokenizer(folder).encode("12 + 34 = 46, and 46 + 12 = 58") == before
    assert len(before) > 8


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
