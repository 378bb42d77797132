"""Who is at which item, and what the page is told: the queue for several people at once.

An item that a page has open is leased to it, so that two people get different ones; a lease that is not renewed ends.
Leases only spare people work. What keeps one from overwriting the other is the state that each decision names.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, Literal

from r1kit.errors import InputError
from r1kit.factory.agreement import agreement
from r1kit.factory.review import AUTOMATIC, Decision, Item, person, rejections
from r1kit.factory.review_run import Reviewed
from r1kit.structure import plain
from r1kit.web.plain import clip, visible
from r1kit.web.review.shown import pieces, sections

__all__ = ["LEASE_SECONDS", "SHOWS", "Change", "Desk", "Visitor", "is_blind", "word_diff"]

Change = tuple[Literal["same", "gone", "new"], str]

_WORD = re.compile(r"[぀-ヿ㐀-鿿가-힯]|[^\W぀-ヿ㐀-鿿가-힯]+|\s+|[^\w\s]")
"""A letter of a script without spaces is a word of its own."""
MOST = 4_000_000
"""Pairs of pieces that are compared. Where there are more words than that, lines are, and words within changed ones."""


def word_diff(before: str, after: str) -> list[Change]:
    """The pieces of both texts in order; ``same`` and ``gone`` make the one before, ``same`` and ``new`` that after."""
    found = _diff(_WORD.findall(before), _WORD.findall(after))
    if found is None:
        found = []
        lines = _diff(before.splitlines(keepends=True), after.splitlines(keepends=True))
        for old, new, is_same in lines or [(before, after, False)]:
            within = None if is_same else _diff(_WORD.findall(old), _WORD.findall(new))
            found += within or [(old, new, is_same)]
    changes: list[Change] = []
    for old, new, is_same in found:
        changes += [("same", old)] if is_same else [("gone", old), ("new", new)]
    return [change for change in changes if change[1]]


def _diff(old: list[str], new: list[str]) -> list[tuple[str, str, bool]] | None:
    """(pieces of the old, of the new, whether they are the same) in order; None where it would take long."""
    start = _alike(old, new)
    end = _alike(old[start:][::-1], new[start:][::-1])
    inner = old[start : len(old) - end], new[start : len(new) - end]
    if len(inner[0]) * len(inner[1]) > MOST:
        return None
    first, last = "".join(old[:start]), "".join(old[len(old) - end :])
    codes = SequenceMatcher(None, *inner, autojunk=False).get_opcodes()
    found = [("".join(inner[0][a:b]), "".join(inner[1][c:d]), kind == "equal") for kind, a, b, c, d in codes]
    return [(first, first, True), *found, (last, last, True)]


def _alike(one: list[str], other: list[str]) -> int:
    """Pieces that both begin with."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


LEASE_SECONDS = 300.0
"""Without a sign of the person."""
PAGE = 100
"""Rows of the list at once."""
SHOWS: dict[str, Callable[[Item, str], bool]] = {
    "all": lambda item, name: True,
    "open": lambda item, name: item.open,
    "mine": lambda item, name: any(person(each.by) == person(name) for each in item.standing),
    "accepted": lambda item, name: not item.open and item.status == "accepted",
    "edited": lambda item, name: not item.open and item.status == "edited",
    "rejected": lambda item, name: not item.open and item.status == "rejected",
    "disagreed": lambda item, name: item.waits == "settling",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    client: str
    """One tab of a browser."""
    name: str


@dataclass(slots=True)
class Lease:
    name: str
    item: str
    until: float


def is_blind(item: Item) -> bool:
    """Whether who decides now must not see what others decided."""
    return item.reviewers > 1 and item.waits in ("decision", "second")


@dataclass(slots=True)
class Desk:
    reviewed: Reviewed
    name: str = ""
    """Who sits here, where the command was told."""
    clock: Callable[[], float] = time.monotonic
    _leases: dict[str, Lease] = field(default_factory=dict)
    """By client: each has one item."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # ---- leases -----------------------------------------------------------------------------------------------------

    def take(self, visitor: Visitor, identity: str) -> None:
        """Lease an item to a page, or renew it; the one it had before is free."""
        with self._lock:
            self._leases[visitor.client] = Lease(visitor.name, identity, self.clock() + LEASE_SECONDS)

    def leave(self, client: str) -> None:
        with self._lock:
            self._leases.pop(client, None)

    def renew(self, client: str) -> None:
        """A sign of the person."""
        with self._lock:
            if lease := self._leases.get(client):
                lease.until = self.clock() + LEASE_SECONDS

    def others(self, client: str) -> dict[str, list[str]]:
        """Item -> names of the others who are at it."""
        with self._lock:
            now, found = self.clock(), dict[str, list[str]]()
            for key, lease in list(self._leases.items()):
                if lease.until < now:
                    del self._leases[key]
                elif key != client:
                    found.setdefault(lease.item, []).append(lease.name or "somebody")
            return found

    def next(self, visitor: Visitor, skipped: Collection[str]) -> Item | None:
        """The next open item for this person, leased. Last come those they skipped, and those where they disagree with
        another: a third settles better. None: there is none."""
        others = self.others(visitor.client)
        fitting = [item for item in self.reviewed.file.items().values() if self._fits(item, visitor.name, others)]
        own = {item.id for item in fitting if person(visitor.name) in {person(each.by) for each in item.votes}}
        chosen = min(fitting, key=lambda item: (item.id in skipped, item.id in own), default=None)
        if chosen:
            self.take(visitor, chosen.id)
        return chosen

    @staticmethod
    def _fits(item: Item, name: str, others: dict[str, list[str]]) -> bool:
        if not item.open:
            return False
        if not is_blind(item):
            return item.id not in others
        votes = [person(each.by) for each in item.votes]
        return person(name) not in votes and len(votes) + len(others.get(item.id, ())) < item.reviewers

    # ---- what the page is told --------------------------------------------------------------------------------------

    def view(self, item: Item, visitor: Visitor) -> dict[str, Any]:
        """Everything of an item that this person may see."""
        sample, rules = item.sample, self.reviewed.rules
        prompt = rules.prompt(sample) if rules else None
        hidden = is_blind(item)
        seen = [each for each in item.history if not hidden or person(each.by) == person(visitor.name)]
        origin = {key: sample.provenance[key] for key in ("route", "stage", "version") if sample.provenance.get(key)}
        return {
            "id": item.id, "number": list(self.reviewed.file.items()).index(item.id) + 1, "state": item.state,
            "status": item.status, "by": item.by, "at": item.at, "reason": visible(item.reason), "waits": item.waits,
            "blind": hidden, "reviewers": item.reviewers, "edited": item.edited, "response": sample.response,
            "question": pieces(sample.prompt), "domain": sample.domain, "language": sample.language, "origin": origin,
            "earlier": [{"role": turn.role, "text": pieces(turn.content)} for turn in sample.history or ()],
            "reference": pieces(prompt.reference) if prompt and prompt.answer else [],
            "facts": {key: clip(str(value), 600) for key, value in (prompt.facts if prompt else {}).items()},
            "sections": {key: pieces(text) for key, text in sections(item.edited or sample.response).items()},
            "raw": visible(item.edited or sample.response),
            "fault": visible(item.standing[-1].fault) if item.standing and not hidden else "",
            "refined": _edits(sample.provenance),
            "completion": visible(str(sample.provenance.get("completion") or "")),
            "history": [_told(each) for each in seen],
            "edits": [
                {"by": visible(each.by), "changes": word_diff(sample.response, each.edited)}
                for each in item.standing if each.edited and each in seen
            ],
            "others": self.others(visitor.client).get(item.id, []),
        }  # fmt: skip

    def progress(self, visitor: Visitor, identity: str = "") -> dict[str, Any]:
        """Counts, people, agreement; and the state of the item that the page has open, so that it can tell when
        another has decided it."""
        items = list(self.reviewed.file.items().values())
        people = Counter(
            each.by for item in items for each in {person(each.by): each for each in item.standing}.values()
            if each.by != AUTOMATIC
        )  # fmt: skip
        current = self.reviewed.file.items().get(identity)
        present = {name for names in self.others(visitor.client).values() for name in names} - {visitor.name}
        return {
            "stage": self.reviewed.stage, "total": len(items), "open": sum(item.open for item in items),
            "statuses": {key: sum(fits(item, visitor.name) for item in items) for key, fits in SHOWS.items()},
            "automatic": sum(item.open and item.status != "pending" for item in items),
            "people": dict(people.most_common(12)), "reasons": dict(list(rejections(items).items())[:9]),
            "agreement": plain(agreement(items)), "twice": sum(item.reviewers > 1 for item in items),
            "standing": self.reviewed.standing(items), "told": self.reviewed.told,
            "present": sorted(present),
            "item": {"id": identity, "state": "" if is_blind(current) else current.state} if current else None,
        }  # fmt: skip

    def rows(self, visitor: Visitor, show: str, words: str, start: int) -> dict[str, Any]:
        """A page of the list."""
        if show not in SHOWS:
            raise InputError(f"show = {show!r}: allowed are {', '.join(SHOWS)}")
        wanted = words.casefold().split()
        found = [
            (number, item)
            for number, item in enumerate(self.reviewed.file.items().values(), start=1)
            if SHOWS[show](item, visitor.name) and all(word in _text(item) for word in wanted)
        ]
        rows = [
            {
                "id": item.id, "number": number, "question": clip(visible(item.sample.prompt), 90), "by": item.by,
                "domain": item.sample.domain, "status": "open" if item.open else item.status, "waits": item.waits,
            }
            for number, item in found[start : start + PAGE]
        ]  # fmt: skip
        return {"rows": rows, "total": len(found), "start": start}

    # ---- what a person does -----------------------------------------------------------------------------------------

    def decide(self, visitor: Visitor, identity: str, state: str, decision: Decision) -> Item:
        """Raises Conflict where the item is in another state by now."""
        item = self.reviewed.file.item(identity)
        decision = Decision(
            status=decision.status, by=visitor.name, edited=decision.edited, fault=decision.fault,
            reason=decision.reason if decision.status == "rejected" else "", blind=is_blind(item),
        )  # fmt: skip
        item = self.reviewed.file.decide(identity, decision, state)
        self.leave(visitor.client)
        return item


def _edits(provenance: Mapping[str, Any]) -> list[dict[str, str]]:
    found = (each for each in provenance.get("edits") or () if isinstance(each, dict))
    return [{key: visible(str(value)) for key, value in each.items()} for each in found]


def _text(item: Item) -> str:
    return f"{item.id} {item.sample.prompt} {item.edited or item.sample.response} {item.reason} {item.by}".casefold()


def _told(decision: Decision) -> dict[str, Any]:
    told = plain(decision)
    del told["edited"]
    return {**told, "by": visible(decision.by) or "unknown", "reason": visible(decision.reason)}
