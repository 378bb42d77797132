"""SFT learns a JSONL file of the user's own as it learns an earlier stage's samples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1kit.checks import check_stages
from r1kit.cluster.ranks import Solo
from r1kit.depends import stage_keys
from r1kit.errors import InputError
from r1kit.pipeline import run, write_manifest
from r1kit.recipe import load_recipe

RECIPE = """
[model]
hidden_size = 16
intermediate_size = 32
num_layers = 1
num_heads = 2
num_kv_heads = 2
[stages.pretrain]
corpus = {shares = {countdown = 1.0}}
steps = 1
tokens_per_step = 64
[stages.mine]
kind = "sft"
data = "{recipe}/mine.jsonl"
samples_per_step = 2
epochs = 3
"""
LINES = [
    {"prompt": "use 7 1 5 make 34", "response": "7 * 5 - 1"},
    {"prompt": "use 2 3 4 make 9", "response": "2 + 3 + 4"},
]


def test_a_file_is_learnt_and_its_content_decides(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(RECIPE)
    data = tmp_path / "mine.jsonl"
    data.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    recipe = load_recipe(str(tmp_path / "r.toml"))
    check_stages(recipe)
    assert recipe.inputs("mine") == ("pretrain",)
    folder = tmp_path / "run"
    folder.mkdir()
    write_manifest(recipe, folder)
    run(recipe, folder, Solo(), say=lambda line: None)
    result = json.loads((folder / "02_mine" / "result.json").read_text())
    assert result["inputs"] == ["pretrain", str(data)]
    steps = [json.loads(line) for line in (folder / "02_mine" / "metrics.jsonl").read_text().splitlines()]
    assert len(steps) == 3, "two samples, two a step, three epochs"
    # words are tokens and each response ends in an end token: 5 + 1 and 5 + 1
    assert [step["tokens"] for step in steps] == [12, 12, 12]
    key = stage_keys(recipe)["mine"]
    assert key == result["key"]
    data.write_text(data.read_text().replace("7 * 5 - 1", "5 * 7 - 1"))
    assert stage_keys(recipe)["mine"] != key


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"mine.jsonl: no such file"),
        ('{"prompt": "a"}\n', r"stages.mine: .*mine.jsonl:1: no column for the response .*; the row has 'prompt'"),
        ('{"prompt": "a", "response": "b"}\n{"prom\n', r"mine.jsonl:2: not valid JSON"),
    ],
)
def test_a_file_that_cannot_be_learnt_is_told_before_anything_runs(
    text: str | None, message: str, tmp_path: Path
) -> None:
    (tmp_path / "r.toml").write_text(RECIPE)
    if text is not None:
        (tmp_path / "mine.jsonl").write_text(text)
    with pytest.raises(InputError, match=message):
        check_stages(load_recipe(str(tmp_path / "r.toml")))
