from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from r1kit.cli import app
from r1kit.recipe import load_recipe
from r1kit.text.chat_template import chat_template_of
from r1kit.text.template import Template, render


def test_the_folder_opens_elsewhere_and_says_where_it_comes_from(run_folder: Path, tmp_path: Path) -> None:
    to = tmp_path / "out"
    CliRunner().invoke(app, ["export", f"{run_folder}:r1_zero", "--to", str(to)], catch_exceptions=False)
    ours = AutoModelForCausalLM.from_pretrained(run_folder / "02_r1_zero" / "checkpoint")
    theirs = AutoModelForCausalLM.from_pretrained(to)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert json.loads((to / "generation_config.json").read_text())["temperature"] == 0.6
    card = (to / "README.md").read_text()
    for said in (
        "library_name: transformers",
        "| r1_zero | pretrain | 21 |",
        "0.812 [0.750, 0.875]",
        "max_tokens = 12",
    ):
        assert said in card
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "no temporary folder stays"


def test_the_card_tells_what_fed_the_stage_and_nothing_else(run_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(run_folder, run)
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["lineage"] |= {
        "other": {"inputs": ["pretrain"], "seconds": 5.0},
        "r1_zero": {"inputs": ["pretrain", "/home/me/rows.jsonl"], "seconds": 20.6},
        "last": {"inputs": ["r1_zero"], "seconds": 7.0},
    }
    (run / "manifest.json").write_text(json.dumps(manifest))
    CliRunner().invoke(app, ["export", f"{run}:r1_zero", "--to", str(tmp_path / "out")], catch_exceptions=False)
    card = (tmp_path / "out" / "README.md").read_text()
    rows = [line for line in card.splitlines() if line.startswith("| ") and line.endswith(" |") and "stage" not in line]
    assert [row.split(" | ")[0] for row in rows[:2]] == ["| pretrain", "| r1_zero"]
    assert "| r1_zero | pretrain, rows.jsonl | 21 |" in card
    assert "| other |" not in card
    assert "| last |" not in card


def test_a_damaged_manifest_is_told_in_one_line(run_folder: Path, tmp_path: Path) -> None:
    damaged, to = tmp_path / "run", tmp_path / "out"
    shutil.copytree(run_folder, damaged)
    (damaged / "manifest.json").write_text("{")
    error = CliRunner().invoke(app, ["export", f"{damaged}:r1_zero", "--to", str(to)]).exception
    assert "manifest.json has no 'recipe'; r1 run with the same --out writes it again" in str(error)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_the_chat_template_writes_the_prompt_it_was_trained_on(run_folder: Path, tmp_path: Path) -> None:
    to = tmp_path / "out"
    CliRunner().invoke(app, ["export", f"{run_folder}:r1_zero", "--to", str(to)], catch_exceptions=False)
    tokenizer = AutoTokenizer.from_pretrained(to)
    trained = load_recipe(str(run_folder / "recipe.toml")).model.template
    message = [{"role": "user", "content": "use 3 4 5 make 6"}]
    chat = tokenizer.apply_chat_template(message, add_generation_prompt=True, return_dict=False)
    assert list(chat) == render(trained, tokenizer, "use 3 4 5 make 6")


def test_text_templates_keep_quotes_braces_and_line_breaks() -> None:
    from jinja2 import Environment

    template = Template(name='Say "{question}"\n{% it %}:', suffix=" {{now}}", prefill="<think>\n")
    text = Environment().from_string(chat_template_of(template, "<s>"))
    said = text.render(messages=[{"role": "user", "content": "hello"}], add_generation_prompt=True)
    assert said == '<s>Say "hello {{now}}"\n{% it %}:<think>\n'
