"""The page of a chain: its numbers come from the files, and a stage that did not run has no section."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from chain_folder import STAGES, write_chain
from rich.console import Console

from r1kit.errors import InputError
from r1kit.report.draw.sections import sections
from r1kit.report.page import write_report
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.run_view import read_run
from r1kit.report.terminal import print_status, print_summary

SECTIONS = [
    "stages", "lineage", "accuracy", "length", "language", "through", "factory", "reward-models", "gold",
    "distillation", "aha", "cost", "r1_zero", "reasoning_rl", "all_scenarios_rl", "settings", "machine",
]  # fmt: skip


def words(body: str) -> str:
    """What a reader reads of a table."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)).strip()


def build(path: Path, without: Path | None = None) -> dict[str, str]:
    """Anchor -> HTML of each section."""
    run = read_run(RunFolder(path), RunFolder(without) if without else None)
    return {section.anchor: section.body for section in sections(run)}


def change(path: Path, edit: dict[str, Any]) -> None:
    """Replace metrics of a result."""
    result = json.loads(path.read_text())
    result["metrics"] |= edit
    path.write_text(json.dumps(result))


def terminal(path: Path, show: Any, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="strict")
    show(path, Console(file=stream, width=80))
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_every_section_is_there_in_order(tmp_path: Path) -> None:
    assert list(build(write_chain(tmp_path / "run"))) == SECTIONS


@pytest.mark.parametrize(
    ("stage", "gone"),
    [
        ("cold_start", []),
        ("reward_models", ["reward-models"]),
        ("all_scenarios_rl", ["gold", "all_scenarios_rl"]),
        ("distill", ["distillation"]),
        ("evaluate", ["stages", "through"]),
    ],
)
def test_a_stage_that_did_not_run_has_no_section(tmp_path: Path, stage: str, gone: list[str]) -> None:
    path = write_chain(tmp_path / "run", leave_out=[stage])
    assert list(build(path)) == [name for name in SECTIONS if name not in gone]


def test_the_factory_s_numbers_are_the_card_s(tmp_path: Path) -> None:
    path = write_chain(tmp_path / "run")
    text = words(build(path)["factory"])
    assert "296 samples of 57.3 tokens on average; language consistency .603 as sampled, .991 as kept" in text
    assert "language 301 .60 47% 30 .61 47%" in text
    assert "left out after the checks: duplicate 17, over keep 5" in text
    assert "countdown 1,403 66.0 1.0" in text
    assert "math 395,285 6,094.2 1.0" in text  # the paper's
    assert "language by rules (2 words); summary by rules" in text
    assert text.index("试 11 + 8") < text.index("try 11 + 8 = 19 low")
    card = json.loads((path / "03_cold_start" / "card.json").read_text())
    card["yields"]["r1_zero"]["left"]["language"] = 97
    (path / "03_cold_start" / "card.json").write_text(json.dumps(card))
    assert "language 97 .19 15%" in words(build(path)["factory"])


def test_reward_models_and_gold(tmp_path: Path) -> None:
    path = write_chain(tmp_path / "run")
    assert "helpfulness .921 [.88, .95] .037 101 912" in words(build(path)["reward-models"])
    assert "too short .810 81% 25" in words(build(path)["reward-models"])
    gold = build(path)["gold"]
    assert "helpful: score -0.2 → 1.4, gold .59 → .82 from step 0 to 40." in words(gold)
    assert "preference rewards begin" in gold
    assert "stopped at" not in gold
    change(path / "09_all_scenarios_rl" / "result.json", {"stopped_at": 32})
    gold = build(path)["gold"]
    assert "stopped at step 32" in gold
    assert "reward hacking" in gold


def test_students_and_their_difference(tmp_path: Path) -> None:
    path = write_chain(tmp_path / "run")
    text = words(build(path)["distillation"])
    assert "llama-s, 131,072 parameters base .052 [.03, .08] .122 distilled .681 [.66, .71] .751 2.10e+11" in text
    assert "RL, at the cost of its SFT .412 [.39, .44] .482 2.10e+11 17" in text
    assert "llama-s on countdown, RL at the cost of its SFT: +.269 [+.22, +.32], distilling is better" in text
    assert "R1-Distill-Qwen-32B 72.6 83.3 94.3 62.1 57.2" in text
    row = json.loads((path / "10_distill" / "result.json").read_text())["metrics"]["llama-s"]
    row["distilled_minus_rl"] = {"sft": {"countdown": {"difference": -0.01, "interval": [-0.05, 0.03]}}}
    change(path / "10_distill" / "result.json", {"llama-s": row})
    assert "−.010 [−.05, +.03], not clear" in words(build(path)["distillation"])


def test_the_run_without_the_language_reward_is_drawn_beside(tmp_path: Path) -> None:
    path = write_chain(tmp_path / "run")
    assert "Reasoning RL (reward weight 0.2) .946 .973 .705 .820" in words(build(path)["language"])
    assert "Reasoning RL (not rewarded)" not in build(path)["language"]
    other = write_chain(tmp_path / "other")
    assert "Reasoning RL (not rewarded)" not in build(path, other)["language"]  # it had the reward too
    recipe = (other / "recipe.toml").read_text().replace(", language = 0.2", "")
    (other / "recipe.toml").write_text(recipe)
    log = other / "05_reasoning_rl" / "eval.jsonl"
    log.write_text(log.read_text().replace('"language_consistency": 0.973', '"language_consistency": 0.811'))
    assert "Reasoning RL (not rewarded) .946 .811 .705 .820" in words(build(path, other)["language"])
    with pytest.raises(InputError):
        write_report(path, tmp_path / "missing")


def test_a_page_that_cannot_be_replaced_is_one_line(tmp_path: Path) -> None:
    (write_chain(tmp_path / "run") / "report.html").mkdir()
    with pytest.raises(InputError, match="it is a folder; name a file"):
        write_report(tmp_path / "run")


def test_the_page_is_whole_and_fetches_nothing(tmp_path: Path) -> None:
    text = write_report(write_chain(tmp_path / "run")).read_text(encoding="utf-8")
    text = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert "http:" not in text
    assert "https:" not in text
    assert not re.search(r"<(?:link|img|iframe|object|embed|base)\b|\ssrc=", text)
    assert "<h1>nano: from base to R1</h1>" in text
    drawn = re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    assert len(drawn) > 12
    assert all(json.loads(figure)["data"] for figure in drawn)
    table = words(text[text.index('id="stages"') : text.index('id="lineage"')])
    assert "countdown .137 [.11, .16] .906 [.88, .93] .764 [.74, .79]" in table
    assert "AIME 2024 pass@1 77.9 59.0 74.0 78.1 79.8" in table
    assert "cold start costs reasoning holds" in table
    cost = words(text[text.index('id="cost"') : text.index('id="r1_zero"')])
    assert "R1-Zero 2 min 31 s 17% 2 M 600 k 20 k 200 G 1 G 3%" in cost
    assert "total 15 min 03 s 100% 66 M 19.8 M 220 k 6.6 T 11 G 100%" in cost


def test_torn_and_odd_files_do_not_matter(tmp_path: Path) -> None:
    path = write_chain(tmp_path / "run")
    for file in [*path.glob("*/*.jsonl"), *path.glob("*/card.json")]:
        file.write_text(file.read_text()[:-40])
    odd: list[Any] = [
        {},
        {"metrics": 3},
        {"metrics": {"countdown": []}},
        {"metrics": {"base": {"countdown": 1}}, "cost": 7},
    ]
    for number, name in enumerate(STAGES):
        (path / f"{number + 1:02d}_{name}" / "result.json").write_text(json.dumps(odd[number % 4]))
    assert build(path)
    for result in path.glob("*/result.json"):
        result.write_text('{"metrics": {"base": {"count')
    assert build(path)
    assert "R1-Zero" in terminal(path, print_summary)
    assert "reasoning_rl" in terminal(path, print_status)


def test_the_summary_of_a_chain_fits_the_terminal(tmp_path: Path) -> None:
    path = write_chain(tmp_path / "run")
    (path / "report.html").write_text("")
    text = terminal(path, print_summary)
    assert all(len(line) <= 80 for line in text.splitlines() if "report.html" not in line)
    assert re.search(r"avg@8 +base R1-Zero +Dev1 +Dev2 +Dev3 +R1\n", text)
    assert re.search(r"countdown +\.14±\.03 +\.91±\.03 +\.76±\.03 +\.91±\.03 +\.84±\.03 +\.89±\.03\n", text)
    assert re.search(r"language consistency +\.70 +\.58 +\.95 +\.97 +\.98 +\.98\n", text)
    assert "Accuracy on countdown" in text
    assert "Tokens in a response" in text
    assert "base: wrong, 14 tokens" in text
    assert "R1: right, 41 tokens" in text
    assert text.rstrip().endswith("report.html")
    plain = terminal(path, print_summary, "ascii")
    assert ".14~.03" in plain
    assert all(len(line) <= 80 for line in plain.splitlines() if "report.html" not in line)


def test_the_status_says_what_each_stage_left(tmp_path: Path) -> None:
    text = terminal(write_chain(tmp_path / "run"), print_status)
    assert re.search(r"cold_start +done +28 s +296 samples", text)
    assert re.search(r"reward_models +done +22 s +helpfulness \.921, safety \.968", text)
    assert re.search(r"evaluate +done +66 s +6 checkpoints", text)
