"""The stage table, its shape and the verdict, from files whose numbers are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chain_folder import ACCURACY, CHECKPOINTS, table_line, write_chain

from r1kit.report.chain import StageTable, blocks, cell_text, chain_verdict, stage_table
from r1kit.report.costs import costs
from r1kit.report.lineage import lineage_svg, nodes
from r1kit.report.paper import move
from r1kit.report.run_folder import RunFolder
from r1kit.report.samples import along, turned
from r1kit.report.shape import difference, shape


def table_of(path: Path) -> StageTable:
    found = stage_table(RunFolder(path))
    assert found is not None
    return found


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
    first = blocks(table)[0]
    assert (first.title, first.lines[0].name) == ("avg@8", "countdown")
    assert [cell_text(first.lines[0], at)[0] for at in range(6)] == [".137", ".906", ".764", ".912", ".843", ".891"]
    assert cell_text(first.lines[0], 5) == (".891", "[.87, .92]")
    assert first.lines[0].best == {3}
    assert [block.title for block in blocks(table)[1:]] == [
        "cons@8", "worst template", "language consistency", "format", "response length",
    ]  # fmt: skip
    assert blocks(table)[-1].lines[0].best == frozenset()  # longer is not better


def test_an_unfinished_evaluation_is_read_from_its_lines(tmp_path: Path) -> None:
    path = write_chain(tmp_path / "run", unfinished=["evaluate"])
    log = path / "11_evaluate" / "eval.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:13]) + '{"checkpoint": "sft", "ta')
    table = table_of(path)
    assert table.checkpoints == ("base", "r1_zero", "cold_start_sft")
    assert table.row("cold_start_sft", "countdown")["avg_at_k"] == ACCURACY["countdown"][2]
    assert chain_verdict(RunFolder(path)).endswith("(evaluation unfinished)")


def test_the_verdict_goes_from_base_over_r1_zero_to_r1(tmp_path: Path) -> None:
    assert chain_verdict(RunFolder(write_chain(tmp_path / "run"))) == (
        "countdown avg@8: base .137 → R1-Zero .906 → R1 .891 [.87, .92]; "
        "language consistency base .70 → R1-Zero .58 → R1 .98. "
        "From Dev3 to R1, helpful .59 → .82, safety .69 → .93, benign .70 → .87."
    )


def test_a_small_move_is_not_called_clear(tmp_path: Path) -> None:
    path = write_chain(tmp_path / "run")
    result = json.loads((path / "11_evaluate" / "result.json").read_text())
    result["metrics"]["all_scenarios_rl"]["helpful"] |= {"avg_at_k": 0.6, "interval": [0.57, 0.63]}
    (path / "11_evaluate" / "result.json").write_text(json.dumps(result))
    assert "helpful .59 → .60 (not clear)" in chain_verdict(RunFolder(path))


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
    assert {check.claim: check.verdict for check in shape(paired)}["RL for all scenarios moves what is preferred"] == (
        "holds"
    )
    row["change"]["from"] = "reasoning_rl"
    assert {check.claim: check.verdict for check in shape(paired)}["RL for all scenarios moves what is preferred"] == (
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
    found = {check.claim: check for check in shape(judged({"r1_zero": (0.9, 0.02), "cold_start_sft": (dev1, 0.02)}))}
    check = found["cold start costs reasoning"]
    assert check.verdict == verdict
    assert check.paper == "AIME 2024 pass@1 77.9 → 59.0"


@pytest.mark.parametrize(("last", "verdict"), [(0.88, "holds"), (0.86, "not clear"), (0.75, "does not hold")])
def test_reasoning_is_kept_within_a_margin(last: float, verdict: str) -> None:
    table = judged({"sft": (0.88, 0.02), "all_scenarios_rl": (last, 0.03)})
    assert {check.claim: check.verdict for check in shape(table)}["and costs no reasoning"] == verdict


def test_only_what_was_judged_is_claimed() -> None:
    assert shape(judged({"base": (0.1, 0.02), "sft": (0.5, 0.02)})) == []
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
    found = along(stage, ("base", "r1_zero", "all_scenarios_rl"))
    assert [rows["base"]["prompt_id"] for rows in found] == ["countdown/test/0", "code/test/0", "helpful/test/0"]
    assert found[0]["base"]["completion"].startswith("try 11")
    pair = turned(stage, "base", "all_scenarios_rl")
    assert pair is not None
    assert (pair.before["step"], pair.after["step"]) == (0, 5)


def test_the_lineage_is_wrapped_and_says_what_each_left(tmp_path: Path) -> None:
    run = RunFolder(write_chain(tmp_path / "run"))
    lines = {node.name: node.lines for node in nodes(run)}
    assert lines["cold_start"] == ("296 samples", "28 s")
    assert lines["distill"] == ("3 students", "2 min 11 s")
    assert lines["evaluate"] == ("judges 6 checkpoints", "66 s")
    drawn = lineage_svg(nodes(run))
    assert 'width="1002"' in drawn
    assert drawn.count("<path d=") - 1 == 13  # a box of six inputs has one arrow; one path is the arrow head


def test_table_lines_know_the_worst_template() -> None:
    assert table_line("countdown", 1)["worst_template"] == 0.752
