"""The review queue: accept, edit, reject, undo, two people an item; what a hand edit broke is told by file and line."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from r1kit.errors import InputError, R1Error
from r1kit.factory.agreement import agreement, cohens_kappa
from r1kit.factory.review import (
    Decision,
    Item,
    accept_open,
    accepted,
    decided,
    read_queue,
    rejections,
    shared_out,
    statuses,
    write_queue,
)
from r1kit.factory.review_file import Conflict, ReviewFile
from r1kit.records import Sample


def sample(name: str) -> Sample:
    return Sample(id=name, prompt="q", response=f"r {name}", domain="d", provenance={"route": "r1_zero", "edits": []})


def item(name: str, *decisions: Decision, reviewers: int = 1) -> Item:
    found = Item(id=name, sample=sample(name), reviewers=reviewers)
    for each in decisions:
        found = decided(found, each)
    return found


def accept(by: str, **more: Any) -> Decision:
    return Decision(status="accepted", by=by, **more)


def edit(by: str, text: str, **more: Any) -> Decision:
    return Decision(status="edited", by=by, edited=text, **more)


def reject(by: str, reason: str = "", **more: Any) -> Decision:
    return Decision(status="rejected", by=by, reason=reason, **more)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "review.jsonl"
    write_queue(found, [item(name) for name in "abcd"])
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_life_of_a_queue(path: Path) -> None:
    file = ReviewFile(path)
    file.decide("a", accept("ann", at="2026-01-01"))
    file.decide("b", edit("ann", "better", at="2026-01-02"))
    file.decide("c", reject("bob", "wrong"))
    found = read_queue(path)
    assert [(each.status, each.open) for each in found] == [
        ("accepted", False), ("edited", False), ("rejected", False), ("pending", True),
    ]  # fmt: skip
    assert found == list(file.items().values())
    assert [each.history for each in found] == [each.history for each in file.items().values()]
    kept = accepted(found)
    assert [(s.id, s.response) for s in kept] == [("a", "r a"), ("b", "better")]
    assert [s.provenance["review"] for s in kept] == ["ann", "ann"]
    assert kept[1].provenance["edits"] == [{"by": "ann", "what": "review", "detail": "before: r b"}]
    assert found[1].sample.response == "r b", "what came in is kept"
    assert statuses(found) == {"accepted": 1, "edited": 1, "pending": 1, "rejected": 1}
    assert rejections(found) == {"wrong": 1}


def test_a_decision_is_a_line_of_its_own_and_every_earlier_byte_stays(path: Path) -> None:
    before = path.read_bytes()
    ReviewFile(path).decide("b", reject("ann", "wrong", at="2026-01-01T10:00:00+0000"))
    assert path.read_bytes().startswith(before)
    assert lines(path)[4:] == [
        {"at": "2026-01-01T10:00:00+0000", "id": "b", "status": "rejected", "by": "ann", "reason": "wrong"}
    ]
    assert list(lines(path)[0]) == ["id", "status", "by", "at", "sample", "edited"]


def test_the_automatic_policy_accepts_what_waits_says_so_and_leaves_it_open_to_people() -> None:
    items = accept_open([item("a", reject("ann")), item("b")], at="now")
    assert [(i.status, i.by, i.open) for i in items] == [
        ("rejected", "ann", False), ("accepted", "automatic", True),
    ]  # fmt: skip
    assert {s.provenance["review"] for s in accepted(items)} == {"automatic"}


def test_undo_takes_back_a_persons_own_decisions_one_after_the_other(path: Path) -> None:
    file = ReviewFile(path)
    for name, decision in [("a", accept("ann")), ("b", reject("bob")), ("b", edit("Ann", "x")), ("c", accept("ann"))]:
        file.decide(name, decision)
    assert [file.undo("ann").id for _ in range(3)] == ["c", "b", "a"]
    assert [i.status for i in read_queue(path)] == ["pending", "rejected", "pending", "pending"]
    with pytest.raises(InputError, match="nothing to undo: no decision of ann stands"):
        file.undo("ann")
    assert [(line["id"], line["by"], line["status"]) for line in lines(path) if line.get("undo")] == [
        ("c", "ann", "pending"), ("b", "ann", "rejected"), ("a", "ann", "pending"),
    ]  # fmt: skip
    assert len(lines(path)) == 4 + 4 + 3, "what was taken back stays in the file"


def test_what_another_has_decided_since_is_told_and_not_overwritten(path: Path) -> None:
    ann, bob = ReviewFile(path), ReviewFile(path)
    state = bob.item("a").state
    ann.decide("a", accept("ann"), state)
    before = path.read_bytes()
    with pytest.raises(Conflict, match=r"^sample 'a' was accepted by ann at .* since you opened it; nothing") as error:
        bob.decide("a", reject("bob"), state)
    assert error.value.item.status == "accepted"
    assert path.read_bytes() == before
    bob.decide("a", reject("bob"), error.value.item.state)
    with pytest.raises(Conflict, match=r"^sample 'a' was rejected by bob at .* since you did; yours is not undone"):
        ann.undo("ann")


def test_decisions_need_a_sample_a_name_and_a_text(path: Path) -> None:
    file, before = ReviewFile(path), path.read_bytes()
    for identity, decision, told in [
        ("x", accept("ann"), "no sample 'x' waits"),
        ("a", accept(" "), "needs a name"),
        ("a", edit("ann", " "), "needs the edited response"),
    ]:
        with pytest.raises(InputError, match=told):
            file.decide(identity, decision)
    assert path.read_bytes() == before


# ---- two people an item ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decisions", "status", "by", "waits"),
    [
        ([accept("ann", blind=True)], "pending", "", "second"),
        ([accept("ann", blind=True), accept("Ann ", blind=True)], "pending", "", "second"),
        ([accept("ann", blind=True), accept("bob", blind=True)], "accepted", "ann, bob", ""),
        ([edit("ann", "x", blind=True), accept("bob", blind=True)], "edited", "ann, bob", ""),
        ([reject("ann", blind=True), reject("bob", blind=True)], "rejected", "ann, bob", ""),
        ([reject("ann", blind=True), accept("bob", blind=True)], "pending", "", "settling"),
        ([reject("ann", blind=True), accept("bob", blind=True), accept("cy")], "accepted", "cy", ""),
        ([reject("ann", blind=True), accept("bob", blind=True), Decision(status="pending", by="bob", undo=True)],
         "pending", "", "second"),
        ([reject("ann", blind=True), accept("bob", blind=True), Decision(status="pending", by="bob")],
         "pending", "", "decision"),
    ],
)  # fmt: skip
def test_two_people_decide_and_a_third_settles(decisions: Sequence[Decision], status: str, by: str, waits: str) -> None:
    found = item("a", *decisions, reviewers=2)
    assert (found.status, found.by, found.waits) == (status, by, waits)


def test_two_who_decide_blind_need_not_know_of_each_other(path: Path) -> None:
    ReviewFile(path).share_out(1.0, 1)
    ann, bob = ReviewFile(path), ReviewFile(path)
    state = bob.item("a").state
    ann.decide("a", accept("ann", blind=True), state)
    assert bob.decide("a", reject("bob", blind=True), state).waits == "settling"
    with pytest.raises(Conflict):
        ann.decide("a", accept("cy", blind=True), state)


def test_a_share_goes_to_two_and_nothing_else_changes(path: Path) -> None:
    many = [item(str(number)) for number in range(400)]
    assert sum(each.reviewers == 2 for each in shared_out(many, 0.25, 1)) == pytest.approx(100, abs=25)
    assert [each.id for each in shared_out(many, 0.25, 1)] == [each.id for each in many]
    file = ReviewFile(path)
    file.decide("b", accept("ann"))
    before = path.read_text().split("\n")
    assert file.share_out(1.0, 1) == 3
    after = path.read_text().split("\n")
    assert (after[1], after[4:]) == (before[1], before[4:]), "what was decided stays as it is"
    assert [each.reviewers for each in read_queue(path)] == [2, 1, 2, 2]


def test_what_was_accepted_automatically_goes_to_two_people_too(tmp_path: Path) -> None:
    queue = tmp_path / "queue.jsonl"
    write_queue(queue, accept_open([item("a"), item("b", accept("ann"))]))
    file = ReviewFile(queue)
    assert file.share_out(1.0, 1) == 1
    assert [(each.reviewers, each.status) for each in read_queue(queue)] == [(2, "accepted"), (1, "accepted")]
    assert file.decide("a", accept("ann", blind=True), file.item("a").state).waits == "second"
    assert file.decide("a", accept("bob", blind=True), file.item("a").state).by == "ann, bob"


def test_kappa_by_hand() -> None:
    """Of 10 both keep 4, both reject 3, ann alone keeps 2, bob alone 1: p_o = .7; ann keeps .6, bob .5, so
    p_e = .6 * .5 + .4 * .5 = .5 and kappa = (.7 - .5) / (1 - .5) = .4."""
    labels = [(True, True)] * 4 + [(False, False)] * 3 + [(True, False)] * 2 + [(False, True)]
    assert cohens_kappa(labels) == pytest.approx(0.4)
    assert cohens_kappa([(True, True)] * 3) is None, "chance alone makes them agree"
    assert cohens_kappa([(True, False), (False, True)]) == -1.0
    assert cohens_kappa([]) is None


def test_agreement_counts_what_two_decided_without_seeing_each_other() -> None:
    def both(name: str, first: bool, second: bool) -> Item:
        made = [(accept if keeps else reject)(by, blind=True) for by, keeps in (("ann", first), ("bob", second))]
        return item(name, *made, reviewers=2)

    labels = [(True, True)] * 4 + [(False, False)] * 3 + [(True, False)] * 2 + [(False, True)]
    items = [both(str(number), *label) for number, label in enumerate(labels)]
    items.append(item("seen", accept("ann"), reject("bob")))
    items.append(item("one", accept("ann", blind=True), reviewers=2))
    items.append(item("cy", accept("cy", blind=True), edit("ann", "x", blind=True), reviewers=2))
    found = agreement(items)
    assert [(pair.people, pair.items, pair.share, pair.kappa) for pair in found.pairs] == [
        (("ann", "bob"), 10, 0.7, pytest.approx(0.4)), (("ann", "cy"), 1, 1.0, None),
    ]  # fmt: skip
    assert (found.items, found.share, found.kappa) == (11, pytest.approx(8 / 11), pytest.approx(0.4))


# ---- a text editor, and a kill --------------------------------------------------------------------------------------


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
        (lambda line: line[:-1] + ', "reviewers": 3}', r"review.jsonl:2: reviewers = 3; one person decides, or 2"),
    ],
)
def test_a_line_broken_by_hand_is_one_line_with_its_place(path: Path, change: Callable[[str], str], told: str) -> None:
    found = path.read_text().split("\n")
    found[1] = change(found[1])
    path.write_text("\n".join(found))
    with pytest.raises(InputError, match=told) as error:
        read_queue(path)
    assert "\n" not in str(error.value)
    assert path.read_text() == "\n".join(found), "nothing is lost"


def test_a_line_that_is_no_text_is_told(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"r b"', b'"r \xff"'))
    with pytest.raises(InputError, match=r"review.jsonl:2: not readable as UTF-8"):
        read_queue(path)


def test_a_deleted_line_is_a_sample_less(path: Path) -> None:
    path.write_text("\n".join(path.read_text().split("\n")[1:]))
    assert [each.id for each in read_queue(path)] == ["b", "c", "d"]


def test_an_editor_that_replaces_the_file_is_seen_and_its_last_line_need_not_end(path: Path) -> None:
    file = ReviewFile(path)
    file.decide("a", accept("ann"))
    state = file.item("b").state
    found = path.read_text().split("\n")
    found[1] = found[1].replace("pending", "rejected")
    other = path.with_name("other")
    other.write_text("\n".join(found).rstrip("\n"))
    other.replace(path)
    assert file.item("b").status == "rejected"
    with pytest.raises(Conflict):
        file.decide("b", accept("ann"), state)
    file.decide("c", accept("ann"))
    assert [each.status for each in read_queue(path)] == ["accepted", "rejected", "accepted", "pending"]


def test_a_torn_last_line_costs_that_decision_only(path: Path) -> None:
    file = ReviewFile(path)
    file.decide("a", accept("ann"))
    whole = path.read_bytes()
    file.decide("b", edit("ann", "größer"))
    line = path.read_bytes()[len(whole) :]
    for length in range(len(line) - 1):
        path.write_bytes(whole + line[:length])
        assert [each.status for each in read_queue(path)] == ["accepted", *["pending"] * 3], line[:length]
    path.write_bytes(whole + line[:-1])
    assert read_queue(path)[1].status == "edited", "a line is whole without its end"
    path.write_bytes(whole + line[:25])
    ReviewFile(path).decide("c", reject("bob"))
    assert [each.status for each in read_queue(path)] == ["accepted", "pending", "rejected", "pending"]


def test_an_item_that_lost_its_end_is_no_torn_decision(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"review.jsonl:4: not valid JSON"):
        read_queue(path)


def test_a_full_disk_is_one_line_and_takes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, before = ReviewFile(path), path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(R1Error, match=r"^cannot write .*review.jsonl: No space left on device; nothing"):
            file.decide("a", accept("ann"))
    assert path.read_bytes() == before
    assert file.item("a").status == "pending"
    file.decide("a", accept("ann"))
    assert read_queue(path)[0].status == "accepted"


def test_an_editor_that_saves_right_before_the_line_is_written_is_not_overridden(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = ReviewFile(path)
    state, opened = file.item("a").state, os.open

    def saved(name: object, *more: Any) -> int:
        if name == path:
            monkeypatch.setattr(os, "open", opened)
            write_queue(path, [item("a", reject("an editor")), item("b")])
        return opened(name, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", saved)
    with pytest.raises(Conflict, match="was rejected by an editor"):
        file.decide("a", accept("ann"), state)
    assert [each.status for each in read_queue(path)] == ["rejected", "pending"]
