"""A folder of a type whose own tokenizer class AutoTokenizer prefers opens with the tokenizer that was saved in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from r1kit.checkpoint.generic import brings_code
from r1kit.checkpoint.hub import open_tokenizer, save_tokenizer
from r1kit.checkpoint.source import check_model, resolve_model
from r1kit.errors import InputError
from r1kit.model.load import load_model, save_model
from r1kit.text.tokenizer import build_tokenizer
from tests.model import tiny


@pytest.mark.parametrize(("kind", "marked"), [("qwen2", True), ("llama", False), ("qwen3", False)])
def test_auto_tokenizer_opens_what_was_saved(
    kind: str, marked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Qwen2's own class would split ``12`` and forget the spaces (``12+1=13``)."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = tmp_path / "model"
    folder.mkdir()
    made = build_tokenizer(["12", "+", "1", "=", "13"])
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    save_tokenizer(folder, made)
    ids = made.encode("12 + 1 = 13")
    assert len(ids) == 5
    for opened in (
        AutoTokenizer.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder, trust_remote_code=True),
        open_tokenizer(folder),
    ):
        assert opened.encode("12 + 1 = 13") == ids
        assert opened.decode(ids) == "12 + 1 = 13"
        assert opened.chat_template == made.chat_template
    assert (folder / "tokenization_generic.py").exists() is marked
    assert not brings_code(folder)
    save_tokenizer(folder, AutoTokenizer.from_pretrained(folder))
    assert AutoTokenizer.from_pretrained(folder).encode("12 + 1 = 13") == ids


def test_a_model_of_that_type_opens_again_after_it_was_saved(tmp_path: Path) -> None:
    """Our file is no code that a folder brings; a line more in it is."""
    folder = tiny.write(tmp_path, "qwen2")
    model, tokenizer = load_model(folder)
    save_model(tmp_path / "again", model, tokenizer)
    again = load_model(resolve_model(str(tmp_path / "again")))[1]
    assert again.encode("use 7 1 5") == tokenizer.encode("use 7 1 5")
    with (tmp_path / "again" / "tokenization_generic.py").open("a") as stream:
        stream.write("print(1)\n")
    with pytest.raises(InputError, match="wants code of its own to be run"):
        check_model(str(tmp_path / "again"))
