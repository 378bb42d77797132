"""Data sets by name: from a cache that ``datasets`` itself filled, from a snapshot, and what a hub says no to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from r1kit.cli import app
from r1kit.data.layouts import read_examples
from r1kit.data.settings import Reading
from r1kit.data.source import open_rows
from r1kit.errors import InputError, MissingError
from r1kit.tasks import build

from .fake_hub import serve

ROOT = str(Path(__file__).resolve().parents[2])
datasets = pytest.importorskip("datasets")
hub_constants = pytest.importorskip("huggingface_hub.constants")

TRAIN = [{"question": f"{n} + 1?", "answer": f"{n} and one.\n#### {n + 1}"} for n in range(40)]
TEST = [{"question": f"{n} + 2?", "answer": f"{n} and two.\n#### {n + 2}"} for n in range(3)]


def as_lines(path: Path, rows: list[dict[str, Any]]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds ``me/sums`` with the subsets ``main`` and ``other``, and a snapshot of ``me/snap``."""
    from datasets.packaged_modules.json.json import Json

    root = tmp_path_factory.mktemp("cache")
    files = {
        "train": [as_lines(root / "raw" / "a.jsonl", TRAIN)], "test": [as_lines(root / "raw" / "b.jsonl", TEST)],
    }  # fmt: skip
    for subset in ("main", "other"):
        builder = Json(
            cache_dir=str(root / "made"), dataset_name="sums", config_name=subset, hash="c0ffee", data_files=files
        )
        builder.download_and_prepare()
        shutil.copytree(builder.cache_dir, root / "datasets" / "me___sums" / subset / "0.0.0" / "c0ffee")
    snapshot = root / "hub" / "datasets--me--snap" / "snapshots" / ("a" * 40)
    as_lines(snapshot / "train.jsonl", TRAIN)
    as_lines(snapshot / "test.jsonl", TEST)
    refs = root / "hub" / "datasets--me--snap" / "refs"
    refs.mkdir()
    (refs / "main").write_text("a" * 40)
    return root


@pytest.fixture
def offline(filled: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", filled / "datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(filled / "hub"))
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", True)
    return filled


@pytest.mark.usefixtures("offline")
def test_a_prepared_data_set_is_read_from_the_cache() -> None:
    for streaming in (False, True):
        examples = read_examples("me/sums", "answers", Reading(subset="main", streaming=streaming))
        assert [example.answer for example in examples] == [str(n + 1) for n in range(40)]
        assert examples.rows.splits == ("train", "test")
        assert examples.rows.digest == "c0ffee/main/train"
    test = read_examples("me/sums", "answers", Reading(subset="main", split="test", limit=2))
    assert [(example.where, example.answer) for example in test] == [
        ("me/sums[test] row 1", "2"),
        ("me/sums[test] row 2", "3"),
    ]


@pytest.mark.usefixtures("offline")
def test_a_snapshot_of_the_files_is_read_too() -> None:
    rows = open_rows("me/snap", Reading(split="test"))
    assert [dict(line.table) for line in rows] == TEST
    assert rows.digest.startswith("a" * 40)


@pytest.mark.usefixtures("offline")
def test_what_is_not_there_is_told() -> None:
    with pytest.raises(InputError, match="has no split 'dev'; its splits are train, test"):
        open_rows("me/sums", Reading(subset="main", split="dev"))
    with pytest.raises(InputError, match=r"no subset 'mian' in the cache; write subset = .*main"):
        open_rows("me/sums", Reading(subset="mian"))
    with pytest.raises(InputError, match=r"several subsets in the cache; write subset = .*(main, other|other, main)"):
        open_rows("me/sums")
    with pytest.raises(MissingError, match="hf download me/none --repo-type dataset") as caught:
        open_rows("me/none")
    assert caught.value.exit_code == 3
    with pytest.raises(InputError, match="no data set 'a/b/c' on the hub, nor a file or folder"):
        open_rows("a/b/c")


@pytest.mark.usefixtures("offline")
def test_a_task_with_the_data_set_s_own_test_split() -> None:
    settings = {"path": "me/sums", "subset": "main", "test_split": "test", "dev_share": 0.2}
    task = build("sums", "data", settings)
    assert [prompt.answer for prompt in task.held_out("test")] == ["2", "3", "4"]
    dev = {prompt.question for prompt in task.held_out("dev")}
    train = {task.train(index).question for index in range(40 - len(dev))}
    assert train | dev == {row["question"] for row in TRAIN}
    streamed = build("sums", "data", {**settings, "streaming": True})
    assert [streamed.train(index) for index in range(10)] == [task.train(index) for index in range(10)]


@pytest.mark.usefixtures("offline")
def test_the_command_takes_a_subset_and_a_split() -> None:
    shown = CliRunner().invoke(app, ["tasks", "me/sums:main", "--show", "1"], catch_exceptions=False).output
    assert "3 problems from me/sums[test]" in shown
    assert "layout: GSM8K (question, answer)" in shown
    assert "question: 0 + 2?\n  answer:   2" in shown
    shown = CliRunner().invoke(app, ["tasks", "me/sums:other:train"], catch_exceptions=False).output
    assert "40 problems from me/sums[train]" in shown


def test_folders_that_datasets_wrote_and_clones_with_a_card(tmp_path: Path) -> None:
    saved = datasets.DatasetDict({"train": datasets.Dataset.from_list(TRAIN), "test": datasets.Dataset.from_list(TEST)})
    saved.save_to_disk(str(tmp_path / "saved"))
    rows = open_rows(str(tmp_path / "saved"), Reading(split="test"))
    assert [dict(line.table) for line in rows] == TEST
    as_lines(tmp_path / "clone" / "one.jsonl", TRAIN)
    as_lines(tmp_path / "clone" / "two.jsonl", TEST)
    card = "---\nconfigs:\n- config_name: main\n  data_files:\n  - split: extra\n    path: two.jsonl\n---\n# sums\n"
    (tmp_path / "clone" / "README.md").write_text(card)
    assert [dict(line.table) for line in open_rows(str(tmp_path / "clone"))] == TEST


def test_the_extra_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingError, match=r"pip install 'r1kit\[data\]'"):
        open_rows("me/sums")
    (tmp_path / "f.parquet").write_bytes(b"PAR1")
    with pytest.raises(MissingError, match=r"pip install 'r1kit\[data\]'"):
        list(open_rows(str(tmp_path / "f.parquet")))


# ---- a hub that answers --------------------------------------------------------------------------------------------


@pytest.fixture
def hub(filled: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", filled / "datasets")
    monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(filled / "hub"))
    with serve({}) as address:
        monkeypatch.setattr(hub_constants, "ENDPOINT", address)
        yield


@pytest.mark.usefixtures("hub")
def test_what_the_hub_refuses_is_told_and_a_hub_that_fails_is_like_none() -> None:
    with pytest.raises(InputError, match="no data set 'me/absent' on the hub"):
        open_rows("me/absent")
    with pytest.raises(MissingError, match=r"me/gated asks for a login.*hf auth login"):
        open_rows("me/gated")
    assert len(list(open_rows("me/sums", Reading(subset="main")))) == 40


def test_a_data_set_is_fetched_once_and_then_lies_in_the_cache(tmp_path: Path) -> None:
    """By another process, whose whole hub is the one on this machine; then without it."""
    files = {"train.jsonl": TRAIN, "test.jsonl": TEST}
    environment = {**os.environ, "HF_HOME": str(tmp_path / "cache"), "PYTHONPATH": ROOT, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "r1kit", "tasks", "me/live", "--show", "1"]
    with serve({name: "".join(json.dumps(row) + "\n" for row in rows).encode() for name, rows in files.items()}) as hub:
        environment["HF_ENDPOINT"] = hub
        fetched = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert fetched.returncode == 0, fetched.stderr
    assert "3 problems from me/live[test]" in fetched.stdout
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert again.stdout == fetched.stdout, again.stderr
