"""``samples.jsonl``: one ``Sample`` a line, read back with a line number for whatever a hand edit broke."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from r1kit.data.chats import as_chat
from r1kit.errors import InputError
from r1kit.files import strict_lines, write_atomic
from r1kit.records import Sample
from r1kit.structure import plain

__all__ = ["read_samples", "sample_of", "text_field", "write_samples"]


def read_samples(path: Path) -> list[Sample]:
    """Every sample of a file, in order. Empty lines are skipped.

    Raises:
        InputError: the file is missing, or a line is broken; it names file and line.
    """
    samples: list[Sample] = []
    first: dict[str, str] = {}
    for line in strict_lines(path, '{"prompt": ..., "response": ...}', may_be_empty=True):
        where, table = line.where, line.table
        sample = sample_of(where, table, f"{path.stem}/{len(samples)}")
        if sample.id in first:
            raise InputError(f"{where}: id {sample.id!r} is taken already at {first[sample.id]}; ids must differ")
        first[sample.id] = where
        samples.append(sample)
    return samples


def write_samples(path: Path, samples: Iterable[Sample]) -> None:
    """Replace the file as a whole; every line has every key, so that ``datasets`` opens it."""
    write_atomic(path, "".join(json.dumps(plain(sample), ensure_ascii=False) + "\n" for sample in samples))


def sample_of(where: str, table: Mapping[str, Any], identity: str = "") -> Sample:
    """A sample from its JSON object; only the prompt and the response must be there."""
    provenance = table.get("provenance", {})
    if not isinstance(provenance, Mapping):
        raise InputError(f"{where}: 'provenance' must be an object, got {type(provenance).__name__}")
    return Sample(
        id=text_field(where, table, "id", identity),
        prompt=text_field(where, table, "prompt"),
        response=text_field(where, table, "response"),
        domain=text_field(where, table, "domain", "general"),
        language=text_field(where, table, "language", "en"),
        provenance=provenance,
        history=as_chat(table["history"], where, "history") if table.get("history") else None,
    )


def text_field(where: str, table: Mapping[str, Any], key: str, default: str = "") -> str:
    """A key's text, which must not be blank."""
    value = table.get(key, default)
    if key not in table and not default:
        given = ", ".join(map(repr, table)) or "none"
        raise InputError(f"{where}: no {key!r}; this line has {given}")
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: {key!r} must be text that is not blank, got {json.dumps(value)[:60]}")
    return value
