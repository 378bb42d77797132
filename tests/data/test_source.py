"""Every form of a file gives the same rows; folders have splits; bad lines are refused by number, or skipped."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from r1kit.data.layouts import read_examples
from r1kit.data.settings import Reading
from r1kit.data.source import Rows, open_rows
from r1kit.errors import InputError

pa = pytest.importorskip("pyarrow")

ROWS = [{"prompt": "1 + 1", "answer": "2"}, {"prompt": "a\nb, c", "answer": "½"}, {"prompt": "天", "answer": "0.10"}]
GOOD, OTHER = '{"prompt": "1+1", "answer": 2}\n', '{"prompt": "1+2", "answer": 3}\n'


def as_lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_table(rows: list[dict[str, Any]], delimiter: str) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    from pyarrow import parquet

    stream = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), stream)
    return stream.getvalue()


def as_zst(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


def written(path: Path, name: str, rows: list[dict[str, Any]] | None = None) -> Path:
    """A file of these rows, in the form that its name says."""
    rows = ROWS if rows is None else rows
    form = "." + Path(name).name.split(".")[1]
    data = {
        ".jsonl": lambda: as_lines(rows),
        ".json": lambda: json.dumps(rows, indent=1).encode(),
        ".csv": lambda: as_table(rows, ","),
        ".tsv": lambda: as_table(rows, "\t"),
        ".parquet": lambda: as_parquet(rows),
    }[form]()
    data = gzip.compress(data, mtime=0) if name.endswith(".gz") else as_zst(data) if name.endswith(".zst") else data
    file = path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file


def tables(rows: Rows) -> list[dict[str, Any]]:
    return [dict(line.table) for line in rows]


@pytest.mark.parametrize("end", ["", ".gz", ".zst"])
@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "tsv"])
def test_every_form_gives_the_same_rows(tmp_path: Path, form: str, end: str) -> None:
    rows = open_rows(str(written(tmp_path, f"rows.{form}{end}")))
    assert tables(rows) == ROWS
    assert tables(rows) == ROWS  # read anew
    assert len(rows.digest) == 16


def test_parquet_keeps_nesting_and_names_rows(tmp_path: Path) -> None:
    nested = [{"prompt": [{"role": "user", "content": "x"}], "reward_model": {"ground_truth": str(n)}} for n in (1, 2)]
    file = written(tmp_path, "rows.parquet", nested)
    assert tables(open_rows(str(file))) == nested
    assert [example.answer for example in read_examples(str(file))] == ["1", "2"]
    with pytest.raises(InputError, match=r"rows.parquet row 1: no column 'reward_model.truth': reward_model has"):
        read_examples(str(file), None, Reading(columns={"answer": "reward_model.truth"}))


def test_the_digest_is_of_the_content_wherever_it_lies(tmp_path: Path) -> None:
    first = open_rows(str(written(tmp_path, "a/rows.jsonl"))).digest
    assert open_rows(str(written(tmp_path, "b/others.jsonl"))).digest == first
    assert open_rows(str(written(tmp_path, "c/rows.jsonl", ROWS[:2]))).digest != first


def test_csv_names_the_line_that_a_row_begins_on(tmp_path: Path) -> None:
    lines = list(open_rows(str(written(tmp_path, "rows.csv"))))
    assert [line.number for line in lines] == [2, 3, 5]
    semicolons = tmp_path / "s.csv"
    semicolons.write_bytes(b"\xef\xbb\xbfprompt;answer\r\n1+1;2\r\n")
    assert tables(open_rows(str(semicolons))) == [{"prompt": "1+1", "answer": "2"}]


def test_text_by_line_paragraph_and_document(tmp_path: Path) -> None:
    file = tmp_path / "t.txt"
    file.write_text("one\ntwo\n\n\nthree\n")
    for sample_by, texts in {
        "line": ["one", "two", "three"],
        "paragraph": ["one\ntwo", "three"],
        "document": ["one\ntwo\n\n\nthree"],
    }.items():
        found = open_rows(str(file), Reading(sample_by=sample_by))  # type: ignore[arg-type]
        assert [line.table["text"] for line in found] == texts
    assert [line.number for line in open_rows(str(file))] == [1, 2, 5]


@pytest.mark.parametrize(
    "document",
    [
        json.dumps({"data": ROWS}),
        json.dumps({"data": ROWS}, indent=2),
        "[\n" + ",\n".join(json.dumps(row) for row in ROWS) + "\n]\n",
        json.dumps(ROWS),
    ],
)
def test_json_documents(tmp_path: Path, document: str) -> None:
    file = tmp_path / "d.json"
    file.write_text(document)
    assert tables(open_rows(str(file))) == ROWS


BY_COLUMNS = {name: {str(place): row[name] for place, row in enumerate(ROWS)} for name in ROWS[0]}


@pytest.mark.parametrize("name", ["d.json", "d.jsonl"])
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    "document",
    [
        BY_COLUMNS,
        {str(place): row for place, row in enumerate(ROWS)},
        {"columns": list(ROWS[0]), "index": [*range(len(ROWS))], "data": [list(row.values()) for row in ROWS]},
        {"schema": {"fields": [], "primaryKey": ["index"]}, "data": ROWS},
    ],
)
def test_json_as_pandas_writes_a_table(tmp_path: Path, document: dict[str, Any], name: str, indent: int | None) -> None:
    """``to_json`` by columns, its default, and ``orient`` index, split and table."""
    file = tmp_path / name
    file.write_text(json.dumps(document, indent=indent if name == "d.json" else None))
    assert tables(open_rows(str(file))) == ROWS


def test_a_row_of_objects_is_no_table(tmp_path: Path) -> None:
    file = tmp_path / "d.json"
    for row in ({"a": {"0": "x"}, "b": {"1": "y"}}, {"a": {"x": 1}, "b": {"x": 2}}, {"a": {"0": "x"}, "b": "y"}):
        file.write_text(json.dumps(row))
        assert tables(open_rows(str(file))) == [row]


def test_an_object_over_many_lines_is_one_row(tmp_path: Path) -> None:
    file = tmp_path / "d.json"
    file.write_text(json.dumps(ROWS[0], indent=2))
    assert tables(open_rows(str(file))) == ROWS[:1]
    file.write_text(json.dumps({"train": ROWS, "test": ROWS}))
    with pytest.raises(InputError, match="several arrays of rows, train, test"):
        list(open_rows(str(file)))


# ---- folders -------------------------------------------------------------------------------------------------------


def test_a_folder_has_the_splits_that_its_files_names_say(tmp_path: Path) -> None:
    written(tmp_path, "train-00000.parquet", ROWS[:1])
    written(tmp_path, "train-00001.jsonl", ROWS[1:2])
    written(tmp_path, "test-00000.csv", ROWS[2:])
    written(tmp_path, ".hidden/train.jsonl")
    (tmp_path / "README.md").write_text("# nothing")
    (tmp_path / "dataset_infos.json").write_text("{}")
    rows = open_rows(str(tmp_path))
    assert (tables(rows), set(rows.splits)) == (ROWS[:2], {"train", "test"})
    assert tables(open_rows(str(tmp_path), Reading(split="test"))) == ROWS[2:]
    assert tables(open_rows(str(tmp_path), Reading(split="validation|test"))) == ROWS[2:]
    with pytest.raises(InputError, match=r"has no split 'dev'; its splits are"):
        open_rows(str(tmp_path), Reading(split="dev"))


def test_a_subset_is_a_folder_in_it(tmp_path: Path) -> None:
    written(tmp_path, "easy/rows.jsonl", ROWS[:1])
    written(tmp_path, "hard/rows.jsonl", ROWS[1:])
    assert tables(open_rows(str(tmp_path), Reading(subset="hard"))) == ROWS[1:]
    assert tables(open_rows(str(tmp_path))) == ROWS
    with pytest.raises(InputError, match="no subset 'hrd'; its folders are easy, hard"):
        open_rows(str(tmp_path), Reading(subset="hrd"))


def test_what_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("x")
    for source, told in {
        str(tmp_path): "no files of rows in it; they end in .jsonl, .ndjson, .json, .csv, .tsv, .txt, .parquet",
        str(tmp_path / "notes.md"): "what is it",
        str(tmp_path / "none.parquet"): "no such file",
        "none.jsonl.gz": "no such file",
        " ": "is empty",
    }.items():
        with pytest.raises(InputError, match=told):
            open_rows(source)
    with pytest.raises(InputError, match="one file has no splits"):
        open_rows(str(written(tmp_path, "rows.jsonl")), Reading(split="test"))


# ---- bad lines -----------------------------------------------------------------------------------------------------

BAD: dict[str, tuple[bytes, str]] = {
    "not JSON": (b'{"prompt": "x", \n', "not valid JSON"),
    "NUL bytes": (b"\0\0\0\n", "NUL bytes"),
    "a NUL character": (b'{"prompt": "a\\u0000", "answer": 1}\n', "holds a NUL character"),
    "half a surrogate pair": (b'{"prompt": "x", "answer": "\\ud83d"}\n', "half a surrogate pair"),
    "half a pair elsewhere": (b'{"prompt": "x", "answer": "1", "more": ["\\udc00"]}\n', "half a surrogate pair"),
    "no UTF-8": ('{"prompt": "é", "answer": 1}\n'.encode("latin-1"), "byte 0xe9 at column 13"),
    "NaN": (b'{"prompt": "x", "answer": NaN}\n', "got NaN"),
    "infinity": (b'{"prompt": "x", "answer": -Infinity}\n', "got -Infinity"),
    "null": (b'{"prompt": "x", "answer": null}\n', "no 'answer', it is null"),
    "no prompt": (b'{"prompt": null, "answer": 1}\n', "no 'prompt', it is null"),
    "blank": (b'{"prompt": " ", "answer": 1}\n', "'prompt' must be text"),
    "true": (b'{"prompt": "x", "answer": true}\n', "two layouts in one source: .*f.jsonl:1"),
    "two numbers": (b'{"prompt": "x", "answer": [1, 2]}\n', "'answer' must be text"),
    "an array": (b"[1]\n", "expected a JSON object"),
    "too long": (b'{"prompt": "' + b"x" * 1000 + b'", "answer": 1}\n', "longer than longest_line = 500 bytes"),
    "too deep": (b'{"prompt": ' + b"[" * 400 + b"\n", "not valid JSON"),
    "another layout": (
        b'{"problem": "x", "solution": "\\\\boxed{1}"}\n',
        "two layouts in one source: .*f.jsonl:1 holds",
    ),
    "a worked solution": (b'{"prompt": "x", "answer": "1+1\\n#### 2"}\n', "two layouts in one source: .*f.jsonl:1"),
    "torn": (b'{"prompt": "x", "ans', "not valid JSON"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_is_refused_with_its_number_or_skipped(tmp_path: Path, name: str) -> None:
    bad, told = BAD[name]
    file = tmp_path / "f.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode() + OTHER.encode() + bad)
    with pytest.raises(InputError, match=told) as caught:
        list(read_examples(str(file), "answers", Reading(longest_line=500)))
    assert f"{file}:3" in str(caught.value)
    assert 'bad_lines = "skip"' in str(caught.value)
    assert "\n" not in str(caught.value)
    examples = read_examples(str(file), "answers", Reading(longest_line=500, bad_lines="skip"))
    assert [example.answer for example in examples] == ["2", "3"]
    assert str(examples.rows.skipped).startswith(f"1 bad line skipped: {'two' if 'two' in told else file}")


def test_skipped_lines_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    file = tmp_path / "f.jsonl"
    file.write_text(GOOD + "x\n" * 5 + OTHER)
    rows = open_rows(str(file), Reading(bad_lines="skip"))
    assert len(list(rows)) == 2
    assert rows.skipped.count == 5
    assert [f"f.jsonl:{number}:" in reason for number, reason in zip((2, 3, 4), rows.skipped.reasons, strict=True)]
    assert str(rows.skipped).endswith("; 2 more")


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("e.jsonl", b"", "no rows"),
        ("e.jsonl", b"\n \n", "no rows"),
        ("h.csv", b"prompt,answer\n", "no rows"),
        ("u.jsonl", GOOD.encode("utf-16"), "UTF-16 text; save it as UTF-8"),
        ("c.jsonl.gz", gzip.compress(GOOD.encode() * 50, mtime=0)[:-12], "not readable to its end"),
        ("n.jsonl.gz", GOOD.encode(), "Not a gzipped file"),
        ("c.jsonl.zst", as_zst(GOOD.encode() * 50)[:-5], "not readable to its end"),
        ("b.parquet", b"PAR1 and no more", "no parquet file that can be read"),
        ("b.parquet", as_parquet(ROWS)[:-20], "no parquet file that can be read"),
        ("l.parquet", b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
        ("l.jsonl", b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
        ("a.json", b'[{"prompt": "x", "answer": 1},\n {"prompt": "y"', "a.json:2: not valid JSON"),
        ("d.csv", b"answer,answer\n1,2\n", "names a column twice"),
        ("q.csv", b"prompt,answer\n1,2,3\n", "q.csv:2: 3 fields where the header has 2"),
        ("x.csv", b'prompt,answer\n"1,2\n', "not valid CSV"),
    ],
)
def test_a_file_that_is_broken_as_a_whole(tmp_path: Path, name: str, data: bytes, told: str) -> None:
    file = tmp_path / name
    file.write_bytes(data)
    with pytest.raises(InputError, match=told) as caught:
        list(read_examples(str(file)))
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spelling", "text"),
    [
        ("0.00001", "0.00001"), ("1e-05", "0.00001"), ("2.5e3", "2500"), ("0.10", "0.10"), ("1.0", "1.0"),
        ("-7", "-7"), ("123456789012345678901", "123456789012345678901"), ('"1e-05"', "1e-05"), ("1e300", "1e300"),
    ],
)  # fmt: skip
def test_numbers_keep_the_spelling_of_the_file(tmp_path: Path, spelling: str, text: str) -> None:
    for name, data in {
        "f.jsonl": f'{{"prompt": "x", "answer": {spelling}}}',
        "g.jsonl": f'{{"prompt": "x", "reward_model": {{"ground_truth": {spelling}}}}}',
        "h.json": f'[{{"prompt": "x", "answer": {spelling}}}]',
        "i.jsonl": f'{{"prompt": "x", "reward_model": {json.dumps(f"""{{"ground_truth": {spelling}}}""")}}}',
    }.items():
        file = tmp_path / name
        file.write_text(data)
        assert next(iter(read_examples(str(file), "answers"))).answer == text


def test_numbers_of_parquet_have_no_exponent(tmp_path: Path) -> None:
    rows = [{"prompt": str(number), "answer": number} for number in (1e-05, 42.0, 0.1, 1e22)]
    file = written(tmp_path, "f.parquet", rows)
    answers = [example.answer for example in read_examples(str(file), "answers")]
    assert answers == ["0.00001", "42", "0.1", "10000000000000000000000"]


def test_a_large_file_is_not_held(tmp_path: Path) -> None:
    """100 MB of JSON lines, read with 60 MB of memory to spare."""
    file = tmp_path / "large.jsonl"
    line = json.dumps({"prompt": "x" * 990, "answer": 1}) + "\n"
    with file.open("w") as stream:
        for _ in range(100):
            stream.write(line * 1000)
    program = (
        "import resource, sys\n"
        "from r1kit.data.source import open_rows\n"
        "limit = 60_000_000 + int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "print(sum(1 for _ in open_rows(sys.argv[1])))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(file)], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "100000", done.stderr


def test_byte_order_marks_inside_are_taken(tmp_path: Path) -> None:
    """A file that was put together out of others."""
    file = tmp_path / "f.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.encode() + b'\xef\xbb\xbf{"prompt": "x", "answer": 0.10}\n')
    assert [example.answer for example in read_examples(str(file))] == ["2", "0.10"]


def test_the_blank_name_that_pandas_gives_its_index(tmp_path: Path) -> None:
    file = tmp_path / "F.CSV"
    file.write_text(",prompt,answer\n0,x,0.10\n")
    assert tables(open_rows(str(file))) == [{"column 1": "0", "prompt": "x", "answer": "0.10"}]
