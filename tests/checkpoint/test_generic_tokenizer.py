"""A folder of a type whose own tokenizer class AutoTokenizer prefers opens with the tokenizer that was saved in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from r1kit.checkpoint.hub import open_tokenizer, save_tokenizer
from r1kit.text.tokenizer import build_tokenizer


@pytest.mark.parametrize(("kind", "marked"), [("qwen2", True), ("llama", False), ("qwen3", False)])
def test_auto_tokenizer_opens_what_was_saved(
    kind: str, marked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Qwen2's own class would split ``12`` and forget the spaces (``12+1=13``)."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    made = build_tokenizer(["12", "+", "1", "=", "13"])
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    save_tokenizer(tmp_path, made)
    ids = made.encode("12 + 1 = 13")
    assert len(ids) == 5
    for opened in (
        AutoTokenizer.from_pretrained(tmp_path),
        AutoTokenizer.from_pretrained(tmp_path, trust_remote_code=True),
        open_tokenizer(tmp_path),
    ):
        assert opened.encode("12 + 1 = 13") == ids
        assert opened.decode(ids) == "12 + 1 = 13"
        assert opened.chat_template == made.chat_template
    assert (tmp_path / "tokenization_generic.py").exists() is marked
    save_tokenizer(tmp_path, AutoTokenizer.from_pretrained(tmp_path))
    assert AutoTokenizer.from_pretrained(tmp_path).encode("12 + 1 = 13") == ids
