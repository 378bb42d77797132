"""JSON lines as people and killed processes leave them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from r1kit.errors import InputError
from r1kit.files import forgiving_lines, strict_lines, write_atomic


def test_a_byte_order_mark_crlf_and_empty_lines_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": "x\xe2\x80\xa8y"}\r\n')
    lines = list(strict_lines(path, "'a'"))
    assert [(line.number, line.table) for line in lines] == [(1, {"a": 1}), (3, {"a": "x\u2028y"})]
    assert lines[1].where == f"{path}:3"
    assert forgiving_lines(path) == ([{"a": 1}, {"a": "x\u2028y"}], 0)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\n \n", "empty; a line holds 'a'"),
        (b'{"a": 1}\n{"a": \n', ":2: not valid JSON"),
        (b'{"a": 1}\n\n[3]\n', r":3: expected a JSON object with 'a', got \[3\]"),
        (b"\xff\xfe", "not readable as UTF-8"),
        (b"[" * 100_000, ":1: not valid JSON"),
    ],
)
def test_the_strict_reader_names_the_line(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=told) as caught:
        list(strict_lines(path, "'a'"))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_a_mistake_or_has_no_lines(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        list(strict_lines(tmp_path / "a.jsonl", "'a'"))
    assert forgiving_lines(tmp_path / "a.jsonl") == ([], 0)
    (tmp_path / "b.jsonl").touch()
    assert list(strict_lines(tmp_path / "b.jsonl", "'a'", may_be_empty=True)) == []


def test_the_forgiving_reader_counts_what_it_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n7\n\n\xff{}\n{"a": 2}\n{"a": ')
    assert forgiving_lines(path) == ([{"a": 1}, {"a": 2}], 3)


def test_write_atomic_leaves_the_old_text_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.json"
    write_atomic(target, "old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as raised:
        write_atomic(target, "new")
    assert raised.value.filename == str(target), "which the system leaves out where a write fails"
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
