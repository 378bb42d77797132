"""The index of rollouts: the same answers as a filter over the lines themselves, whatever happens to the logs."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from r1kit.errors import InputError
from r1kit.report.index import build, rollout_index, store
from r1kit.report.index.entry import entry_of, holds, language_of, words
from r1kit.report.index.filters import Filter, filter_of
from r1kit.report.index.rollout_index import PAGE, RolloutIndex

TEXTS = (
    "<think> try 12 + 5 = 17 low wait 12 * 5 = 60 yes </think> <answer> 12*5 </answer>",
    "试 12 + 5 = 17 小了 等等 答 60",
    "Wait, that's wrong: 3\u20284 = 1 ' \" ; DROP", "попробуем ещё раз 17", "", "12 12 12", "half \ud800 of a pair",
)  # fmt: skip


def random_row(rng: random.Random) -> dict[str, Any]:
    task = rng.choice(["countdown", "reasoning_gym/chain_sum"])
    row: dict[str, Any] = {
        "step": rng.randrange(6),
        "kind": rng.choice(["train", "evaluation"]),
        "prompt_id": f"{task}/dev/{rng.randrange(4)}",
        "prompt": f"use {rng.randrange(4)} make 17",
        "completion": rng.choice(TEXTS) + rng.choice(TEXTS),
        "tokens": rng.choice([7, 12, 30, 200]),
        "finish": rng.choice(["stop", "length"]),
        "reward": rng.choice([0.0, 0.2, 1.2]),
        "parts": rng.choice([{"accuracy": 1.0, "format": 0.5}, {"accuracy": 0.0, "f'\"x": -1.0}, {}]),
        "status": rng.choice(["ok", "timeout"]),
        "version": 1,
    }
    return row | rng.choice([{}, {"cause": "my.py:3: KeyError: 'A'"}, {"checkpoint": "r1_zero"}, {"advantage": 0.5}])


def write(path: Path, rows: list[dict[str, Any]], mode: str = "w") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open(mode, encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two stages, one with a part; 700 rollouts."""
    (tmp_path / "recipe.toml").write_text('name = "r"\n')
    rng = random.Random(5)
    for name, count in (("01_pretrain", 30), ("02_r1_zero", 620), ("10_distill/s/rl", 50)):
        write(tmp_path / name / "rollouts.jsonl", [random_row(rng) for _ in range(count)])
    return tmp_path


@pytest.fixture
def opened(run: Path) -> Iterator[RolloutIndex]:
    index = RolloutIndex(run)
    index.catch_up()
    yield index
    index.close()


def lines(run: Path) -> list[tuple[str, dict[str, Any]]]:
    """(stage, object) of all logs in order."""
    return [
        (log.stage, json.loads(line))
        for log in build.logs_of(run)
        for line in log.path.read_text(encoding="utf-8").split("\n")
        if line
    ]


def completions(index: RolloutIndex, asked: Filter, order: str = "oldest") -> list[str]:
    """Of every page, read off the log."""
    first = index.page(asked, order)
    found = list(first.rollouts)
    for page in range(2, -(-first.total // PAGE) + 1):
        found += index.page(asked, order, page, first.upto).rollouts
    assert len({one["id"] for one in found}) == len(found) == first.total
    return [json.dumps(index.line(one), sort_keys=True) for one in found]


CASES: dict[str, tuple[dict[str, str], Callable[[str, dict[str, Any]], bool]]] = {
    "everything": ({}, lambda stage, row: True),
    "stage": ({"stage": "distill"}, lambda stage, row: stage == "distill"),
    "task": ({"task": "reasoning_gym/chain_sum"}, lambda stage, row: row["prompt_id"].startswith("reasoning_gym/")),
    "steps": ({"step_from": "2", "step_to": "3"}, lambda stage, row: 2 <= row["step"] <= 3),
    "right": ({"right": "yes"}, lambda stage, row: row["parts"].get("accuracy") == 1.0),
    "ungraded": ({"right": "ungraded"}, lambda stage, row: "accuracy" not in row["parts"]),
    "a part": ({"part": "format"}, lambda stage, row: "format" in row["parts"]),
    "a part's value": (
        {"part": "f'\"x", "part_from": "-2", "part_to": "-0.5"},
        lambda stage, row: -2 <= row["parts"].get("f'\"x", 9) <= -0.5,
    ),
    "length": (
        {"tokens_from": "8", "tokens_to": "30"},
        lambda stage, row: 8 <= row["tokens"] <= 30,
    ),
    "language": ({"language": "Cyrillic"}, lambda stage, row: language_of(row["completion"]) == "Cyrillic"),
    "cause": ({"cause": "keyerror: 'a"}, lambda stage, row: "cause" in row),
    "model": ({"model": "r1_zero"}, lambda stage, row: row.get("checkpoint") == "r1_zero"),
    "words": ({"text": "WAIT 12*5"}, lambda stage, row: "wait 12 * 5" in row["completion"]),
    "the beginning of a word": ({"text": "17 小"}, lambda stage, row: "17 小" in row["completion"]),
    "words of the prompt": ({"text": "use 3 mak"}, lambda stage, row: row["prompt"].startswith("use 3")),
    "a sign of SQL": ({"text": "' \" ; drop"}, lambda stage, row: "DROP" in row["completion"]),
    "several": (
        {"text": "试", "stage": "r1_zero", "right": "no", "status": "timeout", "finish": "stop", "kind": "train"},
        lambda stage, row: (
            "试" in row["completion"]
            and (stage, row["status"], row["finish"], row["kind"]) == ("r1_zero", "timeout", "stop", "train")
            and row["parts"].get("accuracy") == 0.0
        ),
    ),
}


@pytest.mark.parametrize("fts", [True, False], ids=["fts5", "without"])
def test_the_index_finds_what_a_filter_over_the_lines_finds(
    run: Path, fts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not fts:
        monkeypatch.setattr(build, "words_table", lambda connection, log: "")
    index = RolloutIndex(run)
    index.catch_up()
    for name, (asked, wanted) in CASES.items():
        expected = [json.dumps(row, sort_keys=True) for stage, row in lines(run) if wanted(stage, row)]
        assert sorted(completions(index, filter_of(asked))) == sorted(expected), name
        assert 0 < len(expected) <= 700, name
    index.close()


def test_orders(opened: RolloutIndex) -> None:
    for order, key, falls in (("-reward", "reward", False), ("longest", "tokens", True), ("newest", "place", True)):
        values = [one[key] for page in (1, 2, 3) for one in opened.page(Filter(), order, page).rollouts]
        assert values == sorted(values, reverse=falls)


def test_a_page_past_the_end_is_the_last(opened: RolloutIndex) -> None:
    assert (opened.page(Filter(), page=99).page, len(opened.page(Filter(), page=99).rollouts)) == (14, PAGE)
    assert opened.page(Filter(stage="nowhere")).total == 0


def test_a_group_and_a_prompt_over_steps(tmp_path: Path) -> None:
    def row(step: int, prompt: str, reward: float) -> dict[str, Any]:
        return {"step": step, "kind": "train", "prompt_id": prompt, "completion": "c", "reward": reward, "tokens": 2}

    rewards = {(0, "a"): (1, 0), (0, "b"): (0, 0), (4, "a"): (1, 1), (9, "a"): (1, 0.5)}
    write(
        tmp_path / "01_zero" / "rollouts.jsonl", [row(*key, value) for key, pair in rewards.items() for value in pair]
    )
    index = RolloutIndex(tmp_path)
    index.catch_up()
    found = index.page(Filter(), "oldest").rollouts
    assert [one["reward"] for one in index.group(found[5]["id"])] == [1, 1]
    steps = index.over_steps(found[4]["id"])
    assert [(one["step"], one["n"], one["mean_reward"]) for one in steps] == [(0, 2, 0.5), (4, 2, 1.0), (9, 2, 0.75)]
    index.close()


def test_facets(opened: RolloutIndex, run: Path) -> None:
    found = opened.facets()
    counted = {stage: sum(name == stage for name, _ in lines(run)) for stage in ("pretrain", "r1_zero", "distill")}
    assert {one["value"]: one["count"] for one in found["stage"]} == counted
    assert (found["steps"], found["tokens"]) == ([0, 5], [7, 200])
    assert {"name": "f'\"x", "low": -1.0, "high": -1.0} in found["parts"]


# ---- what happens to logs ------------------------------------------------------------------------------------------


def both(run: Path, index: RolloutIndex) -> tuple[list[str], list[str]]:
    index.catch_up()
    return sorted(completions(index, Filter())), sorted(json.dumps(row, sort_keys=True) for _, row in lines(run))


def test_a_log_that_grows_is_cut_back_replaced_and_removed(run: Path, opened: RolloutIndex) -> None:
    log, rng = run / "02_r1_zero" / "rollouts.jsonl", random.Random(6)
    write(log, [random_row(rng) for _ in range(30)], "a")
    found, there = both(run, opened)
    assert len(found) == 730
    assert found == there
    kept = log.read_bytes().splitlines(keepends=True)[:300]
    log.write_bytes(b"".join(kept))
    write(log, [random_row(rng) for _ in range(400)], "a")  # longer than before, and another
    found, there = both(run, opened)
    assert len(found) == 780
    assert found == there
    fresh = log.with_name("new")
    write(fresh, [random_row(rng) for _ in range(20)])
    fresh.replace(log)
    found, there = both(run, opened)
    assert len(found) == 100
    assert found == there
    assert opened.page(filter_of({"text": "wait"})).total == sum(
        holds(row["completion"], "wait") for _, row in lines(run)
    )
    log.unlink()
    assert len(both(run, opened)[0]) == 80


def test_damaged_and_torn_lines(run: Path, opened: RolloutIndex) -> None:
    log = run / "02_r1_zero" / "rollouts.jsonl"
    with log.open("ab") as stream:
        stream.write(
            b'{"step": 1, "completion": "to\n\xff\xfe\n\n[1]\n{"step": 1}\n'
            b'{"step": 7, "completion": "whole"}\n{"step": 8, '
        )
    opened.catch_up()
    assert (opened.progress().rollouts, opened.progress().damaged) == (701, 4)
    assert opened.progress().share == 1.0
    with log.open("ab") as stream:
        stream.write(b'"completion": "torn and mended"}\n')
    opened.catch_up()
    assert (opened.progress().rollouts, opened.progress().damaged) == (702, 4)
    (found,) = opened.page(filter_of({"text": "torn and mended"})).rollouts
    assert found["step"] == 8


def test_numbers_that_no_index_can_hold(tmp_path: Path) -> None:
    rows = [{"step": 1e300, "completion": "a"}, {"step": 1, "completion": "b", "tokens": 10**40, "reward": "x"}]
    write(tmp_path / "01_zero" / "rollouts.jsonl", [*rows, {"step": 2, "completion": "c", "parts": {"accuracy": None}}])
    index = RolloutIndex(tmp_path)
    index.catch_up()
    assert [(one["tokens"], one["reward"]) for one in index.page(Filter()).rollouts] == [(None, None)] * 2
    assert index.progress().damaged == 1
    index.close()


def test_a_line_that_is_too_long_is_counted_and_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "LONGEST_LINE", 1000)
    rows = [{"step": 1, "completion": "a"}, {"step": 2, "completion": "b" * 5000}, {"step": 3, "completion": "c"}]
    write(tmp_path / "01_zero" / "rollouts.jsonl", rows)
    index = RolloutIndex(tmp_path)
    index.catch_up()
    assert [one["step"] for one in index.page(Filter(), "oldest").rollouts] == [1, 3]
    assert index.progress().damaged == 1
    index.close()


# ---- the file itself -----------------------------------------------------------------------------------------------


def test_another_version_and_a_damaged_file_are_made_anew(run: Path, opened: RolloutIndex) -> None:
    connection = sqlite3.connect(opened.path)
    connection.execute("PRAGMA user_version = 999")
    connection.execute("DELETE FROM rollouts")
    connection.commit()
    connection.close()
    found, there = both(run, RolloutIndex(run))
    assert found == there
    for name in ("rollouts.sqlite-wal", "rollouts.sqlite-shm"):
        (run / ".index" / name).unlink(missing_ok=True)
    opened.path.write_bytes(b"no database" * 1000)
    found, there = both(run, RolloutIndex(run))
    assert found == there


def test_an_index_that_is_deleted_under_a_dashboard_is_made_anew(run: Path) -> None:
    index = RolloutIndex(run)
    index.start()
    waited = threading.Event()
    while index.progress().rollouts < 700:
        waited.wait(0.02)
    shutil.rmtree(run / ".index")
    write(run / "02_r1_zero" / "rollouts.jsonl", [{"step": 9, "completion": "after"}], "a")
    while index.progress().rollouts < 701:
        waited.wait(0.02)
    found, there = both(run, index)
    assert found == there
    index.close()


@pytest.mark.parametrize("why", ["no folder", "locked"])
def test_a_folder_that_cannot_be_written_gets_its_index_elsewhere(
    run: Path, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = None
    if why == "locked":
        RolloutIndex(run)
        monkeypatch.setattr(store, "PATIENCE", 0.01)
        held = sqlite3.connect(run / ".index" / "rollouts.sqlite", isolation_level=None)
        held.execute("BEGIN IMMEDIATE")
    else:
        (run / ".index").write_text("in the way")
    index = RolloutIndex(run)
    found, there = both(run, index)
    assert found == there
    assert not index.path.is_relative_to(run)
    index.close()
    assert not index.path.parent.exists()
    if held:
        held.close()


def test_two_dashboards_on_one_run(run: Path) -> None:
    """Both write the same index while the log grows; every line is in it once."""
    indexes = [RolloutIndex(run), RolloutIndex(run)]
    for index in indexes:
        index.start()
    rng = random.Random(7)
    for _ in range(20):
        write(run / "02_r1_zero" / "rollouts.jsonl", [random_row(rng) for _ in range(20)], "a")
    for index in indexes:
        index.close()
    found, there = both(run, RolloutIndex(run))
    assert len(found) == 1100
    assert found == there


def test_the_thread_follows(run: Path) -> None:
    index = RolloutIndex(run)
    index.start()
    log, arrived = run / "02_r1_zero" / "rollouts.jsonl", threading.Event()
    write(log, [{"step": 77, "completion": "fresh"}], "a")
    while not index.page(filter_of({"step_from": "77"})).total:
        arrived.wait(0.02)
    index.close()


def test_a_link_out_of_the_run_is_not_followed(run: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "rollouts.jsonl"
    write(outside, [{"step": 1, "completion": "secret"}])
    (run / "03_cold_start").mkdir()
    (run / "03_cold_start" / "rollouts.jsonl").symlink_to(outside)
    index = RolloutIndex(run)
    index.catch_up()
    assert index.progress().rollouts == 700
    assert index.line({"path": "03_cold_start/rollouts.jsonl", "offset": 0, "length": 100}) is None
    index.close()


# ---- words, entries, filters ---------------------------------------------------------------------------------------


def test_words() -> None:
    assert words("Wait: 12*5 等等 x_1\x00") == ["wait", ":", "12", "*", "5", "等", "等", "x_1"]
    assert [holds("12 + 50", sought) for sought in ("12+5", "2 + 5", "+ 5", "", "50 +")] == [
        True,
        False,
        True,
        True,
        False,
    ]


def test_entries() -> None:
    assert entry_of({"step": 1, "completion": 3}) is None
    found = entry_of({"step": 1, "completion": "ok", "prompt_id": "gym/sum/dev/3", "parts": {"accuracy": 1, "n": "x"}})
    assert found is not None
    assert (found.task, found.right, found.parts) == ("gym/sum", 1, {"accuracy": 1.0})
    assert [language_of(text) for text in ("try this", "试试看", "try this one 试", "12 = 12", "さあ始めよう")] == [
        "Latin", "Chinese", "mixed", "no words", "Japanese",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"stge": "x"}, "Did you mean 'stage'"),
        ({"step_from": "many"}, "step_from must be a number"),
        ({"step_from": "nan"}, "step_from must be a number"),
        ({"right": "maybe"}, "right is yes, no, ungraded"),
        ({"text": "x" * 501}, "longer than 500"),
    ],
)
def test_bad_filters(asked: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        filter_of(asked)


def test_an_index_says_why_it_cannot_go_on(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = RolloutIndex(run)

    def full(path: Path) -> sqlite3.Connection:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(rollout_index, "prepare", full)
    index.start()
    waited = threading.Event()
    while not index.progress().fault:
        waited.wait(0.01)
    assert "disk is full" in index.progress().fault
    index._stopping.set()
    index.close()


def test_signs_are_no_separators() -> None:
    """Every ASCII sign is a word of its own in the full-text table, too."""
    connection = store.connect(Path(":memory:"))
    if not (name := store.words_table(connection, 1)):
        pytest.skip("this SQLite has no FTS5")
    for sign in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~":
        connection.execute(f"INSERT INTO {name} (rowid, prompt) VALUES (?, ?)", (ord(sign), f"a {sign} b"))
        phrase = sign.replace('"', '""')
        found = connection.execute(f"SELECT rowid FROM {name} WHERE {name} MATCH ?", (f'"a {phrase} b"',)).fetchall()
        assert [row[0] for row in found] == [ord(sign)]
    connection.close()
