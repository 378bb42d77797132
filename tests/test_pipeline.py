"""The run as a whole: what is done is skipped, what changed is redone with the old kept, lineage is written."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import ANY

import pytest

from r1kit import pipeline, stages
from r1kit.cluster.ranks import Solo
from r1kit.errors import InputError, MissingError, R1Error
from r1kit.recipe import RECIPES, Recipe, as_toml, load_recipe
from r1kit.records import StageResult
from r1kit.report.read.run_folder import RunFolder
from r1kit.workspace import Workspace

CONFIGS = {name: stages.load(name).Config for name in stages.STAGES}


class FakeStages:
    """Stands in for ``stages.load(name).run``: notes who ran, from what, and leaves a checkpoint."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, str]] = []
        self.fails: dict[str, BaseException] = {}

    def load(self, name: str) -> Any:
        return SimpleNamespace(run=self.run, Config=CONFIGS[name])

    def run(self, config: Any, workspace: Workspace) -> StageResult:
        path, origin = workspace.start("base") if config.inputs else ("", "")
        self.ran.append((workspace.stage, origin))
        if error := self.fails.pop(workspace.stage, None):
            raise error
        checkpoint = workspace.folder / "checkpoint"
        checkpoint.mkdir(exist_ok=True)
        (checkpoint / "weights").write_text(f"{workspace.stage} after {path.removeprefix(str(workspace.run))}")
        inputs = (origin,) if origin else ()
        relative = str(checkpoint.relative_to(workspace.run))
        return StageResult(metrics={"a": {"avg_at_k": 0.5}}, checkpoint=relative, inputs=inputs)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeStages:
    found = FakeStages()
    monkeypatch.setattr(stages, "load", found.load)
    return found


@pytest.fixture
def go(tmp_path: Path) -> Callable[..., list[str]]:
    """Run a recipe in the folder; what was said."""

    def run(recipe: Recipe, until: str = "") -> list[str]:
        said: list[str] = []
        pipeline.write_manifest(recipe, tmp_path)
        pipeline.run(recipe, tmp_path, Solo(), until, said.append)
        return said

    return run


RECIPE = load_recipe("nano-zero")


def test_stages_run_in_order_each_from_the_one_before(
    fake: FakeStages, go: Callable[..., list[str]], tmp_path: Path
) -> None:
    go(RECIPE)
    assert fake.ran == [("pretrain", ""), ("r1_zero", "pretrain")]
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert {name: (entry["inputs"], entry["checkpoint"]) for name, entry in manifest["lineage"].items()} == {
        "pretrain": ([], "01_pretrain/checkpoint"),
        "r1_zero": (["pretrain"], "02_r1_zero/checkpoint"),
    }
    assert (tmp_path / "02_r1_zero/checkpoint/weights").read_text() == "r1_zero after /01_pretrain/checkpoint"


def test_a_damaged_manifest_is_written_again(fake: FakeStages, go: Callable[..., list[str]], tmp_path: Path) -> None:
    go(RECIPE)
    whole = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text('{"recipe": "nano')
    go(RECIPE)
    assert json.loads((tmp_path / "manifest.json").read_text()) == {**whole, "created": ANY}


def test_what_is_done_is_skipped(fake: FakeStages, go: Callable[..., list[str]]) -> None:
    go(RECIPE, "pretrain")
    assert fake.ran == [("pretrain", "")]
    assert "pretrain: done before" in go(RECIPE)
    assert fake.ran[1:] == [("r1_zero", "pretrain")]
    assert go(RECIPE) == ["pretrain: done before", "r1_zero: done before"]


def test_after_each_stage_that_ran_its_result_is_there_to_report(fake: FakeStages, tmp_path: Path) -> None:
    def after(stage: str) -> None:
        told.append((stage, sorted(json.loads((tmp_path / "manifest.json").read_text())["lineage"])))

    told: list[tuple[str, list[str]]] = []
    pipeline.write_manifest(RECIPE, tmp_path)
    pipeline.run(RECIPE, tmp_path, Solo(), "pretrain", lambda line: None, after)
    pipeline.run(RECIPE, tmp_path, Solo(), "", lambda line: None, after)
    assert told == [("pretrain", ["pretrain"]), ("r1_zero", ["pretrain", "r1_zero"])]


def test_a_stage_with_other_settings_is_redone_and_the_old_one_kept(
    fake: FakeStages, go: Callable[..., list[str]], tmp_path: Path
) -> None:
    go(RECIPE)
    changed = load_recipe("nano-zero", ["r1_zero.steps=7"])
    said = go(changed)
    assert fake.ran[2:] == [("r1_zero", "pretrain")]
    assert "r1_zero: done again: steps 60 -> 7; the earlier result is kept in 02_r1_zero.before-1" in said
    before = json.loads((tmp_path / "02_r1_zero.before-1/result.json").read_text())
    after = json.loads((tmp_path / "02_r1_zero/result.json").read_text())
    assert before["key"] != after["key"]
    go(RECIPE)  # and back again: redone, both kept
    assert (tmp_path / "02_r1_zero.before-2/result.json").is_file()


def test_a_stage_that_others_are_put_before_or_taken_from_is_not_done_again(
    fake: FakeStages, go: Callable[..., list[str]], tmp_path: Path
) -> None:
    go(RECIPE)
    first, text = '[stages.first]\nkind = "reasoning_rl"\nstart = "base"\n', (RECIPES / "nano-zero.toml").read_text()
    for name, written in (
        ("moved", text.replace("[stages.r1_zero]", f"{first}[stages.r1_zero]")),
        ("back", f"{text}\n{first}"),
    ):
        (tmp_path / f"{name}.toml").write_text(written)
    moved, back = (load_recipe(str(tmp_path / f"{name}.toml")) for name in ("moved", "back"))
    said = go(moved)
    assert [name for name, _ in fake.ran] == ["pretrain", "r1_zero", "first"]
    assert (said[0], said[-1]) == ("pretrain: done before", "r1_zero: done before")
    lineage = json.loads((tmp_path / "manifest.json").read_text())["lineage"]
    assert [lineage[name]["checkpoint"][:2] for name in ("pretrain", "first", "r1_zero")] == ["01", "02", "02"]
    assert go(back) == ["pretrain: done before", "r1_zero: done before", "first: done before"]
    (tmp_path / "recipe.toml").write_text(as_toml(moved))
    assert [stage.name for stage in RunFolder(tmp_path).stages] == ["pretrain", "first", "r1_zero"]


@pytest.mark.parametrize("override", ["seed=2", "model.num_layers=2", "tasks.countdown.seed=5", "pretrain.steps=9"])
def test_what_an_early_stage_depends_on_redoes_the_late_ones(
    fake: FakeStages, go: Callable[..., list[str]], override: str
) -> None:
    go(RECIPE)
    go(load_recipe("nano-zero", [override]))
    assert [name for name, _ in fake.ran[2:]] == ["pretrain", "r1_zero"]


@pytest.mark.parametrize("override", ["ranks=2", "summary='x'", "expect='y'", "device=cpu"])
def test_what_decides_no_result_redoes_nothing(fake: FakeStages, go: Callable[..., list[str]], override: str) -> None:
    go(RECIPE)
    go(load_recipe("nano-zero", [override]))
    assert len(fake.ran) == 2


def test_a_kill_right_behind_the_result_loses_no_lineage(
    fake: FakeStages, go: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*arguments: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_record_lineage", die)
        with pytest.raises(Killed):
            go(RECIPE)
    (tmp_path / "01_pretrain/resume").mkdir()
    go(RECIPE)
    assert fake.ran == [("pretrain", ""), ("r1_zero", "pretrain")]
    assert set(json.loads((tmp_path / "manifest.json").read_text())["lineage"]) == {"pretrain", "r1_zero"}
    assert not (tmp_path / "01_pretrain/resume").exists()


def test_the_manifest_follows_the_recipe_and_keeps_its_birthday(
    fake: FakeStages, go: Callable[..., list[str]], tmp_path: Path
) -> None:
    go(RECIPE)
    before = json.loads((tmp_path / "manifest.json").read_text())
    go(load_recipe("nano-zero", ["r1_zero.steps=7"]))
    after = json.loads((tmp_path / "manifest.json").read_text())
    assert before["recipe_hash"] != after["recipe_hash"]
    assert before["created"] == after["created"]
    assert before["lineage"]["pretrain"] == after["lineage"]["pretrain"]


FULL = r"no disk space left at .*run the same command to go on"
LIMITED = r"grew as large as is allowed; raise `ulimit -f`, .*run again to go on"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), FULL),
        (RuntimeError("[enforce fail at inline_container.cc:603] PytorchStreamWriter failed: file write failed"), FULL),
        (RuntimeError("basic_ios::clear: iostream error"), FULL),
        (InputError("cannot write x: No space left on device (os error 28); what was there is untouched"), FULL),
        (OSError(errno.EFBIG, "File too large"), LIMITED),
        (InputError("cannot write x: File too large (os error 27); what was there is untouched"), LIMITED),
    ],
)  # fmt: skip
def test_a_full_disk_is_one_line_however_it_is_dressed_and_a_file_that_may_not_grow_another(
    fake: FakeStages, go: Callable[..., list[str]], error: BaseException, told: str
) -> None:
    fake.fails["r1_zero"] = error
    with pytest.raises(MissingError, match=told):
        go(RECIPE)
    go(RECIPE)
    assert [name for name, _ in fake.ran] == ["pretrain", "r1_zero", "r1_zero"]


@pytest.mark.parametrize(
    ("place", "error", "told"),
    [
        ("", InputError, r"metrics\.jsonl cannot be written or read any more \(Permission denied\); mend that and run"),
        ("/elsewhere/", PermissionError, "Permission denied"),
    ],
)
def test_a_folder_that_is_read_only_under_way_is_one_line(
    fake: FakeStages, go: Callable[..., list[str]], tmp_path: Path, place: str, error: type[Exception], told: str
) -> None:
    fake.fails["r1_zero"] = PermissionError(errno.EACCES, "Permission denied", f"{place or tmp_path}/metrics.jsonl")
    with pytest.raises(error, match=told):
        go(RECIPE)
    go(RECIPE)


def test_a_folder_that_is_deleted_under_way_is_one_line(
    fake: FakeStages, go: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def deleted(workspace: Workspace, result: StageResult) -> None:
        shutil.rmtree(tmp_path)
        workspace.append("metrics", [{"step": 1}])

    monkeypatch.setattr(Workspace, "finish", deleted)
    with pytest.raises(R1Error, match=r"was deleted or moved while the run wrote there; move it back and run again"):
        go(RECIPE)


def test_other_errors_pass_unchanged(fake: FakeStages, go: Callable[..., list[str]]) -> None:
    fake.fails["pretrain"] = RuntimeError("a bug")
    with pytest.raises(RuntimeError, match=r"^a bug$"):
        go(RECIPE)
