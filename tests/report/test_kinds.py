"""A stage is what its kind says, whatever its name: two of a kind, names of one's own, a kind of one's own."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from chain_folder import line, write_json, write_rl
from rich.console import Console

from r1kit.report.draw.sections import sections
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.run_view import RunView, as_json, read_run
from r1kit.report.terminal import print_status, print_summary

RECIPE = """name = "mine"
[tasks.sums]
kind = "countdown"
[stages.first]
kind = "r1_zero"
steps = 16
[stages.rl_math]
kind = "reasoning_rl"
steps = 16
reward = {language = 0.2}
[stages.rl_code]
kind = "reasoning_rl"
steps = 24
reward = {language = 0.0}
[stages.shrink]
kind = "/home/me/prune.py:Prune"
[stages.judge]
kind = "evaluate"
"""
CHECKPOINTS = {"base": 0.1, "first": 0.5, "rl_math": 0.8, "rl_code": 0.9}
INPUTS = {
    "first": ["Some/Base"], "rl_math": ["first"], "rl_code": ["rl_math"], "shrink": ["rl_code"],
    "judge": ["first", "rl_math", "rl_code"],
}  # fmt: skip


def finish(folder: Path, metrics: object, **more: object) -> None:
    write_json(folder / "result.json", {"seconds": 60.0, "metrics": metrics, "inputs": INPUTS[folder.name[3:]], **more})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    ends = {"first": (0.1, 0.5), "rl_math": (0.5, 0.8), "rl_code": (0.8, 0.9)}
    for number, (name, both) in enumerate(ends.items(), start=1):
        folder = tmp_path / f"{number:02d}_{name}"
        write_rl(folder, 16 if number < 3 else 24, {"sums": both}, (0.9, 0.95))
        finish(folder, {}, checkpoint="x")
    shrink = tmp_path / "04_shrink"
    shrink.mkdir()
    rows = [{"step": step, "seconds": 2.0 * step, "kept_share": 1 - step / 10, "blocks": 3} for step in range(1, 6)]
    (shrink / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (shrink / "notes.log").write_text("cut head 3\ncut head 5\n")
    finish(shrink, {"heads_left": 11, "loss_after": 0.25}, checkpoint="04_shrink/checkpoint")
    finish(tmp_path / "05_judge", {name: {"sums": line("sums", avg)} for name, avg in CHECKPOINTS.items()})
    return tmp_path


@pytest.fixture
def view(run: Path) -> RunView:
    return read_run(RunFolder(run))


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_columns_have_the_alias_or_the_name_where_an_alias_would_occur_twice(view: RunView) -> None:
    (judged,) = view.tables
    assert judged.table.heads == ["base", "R1-Zero", "rl_math", "rl_code"]
    assert view.verdict.startswith("sums avg@8: base .100 → R1-Zero .500 → rl_code .900 [.88, .93].")


MIXED = '[stages.mix]\nkind = "rejection_sampling"\n'


@pytest.mark.parametrize(("before", "called"), [("", "taught"), (MIXED, "Dev3")])
def test_sft_is_dev3_where_it_learns_a_mixture_of_rejection_sampling(tmp_path: Path, before: str, called: str) -> None:
    (tmp_path / "recipe.toml").write_text(f'name = "mine"\n{before}[stages.taught]\nkind = "sft"\n')
    assert RunFolder(tmp_path).alias("taught") == called


def test_both_stages_of_a_kind_have_their_sections(view: RunView) -> None:
    shown = {section.anchor: section for section in sections(view)}
    assert shown["rl_math"].title == "Reasoning RL (rl_math) in detail"
    assert shown["rl_code"].title == "Reasoning RL (rl_code) in detail"
    assert shown["first"].title == "R1-Zero in detail"
    accuracy = text_of(shown["accuracy"].body)
    assert accuracy.index("R1-Zero") < accuracy.index("Reasoning RL (rl_math)") < accuracy.index("RL (rl_code)")
    language = text_of(shown["language"].body)
    assert "Reasoning RL (rl_math) (reward weight 0.2) .900 .950" in language
    assert "Reasoning RL (rl_code) (not rewarded) .900 .950" in language


def test_what_a_stage_left_and_fed_goes_by_kind(view: RunView) -> None:
    nodes = {node.name: node for node in view.lineage}
    assert (nodes["first"].title, nodes["first"].left) == ("R1-Zero", "a model: R1-Zero")
    assert nodes["rl_code"].left == "a model: rl_code"
    assert nodes["rl_code"].sources == ("Reasoning RL (rl_math)",)
    assert (nodes["shrink"].title, nodes["shrink"].left) == ("Shrink", "a model")
    assert nodes["judge"].left == "evaluates 3 checkpoints"
    assert nodes["Some/Base"].outside


def test_the_paper_s_claims_are_about_kinds(view: RunView) -> None:
    claims = {claim.text: claim for claim in view.tables[0].claims}
    assert claims["RL alone teaches the base to reason"].found.startswith("accuracy, base to R1-Zero: +.400")
    assert list(claims) == ["RL alone teaches the base to reason", "R1-Zero mixes languages"]  # nothing else was judged


def test_a_stage_of_a_kind_of_one_s_own_shows_metrics_result_and_logs(view: RunView) -> None:
    (plain,) = view.plain
    assert list(plain.metrics["kept_share"].values) == [0.9, 0.8, 0.7, 0.6, 0.5]
    body = {section.anchor: section for section in sections(view)}["stage-shrink"].body
    shown = text_of(re.sub(r"<script.*?</script>", "", body, flags=re.DOTALL))
    assert "Kind /home/me/prune.py:Prune." in shown
    assert "heads left 11" in shown
    assert "loss after .250" in shown
    assert "Kept share" in shown
    assert "Unchanged at every step: blocks 3" in shown
    assert "cut head 3 cut head 5" in shown
    assert "Kept share" in shown


def test_the_terminal_goes_by_kind_too(run: Path) -> None:
    stream = io.StringIO()
    print_status(run, Console(file=stream, width=100))
    assert re.search(r"rl_math +done +60 s +avg@8 \.500 → \.800", stream.getvalue())
    assert re.search(r"shrink +done +60 s +heads left 11, loss after 0\.25", stream.getvalue())
    assert re.search(r"judge +done +60 s +4 checkpoints", stream.getvalue())
    stream = io.StringIO()
    print_summary(run, Console(file=stream, width=100))
    assert re.search(r"avg@8 +base R1-Zero rl_math rl_code", stream.getvalue())


def test_a_view_is_json_with_what_it_computes(view: RunView) -> None:
    value = json.loads(json.dumps(as_json(view), allow_nan=False))
    assert value["tables"][0]["table"]["heads"] == ["base", "R1-Zero", "rl_math", "rl_code"]
    assert value["tables"][0]["table"]["blocks"][0]["lines"][0]["cells"][3]["value"] == 0.9
    assert value["learned"][1]["comparisons"][0]["changes"][0]["change"] == "+.300"
    assert value["plain"][0]["metrics"]["kept_share"]["steps"] == [1, 2, 3, 4, 5]
    assert as_json({"x": float("nan"), "y": (1, float("inf"))}) == {"x": None, "y": [1, None]}
