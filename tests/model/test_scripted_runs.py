"""SFT and two updates of RL from checkpoints whose every token is known, typed as a user would."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from r1kit.backends.backend import Backend
from r1kit.checkpoint.source import resolve_model
from r1kit.model.reward_model import Outlook, RewardModel
from r1kit.text.habits import close_of_turn

from .scripted import tokenizer, write

RECIPE = """
ranks = 1
dtype = "float32"
[model]
name = "{model}"
template = {{{template}}}
[tasks.sums]
kind = "jsonl"
path = "{here}/sums.jsonl"
dev_share = 0.3
test_share = 0.3
[stages.r1_zero]
kind = "r1_zero"
start = "base"
steps = 2
prompts_per_step = 2
minibatches = 1
optimiser = {{lr = 1e-3}}
sampling = {{n = 2, max_tokens = 12}}
reward = {{{reward}}}
evaluation = {{k = 1, limit = 2}}
final_limit = 2
[stages.taught]
kind = "sft"
start = "r1_zero"
data = "{here}/data.jsonl"
samples_per_step = 1
epochs = 1
evaluation = {{k = 1, limit = 2}}
sampling = {{max_tokens = 12}}
"""
RESPONSE = "<think> plan</think><answer> 41</answer>"


class Run:
    """A run in a folder of its own, and what it left."""

    def __init__(self, here: Path, name: str, reward: str = "", template: str = "") -> None:
        self.out = here / "run"
        lines = [f'{{"prompt": "{n} + {41 - n}", "answer": "41"}}' for n in range(40)]
        (here / "sums.jsonl").write_text("\n".join(lines))
        (here / "data.jsonl").write_text(json.dumps({"prompt": "1 + 40", "response": RESPONSE}) + "\n")
        model = write(here, name)
        (here / "mine.toml").write_text(RECIPE.format(model=model, here=here, reward=reward, template=template))
        done = subprocess.run(
            [sys.executable, "-m", "r1kit", "run", str(here / "mine.toml"), "--out", str(self.out)],
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        self.told = done.stdout + done.stderr

    def lines(self, stage: str, log: str) -> list[dict[str, Any]]:
        """Of a stage's log."""
        return [json.loads(line) for line in (self.out / stage / f"{log}.jsonl").read_text().splitlines()]

    def ends(self, stage: str) -> list[Any]:
        """``eos_token_id`` of the checkpoint's two files."""
        files = ("config.json", "generation_config.json")
        return [json.loads((self.out / stage / "checkpoint" / file).read_text()).get("eos_token_id") for file in files]


@pytest.mark.slow
def test_two_ends_and_a_turn_that_is_closed_with_a_third(tmp_path: Path) -> None:
    """Every response ends at token 5, seven tokens long; both files keep the list; SFT adds what closes a turn."""
    run = Run(tmp_path, "two_ends", reward="answer_style = 'tag'")
    for line in run.lines("01_r1_zero", "metrics"):
        assert (line["response_tokens"], line["format"], line["accuracy"]) == (7.0, 1.0, 1.0)
    texts = {line["completion"] for line in run.lines("01_r1_zero", "rollouts")}
    assert texts == {RESPONSE}
    assert run.ends("01_r1_zero") == [[2, 5], [2, 5]]
    assert run.ends("02_taught") == [[2, 5, 4], [2, 5, 4]]
    loaded = Backend(device=torch.device("cpu")).load(str(run.out / "02_taught" / "checkpoint"))
    assert (loaded.stop_ids, close_of_turn(loaded.tokenizer)) == ((2, 5, 4), "<|im_end|>")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "tokens", "ends"),
    [("end_of_generation_only", 7.0, [5, 2]), ("two_ends_config_only", 7.0, [2, 5]), ("no_pad", 7.0, 4),
     ("pad_is_eos", 7.0, 4), ("unsavable", 7.0, 4), ("bos_twice", 7.0, 4), ("no_eos", 12.0, None)],
)  # fmt: skip
def test_ends_of_other_kinds(tmp_path: Path, name: str, tokens: float, ends: Any) -> None:
    run = Run(tmp_path, name)
    assert [line["response_tokens"] for line in run.lines("01_r1_zero", "metrics")] == [tokens, tokens]
    assert run.ends("01_r1_zero") == [ends, ends]


@pytest.mark.slow
def test_a_template_that_opens_the_thinking(tmp_path: Path) -> None:
    """The form is paid, the line says why, and SFT has the tag once: its prompt ends in it, its response goes on."""
    run = Run(tmp_path, "thinks")
    assert [line["format"] for line in run.lines("01_r1_zero", "metrics")] == [1.0, 1.0]
    assert {line["completion"] for line in run.lines("01_r1_zero", "rollouts")} == {" plan</think><answer> 41</answer>"}
    assert "r1_zero: prompts end in <think>: rewards read a completion with the tag put back" in run.told


@pytest.mark.slow
def test_a_chain_that_never_closes_earns_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path, "never_closes", reward="answer_style = 'last_number'")
    for line in run.lines("01_r1_zero", "metrics"):
        assert (line["format"], line["accuracy"]) == (0.0, 0.0)


def typed(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "r1kit", *words], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_chat_eval_and_export_of_a_run_whose_prompts_open_the_thinking(tmp_path: Path) -> None:
    run = Run(tmp_path, "thinks")
    model = f"{run.out}:r1_zero"
    assert typed("chat", model, "--once", "1 + 40", "--temperature", "0").strip() == "plan</think><answer> 41</answer>"
    typed("eval", model, "--task", "sums", "--k", "2", "--limit", "2", "--json", str(tmp_path / "found.json"))
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["avg_at_k"], found["format_rate"], found["response_tokens"]) == (1.0, 1.0, 6.0)
    typed("export", model, "--to", str(tmp_path / "exported"))
    generation = json.loads((tmp_path / "exported" / "generation_config.json").read_text())
    assert (generation["eos_token_id"], generation["temperature"]) == (4, 0.6)
    loaded = Backend(device=torch.device("cpu")).load(str(tmp_path / "exported"))
    assert loaded.opens_think


@pytest.mark.parametrize(("name", "closing"), [("two_ends", [4]), ("turn_ends_otherwise", [4]), ("pad_is_eos", [])])
def test_a_reward_model_reads_the_score_where_the_policy_closes_its_turn(
    tmp_path: Path, name: str, closing: list[int]
) -> None:
    """After the end, unless padding is that same token."""
    model = RewardModel.create(write(tmp_path, name), Outlook())
    row = model.encode("1 + 40", " plan")
    assert row[len(row) - len(closing) :] == closing
    assert model.tokenizer.decode(row[: len(row) - len(closing)]).endswith("<|im_start|>assistant\n plan")


def test_a_reward_model_does_not_pad_with_a_token_that_has_no_row(tmp_path: Path) -> None:
    """Padding beyond the rows is common (``<pad>`` of Llama 2): a policy never looks it up, a reward model would."""
    folder = write(tmp_path, "plain")
    made = tokenizer(pad=None)
    made.add_tokens([f"<extra_{number}>" for number in range(384 - len(made))])
    made.add_special_tokens({"pad_token": "<late>"})
    assert made.pad_token_id == 384
    made.save_pretrained(folder)
    table = json.loads((folder / "tokenizer_config.json").read_text())
    assert "<late>" in json.dumps(table)
    model = RewardModel.create(resolve_model(str(folder)), Outlook())
    assert model.pad == 4
    assert len(model.score(["1 + 40"] * 2, [" plan", " plan plan"])) == 2
