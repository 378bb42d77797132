"""The review queue: accept, edit, reject, wait; a broken line is told by file and line and the file is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1kit.errors import InputError
from r1kit.factory.review import Item, accept_pending, accepted, decide, read_queue, write_queue
from r1kit.records import Sample


def sample(name: str) -> Sample:
    return Sample(id=name, prompt="q", response=f"r {name}", domain="d", provenance={"route": "r1_zero", "edits": []})


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    path = tmp_path / "review.jsonl"
    write_queue(path, [Item(id=name, sample=sample(name)) for name in "abcd"])
    return path


def test_the_life_of_a_queue(queue: Path) -> None:
    items = read_queue(queue)
    items = decide(items, "a", "accepted", "ann", at="2026-01-01")
    items = decide(items, "b", "edited", "ann", "better", at="2026-01-02")
    items = decide(items, "c", "rejected", "bob")
    write_queue(queue, items)
    found = read_queue(queue)
    assert [item.status for item in found] == ["accepted", "edited", "rejected", "pending"]
    assert found == items
    kept = accepted(found)
    assert [(s.id, s.response) for s in kept] == [("a", "r a"), ("b", "better")]
    assert [s.provenance["review"] for s in kept] == ["ann", "ann"]
    assert kept[1].provenance["edits"] == [{"by": "ann", "what": "review", "detail": "before: r b"}]
    assert found[1].sample.response == "r b", "what came in is kept"


def test_the_automatic_policy_accepts_what_waits_and_says_so(queue: Path) -> None:
    items = accept_pending(decide(read_queue(queue), "a", "rejected", "ann"), at="now")
    assert [(i.status, i.by) for i in items] == [("rejected", "ann"), *[("accepted", "automatic")] * 3]
    assert {s.provenance["review"] for s in accepted(items)} == {"automatic"}


def test_a_decision_can_be_taken_back(queue: Path) -> None:
    items = decide(read_queue(queue), "b", "edited", "ann", "better")
    assert (decide(items, "b", "pending", "ann")[1].status, decide(items, "b", "accepted", "ann")[1].edited) == (
        "pending",
        "",
    )


def test_decisions_need_a_sample_a_name_and_a_text(queue: Path) -> None:
    items = read_queue(queue)
    for arguments, told in [
        (("x", "accepted", "ann"), "no sample 'x' waits"),
        (("a", "accepted", " "), "needs a name"),
        (("a", "edited", "ann"), "needs the edited response"),
    ]:
        with pytest.raises(InputError, match=told):
            decide(items, *arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda line: line[:30], r"review.jsonl:2: not valid JSON: .*mend the line"),
        (lambda line: "[1]", r"review.jsonl:2: expected a JSON object"),
        (lambda line: line.replace("pending", "acepted"), r"review.jsonl:2: status 'acepted'.*Did you mean 'accepted'"),
        (lambda line: line.replace("pending", "edited"), r"review.jsonl:2: status is 'edited' but"),
        (lambda line: line.replace('"sample"', '"smaple"'), r"review.jsonl:2: no 'sample' object"),
        (lambda line: line.replace('"r b"', '""'), r"review.jsonl:2: 'response' must be text"),
        (lambda line: line.replace('"id": "b"', '"id": "a"'), r"review.jsonl:2: id 'a' is taken already at .*jsonl:1"),
    ],
)
def test_a_line_broken_by_hand_is_one_line_with_its_place(queue: Path, change: object, told: str) -> None:
    lines = queue.read_text().split("\n")
    lines[1] = change(lines[1])  # type: ignore[operator]
    queue.write_text("\n".join(lines))
    with pytest.raises(InputError, match=told) as error:
        read_queue(queue)
    assert "\n" not in str(error.value)
    assert queue.read_text() == "\n".join(lines), "nothing is lost"


def test_a_deleted_line_is_a_sample_less(queue: Path) -> None:
    queue.write_text("\n".join(queue.read_text().split("\n")[1:]))
    assert [item.id for item in read_queue(queue)] == ["b", "c", "d"]


def test_the_file_is_plain_json_lines(queue: Path) -> None:
    first = json.loads(queue.read_text().split("\n")[0])
    assert list(first) == ["id", "status", "by", "at", "sample", "edited"]
