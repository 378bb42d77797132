"""A chain on a user's files alone: text -> base with byte pairs of its own -> chats -> pairs -> RL without answers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from kill_resume import contents, differences
from loops.tiny import save_start

from r1kit.checks import check_recipe
from r1kit.errors import InputError
from r1kit.plan.planner import shape_of
from r1kit.plan.sizes import sizes_of
from r1kit.recipe import load_recipe

RECIPE = """
[model]
hidden_size = 32
intermediate_size = 64
num_layers = 1
num_heads = 2
num_kv_heads = 2
max_positions = 256

[tasks.help]
kind = "data"
path = "{recipe}/prompts.jsonl"
rule = "none"

[stages.pretrain]
data = "{recipe}/books"
tokenizer = {vocab_size = 400}
fill_in_middle = {rate = 0.3}
steps = 12
tokens_per_step = 1024
log_every = 4
context = 64
optimiser = {kind = "adamw", lr = 3e-3}
evaluation = {k = 2, limit = 2, max_tokens = 8}
sampling = {max_tokens = 8}

[stages.sft]
start = "pretrain"
data = "{recipe}/chats.parquet"
samples_per_step = 8
max_tokens = 120
too_long = "drop"
sampling = {max_tokens = 8}
evaluation = {k = 2, limit = 2, max_tokens = 8}

[stages.reward_models]
models = ["helpfulness"]
helpfulness = {path = "{recipe}/pairs.csv", balance_lengths = false}
batch = 16
held_out_share = 0.25
optimiser = {lr = 1e-3}

[stages.all_scenarios_rl]
steps = 3
preference_steps = 3
prompts_per_step = 4
routes = {help = "helpfulness"}
sampling = {n = 4, max_tokens = 12}
evaluate_every = 3
evaluation = {k = 2, limit = 2}
"""
THINGS, MOODS = ("cat", "dog", "hat", "sun", "map", "cup"), ("red", "old", "new", "big")


def write_files(folder: Path) -> Path:
    """What a user might bring; the recipe's path."""
    draw = Random(1)
    (folder / "books" / "more").mkdir(parents=True)
    for name in ("one.txt", "more/two.txt"):
        sentences = [f"the {draw.choice(MOODS)} {draw.choice(THINGS)} has {draw.randint(1, 99)}." for _ in range(300)]
        (folder / "books" / name).write_text(" ".join(sentences))
    chats = []
    for number in range(24):
        thing = draw.choice(THINGS)
        turns = [("user", f"name a thing {number}"), ("assistant", f"a {thing}"), ("user", "why?")]
        turns += [
            ("assistant", f"<think>\nit is {draw.choice(MOODS)}\n</think>\n\nthe {thing} is {draw.choice(MOODS)}")
        ]
        turns = [("system", "be brief"), *turns] if number % 3 == 0 else turns
        turns[-1] = (turns[-1][0], turns[-1][1] * (9 if number == 7 else 1))
        chats.append({"messages": [{"role": role, "content": text} for role, text in turns]})
    parquet.write_table(arrow.Table.from_pylist(chats), folder / "chats.parquet")
    pairs = [f"which is better {n}?,the {draw.choice(THINGS)},{'x ' * (1 + n % 3)}" for n in range(40)]
    (folder / "pairs.csv").write_text("\n".join(["prompt,chosen,rejected", *pairs]) + "\n")
    prompts = [{"prompt": f"tell me of {draw.choice(THINGS)} {n}"} for n in range(60)]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in prompts))
    (folder / "mine.toml").write_text(RECIPE)
    return folder / "mine.toml"


def command(recipe: Path, run: Path) -> list[str]:
    return [sys.executable, "-m", "r1kit", "run", str(recipe), "--out", str(run), "--ranks", "1"]


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def ran(recipe: Path, run: Path) -> str:
    done = subprocess.run(command(recipe, run), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_chain_on_files_alone(tmp_path: Path) -> None:
    recipe, run = write_files(tmp_path), tmp_path / "run"
    said = ran(recipe, run)
    assert "in 2 documents of" in said
    assert "sft: 1 of 24 samples pass max_tokens, 120 tokens" in said
    final = lines(run / "04_all_scenarios_rl" / "eval.jsonl")[-1]
    assert "avg_at_k" not in final
    assert isinstance(final["model_reward"], float)
    step = lines(run / "04_all_scenarios_rl" / "metrics.jsonl")[0]
    assert step["preference"] != 0
    loss = [line["loss"] for line in lines(run / "01_pretrain" / "metrics.jsonl")]
    assert loss[-1] < loss[0]
    assert json.loads((run / "03_reward_models" / "result.json").read_text())["metrics"]["helpfulness"]["trained"] > 20


def test_its_plan_knows_the_files(tmp_path: Path) -> None:
    recipe = load_recipe(str(write_files(tmp_path)))
    assert shape_of(recipe).vocab == 400
    sizes = {name: sizes_of(recipe, name, shape_of(recipe), 0.5) for name in recipe.stages}
    assert sizes["sft"].samples.number == 24
    assert sizes["pretrain"].document == 64, "the context cuts both books"
    assert sizes["reward_models"].examples["helpfulness"].number == 40


def test_samples_longer_than_a_named_model_are_told_by_the_check(tmp_path: Path) -> None:
    write_files(tmp_path)
    save_start(tmp_path / "model", max_positions=64)
    lines = [{"prompt": "what is 1", "response": "1 " * length} for length in (3, 90, 5, 70)]
    (tmp_path / "long.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    path = tmp_path / "sft.toml"
    text = f'model = {{name = "{tmp_path}/model"}}\n[stages.sft]\ndata = "{{recipe}}/long.jsonl"\n'
    path.write_text(f"{text}sampling = {{max_tokens = 8}}\n")
    with pytest.raises(InputError, match=r"sft: 2 of 4 samples are longer than 64 tokens \(the longest has 97\)"):
        check_recipe(load_recipe(str(path)))
    warnings = check_recipe(load_recipe(str(path), ["sft.too_long=drop"]))
    assert any("2 of 4 samples are longer" in line for line in warnings)
    assert not check_recipe(load_recipe(str(path), ["sft.read.limit=1"]))


@pytest.mark.slow
def test_the_same_after_kills_in_every_stage(tmp_path: Path) -> None:
    recipe, run, again = write_files(tmp_path), tmp_path / "run", tmp_path / "killed"
    ran(recipe, run)
    for stage in ("01_pretrain", "02_sft", "03_reward_models/helpfulness", "04_all_scenarios_rl"):
        process = subprocess.Popen(
            command(recipe, again), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        while process.poll() is None and not (again / stage / "resume" / "state.json").exists():
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    ran(recipe, again)
    assert differences(contents(run), contents(again)) == []


CHATS, BOOKS, PAIRS = ('= "{recipe}/chats.parquet"', '= "{recipe}/books"', '= "{recipe}/pairs.csv"')
MISTAKES = [
    (CHATS, f'{CHATS}\nread = {{columns = {{response = "reply"}}}}', "sft: .*chats.parquet row 1: no column 'reply'"),
    (CHATS, '= "{recipe}/pairs.csv"', "sft: .*pairs.csv:2: no column for the response .*has 'prompt', 'chosen'"),
    (CHATS, '= "pretrian"', r"'sft' takes in 'pretrian'; earlier stages are pretrain, .*Did you mean 'pretrain'"),
    (CHATS, '= "{recipe}/gone.jsonl"', "gone.jsonl: no such file"),
    (CHATS, '= "{recipe}/two.jsonl"', "two layouts in one source: .*two.jsonl:1 .*two.jsonl:2"),
    (CHATS, '= "{recipe}/empty.jsonl"', "empty.jsonl: no rows"),
    (CHATS, '= "pretrain"', "takes in 'pretrain', which leaves a model; it needs samples"),
    (BOOKS, '= "{recipe}/empty.jsonl"', "empty.jsonl: no rows"),
    (BOOKS, '= "{recipe}/chats.parquet"', "pretrain: .*chats.parquet row 1: no column for the text"),
    (BOOKS, f"{BOOKS}\ncorpus = {{shares = {{countdown = 1}}}}", "and a corpus; drop one"),
    ("context = 64", "context = 640", "context = 640 passes model.max_positions = 256"),
    ("vocab_size = 400", "vocab_size = 100", "vocab_size = 100 must be at least 300"),
    ("rate = 0.3", "rate = 1.3", "fill_in_middle: rate = 1.3"),
    (PAIRS, '= "{recipe}/prompts.jsonl"', "reward_models.helpfulness: .*prompts.jsonl:1: no column for the chosen"),
    ("all_scenarios_rl]", 'rl]\nkind = "r1_zero"', "pays accuracy, and task 'help' has no reference answers; what can"),
]


@pytest.mark.parametrize(("before", "after", "told"), MISTAKES)
def test_a_mistake_is_one_line_before_anything_runs(before: str, after: str, told: str, tmp_path: Path) -> None:
    path = write_files(tmp_path)
    (tmp_path / "empty.jsonl").write_text("\n")
    two = [{"prompt": "a", "response": "b"}, {"messages": [{"role": "user", "content": "a"}]}]
    (tmp_path / "two.jsonl").write_text("".join(json.dumps(line) + "\n" for line in two))
    text = path.read_text()
    assert before in text
    if "r1_zero" in after:
        text = text.replace("preference_steps = 3\n", "").replace('routes = {help = "helpfulness"}\n', "")
    path.write_text(text.replace(before, after))
    with pytest.raises(InputError, match=told) as caught:
        check_recipe(load_recipe(str(path)))
    assert "\n" not in str(caught.value)
