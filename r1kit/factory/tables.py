"""``samples.parquet`` beside ``samples.jsonl``, where pyarrow is installed; ``datasets.load_dataset`` opens either."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

from r1kit.records import Sample
from r1kit.structure import plain

__all__ = ["write_parquet"]


def write_parquet(path: Path, samples: Sequence[Sample]) -> bool:
    """Replace the file; False, and no file, where pyarrow is missing (``pip install 'r1kit[data]'`` brings it)."""
    if importlib.util.find_spec("pyarrow") is None:
        return False
    import pyarrow as pa  # type: ignore[import-not-found, import-untyped, unused-ignore]
    import pyarrow.parquet as pq  # type: ignore[import-not-found, import-untyped, unused-ignore]

    text = pa.string()
    edit = pa.struct([("by", text), ("what", text), ("detail", text)])
    provenance = pa.struct(
        [
            ("route", text), ("stage", text), ("version", pa.int64()), ("kind", text), ("review", text),
            ("completion", text), ("edits", pa.list_(edit)),
        ]
    )  # fmt: skip
    schema = pa.schema(
        [
            ("id", text), ("prompt", text), ("response", text), ("domain", text), ("language", text),
            ("provenance", provenance),
        ]
    )  # fmt: skip
    chats = any(sample.history for sample in samples)
    if chats:
        schema = schema.append(pa.field("history", pa.list_(pa.struct([("role", text), ("content", text)]))))
    known = [field.name for field in provenance]
    rows = [
        {
            **{name: getattr(sample, name) for name in ("id", "prompt", "response", "domain", "language")},
            "provenance": {name: sample.provenance.get(name) for name in known},
            **({"history": [plain(turn) for turn in sample.history or ()]} if chats else {}),
        }
        for sample in samples
    ]
    temporary = path.with_name(f".{path.name}.new")
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary)
    os.replace(temporary, path)
    return True
