"""The commands that take a model, on every stage of the whole chain."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from r1kit.checkpoint.source import check_model, resolve_model
from r1kit.cli import app
from r1kit.commands.arguments import named_task, open_subject
from r1kit.contracts import Recipe
from r1kit.errors import InputError
from r1kit.stages import STAGES


def r1(*arguments: object) -> str:
    return CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False).output


NOT_IN_NANO = ("ppo", "prm", "mcts", "probe")
WITHOUT = [stage for stage, kind in STAGES.items() if kind.leaves != "a model" and stage not in NOT_IN_NANO]


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage not in (*WITHOUT, "distill", *NOT_IN_NANO)])
def test_a_stage_s_model(chain_folder: Path, stage: str) -> None:
    folder = resolve_model(f"{chain_folder}:{stage}")
    assert (folder.name, folder.parent.name[3:]) == ("checkpoint", stage)
    assert open_subject(f"{chain_folder}:{stage}").sampling.max_tokens == (256 if stage == "r1_zero" else 200)


def test_a_student_s_models(chain_folder: Path) -> None:
    stage = chain_folder / "10_distill"
    for name, part in (
        ("distill", "llama-s/distilled"),
        ("distill/llama-s", "llama-s/distilled"),
        ("distill/qwen-s", "qwen-s/distilled"),
        ("distill/llama-s/base", "llama-s/base"),
        ("distill/llama-s/rl", "llama-s/rl"),
    ):
        assert resolve_model(f"{chain_folder}:{name}") == stage / part / "checkpoint"
        subject = open_subject(f"{chain_folder}:{name}")
        assert (subject.reward.format_style, subject.sampling.max_tokens) == ("think_summary", 11)


@pytest.mark.parametrize("stage", WITHOUT)
def test_a_stage_without_a_model_names_those_that_have_one(chain_folder: Path, stage: str) -> None:
    named = (
        f"stage '{stage}' of {chain_folder} makes no model; stages with a checkpoint are pretrain, r1_zero, "
        "cold_start_sft, reasoning_rl, sft, all_scenarios_rl, distill."
    )
    for command in (["eval", "--task", "countdown"], ["chat", "--once", "hello"], ["export", "--to", "out"]):
        error = CliRunner().invoke(app, [command[0], f"{chain_folder}:{stage}", *command[1:]]).exception
        assert isinstance(error, InputError)
        assert str(error) == named


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("distill/lama-s", "models of stage 'distill' are distill/llama-s, distill/qwen-s, each with /base, "),
        ("distill/qwen-s/rl", "has no model 'distill/qwen-s/rl'"),
        ("distil", "Did you mean 'distill'?"),
        ("reward_models/safety", "makes no model"),
    ],
)
def test_a_model_that_is_not_there(chain_folder: Path, name: str, told: str) -> None:
    with pytest.raises(InputError) as raised:
        check_model(f"{chain_folder}:{name}")
    assert told in str(raised.value)


def test_a_student_is_judged_and_exported(chain_folder: Path, tmp_path: Path) -> None:
    said = r1("eval", f"{chain_folder}:distill/llama-s", "--task", "general", "--k", 1, "--limit", 1)
    assert "on general (test): 1 problems x 1, temperature 0.6, top-p 0.95, at most 11 tokens" in said
    r1("export", f"{chain_folder}:distill/llama-s/rl", "--to", tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "# nano: distill/llama-s/rl\n\nStudents by SFT alone" in card
    assert "| countdown |  | 4 | 0.250 |" in card
    assert "[stages.distill.students.llama-s.model]" in card


def test_every_kind_of_task_by_name() -> None:
    none = Recipe(name="none")
    assert named_task("general", none) == ("general", ("general", {}))
    assert named_task("code/list_ops", none) == ("code", ("code/list_ops", {}))
    assert named_task("code/mbpp/a/b.jsonl", none).spec.table["path"] == "a/b.jsonl"
    with pytest.raises(InputError, match=r"code reads a file; write code/FILE\.jsonl"):
        named_task("code", none)
    with pytest.raises(InputError, match=r"a task is countdown, general, code/list_ops, structured/forms, turns, "):
        named_task("code/x", none)
