"""What ``r1 check`` says of the columns that a stage learns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1kit.commands.check import _learnt
from r1kit.recipe import load_recipe

ROW = {"problem": "1+1?", "solution": "It is \\boxed{2}.", "answer": "2", "generations": ["<think>a</think>2"]}
CHAT = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "<think>x</think>2"}]


@pytest.mark.parametrize(
    ("more", "read", "told"),
    [
        ({"messages": CHAT}, "", "prompt: messages, a chat; the first response learnt begins '<think>x</think>2'"),
        ({}, "", "response: solution; the first response learnt begins 'It is"),
        ({"messages": CHAT}, 'read = {columns = {prompt = "problem", response = "generations[0]"}}',
         "response: generations[0]; the first response learnt begins '<think>a</think>2'"),
    ],
)  # fmt: skip
def test_the_columns_that_are_learnt_are_told(tmp_path: Path, more: dict[str, object], read: str, told: str) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({**ROW, **more}) + "\n")
    recipe = f'[model]\nname = "a/b"\n[tasks.countdown]\n[stages.sft]\nstart = "base"\ndata = "{tmp_path}/rows.jsonl"\n'
    (tmp_path / "r.toml").write_text(recipe + read)
    (line,) = _learnt(load_recipe(str(tmp_path / "r.toml")))
    assert line.startswith(f"sft learns {tmp_path}/rows.jsonl: layout: OpenR1-Math")
    assert told in line
