"""A rollout as the page gets it: its texts bounded, its parts explained, its tokens where known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from r1kit.report.index.rollout_index import Found, RolloutIndex
from r1kit.report.read.explained import explain
from r1kit.report.read.run_view import as_json
from r1kit.report.read.values import Row, mapping, number
from r1kit.web.plain import clip, visible

__all__ = ["harmless", "listed", "whole"]

LONGEST_TEXT = 200_000
"""Characters of a completion that are sent."""
LONGEST_OF_A_GROUP = 20_000
MOST_TOKENS = 20_000
COLOURS = ("logprob", "entropy", "gap")
NO_RECORD = "the tokens of this sample were not kept: record_tokens says of how many groups of a step they are"
NOT_KNOWN = "known of training samples alone, where the learner read them"


def harmless(value: Any) -> Any:
    """A JSON value whose texts are made visible, and cut where nobody has done so before."""
    if isinstance(value, str):
        return visible(clip(value, LONGEST_TEXT + 100))
    if isinstance(value, Mapping):
        return {visible(str(key)): harmless(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [harmless(item) for item in value]
    return value


def listed(found: Found) -> dict[str, Any]:
    """A line of a list."""
    hidden = ("path", "offset", "length", "prompt")
    return {key: value for key, value in found.items() if key not in hidden} | {"parts": json.loads(found["parts"])}


def whole(index: RolloutIndex, found: Found, *, longest: int = LONGEST_TEXT, tokens: bool = True) -> dict[str, Any]:
    """All of it. ``is_gone``: its log was written anew, and the index will follow."""
    row = index.line(found)
    if row is None:
        return {**listed(found), "is_gone": True, "prompt_text": found["prompt_start"], "completion": found["start"]}
    parts = [
        {"name": name, "value": as_json(value), "text": explain("parts", name) or explain("metrics", name)}
        for name, value in list(mapping(row.get("parts")).items())[:64]
    ]
    return {
        **listed(found),
        "is_gone": False,
        "prompt_text": clip(str(row.get("prompt") or ""), longest),
        "completion": clip(str(row.get("completion") or ""), longest),
        "answer": clip(str(row["answer"]), 2000) if row.get("answer") is not None else None,
        "parts_explained": parts,
        "per_token": _per_token(row) if tokens else {},
    }


def _per_token(row: Row) -> dict[str, Any]:
    """``text`` and what is known of each token; ``missing`` says why a colour cannot be had."""
    record = mapping(row.get("per_token"))
    text = record.get("text")
    if not isinstance(text, list) or not text:
        return {"missing": dict.fromkeys(COLOURS, NO_RECORD)}
    shown: dict[str, Any] = {"text": [str(piece) for piece in text[:MOST_TOKENS]], "missing": {}}
    for name in COLOURS:
        values = record.get(name)
        if isinstance(values, list) and len(values) == len(text):
            shown[name] = [_five(value) for value in values[:MOST_TOKENS]]
        else:
            shown["missing"][name] = NOT_KNOWN
    shown["left_out"] = max(0, len(text) - MOST_TOKENS)
    return shown


def _five(value: object) -> float | None:
    found = number({"value": value}, "value")
    return None if found is None else float(f"{found:.5g}")
