"""What stages learn from: the layouts that data sets have, several sources by weight, rows that cannot be learnt."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from r1kit.cluster.ranks import Solo
from r1kit.data.settings import Reading
from r1kit.errors import InputError
from r1kit.factory.samples import read_samples, write_samples
from r1kit.factory.sources import LOOKED_AT, Source, check_rows, samples_from
from r1kit.loops.settings import SFT
from r1kit.loops.sft import samples_of
from r1kit.pipeline import run, write_manifest
from r1kit.recipe import load_recipe
from r1kit.records import Message, Sample
from r1kit.workspace import Workspace

THOUGHT = "<think>\nso\n</think>\n\n4"
LAYOUTS: dict[str, tuple[dict[str, Any], str, str, list[str]]] = {
    "prompt, response": ({"prompt": "2 + 2?", "response": "4"}, "2 + 2?", "4", []),
    "prompt, completion": ({"prompt": "2 + 2?", "completion": "4"}, "2 + 2?", "4", []),
    "messages": (
        {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"},
                      {"role": "assistant", "content": "a"}]}, "q", "a", ["s"],
    ),
    "messages with the thinking apart": (
        {"messages": [{"role": "user", "content": "q"},
                      {"role": "assistant", "content": "4", "reasoning_content": "so"}]}, "q", THOUGHT, [],
    ),
    "ShareGPT": (
        {"conversations": [{"from": "human", "value": "q1"}, {"from": "gpt", "value": "a1"},
                           {"from": "human", "value": "q2"}, {"from": "gpt", "value": "a2"}]}, "q2", "a2", ["q1", "a1"],
    ),
    "a system prompt in a column": (
        {"system": "s", "conversations": [{"from": "user", "value": "q"}, {"from": "assistant", "value": "a"}]},
        "q", "a", ["s"],
    ),
    "Alpaca": ({"instruction": "Add.", "input": "2 and 2", "output": "4"}, "Add.\n\n2 and 2", "4", []),
    "Alpaca without an input": ({"instruction": "Add.", "input": "", "output": "4"}, "Add.", "4", []),
    "NuminaMath": ({"source": "x", "problem": "2 + 2?", "solution": "It is $\\boxed{4}$."}, "2 + 2?",
                   "It is $\\boxed{4}$.", []),
    "a chat as the prompt": ({"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}],
                              "completion": [{"role": "assistant", "content": "a"}]}, "q", "a", ["s"]),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("form", [".jsonl", ".json", ".jsonl.gz", ".parquet"])
def test_layouts_as_data_sets_write_them(name: str, form: str, tmp_path: Path) -> None:
    row, prompt, response, before = LAYOUTS[name]
    path = tmp_path / f"data{form}"
    if form == ".parquet":
        parquet.write_table(arrow.Table.from_pylist([row, row]), path)
    elif form == ".json":
        path.write_text(json.dumps([row, row]))
    else:
        text = "".join(json.dumps(row) + "\n" for _ in range(2))
        path.write_bytes(gzip.compress(text.encode()) if form.endswith("gz") else text.encode())
    one, two = samples_from(str(path), Reading())
    assert (one.prompt, one.response) == (prompt, response)
    assert [message.content for message in one.history or ()] == before
    assert (one.id, two.id, one.domain) == ("data/0", "data/1", "general")


def test_one_of_several_generations_by_its_place(tmp_path: Path) -> None:
    row = {"problem": "2 + 2?", "solution": "4.", "answer": "4", "generations": [THOUGHT, "5"]}
    (tmp_path / "r.jsonl").write_text(json.dumps(row) + "\n")
    (sample,) = samples_from(str(tmp_path / "r.jsonl"), Reading(columns={"response": "generations[0]"}))
    assert (sample.prompt, sample.response) == ("2 + 2?", THOUGHT)
    assert samples_from(str(tmp_path / "r.jsonl"), Reading())[0].response == "4."


def test_chats_that_cannot_be_learnt_are_counted(tmp_path: Path) -> None:
    def chat(*turns: tuple[str, Any]) -> dict[str, Any]:
        return {"messages": [{"role": role, "content": text} for role, text in turns]}

    rows = [
        chat(("user", "q"), ("assistant", "a")),
        chat(("user", "q")),
        chat(("user", "q"), ("assistant", "")),
        chat(("user", "q"), ("tool", "4"), ("user", "and?"), ("assistant", "a")),
        chat(("user", "q"), ("assistant", "a"), ("user", "thanks")),
    ]
    path = tmp_path / "chats.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=r"chats.jsonl:2: no turn of the assistant's to learn; bad_lines = \"skip\""):
        samples_from(str(path), Reading())
    told: list[str] = []
    samples = samples_from(str(path), Reading(bad_lines="skip"), told.append)
    assert [(sample.prompt, sample.response, sample.history) for sample in samples] == [("q", "a", None)] * 2
    assert told[0].startswith("3 bad lines skipped: ")
    with pytest.raises(InputError, match=r"x: .*chats.jsonl:2: no turn"):
        check_rows(str(path), Reading(), "responses", "x")
    assert LOOKED_AT > len(check_rows(str(path), Reading(limit=1), "responses", "x")) == 1


def test_a_chat_is_kept_in_a_stage_s_samples(tmp_path: Path) -> None:
    history = (Message(role="system", content="s"), Message(role="user", content="q"))
    samples = [
        Sample(id="a", prompt="p", response="r", domain="d", history=history),
        Sample(id="b", prompt="p", response="r", domain="d"),
    ]
    write_samples(tmp_path / "samples.jsonl", samples)
    assert read_samples(tmp_path / "samples.jsonl") == samples
    assert "history" not in json.loads((tmp_path / "samples.jsonl").read_text().splitlines()[1])


# ---- several sources ----------------------------------------------------------------------------------------------


def written(path: Path, name: str, count: int) -> str:
    file = path / f"{name}.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"{name} {n}", "response": "r"}) + "\n" for n in range(count)))
    return str(file)


def mixed(folder: Path, weights: tuple[float | None, float | None]) -> tuple[dict[str, int], list[str], list[str]]:
    lines: list[str] = []
    recipe = load_recipe("nano-zero")
    workspace = Workspace(run=folder, stage="sft", index=1, recipe=recipe, say=lines.append)
    sources = {"maths": (written(folder, "a", 40), weights[0]), "talk": (written(folder, "b", 10), weights[1])}
    config = SFT(mix={name: Source(data=data, weight=weight) for name, (data, weight) in sources.items()})
    found = samples_of(config, workspace)
    counts = {name: sum(sample.prompt.startswith(name) for sample in found) for name in ("a", "b")}
    return counts, lines, [sample.prompt for sample in found]


def test_sources_are_learnt_by_their_weights(tmp_path: Path) -> None:
    assert mixed(tmp_path, (None, None))[:2] == ({"a": 40, "b": 10}, [])
    counts, lines, order = mixed(tmp_path, (2.0, None))
    assert counts == {"a": 20, "b": 10}
    assert lines == ["sft: learns 20 of 40 from maths, 10 of 10 from talk"]
    assert order == mixed(tmp_path, (2.0, None))[2]
    assert mixed(tmp_path, (0.0, 1.0))[0] == {"a": 0, "b": 10}
    with pytest.raises(InputError, match=r"stages.sft.mix: the weights of .* sum to nothing"):
        mixed(tmp_path, (0.0, 0.0))


RECIPE = """
[model]
hidden_size = 16
intermediate_size = 32
num_layers = 1
num_heads = 2
num_kv_heads = 2
[tasks.countdown]
[stages.pretrain]
corpus = {shares = {countdown = 1.0}}
steps = 1
tokens_per_step = 64
evaluation = {k = 2, limit = 2, max_tokens = 4}
[stages.distill]
data = "{recipe}/mine.jsonl"
base_steps = 1
sft = {samples_per_step = 2, epochs = 1}
rl = {sampling = {n = 2, max_tokens = 8}, prompts_per_step = 2, evaluation = {k = 2, limit = 2}}
evaluation = {k = 2, limit = 2, max_tokens = 4}
[stages.distill.students.small.model]
hidden_size = 16
intermediate_size = 32
num_layers = 1
num_heads = 2
num_kv_heads = 2
"""


def test_students_learn_a_file(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(RECIPE)
    lines = [
        {"prompt": "use 7 1 5 make 34", "response": "7 * 5 - 1"},
        {"prompt": "use 1 2 make 3", "response": "1 + 2"},
    ]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    recipe = load_recipe(str(tmp_path / "r.toml"))
    folder = tmp_path / "run"
    folder.mkdir()
    write_manifest(recipe, folder)
    run(recipe, folder, Solo(), say=lambda line: None)
    found = json.loads((folder / "02_distill" / "result.json").read_text())["metrics"]
    assert found["teacher"] == {"sampling_flops": 0, "training_flops": 0, "weights": 0}
    steps = (folder / "02_distill" / "small" / "distilled" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["tokens"] for line in steps] == [6.0 + 4.0]
