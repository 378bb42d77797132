"""What a labelling tool says of a sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from r1kit.errors import InputError, nearest
from r1kit.factory.review import Decision, Status
from r1kit.files import brief

__all__ = ["CHOICES", "Answer", "answered", "text_of"]

CHOICES: Mapping[str, Status] = {"accept": "accepted", "edit": "edited", "reject": "rejected"}
"""As tools show them, and what they mean here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A person's decision in a tool."""

    where: str
    """``FILE:LINE``."""
    id: str
    """The sample's."""
    state: str
    """In which the sample was exported; empty: not known."""
    decision: Decision
    is_number: bool = False
    """Whether the tool tells the person by a number only."""


def answered(
    where: str, identity: Any, state: Any, choice: Any, decision: Mapping[str, str], *, is_number: bool
) -> Answer:
    """Raises InputError for an answer that is none.

    Args:
        choice: one of ``CHOICES``.
        decision: fields of a ``Decision``: ``by``, ``at``, ``edited``, ``reason``, ``via``.
    """
    if not isinstance(identity, str) or not identity:
        raise InputError(f"{where}: no id of a sample; it was not exported by r1 review, or the field was taken out")
    if choice not in CHOICES:
        raise InputError(f"{where}: decision {brief(choice)}; allowed are {', '.join(CHOICES)}."
                         f"{nearest(str(choice), CHOICES)}")  # fmt: skip
    status = CHOICES[choice]
    edited = decision.get("edited", "") if status == "edited" else ""
    if status == "edited" and not edited.strip():
        raise InputError(f"{where}: the decision is 'edit', but no edited response stands there")
    reason = " ".join(decision.get("reason", "").split()) if status == "rejected" else ""
    return Answer(
        where=where, id=identity, state=state if isinstance(state, str) else "", is_number=is_number,
        decision=Decision(
            status=status, edited=edited, reason=reason, by=decision["by"], at=decision["at"], via=decision["via"]
        ),
    )  # fmt: skip


def text_of(where: str, value: Any) -> str:
    """A text, or a list of texts, as tools write them."""
    values = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(each, str) for each in values):
        raise InputError(f"{where}: a text is expected, got {brief(value)}")
    return "\n".join(values)
