"""What the review page asks: the next sample for each, decisions, conflicts, undo, progress; bad requests."""

from __future__ import annotations

import json

import pytest
from reviewing import answered

from r1kit.factory.review import read_queue

from .conftest import Office


def test_a_page_that_asks_nothing_of_another_host(office: Office) -> None:
    found = office.http.get("/")
    assert found.status_code == 200
    assert "cold_start" in found.text
    assert "script-src 'self'" in found.headers["content-security-policy"]
    assert "http://" not in found.text.replace(str(office.run), "")
    assert "<kbd>7</kbd> harmful or off topic" in found.text


def test_two_people_get_different_samples_until_a_lease_ends(office: Office) -> None:
    ann, bob = office.tab("ann"), office.tab("bob")
    first, second = ann.next(), bob.next()
    assert (first["number"], second["number"]) == (1, 2)
    assert ann.next(first["id"])["number"] == 3
    assert office.tab("ann", "another tab").next()["number"] == 1, "what ann has left is free"
    office.now[0] = 299.0
    office.http.get("/progress", params={"client": bob.client, "awake": "yes"})
    office.now[0] = 302.0
    assert office.tab("cy").next()["number"] == 1, "a lease without a sign of its person has ended"
    assert office.tab("dee").next()["number"] == 3, "one with a sign has not"
    office.tab("eve").send("/leave", client=bob.client)
    assert office.tab("eve").next()["number"] == 2


def test_a_skipped_sample_comes_again_at_the_end(office: Office) -> None:
    ann = office.tab("ann")
    items = [ann.next()]
    for _ in range(3):
        items.append(ann.next(*(item["id"] for item in items)))
    assert [item["number"] for item in items] == [1, 2, 3, 4]
    assert ann.next(*(item["id"] for item in items))["number"] == 1


def test_a_decision_is_in_the_file_before_it_is_answered(office: Office) -> None:
    ann = office.tab(" Ann  Lee ")
    item = ann.next()
    after = ann.decide(item, "rejected", reason="wrong answer").json()["item"]
    assert (after["status"], after["by"], after["reason"]) == ("rejected", "Ann Lee", "wrong answer")
    line = json.loads(office.path.read_text().splitlines()[-1])
    told = {"id": item["id"], "status": "rejected", "by": "Ann Lee", "reason": "wrong answer"}
    assert {key: line[key] for key in told} == told
    progress = ann.progress()
    assert (progress["total"], progress["open"], progress["people"]) == (4, 3, {"Ann Lee": 1})
    assert progress["reasons"] == {"wrong answer": 1}
    assert progress["standing"] == "cold_start waits for 3 of 4 decisions."


def test_what_another_decided_is_told_and_shown_and_not_overwritten(office: Office) -> None:
    ann, bob = office.tab("ann"), office.tab("bob")
    item = ann.next()
    seen = bob.send("/open", id=item["id"]).json()["item"]
    assert seen["others"] == ["ann"]
    ann.decide(item, "accepted")
    assert bob.progress(item["id"])["item"]["state"] != seen["state"], "so that the page shows it by itself"
    before = office.path.read_bytes()
    refused = bob.decide(seen, "rejected")
    assert refused.status_code == 409
    told = refused.json()
    assert "was accepted by ann at" in told["error"]["message"]
    assert told["item"]["status"] == "accepted"
    assert office.path.read_bytes() == before
    assert bob.decide(told["item"], "rejected").json()["item"]["status"] == "rejected"
    assert "yours is not undone" in ann.send("/undo").json()["error"]["message"]


def test_undo_goes_back_several_steps(office: Office) -> None:
    ann = office.tab("ann")
    decided = []
    for status in ("accepted", "rejected"):
        decided.append(ann.next())
        ann.decide(decided[-1], status)
    for item in reversed(decided):
        taken = ann.send("/undo").json()["item"]
        assert (taken["id"], taken["status"], taken["waits"]) == (item["id"], "pending", "decision")
        assert [each["undo"] for each in taken["history"]] == [False, True]
    refused = ann.send("/undo")
    assert refused.status_code == 400
    assert refused.json()["error"]["message"] == "nothing to undo: no decision of ann stands"


def test_two_decide_blind_and_whoever_sees_both_settles(office: Office) -> None:
    office.desk.reviewed.file.share_out(1.0, 1)
    ann, bob, cy = office.tab("ann"), office.tab("bob"), office.tab("cy")
    first, second = ann.next(), bob.next()
    assert first["id"] == second["id"], "two people may be at it"
    assert cy.next()["id"] != first["id"], "three may not"
    cy.send("/leave")
    ann.decide(first, "rejected", reason="hard to read")
    assert office.tab("ann").next()["id"] != first["id"], "nobody decides twice"
    seen = bob.send("/open", id=first["id"]).json()["item"]
    assert (seen["blind"], seen["waits"], seen["history"]) == (True, "second", [])
    assert bob.progress(first["id"])["item"]["state"] == "", "not even that ann has decided"
    after = bob.decide(second, "accepted").json()["item"]
    assert (after["waits"], len(after["history"])) == ("settling", 2)
    assert bob.next()["id"] != first["id"], "a third settles better"
    agreement = cy.progress()["agreement"]
    assert (agreement["items"], agreement["share"], agreement["kappa"]) == (1, 0.0, 0.0)
    assert cy.progress()["statuses"]["disagreed"] == 1
    settled = cy.decide(cy.next(), "accepted").json()["item"]
    assert (settled["status"], settled["by"], settled["waits"]) == ("accepted", "cy", "")


def test_who_settles_sees_both_edits(office: Office) -> None:
    office.desk.reviewed.file.share_out(1.0, 1)
    ann, bob = office.tab("ann"), office.tab("bob")
    item = ann.next()
    ann.decide(item, "edited", edited=item["response"].replace("try", "trying"))
    assert bob.send("/open", id=item["id"]).json()["item"]["edits"] == []
    bob.decide(item, "rejected")
    (edit,) = office.tab("cy").send("/open", id=item["id"]).json()["item"]["edits"]
    assert edit["by"] == "ann"
    assert [change for change in edit["changes"] if change[0] != "same"] == [["gone", "try"], ["new", "trying"]]


def test_an_edit_is_checked_by_the_rules_of_the_stage(office: Office) -> None:
    ann = office.tab("ann")
    item = ann.next()
    assert item["reference"][0]["text"] in item["raw"]

    def checked(text: str) -> dict[str, object]:
        found = ann.send("/check", id=item["id"], edited=text, judge=True).json()
        return {key: found[key] for key in ("fault", "right")}

    assert checked(item["response"]) == {"fault": "", "right": True}
    assert checked(answered("xs + [99]")) == {"fault": "", "right": False}
    torn = item["response"].replace("</think>", "")
    assert checked(torn)["fault"] == "each tag stands once, but </think> 0 times"
    edited = ann.decide(item, "edited", edited=answered("xs + [99]"))
    assert edited.json() == {"fault": "the answer is wrong"}, "it is asked for once more"
    assert all(each.open for each in read_queue(office.path))
    kept = ann.decide(item, "edited", edited=answered("xs + [99]"), anyway=True).json()["item"]
    assert (kept["status"], kept["fault"]) == ("edited", "the answer is wrong")
    assert json.loads(office.path.read_text().splitlines()[-1])["fault"] == "the answer is wrong"
    changes = ann.send("/check", id=item["id"], edited=item["response"].replace("try", "trying")).json()["changes"]
    assert [change for change in changes if change[0] != "same"] == [["gone", "try"], ["new", "trying"]]


def test_the_list_finds_by_state_and_words(office: Office) -> None:
    ann = office.tab("ann")
    item = ann.next()
    ann.decide(item, "rejected", reason="repeats itself")

    def found(**query: str) -> list[int]:
        rows = office.http.get("/items", params={"name": "ann", **query}).json()["rows"]
        return [row["number"] for row in rows]

    assert found(show="all") == [1, 2, 3, 4]
    assert found(show="open") == [2, 3, 4]
    assert found(show="rejected") == found(show="mine") == found(words="REPEATS itself") == [1]
    assert found(show="all", **{"from": "3"}) == [4]
    for query, told in [({"show": "none"}, "show = 'none': allowed are all, open"), ({"from": "-1"}, "a whole number")]:
        refused = office.http.get("/items", params=query)
        assert refused.status_code == 400
        assert told in refused.json()["error"]["message"]


def test_a_line_that_an_editor_broke_is_told_and_kept(office: Office) -> None:
    ann = office.tab("ann")
    item = ann.next()
    whole = office.path.read_text()
    office.path.write_text(whole.replace('"pending"', '"pendign"', 1))
    for refused in (ann.decide(item, "accepted"), office.http.get("/progress")):
        assert refused.status_code == 400
        assert "review.jsonl:1: status 'pendign' is unknown" in refused.json()["error"]["message"]
    office.path.write_text(whole)
    assert ann.decide(item, "accepted").status_code == 200


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "the body is no JSON"),
        (b"[" * 100_000, "the body is no JSON"),
        (b"[]", "the body is no JSON object"),
        (b'{"id": "a", "state": "", "status": "accepted", "client": ""}', "the body has no 'name'"),
        (b'{"id": 7, "state": "", "status": "accepted", "client": "", "name": "a"}', "id: a text is expected"),
        (b'{"id": "a", "state": "", "status": "acepted", "client": "", "name": "a"}', "Did you mean 'accepted'"),
        (b'{"id": "a", "state": "", "status": "accepted", "client": "", "name": " "}', "a decision needs a name"),
        (b'{"id": "a", "state": "", "status": "accepted", "client": "", "name": "automatic"}', "choose another name"),
        (b'{"id": "a", "state": "", "status": "accepted", "client": "", "name": "a"}', "no sample 'a' waits"),
        (b'{"id": "a", "state": "", "status": "rejected", "client": "", "name": "\\ud800"}', "half a surrogate pair"),
        (b'{"id": "a", "state": "", "status": "x", "client": "", "name": "%s"}' % (b"a" * 81), "at most 80 characters"),
    ],
)  # fmt: skip
def test_bad_requests_are_one_line_and_change_nothing(office: Office, body: bytes, told: str) -> None:
    before = office.path.read_bytes()
    found = office.http.post("/decide", content=body, headers={"x-r1-token": office.token})
    assert found.status_code == 400
    assert told in found.json()["error"]["message"]
    assert office.path.read_bytes() == before


def test_another_site_cannot_accept_samples(office: Office) -> None:
    item = office.tab("ann").next()
    body = {"id": item["id"], "state": item["state"], "status": "accepted", "name": "eve", "client": "x"}
    before = office.path.read_bytes()
    for headers in ({}, {"x-r1-token": office.token, "origin": "http://evil.example"}):
        assert office.http.post("/decide", json=body, headers=headers).status_code == 403
    assert office.path.read_bytes() == before
