"""Label Studio and Argilla: what is exported, decided there and imported; what does not fit is told by line.

The shapes are those of label-studio-sdk 2.1 and argilla 2.8; where these are installed they read what we write.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from r1kit.errors import InputError
from r1kit.factory.review import Decision, Item, write_queue
from r1kit.factory.review_file import ReviewFile
from r1kit.factory.review_tools import export_queue, import_file
from r1kit.records import Sample

Row = dict[str, Any]
ANN, BOB = str(uuid.UUID(int=10 << 96)), str(uuid.UUID(int=11 << 96))
EDIT = "<think> b </think> so <answer> 2 </answer>"


@pytest.fixture
def file(tmp_path: Path) -> ReviewFile:
    path = tmp_path / "review.jsonl"
    samples = [Sample(id=f"t/{name}", prompt=f"q {name}", response=f"r {name}", domain="d") for name in "abcd"]
    write_queue(path, [Item(id=sample.id, sample=sample) for sample in samples])
    found = ReviewFile(path)
    found.decide("t/d", Decision(status="rejected", by="eve", reason="too long"))
    return found


def studio(file: ReviewFile, tmp_path: Path, *decided: tuple[int, Any, str, Row]) -> Path:
    """A project of Label Studio, exported as JSON: (number of the task, annotator, choice, texts by name)."""
    path = tmp_path / "ls.json"
    assert export_queue(file, None, path, "label-studio") == (4, tmp_path / "ls.xml")
    tasks = json.loads(path.read_text())
    for number, task in enumerate(tasks, start=1):
        task |= {"id": number, "annotations": [], "predictions": [], "project": 1}
    for number, who, choice, texts in decided:
        result = [{"id": "c", "from_name": "decision", "to_name": "response", "type": "choices", "origin": "manual",
                   "value": {"choices": [choice]}}]  # fmt: skip
        result += [
            {"id": name, "from_name": name, "to_name": "response", "type": "textarea", "value": {"text": [text]}}
            for name, text in texts.items()
        ]
        tasks[number]["annotations"].append(
            {"id": 5, "completed_by": who, "result": result, "was_cancelled": False, "lead_time": 3.1,
             "created_at": "2026-11-26T01:00:00.1Z", "updated_at": "2026-11-26T01:00:05.2Z"}
        )  # fmt: skip
    done = tmp_path / "done.json"
    done.write_text(json.dumps(tasks, indent=1))
    return done


def argilla(file: ReviewFile, tmp_path: Path, *decided: tuple[int, str, Row], lines: bool = False) -> Path:
    """A data set of Argilla, its records written by ``to_json``, or a line each."""
    path = tmp_path / ("arg.jsonl" if lines else "arg.json")
    assert export_queue(file, None, path, "argilla") == (4, tmp_path / "arg.settings.json")
    text = path.read_text()
    records = [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)
    for number, user, answers in decided:
        for question, value in answers.items():
            records[number]["responses"].setdefault(question, []).append({"value": value, "user_id": user})
    done = path.with_name(f"done{path.suffix}")
    rows = [{**record, "status": "completed", "_server_id": None} for record in records]
    done.write_text("".join(json.dumps(row) + "\n" for row in rows) if lines else json.dumps(rows))
    return done


def told(file: ReviewFile) -> list[tuple[str, str, str]]:
    return [(item.status, item.by, item.edited or item.reason) for item in file.items().values()]


def test_a_file_that_lies_where_the_set_up_belongs_stays(file: ReviewFile, tmp_path: Path) -> None:
    (tmp_path / "ls.xml").write_text("mine")
    with pytest.raises(InputError, match=r"ls.xml: the tool's set-up belongs there, and the file holds something else"):
        export_queue(file, None, tmp_path / "ls.json", "label-studio")
    assert ((tmp_path / "ls.xml").read_text(), (tmp_path / "ls.json").exists()) == ("mine", False)
    for _ in range(2):  # its own it may write again
        export_queue(file, None, tmp_path / "other.json", "label-studio")


def test_label_studio_and_back(file: ReviewFile, tmp_path: Path) -> None:
    done = studio(
        file, tmp_path, (0, {"id": 1, "email": "ann@x.org"}, "accept", {}), (1, 7, "edit", {"edited": EDIT}),
        (2, "bob@x.org", "reject", {"reason": " hard  to read "}),
    )  # fmt: skip
    assert import_file(file, None, done, "cy")[:4] == (3, 0, 0, 0)
    assert told(file) == [
        ("accepted", "ann@x.org", ""), ("edited", "cy", EDIT), ("rejected", "bob@x.org", "hard to read"),
        ("rejected", "eve", "too long"),
    ]  # fmt: skip
    last = file.item("t/a").history[-1]
    assert (last.at, last.via) == ("2026-11-26T01:00:05.2Z", "label-studio")
    before = file.path.read_bytes()
    assert import_file(file, None, done, "cy")[:4] == (0, 3, 0, 0)
    assert file.path.read_bytes() == before


def test_label_studios_short_form(file: ReviewFile, tmp_path: Path) -> None:
    path = tmp_path / "min.json"
    row = {"sample": "t/a", "state": file.item("t/a").state, "response": "r a", "id": 1, "annotator": 3,
           "annotation_id": 9, "created_at": "2026-11-26T01:00:00Z", "decision": "edit", "edited": EDIT}  # fmt: skip
    path.write_text(json.dumps([row]))
    assert import_file(file, None, path).people == ("annotator 3",)
    assert told(file)[0] == ("edited", "annotator 3", EDIT)


@pytest.mark.parametrize("lines", [False, True])
def test_argilla_and_back(file: ReviewFile, tmp_path: Path, lines: bool) -> None:
    done = argilla(
        file, tmp_path, (0, ANN, {"decision": "accept", "edited": "r a"}),
        (1, ANN, {"decision": "edit", "edited": EDIT}), (2, ANN, {"decision": "reject", "reason": "hard to read"}),
        (3, ANN, {"edited": "a draft without a decision"}), lines=lines,
    )  # fmt: skip
    assert import_file(file, None, done, "ann").taken == 3
    assert told(file)[:3] == [("accepted", "ann", ""), ("edited", "ann", EDIT), ("rejected", "ann", "hard to read")]
    assert import_file(file, None, done, "ann")[:2] == (0, 3)
    last = file.item("t/a").history[-1]
    assert last.via == "argilla"
    assert last.at, "of the import: Argilla's export tells no time"


def test_two_annotators_who_disagree_wait_for_a_third(file: ReviewFile, tmp_path: Path) -> None:
    done = argilla(file, tmp_path, (0, ANN, {"decision": "accept"}), (0, BOB, {"decision": "reject"}))
    with pytest.raises(InputError, match="decisions of 2 people that it tells by number; leave --name out"):
        import_file(file, None, done, "ann")
    assert import_file(file, None, done).people == (f"user {ANN[:8]}", f"user {BOB[:8]}")
    assert file.item("t/a").waits == "settling"


def test_a_second_annotator_may_come_later_and_a_decision_made_here_may_not(file: ReviewFile, tmp_path: Path) -> None:
    first = studio(file, tmp_path, (0, 1, "accept", {}))
    state = json.loads(first.read_text())[0]["data"]["state"]
    import_file(file, None, first)
    second = studio(file, tmp_path, (0, 2, "accept", {}), (1, 2, "reject", {}))
    table = json.loads(second.read_text())
    table[0]["data"]["state"] = state
    second.write_text(json.dumps(table, indent=1))
    assert import_file(file, None, second).taken == 2
    assert file.item("t/a").by == "annotator 1, annotator 2"
    third = studio(file, tmp_path, (0, 3, "reject", {}), (2, 3, "accept", {}))
    file.decide("t/a", Decision(status="edited", by="eve", edited=EDIT))
    before = file.path.read_bytes()
    with pytest.raises(InputError, match=r"done.json:2: sample 't/a' was edited by eve at .* since the export"):
        import_file(file, None, third)
    assert file.path.read_bytes() == before, "nothing is half imported"
    assert import_file(file, None, third, skip=True)[:3] == (1, 0, 1)
    assert [row[0] for row in told(file)] == ["edited", "rejected", "accepted", "rejected"]


def no_choice(row: Row) -> None:
    row["annotations"][0]["result"][0]["value"] = {"choices": ["maybe"]}


def no_text(row: Row) -> None:
    row["annotations"][0]["result"][0]["value"] = {"choices": ["edit"]}


def unknown(row: Row) -> None:
    row["data"]["sample"] = "t/z"


def stripped(row: Row) -> None:
    del row["data"]["sample"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (no_choice, r"done.json:\d+: decision \"maybe\"; allowed are accept, edit, reject"),
        (no_text, r"done.json:\d+: the decision is 'edit', but no edited response stands there"),
        (unknown, r"done.json:\d+: the queue has no sample 't/z'.*nothing was imported"),
        (stripped, r"done.json:\d+: no id of a sample; it was not exported by r1 review"),
        (lambda row: row.pop("data"), r"done.json:\d+: no task of Label Studio \('data'\) and no record"),
        (lambda row: row.update(annotations={}), r"done.json:\d+: 'data' must be an object and 'annotations' a list"),
    ],
)
def test_a_task_that_does_not_fit_is_told_by_its_line(
    file: ReviewFile, tmp_path: Path, change: Callable[[Row], Any], said: str
) -> None:
    done = studio(file, tmp_path, (0, 1, "accept", {}), (1, 1, "accept", {}))
    tasks = json.loads(done.read_text())
    change(tasks[1])
    done.write_text(json.dumps(tasks, indent=1))
    before = file.path.read_bytes()
    with pytest.raises(InputError, match=said) as error:
        import_file(file, None, done)
    line = int(str(error.value).partition("done.json:")[2].partition(":")[0])
    begins = [n for n, text in enumerate(done.read_text().splitlines(), start=1) if text.startswith(" {")]
    assert line == begins[1]
    assert file.path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no task and no record in it"),
        ('[{"data": {}},\n {"data": {}}', ":2: the array has no end; export the file again"),
        ('{"fields": {}}\n{"fields": ', ":2: not valid JSON"),
        ("[1]", ":1: a task or a record is a JSON object, got 1"),
        ('{"id": "x", "fields": {}, "responses": {"decision": ["accept"]}}', "'value' and 'user_id'"),
    ],
)
def test_a_file_that_is_no_export_is_one_line(file: ReviewFile, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "done.json"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        import_file(file, None, path)
    with pytest.raises(InputError, match=r"gone.json: no such file"):
        import_file(file, None, tmp_path / "gone.json")


def test_an_export_needs_a_format_and_another_place(file: ReviewFile, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--format labelstudio: formats are label-studio, argilla. Did you mean"):
        export_queue(file, None, tmp_path / "x.json", "labelstudio")
    done = argilla(file, tmp_path)
    with pytest.raises(InputError, match=r"done.json:1: this is of argilla, and --format label-studio was given"):
        import_file(file, None, done, form="label-studio")
    with pytest.raises(InputError, match=r"--format argila: formats are .*Did you mean 'argilla'"):
        import_file(file, None, done, form="argila")
    with pytest.raises(InputError, match="is the queue itself"):
        export_queue(file, None, file.path, "argilla")
    with pytest.raises(
        InputError, match=r"x\.xml: the tool's set-up belongs there; export to a file that ends in \.json"
    ):
        export_queue(file, None, tmp_path / "x.xml", "")
    with pytest.raises(InputError, match="it is a folder; name a file"):
        export_queue(file, None, tmp_path, "argilla")
    assert len(file.items()) == 4


def test_label_studio_takes_what_we_write(file: ReviewFile, tmp_path: Path) -> None:
    sdk = pytest.importorskip("label_studio_sdk.label_interface")
    studio(file, tmp_path)
    interface = sdk.LabelInterface((tmp_path / "ls.xml").read_text())
    interface.validate()
    for task in json.loads((tmp_path / "ls.json").read_text()):
        assert interface.validate_task({"data": task["data"]})
        assert all(
            interface.validate_prediction(each, return_errors=True) == [] for each in task.get("predictions", [])
        )


def test_argilla_takes_what_we_write(file: ReviewFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rg = pytest.importorskip("argilla")
    from argilla.records._io._json import JsonIO

    monkeypatch.setattr(rg.Argilla, "_get_default", classmethod(lambda cls: MagicMock()))
    argilla(file, tmp_path)
    rg.Settings.from_json(tmp_path / "arg.settings.json").validate()
    assert [record.id for record in JsonIO._records_from_json(tmp_path / "arg.json")] == list(file.items())
