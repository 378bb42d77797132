"""Files by what they hold: a project may move, data may be touched, and an edit is told by its name."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from r1kit import contents, pipeline
from r1kit.cluster.ranks import Solo
from r1kit.contents import content_of_path, digest_of, place_of
from r1kit.depends import FORMAT, changes, is_taken_over, stage_keys, written_key
from r1kit.recipe import fingerprint, load_recipe
from r1kit.registry import digest
from r1kit.structure import plain
from r1kit.users_code import PLACES

RECIPE = """
ranks = 1
[model]
name = "{recipe}/base"
[tasks.sums]
kind = "{recipe}/my_task.py:Sums"
path = "{recipe}/data/sums.jsonl"
[tasks.more]
kind = "jsonl"
path = "{recipe}/data/more.jsonl"
[stages.r1_zero]
tasks = ["sums"]
[stages.mine]
kind = "sft"
start = "base"
data = "{recipe}/data/chats.jsonl"
evaluation = {tasks = ["more"]}
[stages.last]
kind = "reasoning_rl"
start = "mine"
tasks = ["sums"]
"""
TASK = """
from helper import Prompt
class Sums:
    path: str
    def train(self, index): return Prompt(id=str(index), task="sums", question="1 + 1", answer="2")
    def held_out(self, split, limit=None): return [self.train(index) for index in range(3)][:limit]
    def grade(self, prompt, answer): return float(answer == prompt.answer)
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("R1KIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(PLACES, "")  # another test's project has a helper.py too
    return tmp_path / "cache"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "here" / "project"
    (folder / "data").mkdir(parents=True)
    (folder / "base").mkdir()
    (folder / "mine.toml").write_text(RECIPE)
    (folder / "my_task.py").write_text(TASK)
    (folder / "helper.py").write_text("from r1kit import Prompt\n")
    for name in ("sums", "more", "chats"):
        (folder / f"data/{name}.jsonl").write_text('{"prompt": "1 + 1", "answer": "2", "response": "2"}\n')
    for name in ("config.json", "tokenizer.json", "model-00001-of-00002.safetensors", "README.md"):
        (folder / "base" / name).write_text("{}")
    return folder


def keys_of(project: Path) -> dict[str, str]:
    return stage_keys(load_recipe(str(project / "mine.toml")))


def told(project: Path, edit: Callable[[], object], stage: str) -> tuple[list[str], str]:
    """(stages that are done again after an edit, what is said of one)."""
    recipe = load_recipe(str(project / "mine.toml"))
    before = stage_keys(recipe)
    written = written_key(recipe, stage, before)
    edit()
    after = stage_keys(recipe)
    again = json.loads(json.dumps(written))  # as key.json gives it back
    return [name for name in after if after[name] != before[name]], changes(again, written_key(recipe, stage, after))


def test_a_moved_project_is_done_before(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys_of(project)
    (tmp_path / "there").mkdir()
    moved = project.rename(tmp_path / "there" / "renamed")
    assert keys_of(moved) == before
    monkeypatch.chdir(moved)
    assert stage_keys(load_recipe("mine.toml")) == before
    (moved / "elsewhere").mkdir()
    monkeypatch.chdir(moved / "elsewhere")
    assert stage_keys(load_recipe("../mine.toml")) == before
    assert str(moved) not in json.dumps(written_key(load_recipe("../mine.toml"), "last", before))


def test_other_names_of_the_same_files_redo_nothing(project: Path) -> None:
    before = keys_of(project)
    (project / "data").rename(project / "rows")
    (project / "rows/sums.jsonl").rename(project / "rows/additions.jsonl")
    (project / "base").rename(project / "base-v1")
    text = RECIPE.replace("/data/", "/rows/").replace("sums.jsonl", "additions.jsonl").replace("/base", "/base-v1")
    (project / "mine.toml").write_text(text)
    assert keys_of(project) == before


EDITS = {
    "data/sums.jsonl": (["r1_zero", "last"], "r1_zero", "sums.jsonl was edited"),
    "data/more.jsonl": (["mine", "last"], "mine", "more.jsonl was edited"),
    "data/chats.jsonl": (["mine", "last"], "mine", "chats.jsonl was edited"),
    "helper.py": (["r1_zero", "last"], "r1_zero", "helper.py was edited"),
    "my_task.py": (["r1_zero", "last"], "r1_zero", "my_task.py was edited"),
    "base/tokenizer.json": (["r1_zero", "mine", "last"], "mine", "tokenizer.json of base was edited"),
    "base/model-00001-of-00002.safetensors": (
        ["r1_zero", "mine", "last"], "r1_zero", "model-00001-of-00002.safetensors of base was edited",
    ),
    "base/chat_template.jinja": (["r1_zero", "mine", "last"], "r1_zero", "chat_template.jinja of base is new"),
    "base/README.md": ([], "r1_zero", ""),
    "data/other.jsonl": ([], "r1_zero", ""),
}  # fmt: skip


@pytest.mark.parametrize("file", EDITS)
def test_an_edit_redoes_what_it_reaches_and_is_told(project: Path, file: str) -> None:
    def edit() -> None:
        with (project / file).open("a") as stream:
            stream.write("\n# one more line")

    again, stage, said = EDITS[file]
    found, why = told(project, edit, stage)
    assert found == again
    if said:
        assert why.split("; ")[-1] == said


def test_a_file_that_was_only_touched_redoes_nothing(project: Path) -> None:
    def touch() -> None:
        for file in project.rglob("*"):
            os.utime(file, (1e9, 1e9))

    assert told(project, touch, "last")[0] == []


def test_an_edit_under_a_new_name_is_told_as_the_setting(project: Path) -> None:
    before = written_key(load_recipe(str(project / "mine.toml")), "mine", keys_of(project))
    (project / "data/chats2.jsonl").write_text('{"prompt": "x", "response": "y"}\n')
    (project / "mine.toml").write_text(RECIPE.replace("chats.jsonl", "chats2.jsonl"))
    after = written_key(load_recipe(str(project / "mine.toml")), "mine", keys_of(project))
    assert changes(before, after) == 'data "chats.jsonl" -> "chats2.jsonl"'


def test_another_run_s_stage_is_its_checkpoint(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(project / "base", tmp_path / "earlier/01_pretrain/checkpoint")
    monkeypatch.chdir(tmp_path)
    (project / "mine.toml").write_text(RECIPE.replace("{recipe}/base", "earlier:pretrain"))
    before = written_key(load_recipe(str(project / "mine.toml")), "r1_zero", {})
    (tmp_path / "earlier/01_pretrain/checkpoint/config.json").write_text('{"edited": 1}')
    after = written_key(load_recipe(str(project / "mine.toml")), "r1_zero", {})
    assert changes(before, after) == "config.json of earlier:pretrain was edited"


# ---- hub names -----------------------------------------------------------------------------------------------------


def test_a_hub_model_is_its_commit(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = {"org/model": "aaaa"}
    monkeypatch.setattr(contents, "hub_commit", lambda name: commits.get(name, ""))
    (project / "mine.toml").write_text(RECIPE.replace("{recipe}/base", "org/model"))
    recipe = load_recipe(str(project / "mine.toml"))
    before = written_key(recipe, "r1_zero", {})
    assert before["contents"]["model.name"] == {"commit": "aaaa"}
    commits["org/model"] = "bbbb"
    after = written_key(recipe, "r1_zero", {}, before)
    assert (before["key"] != after["key"], changes(before, after)) == (True, "the commit of org/model is another")
    commits.clear()
    gone = written_key(recipe, "r1_zero", {}, before)  # the cache was emptied: nothing says that it changed
    assert gone["key"] == before["key"]


def test_a_hub_model_is_fetched_before_its_commit_is_asked(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here: list[str] = []
    monkeypatch.setattr(contents, "hub_commit", lambda name: "cccc" if here else "")
    monkeypatch.setattr(contents, "resolve_model", here.append)
    (project / "mine.toml").write_text(RECIPE.replace("{recipe}/base", "org/model"))
    recipe = load_recipe(str(project / "mine.toml"))
    assert "model.name" not in written_key(recipe, "r1_zero", {}).get("contents", {}).get("model.name", {})
    assert written_key(recipe, "r1_zero", {}, fetch=True)["contents"]["model.name"] == {"commit": "cccc"}
    assert here == ["org/model"]


def test_a_hub_data_set_is_its_commit(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = {("org/chats", ""): "aaaa", ("org/chats", "v1"): "eeee"}
    monkeypatch.setattr(contents, "newest_commit", lambda name, revision: commits.get((name, revision), ""))
    text = RECIPE.replace("{recipe}/data/chats.jsonl", "org/chats").replace('kind = "jsonl"', 'kind = "data"')
    (project / "mine.toml").write_text(text.replace("{recipe}/data/more.jsonl", "org/more"))
    recipe = load_recipe(str(project / "mine.toml"))
    before = written_key(recipe, "mine", {}, fetch=True)
    assert before["contents"]["settings.data"] == {"commit": "aaaa"}
    assert before["contents"]["tasks.more.path"] == {}, "not reached: it began without knowing"
    assert written_key(recipe, "mine", {}, before)["key"] == before["key"], "r1 status asks nobody"
    commits["org/more", ""] = "cccc"
    assert written_key(recipe, "mine", {}, before, fetch=True)["key"] == before["key"]
    commits["org/chats", ""] = "bbbb"
    after = written_key(recipe, "mine", {}, before, fetch=True)
    assert (before["key"] != after["key"], changes(before, after)) == (True, "the commit of org/chats is another")
    pinned = load_recipe(str(project / "mine.toml"), ["mine.read.revision=v1"])
    assert written_key(pinned, "mine", {}, fetch=True)["contents"]["settings.data"] == {"commit": "eeee"}


# ---- what is a file ------------------------------------------------------------------------------------------------


def test_a_text_that_could_be_a_path_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("plain", "sft", "rows"):
        (tmp_path / name).mkdir()
    (tmp_path / "LICENSE").write_text("x")
    (tmp_path / "a.jsonl").write_text("x")
    for text in ("/", ".", "..", "~", "/usr", "plain", "\n", "\n\n", "", "a\0b", "x" * 5000, "LICENSE", "{question}"):
        assert place_of(text, "stop") is None, text
    assert place_of("sft", "data", {"sft"}) is None
    assert place_of("rows", "data", {"sft"}) == Path("rows")
    assert place_of("a.jsonl", "anything") == Path("a.jsonl")
    assert place_of(str(tmp_path / "rows"), "anything") == tmp_path / "rows"
    assert place_of("plain", "name", model=True) == Path("plain")


def test_a_folder_of_data_is_all_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a/b/c.jsonl").write_text("1")
    (tmp_path / "a/.hidden").write_text("1")
    one = content_of_path(tmp_path / "a")
    assert list(one) == ["b/c.jsonl"]
    for number in range(70):
        (tmp_path / f"a/{number}.jsonl").write_text("1")
    many = content_of_path(tmp_path / "a")
    assert list(many) == ["one of 71 files"]
    (tmp_path / "a/69.jsonl").write_text("2")
    assert content_of_path(tmp_path / "a") != many


# ---- large files ---------------------------------------------------------------------------------------------------


def test_a_large_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"x" * (contents.SMALL + 1))
    fresh = digest_of(file)
    assert not cache.exists(), "written only just now: it may change within the clock's grain"
    later = time.time_ns() + 10**10
    monkeypatch.setattr(contents.time, "time_ns", lambda: later)
    assert digest_of(file) == fresh
    monkeypatch.setattr(contents, "_read", lambda path: pytest.fail("read again"))
    assert digest_of(file) == fresh
    monkeypatch.setattr(contents, "_read", lambda path: "another")
    with file.open("r+b") as stream:
        stream.write(b"y")
    assert digest_of(file) == "another"
    next(iter((cache / "digests").iterdir())).write_text("{torn")
    assert digest_of(file) == "another"


# ---- runs of the version before ------------------------------------------------------------------------------------


def format_1(recipe, stage: str, keys: dict[str, str]) -> dict[str, object]:  # type: ignore[no-untyped-def]
    """``key.json`` as the version before wrote it: paths as they stand, the user's code by reference."""
    tasks = {name: {"kind": recipe.task_kinds[name], **plain(recipe.tasks[name])} for name in recipe.tasks_of(stage)}
    reference = recipe.task_kinds["sums"]
    code = {"my_task.py:Sums": digest(reference)} if "sums" in tasks else {}
    for table in tasks.values():
        table["kind"] = table["kind"].rpartition("/")[2]
    found = {
        "kind": recipe.kinds[stage], "settings": plain(recipe.stages[stage]), "model": plain(recipe.model),
        "tasks": tasks, "seed": recipe.seed, "inputs": {each: keys[each] for each in recipe.inputs(stage)},
        **({"code": code} if code else {}),
    }  # fmt: skip
    return {"key": fingerprint(stage, found), **found}


def test_a_run_of_the_version_before_is_kept(project: Path, tmp_path: Path) -> None:
    recipe = load_recipe(str(project / "mine.toml"))
    run, old, said = tmp_path / "run", {}, []
    for number, stage in enumerate(recipe.stages, start=1):
        folder = run / f"{number:02d}_{stage}"
        folder.mkdir(parents=True)
        written = format_1(recipe, stage, old)
        old[stage] = str(written["key"])
        (folder / "key.json").write_text(json.dumps(written))
        result = {"key": written["key"], "inputs": [], "seconds": 1.0, "metrics": {}, "checkpoint": "base"}
        (folder / "result.json").write_text(json.dumps(result))
    pipeline.write_manifest(recipe, run)
    pipeline.run(recipe, run, Solo(), "mine", said.append)
    assert [line.partition(" ")[0] for line in said if "kept from an earlier version" in line] == ["r1_zero:", "mine:"]
    assert [line for line in said if "done" in line] == ["r1_zero: done before", "mine: done before"]
    said.clear()
    pipeline.run(recipe, run, Solo(), "", said.append)  # a later sitting knows the last one by what it took in then
    assert said[:2] == ["r1_zero: done before", "mine: done before"]
    assert said[2].startswith("last: kept from an earlier version of r1kit")
    assert json.loads((run / "03_last/key.json").read_text())["format"] == FORMAT
    said.clear()
    pipeline.run(recipe, run, Solo(), "", said.append)
    assert said == ["r1_zero: done before", "mine: done before", "last: done before"]


def test_a_run_of_the_version_before_with_other_settings_is_not(project: Path) -> None:
    recipe = load_recipe(str(project / "mine.toml"))
    before = format_1(recipe, "r1_zero", {})
    assert is_taken_over(recipe, "r1_zero", before, {})
    others = {"settings": {"steps": 3}, "seed": 9, "code": {"my_task.py:Sums": "0"}, "tasks": {"sums": {"kind": "x"}}}
    for name, other in others.items():
        assert not is_taken_over(recipe, "r1_zero", {**before, name: other}, {})
    assert not is_taken_over(recipe, "r1_zero", {"key": "abc"}, {})
    last = format_1(recipe, "last", {"r1_zero": "a", "mine": "b"})
    assert is_taken_over(recipe, "last", last, {"r1_zero": "a", "mine": "b"})
    assert not is_taken_over(recipe, "last", last, {"r1_zero": "a", "mine": "done again"})


def test_every_rank_is_told_the_same_key(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rank 0 alone looks at the files: they may change in the meantime, and gigabytes are read once."""

    def broadcast(value: object) -> object:
        assert value is None
        return given.pop(0)

    second: Any = SimpleNamespace(rank=1, size=2, broadcast_object=broadcast)
    given: list[object] = [{"key": "k"}, {"key": "k", "inputs": [], "seconds": 0.0}]
    monkeypatch.setattr(pipeline, "written_key", lambda *_, **__: pytest.fail("looked at the files"))
    recipe = load_recipe(str(project / "mine.toml"))
    pipeline.run(recipe, tmp_path, second, "r1_zero", lambda line: None)
    assert given == []
