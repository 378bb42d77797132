"""What a file holds is read as it stands, or refused with its line: nothing is left out or changed without a word."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from r1kit.data.layouts import read_examples
from r1kit.data.paths import text_of
from r1kit.data.settings import Reading
from r1kit.data.source import open_rows
from r1kit.errors import InputError
from r1kit.factory.sources import samples_from
from r1kit.files import Line, as_text

ARRAY = '[{"prompt": "a", "answer": 1}]\n'
CHAT = '[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]\n'


@pytest.mark.parametrize("name", ["f.json", "f.jsonl"])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ARRAY + "\n" + ARRAY, r":3: .* after the end of the array; a file holds one array, or an object a line"),
        ("[\n" + ARRAY[1:-2] + "\n] x", ":3: 'x' after the end of the array"),
        (CHAT * 2, r":1: a list of turns on each line; write a chat a line as {\"messages\": \[...\]}"),
    ],
)
def test_more_than_one_array_is_refused(tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).write_text(text)
    for bad_lines in ("refuse", "skip"):
        with pytest.raises(InputError, match=told) as caught:
            list(open_rows(str(tmp_path / name), Reading(bad_lines=bad_lines)))  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


def test_white_space_after_an_array(tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text(ARRAY + " \n\n")
    assert [example.answer for example in read_examples(str(tmp_path / "f.json"))] == ["1"]


def test_blank_lines_before_the_header_of_a_csv(tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    file.write_bytes(b"\n \r\nprompt,answer\nq1,1\nq\xe9,2\nq3,3\nq4,4,4\n")
    rows = open_rows(str(file), Reading(bad_lines="skip"))
    assert [(line.number, line.table["answer"]) for line in rows] == [(4, "1"), (6, "3")]
    assert f"{file}:5: not readable" in str(rows.skipped)
    assert f"{file}:7: 3 fields" in str(rows.skipped)


@pytest.mark.parametrize("end", ["q3,3\n", '"q, 3",3\nq4,4\n'])
def test_an_open_quote_takes_no_rows_with_it(tmp_path: Path, end: str) -> None:
    file = tmp_path / "f.csv"
    file.write_text('prompt,answer\nq1,1\n"q2,2\n' + end)
    with pytest.raises(InputError, match=r"f\.csv:3: not valid CSV: a quote is opened .* before line 4 ends"):
        list(open_rows(str(file), Reading(bad_lines="skip")))


def test_a_wrong_quote_within_a_line_is_a_bad_line(tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    file.write_text('prompt,answer\n"q"1,1\nq2,2\n')
    assert [line.number for line in open_rows(str(file), Reading(bad_lines="skip"))] == [3]


def test_a_header_that_cannot_be_read_is_never_skipped(tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    file.write_bytes(b"prompt,r\xe9ponse\nq1,1\nq2,2\n")
    with pytest.raises(InputError, match=r"f\.csv:1: not readable as UTF-8"):
        list(open_rows(str(file), Reading(bad_lines="skip")))


def test_texts_that_parquet_keeps_as_bytes_are_texts(tmp_path: Path) -> None:
    """Writers that do not mark a column as text leave bytes; ``b"7"`` was read as a list of one number, 55."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {"question": [b"3 + 4?", b"\xe4\xb8\x80?"], "answer": [b"7", b"1"], "image": [b"\xff", b"a"]}
    parts = pa.array([[b"a", None]] * 2, pa.list_(pa.large_binary()))
    parquet.write_table(pa.table({**columns, "parts": parts}), tmp_path / "f.parquet")
    first, second = (dict(line.table) for line in open_rows(str(tmp_path / "f.parquet")))
    assert first == {"question": "3 + 4?", "answer": "7", "image": b"\xff", "parts": ["a", None]}
    assert second["question"] == "一?"
    with pytest.raises(InputError, match="'image' must be text or a number"):
        text_of(Line("f", 1, first), "image")


def test_a_date_is_told_as_one() -> None:
    with pytest.raises(InputError, match="must be text or a number, got the date 2020-01-01; write it as text"):
        as_text(date(2020, 1, 1), "f", "answer")


def test_narrow_numbers_of_parquet_have_their_shortest_spelling(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    narrow, half = pa.float32(), pa.float16()
    columns: dict[str, tuple[Any, Any, Any]] = {
        "f": (narrow, 0.1, 0.1),
        "h": (half, 0.1, 0.1),
        "list": (pa.list_(narrow), [0.3, None], [0.3, None]),
        "struct": (pa.struct([("x", pa.list_(half)), ("y", pa.string())]), *[{"x": [0.3], "y": "z"}] * 2),
        "map": (pa.map_(pa.string(), narrow), [("k", 0.1)], [("k", 0.1)]),
        "wide": (pa.float64(), 0.10000000149011612, 0.10000000149011612),
        "whole": (pa.int32(), 16777217, 16777217),
    }
    table = pa.table({name: pa.array([value, None], kind) for name, (kind, value, _) in columns.items()})
    parquet.write_table(table, tmp_path / "f.parquet")
    first, second = (dict(line.table) for line in open_rows(str(tmp_path / "f.parquet")))
    assert first == {name: found for name, (*_, found) in columns.items()}
    assert second == dict.fromkeys(columns)


PAIRS = [["q1", "a1"], ["q2", "a2"]]


@pytest.mark.parametrize("first", [[], None, "", PAIRS], ids=str)
@pytest.mark.parametrize("turns", [PAIRS, [{"role": "user", "content": "q1"}, {"role": "assistant", "content": "a1"}]])
def test_turns_in_a_column_of_their_own_stand_before_the_prompt(tmp_path: Path, first: Any, turns: Any) -> None:
    """As LLaMA-Factory's data and the samples of a stage have them, whatever the first row holds."""
    rows = [
        {"instruction": "a?", "output": "b", "history": first},
        {"instruction": "c?", "output": "d", "history": turns, "system": "s"},
    ]
    file = tmp_path / "f.jsonl"
    file.write_text("".join(json.dumps({"system": "s", **row}) + "\n" for row in rows))
    one, two = samples_from(str(file), Reading())
    assert [turn.content for turn in one.history or ()] == ["s", *(text for pair in first or () for text in pair)]
    said = [turn.content for turn in two.history or ()]
    assert said == ["s", "q1", "a1", "q2", "a2"][: len(said)]
    assert len(said) == 1 + sum(map(len, PAIRS)) if turns is PAIRS else len(said) == 3
    assert two.prompt == "c?"


def test_a_column_of_that_name_with_texts_is_no_talk(tmp_path: Path) -> None:
    file = tmp_path / "f.jsonl"
    file.write_text(json.dumps({"prompt": "When?", "response": "Then.", "history": "of Rome"}) + "\n")
    assert samples_from(str(file), Reading())[0].history is None
