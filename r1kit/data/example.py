"""What a row holds, whatever its layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from r1kit.records import Message

__all__ = ["WANTED", "Example", "Wanted"]

Wanted = Literal["answers", "responses", "pairs", "labels", "prompts", "text"]
"""What rows are read for: prompts with a reference answer; prompts with a response to learn (chats among them); pairs
of a chosen and a rejected response; labelled responses; prompts alone; text to pretrain on."""
WANTED: tuple[Wanted, ...] = ("answers", "pairs", "labels", "responses", "prompts", "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What its layout does not have is empty."""

    where: str
    """Of the row, for messages."""
    question: str = ""
    """What the user says last before the answer."""
    before: tuple[Message, ...] = ()
    """A system prompt and the turns before the question."""
    answer: str | None = None
    """The reference answer."""
    also: tuple[str, ...] = ()
    """Further answers that are as right (``Prompt.also``)."""
    response: str = ""
    """What the assistant writes: a worked solution, or the last turn of a chat."""
    chosen: str = ""
    rejected: str = ""
    label: bool | None = None
    """Whether the response is a good one."""
    text: str = ""
    choices: tuple[str, ...] = ()
    """Of a multiple-choice question, in the order of their letters."""
    language: str = ""
    """ISO 639-1, where the row says it."""
    id: str = ""
    """Where a column was named for it."""
    cluster: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The other columns."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The whole chat: what stands before, the question, the response."""
        asked = (*self.before, Message(role="user", content=self.question))
        return (*asked, Message(role="assistant", content=self.response)) if self.response else asked
