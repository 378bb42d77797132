"""Whatever a file holds, it is read, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from r1kit.data.example import WANTED
from r1kit.data.forms import SUFFIXES
from r1kit.data.layouts import read_examples
from r1kit.data.settings import Reading
from r1kit.errors import InputError
from r1kit.tasks import build

NAMES = (
    "prompt", "answer", "problem", "solution", "question", "choices", "options", "messages", "conversations", "chosen",
    "rejected", "text", "label", "nums", "target", "reward_model", "instruction", "input", "output", "A", "B", "C", "D",
    "answerKey", "Correct Answer", "Incorrect Answer 1", "system", "language", "completion", "test_list", "tests",
)  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=()), max_size=12)  # half surrogate pairs among them
VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.sampled_from(["#### 4", "\\boxed{4}", "[]"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["role", "content", "from", "value", "text", "ground_truth", "label"]), inner)
    ),
    max_leaves=8,
)
QUICK = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def check_line(error: InputError) -> None:
    """One line that can be printed."""
    assert "\n" not in str(error)
    assert str(error).encode()


def read_or_refused(path: Path) -> None:
    for bad_lines in ("refuse", "skip"):
        for sample_by in ("line", "document"):
            reading = Reading(bad_lines=bad_lines, sample_by=sample_by)  # type: ignore[arg-type]
            try:
                for example in read_examples(str(path), None, reading):
                    assert example.where
                    json.dumps(example.facts, allow_nan=False).encode()
                    "".join(turn.content for turn in example.messages).encode()
            except InputError as error:
                check_line(error)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".jsonl.gz", ".csv.zst"])
@QUICK
@given(data=st.binary(max_size=200))
def test_any_bytes(tmp_path: Path, suffix: str, data: bytes) -> None:
    path = tmp_path / f"f{suffix}"
    path.write_bytes(data)
    read_or_refused(path)


@QUICK
@given(rows=st.lists(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5), max_size=3))
def test_any_rows(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    read_or_refused(path)


@QUICK
@given(row=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6), wanted=st.sampled_from(WANTED))
def test_any_row_for_any_wish(tmp_path: Path, row: dict[str, Any], wanted: Any) -> None:
    path = tmp_path / "f.json"
    path.write_text(json.dumps([row]))
    try:
        list(read_examples(str(path), wanted))
    except InputError as error:
        check_line(error)


@QUICK
@given(row=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6), given_answer=st.text(max_size=20))
def test_any_row_as_a_task(tmp_path: Path, row: dict[str, Any], given_answer: str) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text(json.dumps(row))
    try:
        task = build("t", "data", {"path": str(path), "test_path": str(path), "rule": "auto"})
        prompt = task.held_out("test")[0]
        if task.rule != "math":  # type: ignore[attr-defined]
            assert task.grade(prompt, given_answer).correct in (0, 1)
    except InputError as error:
        check_line(error)
