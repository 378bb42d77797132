"""Argilla: records and their settings, as its Python package reads and writes them (``Record.to_dict``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from r1kit.errors import InputError
from r1kit.factory.review import AUTOMATIC, Item
from r1kit.factory.review_tool import CHOICES, Answer, answered, text_of
from r1kit.files import brief

__all__ = ["SETTINGS", "answers", "record"]

NAME = "argilla"


def _field(name: str, *, required: bool = True) -> dict[str, Any]:
    settings = {"type": "text", "use_markdown": False}
    return {"name": name, "title": name.capitalize(), "required": required, "type": "text", "settings": settings}


def _text_question(name: str, title: str) -> dict[str, Any]:
    return {**_field(name, required=False), "title": title, "description": None}


SETTINGS: dict[str, Any] = {
    "guidelines": "Accept the response, edit it, or reject it with a reason.",
    "fields": [_field("question"), _field("reference", required=False), _field("response")],
    "questions": [
        {
            "name": "decision", "title": "Decision", "description": None, "required": True, "type": "label_selection",
            "settings": {
                "type": "label_selection", "options": [{"value": choice, "text": choice} for choice in CHOICES],
                "visible_options": len(CHOICES),
            },
        },
        _text_question("edited", "The response as you want it, where you edit it"),
        _text_question("reason", "Why, where you reject it"),
    ],
    "metadata": [],
    "vectors": [],
    "allow_extra_metadata": True,
    "distribution": {"strategy": "overlap", "min_submitted": 1},
    "mapping": None,
}  # fmt: skip
"""What ``rg.Settings.from_json`` reads."""


def record(item: Item, reference: str) -> dict[str, Any]:
    """A record; the response stands in the field to edit, and what people decided so far is suggested."""
    fields = {"question": item.sample.prompt, "response": item.sample.response}
    suggestions = {"edited": {"value": item.edited or item.sample.response, "score": None, "agent": item.by or "r1kit"}}
    if not item.open and item.by != AUTOMATIC:
        named = {status: choice for choice, status in CHOICES.items()}
        suggestions["decision"] = {"value": named[item.status], "score": None, "agent": item.by or "unknown"}
        if item.reason:
            suggestions["reason"] = {"value": item.reason, "score": None, "agent": item.by}
    return {
        "id": item.id,
        "fields": {**fields, "reference": reference} if reference else fields,
        "metadata": {
            "state": item.state, "status": "pending" if item.open else item.status, "domain": item.sample.domain,
            "language": item.sample.language,
        },
        "suggestions": suggestions,
        "responses": {},
        "vectors": {},
    }  # fmt: skip


def answers(where: str, table: Mapping[str, Any]) -> Iterator[Answer]:
    """Decisions of a record as Argilla exports it, one a person; one without responses has none.

    It tells no time, and people by the ids of their accounts.
    """
    responses, metadata = table.get("responses") or {}, table.get("metadata") or {}
    if not isinstance(responses, dict) or not isinstance(metadata, dict):
        raise InputError(f"{where}: 'responses' and 'metadata' must be objects, as Record.to_dict writes them")
    by_person: dict[str, dict[str, Any]] = {}
    for question, given in responses.items():
        for each in given if isinstance(given, list) else [given]:
            if not isinstance(each, dict) or "value" not in each:
                raise InputError(f"{where}: a response is an object with 'value' and 'user_id', got {brief(each)}")
            by_person.setdefault(str(each.get("user_id") or ""), {})[question] = each["value"]
    for user, values in by_person.items():
        if values.get("decision") is None:
            continue
        told = {name: text_of(where, values.get(name)) for name in ("edited", "reason")}
        yield answered(
            where, table.get("id"), metadata.get("state"), values["decision"],
            {"by": f"user {user[:8]}" if user else "user ?", "at": "", **told, "via": NAME}, is_number=True,
        )  # fmt: skip
