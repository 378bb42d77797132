"""The queue of human post-processing, ``review.jsonl``: items, and every decision on them in the order they came.

An item's line has its ``sample``. A decision is a line of its own behind it, without the sample; an item's last one
counts. A person works on it with ``r1 review DIR`` or in a text editor, where the item's own line may be decided too.
Without one the automatic policy accepts and says so, and whatever it accepted is still open to people.

An item may go to two people. Each decides without seeing the other's decision (``blind``). Both keep it or both reject
it: that holds; else it waits until somebody who sees both settles it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from r1kit.errors import InputError, nearest
from r1kit.factory.samples import sample_of, text_field
from r1kit.files import json_table, write_atomic
from r1kit.records import Sample
from r1kit.structure import plain
from r1kit.tasks.split import fraction

__all__ = [
    "AUTOMATIC", "STATUSES", "Decision", "Item", "Status", "Waits", "accept_open", "accepted", "decided",
    "decision_line", "is_torn", "now", "person", "read_queue", "rejections", "shared_out", "statuses", "write_queue",
]  # fmt: skip

Status = Literal["pending", "accepted", "edited", "rejected"]
STATUSES: tuple[str, ...] = get_args(Status)
AUTOMATIC = "automatic"
"""Who decided where no person did."""
Waits = Literal["", "decision", "second", "settling"]
"""What an item waits for: nothing, somebody, a second person, or somebody who settles what two decided differently."""

_HOLDS = '{"id", "status", "by", "at", "sample", "edited"}'
_DECISION = '{"at": '
"""How the line of a decision begins, so that a torn one is told from an item that a hand edit broke."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A line of the history."""

    status: Status
    """``pending``: put back, whatever stood."""
    by: str = ""
    """Who; ``automatic`` where no person did."""
    at: str = ""
    """When, ISO 8601."""
    edited: str = ""
    """The response as the person wants it, where the status is ``edited``."""
    reason: str = ""
    """Why it was rejected."""
    blind: bool = False
    """Made without seeing what others had decided; only two of those say how far people agree."""
    undo: bool = False
    """Takes back the person's own last decision; the status is what the item has then."""
    fault: str = ""
    """What the stage's rules say against the edit; the person kept it all the same."""
    via: str = ""
    """The tool it was imported from."""
    line: int = field(default=0, compare=False)
    """Of the file."""

    @property
    def keeps(self) -> bool:
        return self.status in ("accepted", "edited")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    id: str
    """The sample's."""
    status: Status = "pending"
    by: str = ""
    """Who decided; ``automatic`` where no person did."""
    at: str = ""
    """When, ISO 8601."""
    sample: Sample
    """As it came; a decision never changes it."""
    edited: str = ""
    """The response as the person wants it, where the status is ``edited``."""
    reason: str = ""
    """Why it was rejected."""
    reviewers: int = 1
    """People who decide, each without seeing the other's decision: 1 or 2."""
    waits: Waits = field(default="decision", compare=False)
    standing: tuple[Decision, ...] = field(default=(), compare=False)
    """What was decided and not taken back, in order."""
    history: tuple[Decision, ...] = field(default=(), compare=False)
    """All that happened, in order."""

    @property
    def open(self) -> bool:
        """Whether a person has yet to decide."""
        return bool(self.waits)

    @property
    def untouched(self) -> bool:
        """Whether no person ever decided, though it may have been accepted automatically."""
        return all(each.by == AUTOMATIC for each in self.history)

    @property
    def state(self) -> str:
        """Fingerprint of all that was decided: a decision names the one it was made on."""
        return self.state_after(len(self.history))

    def state_after(self, count: int) -> str:
        """As it was after so many lines of the history."""
        told = json.dumps([self.reviewers, self.sample.response, *(plain(each) for each in self.history[:count])])
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    @property
    def votes(self) -> tuple[Decision, ...]:
        """The last blind decision of each person, in the order that they first decided."""
        return tuple({person(each.by): each for each in self.standing if each.blind}.values())


def person(name: str) -> str:
    """One for the spellings of a name."""
    return " ".join(name.split()).casefold()


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


# ---- what a line does to an item ------------------------------------------------------------------------------------


def decided(item: Item, decision: Decision) -> Item:
    """The item after one more decision."""
    standing = item.standing
    if decision.undo:
        own = [at for at, each in enumerate(standing) if person(each.by) == person(decision.by)]
        standing = tuple(each for at, each in enumerate(standing) if at not in own[-1:])
    elif decision.status == "pending":
        standing = ()
    else:
        standing = (*standing, decision)
    return _settled(replace(item, standing=standing, history=(*item.history, decision)))


def _settled(item: Item) -> Item:
    """With the status that follows from what stands."""
    if not item.standing:
        return replace(item, status="pending", by="", at="", edited="", reason="", waits="decision")
    last = item.standing[-1]
    if last.blind:
        seen = max((at for at, each in enumerate(item.standing) if not each.blind), default=-1)
        votes = {person(each.by): each for each in item.standing[seen + 1 :]}.values()
        if len(votes) < item.reviewers or len({each.keeps for each in votes}) > 1:
            waits: Waits = "second" if len(votes) < item.reviewers else "settling"
            return replace(item, status="pending", by="", at="", edited="", reason="", waits=waits)
        last = next((each for each in reversed(votes) if each.status == "edited"), last)
        by = ", ".join(each.by for each in votes)
    else:
        by = last.by
    return replace(
        item, status=last.status, by=by, at=last.at, edited=last.edited, reason=last.reason,
        waits="decision" if by == AUTOMATIC else "",
    )  # fmt: skip


# ---- the file -------------------------------------------------------------------------------------------------------


def read_queue(path: Path) -> list[Item]:
    """Every item as it stands. A last line that a kill tore off is left out.

    Raises:
        InputError: names file and line of what a hand edit broke; the file itself is left as it is.
    """
    items: dict[str, Item] = {}
    first: dict[str, str] = {}
    for number, text in _lines(path):
        where = f"{path}:{number}"
        table = json_table(text, where, _HOLDS)
        identity = table.get("id")
        if "sample" not in table and isinstance(identity, str) and identity in items:
            items[identity] = decided(items[identity], _decision(where, table, number))
            continue
        item = _item(where, table, number)
        if item.id in first:
            raise InputError(f"{where}: id {item.id!r} is taken already at {first[item.id]}; delete one of them")
        first[item.id] = where
        items[item.id] = item
    return list(items.values())


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        held = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the path is taken from the folder that the command runs in") from None
    whole, _, tail = held.rpartition(b"\n")
    if is_torn(tail):
        held = whole
    for number, line in enumerate(held.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{path}:{number}: not readable as UTF-8 text: {error}; mend the line") from None
        if text.strip():
            yield number, text


def is_torn(tail: bytes) -> bool:
    """Whether what stands behind the last line end is a decision that a kill cut off."""
    text = tail.decode("utf-8", errors="replace")
    if not text.strip() or not (text.startswith(_DECISION) or _DECISION.startswith(text)):
        return False
    try:
        json.loads(text)
    except ValueError:
        return True
    return False


def _decision(where: str, table: Mapping[str, Any], number: int) -> Decision:
    status = text_field(where, table, "status", "pending")
    if status not in STATUSES:
        raise InputError(
            f"{where}: status {status!r} is unknown; allowed are {', '.join(STATUSES)}.{nearest(status, STATUSES)}"
        )
    edited, undo = table.get("edited", ""), bool(table.get("undo"))
    if not isinstance(edited, str) or (status == "edited" and not edited.strip() and not undo):
        raise InputError(f"{where}: status is 'edited' but 'edited' holds no response; write it or set 'accepted'")
    return Decision(
        status=status,  # type: ignore[arg-type]
        edited=edited if status == "edited" else "",
        blind=bool(table.get("blind")),
        undo=undo,
        line=number,
        **{name: str(table.get(name) or "") for name in ("by", "at", "reason", "fault", "via")},
    )


def _item(where: str, table: Mapping[str, Any], number: int) -> Item:
    decision = _decision(where, table, number)
    if not isinstance(table.get("sample"), dict):
        raise InputError(f"{where}: no 'sample' object; restore it from candidates.jsonl or delete the line")
    sample = sample_of(where, table["sample"], str(table.get("id", "")))
    reviewers = table.get("reviewers", 1)
    if reviewers not in (1, 2):
        raise InputError(f"{where}: reviewers = {json.dumps(reviewers)}; one person decides, or 2")
    item = Item(id=sample.id, sample=sample, reviewers=reviewers)
    return item if decision.status == "pending" else decided(item, decision)


def write_queue(path: Path, items: Iterable[Item]) -> None:
    """Make the file anew: an item a line as it stands, without what happened before."""
    write_atomic(path, "".join(_item_line(item) for item in items))


def _item_line(item: Item) -> str:
    told = plain(item)
    for name, usual in (("reason", ""), ("reviewers", 1)):
        if told[name] == usual:
            del told[name]
    return json.dumps(told, ensure_ascii=False) + "\n"


def decision_line(identity: str, decision: Decision, then: Item) -> str:
    """The line of a decision; ``then``: the item after it, whose status an undo tells."""
    told: dict[str, Any] = {"at": decision.at, "id": identity, "status": decision.status, "by": decision.by}
    if decision.undo:
        told |= {"status": then.status, "undo": True}
    elif decision.status == "edited":
        told["edited"] = decision.edited
    told |= {name: value for name in ("reason", "blind", "fault", "via") if (value := getattr(decision, name))}
    return json.dumps(told, ensure_ascii=False) + "\n"


# ---- all of them ----------------------------------------------------------------------------------------------------


def shared_out(items: Sequence[Item], share: float, seed: int) -> list[Item]:
    """With about this share of the items that no person has decided going to two people."""
    return [
        replace(item, reviewers=2) if item.untouched and fraction(f"review/{item.id}", seed) < share else item
        for item in items
    ]


def accept_open(items: Sequence[Item], at: str = "") -> list[Item]:
    """The automatic policy: accept whatever no person has decided, and say that none did."""
    automatic = Decision(status="accepted", by=AUTOMATIC, at=at or now())
    return [decided(item, automatic) if item.status == "pending" else item for item in items]


def accepted(items: Sequence[Item]) -> list[Sample]:
    """The samples to train on, edits applied; provenance says who let each pass."""
    kept = []
    for item in items:
        if item.status not in ("accepted", "edited"):
            continue
        provenance = {**item.sample.provenance, "review": item.by or "unknown"}
        response = item.sample.response
        if item.status == "edited":
            edit = {"by": item.by or "unknown", "what": "review", "detail": f"before: {response}"}
            provenance["edits"] = [*provenance.get("edits", []), edit]
            response = item.edited
        kept.append(replace(item.sample, response=response, provenance=provenance))
    return kept


def statuses(items: Iterable[Item]) -> dict[str, int]:
    """Items by status, those that occur."""
    return dict(sorted(Counter(item.status for item in items).items()))


def rejections(items: Iterable[Item]) -> dict[str, int]:
    """Rejected items by reason, the most common first."""
    return dict(Counter(item.reason or "no reason given" for item in items if item.status == "rejected").most_common())
