"""The queue of human post-processing, ``review.jsonl``: one item a line, rewritten as a whole at every decision.

A person works on it with ``r1 review DIR`` or a text editor; without one, the automatic policy accepts and says so.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from r1kit.errors import InputError, nearest
from r1kit.factory.samples import sample_of, text_field
from r1kit.files import strict_lines, write_atomic
from r1kit.records import Sample
from r1kit.structure import plain

__all__ = [
    "AUTOMATIC",
    "STATUSES",
    "Item",
    "Status",
    "accept_pending",
    "accepted",
    "decide",
    "read_queue",
    "write_queue",
]

Status = Literal["pending", "accepted", "edited", "rejected"]
STATUSES: tuple[str, ...] = get_args(Status)
AUTOMATIC = "automatic"
"""Who decided where no person did."""


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


def read_queue(path: Path) -> list[Item]:
    """Raises InputError, naming file and line, for what a hand edit broke; the file itself is left as it is."""
    items: list[Item] = []
    first: dict[str, str] = {}
    for line in strict_lines(path, '{"id", "status", "by", "at", "sample", "edited"}', may_be_empty=True):
        where, table = line.where, line.table
        status = text_field(where, table, "status", "pending")
        if status not in STATUSES:
            raise InputError(
                f"{where}: status {status!r} is unknown; allowed are {', '.join(STATUSES)}.{nearest(status, STATUSES)}"
            )
        if not isinstance(table.get("sample"), dict):
            raise InputError(f"{where}: no 'sample' object; restore it from candidates.jsonl or delete the line")
        sample = sample_of(where, table["sample"], str(table.get("id", "")))
        edited = table.get("edited", "")
        if not isinstance(edited, str) or (status == "edited" and not edited.strip()):
            raise InputError(f"{where}: status is 'edited' but 'edited' holds no response; write it or set 'accepted'")
        if sample.id in first:
            raise InputError(f"{where}: id {sample.id!r} is taken already at {first[sample.id]}; delete one of them")
        first[sample.id] = where
        items.append(
            Item(
                id=sample.id,
                status=status,  # type: ignore[arg-type]
                by=str(table.get("by", "")),
                at=str(table.get("at", "")),
                sample=sample,
                edited=edited,
            )
        )
    return items


def write_queue(path: Path, items: Sequence[Item]) -> None:
    """Replace the file as a whole."""
    write_atomic(path, "".join(json.dumps(plain(item), ensure_ascii=False) + "\n" for item in items))


def decide(items: Sequence[Item], identity: str, status: Status, by: str, edited: str = "", at: str = "") -> list[Item]:
    """The queue with one item decided, or put back to ``pending``.

    Raises:
        InputError: no such item, no name, or an edit without text.
    """
    if identity not in {item.id for item in items}:
        raise InputError(f"no sample {identity!r} waits for review.{nearest(identity, [item.id for item in items])}")
    if not by.strip():
        raise InputError("a decision needs a name: who made it")
    if status == "edited" and not edited.strip():
        raise InputError(f"sample {identity!r}: an edit needs the edited response")
    at, edited = at or _now(), edited if status == "edited" else ""
    return [
        replace(item, status=status, by=by, at=at, edited=edited) if item.id == identity else item for item in items
    ]


def accept_pending(items: Sequence[Item], at: str = "") -> list[Item]:
    """The automatic policy: accept whatever waits, and say that no person did."""
    at = at or _now()
    return [
        replace(item, status="accepted", by=AUTOMATIC, at=at) if item.status == "pending" else item for item in items
    ]


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


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
