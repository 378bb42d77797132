"""The stage table, its shape and the verdict, from files whose numbers are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chain_folder import ACCURACY, CHECKPOINTS, table_line, write_chain

from r1kit.report.draw.filters import cell_text
from r1kit.report.read.claims import claims, difference
from r1kit.report.read.costs import costs
from r1kit.report.read.lineage import lineage
from r1kit.report.read.paper import move
from r1kit.report.read.replies import along, turned
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.run_verdict import chain_verdict
from r1kit.report.read.stage_table import StageTable, stage_tables


def table_of(path: Path) -> StageTable:
    (found,) = stage_tables(RunFolder(path))
    return found


def verdict_of(path: Path) -> str:
    run = RunFolder(path)
    return chain_verdict(run, stage_tables(run)[0])


def judged(values: dict[str, tuple[float, float]], key: str = "avg_at_k", **more: float) -> StageTable:
    """One reasoning task; checkpoint -> value and half of its interval."""
    cells = {
        name: {"sums": {key: value, "interval": [value - half, value + half], **more}}
        for name, (value, half) in values.items()
    }
    return StageTable(cells=cells, preference=())


def test_the_table_holds_what_the_result_says(tmp_path: Path) -> None:
    table = table_of(write_chain(tmp_path / "run"))
    assert table.checkpoints == CHECKPOINTS
    assert table.reasoning == ("countdown", "countdown_hard", "code")
    assert table.replies == ("helpful", "safety", "benign")
    first, *others = table.blocks
    assert (first.title, first.lines[0].name) == ("avg@8", "countdown")
    cells = [cell.value for cell in first.lines[0].cells if cell is not None]
    assert cells == [0.137, 0.906, 0.764, 0.912, 0.843, 0.891]
    assert cell_text(first.lines[0].cells[5], True) == ".891 [.87, .92]"
    assert first.lines[0].best == (3,)
    assert [block.title for block in others] == [
        "cons@8", "worst template", "language consistency", "format", "true summaries", "response length",
    ]  # fmt: skip
    (summaries,) = others[-2].lines  # from Dev1 on there are summaries
    assert [cell and round(cell.value, 2) for cell in summaries.cells] == [None, None, 0.92, 0.93, 0.94, 0.95]
    assert others[-1].lines[0].best == ()  # longer is not better


def test_an_unfinished_evaluation_is_read_from_its_lines(tmp_path: Path) -> None:
    path = write_chain(tmp_path / "run", unfinished=["evaluate"])
    log = path / "11_evaluate" / "eval.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:13]) + '{"checkpoint": "sft", "ta')
    table = table_of(path)
    assert table.checkpoints == ("base", "r1_zero", "cold_start_sft")
    assert table.row("cold_start_sft", "countdown")["avg_at_k"] == ACCURACY["countdown"][2]
    assert verdict_of(path).endswith("(evaluation unfinished)")


def test_the_verdict_goes_from_base_over_r1_zero_to_r1(tmp_path: Path) -> None:
    assert verdict_of(write_chain(tmp_path / "run")) == (
        "countdown avg@8: base .137 → R1-Zero .906 → R1 .891 [.87, .92]; "
        "language consistency base .70 → R1-Zero .58 → R1 .98. "
        "From Dev3 to R1, helpful .59 → .82, safety .69 → .93, benign .70 → .87."
    )


def test_a_small_move_is_not_called_clear(tmp_path: Path) -> None:
    path = write_chain(tmp_path / "run")
    result = json.loads((path / "11_evaluate" / "result.json").read_text())
    result["metrics"]["all_scenarios_rl"]["helpful"] |= {"avg_at_k": 0.6, "interval": [0.57, 0.63]}
    (path / "11_evaluate" / "result.json").write_text(json.dumps(result))
    assert "helpful .59 → .60 (not clear)" in verdict_of(path)


def test_a_difference_adds_the_squares_of_the_intervals() -> None:
    """.3 to .7, halves .03 and .04: half of the difference is .05."""
    found = difference(judged({"base": (0.3, 0.03), "r1_zero": (0.7, 0.04)}), ("sums",), "avg_at_k", "base", "r1_zero")
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.4, 0.35, 0.45))


def test_a_difference_paired_by_problem_is_taken_where_there_is_one() -> None:
    table = judged({"sft": (0.6, 0.1), "all_scenarios_rl": (0.7, 0.1)})
    row = dict(table.row("all_scenarios_rl", "sums"))
    row["change"] = {"from": "sft", "difference": 0.1, "interval": [0.04, 0.17], "problems": 50}
    paired = StageTable(cells={**table.cells, "all_scenarios_rl": {"sums": row}}, preference=("sums",))
    found = difference(paired, ("sums",), "avg_at_k", "sft", "all_scenarios_rl")
    assert found is not None
    assert (found.value, found.high - found.low) == pytest.approx((0.1, 0.13))
    assert difference(paired, ("sums",), "avg_at_k", "base", "all_scenarios_rl") is None
    assert {claim.text: claim.verdict for claim in claims(paired)}["RL for all scenarios moves what is preferred"] == (
        "holds"
    )
    row["change"]["from"] = "reasoning_rl"
    assert {claim.text: claim.verdict for claim in claims(paired)}["RL for all scenarios moves what is preferred"] == (
        "not clear"
    )


def test_a_share_without_an_interval_gets_the_widest() -> None:
    """p = .5 of 100 problems: 1.96 * sqrt(.25 / 100) = .098, twice: times sqrt(2)."""
    table = judged({"base": (0.5, 0), "r1_zero": (0.5, 0)}, key="format_rate", problems=100)
    found = difference(table, ("sums",), "format_rate", "base", "r1_zero")
    assert found is not None
    assert found.high == pytest.approx(0.098 * 2**0.5)
    bare = judged({"base": (0.5, 0), "r1_zero": (0.5, 0)}, key="format_rate")
    assert difference(bare, ("sums",), "format_rate", "base", "r1_zero") is None


@pytest.mark.parametrize(("dev1", "verdict"), [(0.80, "holds"), (0.895, "not clear"), (0.97, "does not hold")])
def test_a_claim_holds_only_when_the_interval_says_so(dev1: float, verdict: str) -> None:
    found = {claim.text: claim for claim in claims(judged({"r1_zero": (0.9, 0.02), "cold_start_sft": (dev1, 0.02)}))}
    check = found["cold start costs reasoning"]
    assert check.verdict == verdict
    assert check.paper == "AIME 2024 pass@1 77.9 → 59.0"


@pytest.mark.parametrize(("last", "verdict"), [(0.88, "holds"), (0.86, "not clear"), (0.75, "does not hold")])
def test_reasoning_is_kept_within_a_margin(last: float, verdict: str) -> None:
    table = judged({"sft": (0.88, 0.02), "all_scenarios_rl": (last, 0.03)})
    assert {claim.text: claim.verdict for claim in claims(table)}["and costs no reasoning"] == verdict


def test_only_what_was_judged_is_claimed() -> None:
    assert claims(judged({"base": (0.1, 0.02), "sft": (0.5, 0.02)})) == []
    assert move("ArenaHard", "Dev3", "R1") == "ArenaHard 75.6 → 92.3"


def test_costs_add_up(tmp_path: Path) -> None:
    found = costs(RunFolder(write_chain(tmp_path / "run")))
    assert [cost.name for cost in found][-2:] == ["Evaluation", "total"]
    assert found[1].amounts == (2e6, 6e5, 2e4, 2e11, 1e9)
    assert found[-1].amounts == (66e6, 198e5, 22e4, 66e11, 11e9)
    assert found[-1].seconds == pytest.approx(903)


def test_samples_of_other_templates_are_not_shown(tmp_path: Path) -> None:
    stage = RunFolder(write_chain(tmp_path / "run")).stage("evaluate")
    assert stage is not None
    found = along(stage.rollouts, ("base", "r1_zero", "all_scenarios_rl"))
    assert [replies["base"].prompt_id for replies in found] == ["countdown/test/0", "code/test/0", "helpful/test/0"]
    assert found[0]["base"].completion.startswith("try 11")
    pair = turned(stage.rollouts, "base", "all_scenarios_rl")
    assert pair is not None
    assert (pair.before.step, pair.after.step) == (0, 5)


def test_the_lineage_says_what_fed_each_stage_and_what_it_left(tmp_path: Path) -> None:
    nodes = {node.name: node for node in lineage(RunFolder(write_chain(tmp_path / "run")))}
    assert (nodes["cold_start"].left, nodes["cold_start"].state) == ("296 samples", "28 s")
    assert (nodes["distill"].left, nodes["distill"].state) == ("3 students", "2 min 11 s")
    assert nodes["evaluate"].left == "evaluates 6 checkpoints"
    assert nodes["cold_start_sft"].left == "a model: Dev1"
    assert nodes["cold_start_sft"].sources == ("Pretraining", "Cold start")


def test_table_lines_know_the_worst_template() -> None:
    assert table_line("countdown", 1)["worst_template"] == 0.752


def test_the_table_has_a_line_for_each_limit_that_was_measured() -> None:
    def row(avg: float, korean: float, **more: object) -> dict[str, object]:
        spoken = {"en": {"language_consistency": 0.9}, "ko": {"language_consistency": korean}, "zh": {}}
        return {"avg_at_k": avg, "k": 8, "problems": 4, "by_language": spoken, **more}

    prompts = {"worst_template": 0.2, "mean_template": 0.5, "template_spread": 0.6}
    cells = {
        "base": {"countdown": row(0.4, 0.5)},
        "r1_zero": {"countdown": row(0.8, 0.1, **prompts, easy_tokens=61.5, few_shot={"avg_at_k": 0.7})},
    }
    blocks = {block.title: block for block in StageTable(cells=cells, preference=()).blocks}
    assert [line.name for line in blocks["by language"].lines] == ["countdown, en", "countdown, ko"]
    assert [cell and cell.value for cell in blocks["by language"].lines[1].cells] == [0.5, 0.1]
    for title, value in (("mean template", 0.5), ("template spread", 0.6), ("few-shot", 0.7)):
        (line,) = blocks[title].lines
        assert [cell and cell.value for cell in line.cells] == [None, value]
    (easy,) = blocks["tokens of a solved easy problem"].lines
    assert (easy.is_share, easy.best, easy.cells[0]) == (False, (), None)
    one_language = {"base": {"countdown": row(0.4, 0.5) | {"by_language": {"en": {"language_consistency": 0.9}}}}}
    assert "by language" not in {block.title for block in StageTable(cells=one_language, preference=()).blocks}
