"""Which stage of a run has a queue, what becomes of decisions, and what the stage's rules say of an edit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from reviewing import answered, waiting_run

from r1kit.errors import InputError, MissingError, R1Error
from r1kit.factory.review import Decision
from r1kit.factory.review_rules import form_fault
from r1kit.factory.review_run import open_queue
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.status import run_status


def empty(run: Path) -> None:
    shutil.rmtree(run / "03_cold_start")


def two(run: Path) -> None:
    shutil.copytree(run / "03_cold_start", run / "12_more")


def no_run(run: Path) -> None:
    (run / "recipe.toml").unlink()


@pytest.mark.parametrize(
    ("change", "stage", "kind", "told"),
    [
        (shutil.rmtree, "", InputError, r"^no run folder at '.*run'; give the folder that"),
        (no_run, "", InputError, r"run' is no run folder: it holds no recipe.toml"),
        (empty, "", MissingError, r"no queue to review yet: stage cold_start makes it, .*cold_start.review=human"),
        (empty, "sft", InputError, r"sft has no queue, and a stage of kind sft makes none; cold_start does"),
        (empty, "cold_strat", InputError, r"no stage 'cold_strat'; .*: none yet. Did you mean 'cold_start'"),
        (two, "", InputError, r"run has several queues: cold_start, more; choose one with --stage cold_start"),
    ],
)  # fmt: skip
def test_a_run_without_the_queue(
    tmp_path: Path, change: Callable[[Path], None], stage: str, kind: type[R1Error], told: str
) -> None:
    run = waiting_run(tmp_path / "run")
    change(run)
    with pytest.raises(kind, match=told):
        open_queue(run, stage)


def test_a_command_to_copy_names_a_folder_with_spaces(tmp_path: Path) -> None:
    run = waiting_run(tmp_path / "mein Lauf")
    empty(run)
    with pytest.raises(MissingError, match=r"r1 run '\S+/mein Lauf/recipe.toml' --out '\S+/mein Lauf' --set"):
        open_queue(run)


def test_a_stage_is_chosen_and_one_that_is_moved_aside_is_passed_over(tmp_path: Path) -> None:
    run = waiting_run(tmp_path / "run")
    shutil.copytree(run / "03_cold_start", run / "03_cold_start.before-1")
    assert open_queue(run).stage == "cold_start"
    two(run)
    other = open_queue(run, "more")
    assert other.stage == "more"
    assert other.rules is None
    assert "its rules are not known" in other.told


def test_a_recipe_of_another_version_leaves_the_queue_usable(tmp_path: Path) -> None:
    run = waiting_run(tmp_path / "run")
    (run / "recipe.toml").write_text("novel = 1\n" + (run / "recipe.toml").read_text())
    found = open_queue(run)
    assert found.rules is None
    assert "its recipe cannot be read, so edits are not checked: " in found.told
    assert len(found.file.items()) == 4


def test_what_comes_of_decisions(tmp_path: Path) -> None:
    run = waiting_run(tmp_path / "run")
    found = open_queue(run)

    def standing() -> str:
        return found.standing(list(found.file.items().values()))

    assert standing() == "cold_start waits for 4 of 4 decisions."
    for identity in list(found.file.items()):
        found.file.decide(identity, Decision(status="accepted", by="ann"))
    assert standing().startswith("Enough is decided: the run goes on with r1 run ")
    (run / "03_cold_start" / "result.json").write_text("{}")
    assert standing() == "cold_start is done."
    found.file.undo("ann")
    assert standing().endswith("--set cold_start.review_least=N")


def test_a_question_is_found_again_by_its_number_and_only_if_it_is_the_same(tmp_path: Path) -> None:
    found = open_queue(waiting_run(tmp_path / "run"))
    assert found.rules is not None
    sample = next(iter(found.file.items().values())).sample
    prompt = found.rules.prompt(sample)
    assert prompt is not None
    assert (prompt.question, answered(prompt.answer or "")) == (sample.prompt, sample.response)
    other = open_queue(waiting_run(tmp_path / "other", prompt="another question"))
    assert other.rules is not None
    stranger = next(iter(other.file.items().values())).sample
    verdict = other.rules.judge(stranger, stranger.response)
    assert (verdict.fault, verdict.right) == ("", None)
    assert verdict.told == "not judged: the tasks of this run have this question no more"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<think> a </think> so <answer> 5 </answer>", ""),
        ("<think> a so <answer> 5 </answer>", "each tag stands once, but </think> 0 times"),
        ("<think> a </think> <think> <answer> 5 </answer>", "each tag stands once, but <think> 2 times"),
        ("<think> a </think> so <answer> </answer>", "nothing stands between <answer> and </answer>"),
        ("<think> </think> so <answer> 5 </answer>", "nothing stands between <think> and </think>"),
        ("<answer> 5 </answer> <think> a </think>", "the form is <think> ... </think> summary <answer> ... </answer>"),
        ("<think> a </think> so <answer> 5 </answer> more", "the form is <think> ... </think> summary"),
    ],
)
def test_what_a_form_lacks_is_said(text: str, told: str) -> None:
    fault = form_fault(text, "think_summary")
    assert fault.startswith(told) if told else not fault


def test_the_status_says_for_whom_a_stage_waits(tmp_path: Path) -> None:
    run = waiting_run(tmp_path / "run")

    def reached() -> str:
        return next(stage.reached for stage in run_status(RunFolder(run), now=0.0).stages if stage.name == "cold_start")

    assert reached() == "4 of 4 samples wait for people: r1 review"
    queue = open_queue(run).file
    queue.decide(next(iter(queue.items())), Decision(status="accepted", by="ann"))
    assert reached() == "3 of 4 samples wait for people: r1 review"
    queue.path.write_text(queue.path.read_text().replace('"pending"', '"pendign"', 1))
    assert "review.jsonl:1: status 'pendign' is unknown" in reached()
