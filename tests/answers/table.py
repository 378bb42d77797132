"""The table of judged pairs: ``pairs.jsonl``, written by hand as data sets write answers, and ``cases.jsonl``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (HERE / name).read_text(encoding="utf-8").splitlines()]


PAIRS = rows("pairs.jsonl")
"""``kind``, the data set whose ``notation`` it is, ``reference``, ``answer``, and whether it is ``right``."""
CASES = rows("cases.jsonl")
"""Kinds of faults that were seen in public, with an ``id``; not all are pairs."""
EXTRACTION = ("boxed completion", "boxed extraction", "last number", "form", "majority vote")
CASE_PAIRS = [case for case in CASES if case["kind"] not in EXTRACTION]
