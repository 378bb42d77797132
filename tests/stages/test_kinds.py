"""Stages have a kind and any name; a class in a user's file is a kind like ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from r1kit.cluster.ranks import Solo
from r1kit.depends import changes, stage_keys, written_key
from r1kit.errors import InputError, R1Error
from r1kit.interrupts import Stopped
from r1kit.pipeline import run, write_manifest
from r1kit.recipe import as_toml, load_recipe, parse_recipe
from r1kit.unread import check_unread
from r1kit.workspace import Workspace

COUNT = '''"""A stage of mine."""
from dataclasses import dataclass

@dataclass(frozen=True)
class Count:
    """Counts what an earlier stage left."""

    of: str = "base"
    times: int = 2
    leaves = "nothing"

    @property
    def inputs(self):
        return (self.of,)

    def run(self, workspace):
        workspace.log(1, {"loss": 0.5})
        return {"counted": self.times}
'''


STAGE_ALONE = '[stages.count]\nkind = "{recipe}/my_stage.py:Count"\n'


def recipe_of(tmp_path: Path, stages: str, *overrides: str) -> Any:
    path = tmp_path / "mine.toml"
    path.write_text(f"[tasks.countdown]\n[model]\nhidden_size = 32\n{stages}")
    return load_recipe(str(path), overrides)


def test_two_stages_of_a_kind_under_names_of_the_users_own(tmp_path: Path) -> None:
    recipe = recipe_of(
        tmp_path,
        '[stages.words]\nkind = "pretrain"\n[stages.rl-easy]\nkind = "r1_zero"\nsteps = 3\n'
        '[stages.rl-hard]\nkind = "reasoning_rl"\nstart = "rl-easy"\n[stages.evaluate]\n',
        "rl-hard.steps=7",
    )
    assert list(recipe.kinds.values()) == ["pretrain", "r1_zero", "reasoning_rl", "evaluate"]
    assert recipe.base_stage == "words"
    assert recipe.inputs("rl-easy") == ("words",)
    assert recipe.inputs("rl-hard") == ("rl-easy",)
    assert recipe.inputs("evaluate") == ("words", "rl-easy", "rl-hard"), "whatever leaves a model is compared"
    assert (recipe.stages["rl-easy"].steps, recipe.stages["rl-hard"].steps) == (3, 7)
    assert recipe.stages["rl-hard"].reward != recipe.stages["rl-easy"].reward, "the kind's own defaults"
    assert recipe.about["rl-hard"].alias == "Dev2"
    there = tmp_path / "resolved.toml"
    there.write_text(as_toml(recipe))
    assert load_recipe(str(there)) == recipe


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ('[stages.rl]\nkind = "reasonin_rl"\n', r"stages.rl.kind: stage 'reasonin_rl' is unknown; .*'reasoning_rl'\?"),
        ("[stages.rl]\n", r"stage 'rl' is unknown; known are pretrain, r1_zero, .*or write FILE.py:NAME"),
        ('[stages."1"]\nkind = "pretrain"\n', r"a stage's name has letters, digits, _ and -"),
        ('[stages.base]\nkind = "pretrain"\n', r"is not 'base'"),
        ('[stages.a]\nkind = "math:sqrt"\n', r"math:sqrt is not a stage: write a class with a method run"),
        (
            '[stages.pretrain]\ncorpus.shares.countdown = 1\n[stages.sft]\ndata = "pretrain"\n',
            r"leaves a model; it needs samples, which no earlier",
        ),
    ],
)
def test_what_is_no_stage(stages: str, message: str, tmp_path: Path) -> None:
    from r1kit.checks import check_stages

    with pytest.raises(InputError, match=message):
        check_stages(recipe_of(tmp_path, stages))


TRIED = "[stages.pretrain]\n[stages.r1_zero]\n[stages.prm]\n[stages.mcts]\n"
"""The stages whose tables hold another stage's settings, beside ``distill``."""


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ('distill.rl.start="sft"', r"distill.rl.start is not read: the stage knows it itself; drop this"),
        ('distill.sft.data="x"', r"sft.data is not read: the stage takes stages.distill.data in its place"),
        ("distill.rl.evaluation.easy_rate=0.5", r"distill.rl.evaluation.easy_rate = 0.5 is not read: .*kind evaluate"),
        ('r1_zero.evaluation.easy_fact="level"', r"evaluation.easy_fact = 'level' is not read: .*kind evaluate"),
        ('prm.rl.start="pretrain"', r"prm.rl.start is not read: the stage takes stages.prm.start in its place"),
        ('mcts.actor.start="prm"', r"actor.start is not read: the stage takes stages.mcts.start in its place"),
        ('mcts.actor.data="x.jsonl"', r"mcts.actor.data is not read: the stage knows it itself; drop this"),
    ],
)
def test_a_setting_that_a_stage_never_reads_is_refused(setting: str, message: str, tmp_path: Path) -> None:
    nano = setting.startswith("distill")
    recipe = load_recipe("nano", [setting]) if nano else recipe_of(tmp_path, TRIED, setting)
    with pytest.raises(InputError, match=message):
        check_unread(recipe)


def test_what_is_not_read_may_say_what_is(tmp_path: Path) -> None:
    check_unread(recipe_of(tmp_path, TRIED, 'prm.start="r1_zero"', 'prm.rl.start="r1_zero"'))
    old = recipe_of(tmp_path, TRIED, 'prm.start="r1_zero"', 'prm.rl.start="pretrain"')
    (told,) = check_unread(old, old)
    assert "stages.prm.rl.start is not read" in told
    assert "this run, which an earlier version began, goes on" in told
    with pytest.raises(InputError, match=r"prm\.rl\.start is not read"):
        check_unread(old, recipe_of(tmp_path, TRIED, 'prm.start="r1_zero"'))
    check_unread(recipe_of(tmp_path, TRIED))


def test_a_key_in_the_recipe_that_only_a_resolved_one_has_is_refused() -> None:
    with pytest.raises(InputError, match=r"unknown key 'kinds'; a stage's or task's kind stands in its own table"):
        parse_recipe({"name": "x", "kinds": {}})


def test_a_users_stage_runs_with_its_settings_and_is_redone_when_its_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "my_stage.py"
    file.write_text(COUNT)
    stages = '[stages.count]\nkind = "{recipe}/my_stage.py:Count"\ntimes = 5\n'
    recipe = recipe_of(tmp_path, f'{stages}[stages.again]\nkind = "{{recipe}}/my_stage.py:Count"\n', "model.name=x")
    assert recipe.about["count"].title == "Counts what an earlier stage left."
    folder = tmp_path / "run"
    folder.mkdir()
    write_manifest(recipe, folder)
    said: list[str] = []
    run(recipe, folder, Solo(), say=said.append)
    assert '"counted": 5' in (folder / "01_count" / "result.json").read_text()
    assert '"counted": 2' in (folder / "02_again" / "result.json").read_text()
    said.clear()
    run(recipe, folder, Solo(), say=said.append)
    assert said == ["count: done before", "again: done before"]
    before = written_key(recipe, "count", {})
    file.write_text(COUNT.replace("0.5", "0.25"))
    assert changes(before, written_key(recipe, "count", {})).startswith("my_stage.py was edited")
    run(recipe, folder, Solo(), say=said.append)
    assert any(line.startswith("count: done again: my_stage.py was edited") for line in said)


LOGS = """from r1kit.interrupts import Stopped


class Logs:
    leaves = "nothing"
    steps: int = 0

    def run(self, workspace):
        workspace.log(1, {"loss": 0.5})
        workspace.append("seen", [{"prompt": 1}])
        workspace.part("half", lambda inner: inner.log(1, {"loss": 0.25}) or {})
        for step in workspace.steps(self.steps, self) if self.steps else ():
            workspace.log(2 + step, {"loss": 0.125})
        workspace.log(9, {"loss": 0.0})
        if not (workspace.run / "go_on").exists():
            (workspace.run / "go_on").touch()
            raise Stopped

    def save(self, folder): ...
    def load(self, folder): ...
"""


@pytest.mark.parametrize("steps", [0, 2])
def test_a_users_stage_that_is_killed_logs_each_line_once(steps: int, tmp_path: Path) -> None:
    """Also what it logs outside ``workspace.steps``, before, after or without them."""
    (tmp_path / "my_stage.py").write_text(LOGS)
    stages = f'[stages.logs]\nkind = "{{recipe}}/my_stage.py:Logs"\nsteps = {steps}\n'
    recipe = recipe_of(tmp_path, stages, "model.name=x")
    folder = tmp_path / "run"
    folder.mkdir()
    write_manifest(recipe, folder)
    with pytest.raises(Stopped):
        run(recipe, folder, Solo(), say=lambda line: None)
    run(recipe, folder, Solo(), say=lambda line: None)
    logged = [json.loads(line)["step"] for line in (folder / "01_logs/metrics.jsonl").read_text().splitlines()]
    assert logged == [1, *range(2, 2 + steps), 9]
    assert (folder / "01_logs/seen.jsonl").read_text() == '{"prompt": 1}\n'
    assert len((folder / "01_logs/half/metrics.jsonl").read_text().splitlines()) == 1


def test_a_second_loop_in_a_users_stage_is_refused_and_not_passed_over(tmp_path: Path) -> None:
    twice = "list(workspace.steps(1, self))\n" + " " * 8
    (tmp_path / "my_stage.py").write_text(LOGS.replace("for step", f"{twice}for step"))
    recipe = recipe_of(tmp_path, '[stages.logs]\nkind = "{recipe}/my_stage.py:Logs"\nsteps = 2\n', "model.name=x")
    (tmp_path / "run").mkdir()
    write_manifest(recipe, tmp_path / "run")
    with pytest.raises(InputError, match=r"^logs: workspace.steps is called twice; put each loop in a workspace.part$"):
        run(recipe, tmp_path / "run", Solo(), say=lambda line: None)


def test_a_project_that_moved_with_its_code_is_done_before(tmp_path: Path) -> None:
    keys = []
    for name in ("here", "there"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "my_stage.py").write_text(COUNT)
        keys.append(stage_keys(recipe_of(folder, STAGE_ALONE, "model.name=x")))
    assert keys[0] == keys[1]


def test_what_a_users_stage_raises_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "my_stage.py").write_text(COUNT.replace('workspace.log(1, {"loss": 0.5})', "self.times / 0"))
    recipe = recipe_of(tmp_path, STAGE_ALONE, "model.name=x")
    folder = tmp_path / "run"
    folder.mkdir()
    write_manifest(recipe, folder)
    with pytest.raises(R1Error, match=r"^count: my_stage.py:17: ZeroDivisionError: division by zero$"):
        run(recipe, folder, Solo(), say=lambda line: None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((" workspace):", " place):"), r"my_stage.py:Count is not a stage: write a class with a method run"),
        (('"nothing"', '"a car"'), r"my_stage.py:Count.leaves = 'a car': allowed are 'a model', 'samples'"),
        (
            ("times: int", "tims: int"),
            r"stages.count: unknown key 'times'; .* Did you mean 'tims'",
        ),
        (("class Count", "class Cound"), r"stages.count.kind: .*my_stage.py has no 'Count'\. Did you mean 'Cound'\?"),
        (("from data", "from dat"), r"stages.count.kind: my_stage.py:2: ModuleNotFoundError: No module named"),
    ],
)
def test_a_mistake_in_a_users_stage_is_one_line(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    (tmp_path / "my_stage.py").write_text(COUNT.replace(*change))
    stages = '[stages.count]\nkind = "{recipe}/my_stage.py:Count"\ntimes = 5\n'
    with pytest.raises(InputError, match=message):
        recipe_of(tmp_path, stages, "model.name=x")


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("@property\n    def inputs(self): return 1 / 0", r"my_stage.py:Own.inputs: my_stage.py:3: ZeroDivisionError"),
        ("@property\n    def inputs(self): return 'words'", r"Own.inputs gave 'words'; it gives a tuple of names"),
        ("def uses(self, recipe): return None", r"my_stage.py:Own.uses gave None; it gives a tuple of names"),
        ("def check(self, stage, recipe): raise ValueError('mine')", r"Own.check: my_stage.py:2: ValueError: mine"),
    ],
)
def test_what_a_users_stage_says_wrongly_of_itself_is_one_line(member: str, message: str, tmp_path: Path) -> None:
    from r1kit.checks import check_stages

    (tmp_path / "my_stage.py").write_text(f"class Own:\n    {member}\n    def run(self, workspace): ...\n")
    with pytest.raises(InputError, match=message):
        check_stages(recipe_of(tmp_path, '[stages.own]\nkind = "{recipe}/my_stage.py:Own"\n', "model.name=x"))


def test_a_users_stage_may_give_numbers_of_numpy_and_must_give_a_folder_that_is_there(tmp_path: Path) -> None:
    text = """
import numpy as np
import r1kit

class Own:
    where: str = ""

    def run(self, workspace):
        metrics = {"x": np.float32(1.5), "of": {"k": [np.int64(3), np.array([1.0, 2.0])]}}
        return r1kit.StageResult(metrics=metrics, checkpoint=self.where or None)
"""
    (tmp_path / "my_stage.py").write_text(text)
    stage = '[stages.own]\nkind = "{recipe}/my_stage.py:Own"\n'
    (tmp_path / "run").mkdir()
    for more in ("", 'where = "nowhere/x"\n'):
        recipe = recipe_of(tmp_path, stage + more, "model.name=x")
        write_manifest(recipe, tmp_path / "run")
        if more:
            with pytest.raises(R1Error, match=r"own: its run gave checkpoint = 'nowhere/x', which is no folder in"):
                run(recipe, tmp_path / "run", Solo(), say=lambda line: None)
        else:
            run(recipe, tmp_path / "run", Solo(), say=lambda line: None)
            found = json.loads((tmp_path / "run" / "01_own" / "result.json").read_text())
            assert found["metrics"] == {"x": 1.5, "of": {"k": [3, [1.0, 2.0]]}}


def test_a_users_stage_may_not_end_the_process(tmp_path: Path) -> None:
    (tmp_path / "my_stage.py").write_text("class Own:\n    def run(self, workspace): raise SystemExit(0)\n")
    recipe = recipe_of(tmp_path, '[stages.own]\nkind = "{recipe}/my_stage.py:Own"\n', "model.name=x")
    (tmp_path / "run").mkdir()
    write_manifest(recipe, tmp_path / "run")
    with pytest.raises(R1Error, match=r"own: my_stage.py:2: SystemExit: 0"):
        run(recipe, tmp_path / "run", Solo())


def test_a_stage_that_left_no_model_is_not_started_from(tmp_path: Path) -> None:
    (tmp_path / "my_stage.py").write_text("class Own:\n    def run(self, workspace): ...\n")
    stages = '[stages.own]\nkind = "{recipe}/my_stage.py:Own"\n[stages.table]\nkind = "evaluate"\n'
    recipe = recipe_of(tmp_path, stages, "model.name=x")
    assert recipe.stages["table"].stages == ("base", "own"), "by what it says of itself, it leaves a model"
    workspace = Workspace(run=tmp_path, stage="table", index=2, recipe=recipe)
    assert [name for name in recipe.stages["table"].stages if workspace.has_model(name)] == ["base"]
    with pytest.raises(R1Error, match=r"table: stage 'own' left no model to start from"):
        workspace.start("own")
