"""Chats as data sets write them: ``role`` and ``content``, ShareGPT's ``from`` and ``value``, transcripts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from r1kit.data.paths import opened
from r1kit.errors import InputError
from r1kit.files import Line, as_text, brief
from r1kit.records import Message

__all__ = ["as_chat", "as_turns", "is_asked_in_transcript", "is_chat", "is_transcript", "may_be_turns", "question_in"]

ROLES: dict[str, Any] = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant",
    "tool": "tool", "function": "tool", "observation": "tool", "ipython": "tool",
}  # fmt: skip
SPEAKER, CONTENT = ("role", "from"), ("content", "value")
CALLS = ("tool_calls", "function_call")
THINKING = ("reasoning_content", "thinking", "reasoning")
_TURN = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")


def is_transcript(value: object) -> bool:
    """Whether a text is a chat written with ``Human:`` and ``Assistant:`` between empty lines."""
    return isinstance(value, str) and {"Human", "Assistant"} <= set(_TURN.findall(value)) and bool(_TURN.match(value))


def is_asked_in_transcript(value: object) -> bool:
    """Whether a text is such a chat up to an ``Assistant:`` that says nothing yet."""
    return is_transcript(value) and isinstance(value, str) and value.rstrip().endswith("\n\nAssistant:")


def is_chat(value: object) -> bool:
    """Whether a value is a list of turns, or a turn alone."""
    value = _listed(opened(value))
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) > 0
        and all(isinstance(turn, Mapping) and any(key in turn for key in SPEAKER) for turn in value)
    )


def as_chat(value: Any, where: str, key: str) -> tuple[Message, ...]:
    """The turns of a chat.

    Raises:
        InputError: it is no chat, a role is unknown, a turn has no text or calls a tool.
    """
    if is_transcript(value):
        _, *parts = _TURN.split(value)
        if is_asked_in_transcript(value):
            parts = parts[:-2]
        value = [{"role": role, "content": text} for role, text in zip(parts[::2], parts[1::2], strict=True)]
    value = _spoken_in_turn(_listed(opened(value)))
    if not is_chat(value):
        raise InputError(
            f"{where}: {key!r} must be a chat, a list of {{'role': ..., 'content': ...}}, got {brief(value)}"
        )
    return tuple(_message(turn, where, f"{key}[{place}]") for place, turn in enumerate(value))


def may_be_turns(value: object) -> bool:
    """Whether a column may hold the turns before a question: nothing, a chat, or pairs of what was asked and answered,
    as LLaMA-Factory's ``history`` has them."""
    value = opened(value)
    return value in (None, "", []) or is_chat(value) or _is_pairs(value)


def as_turns(value: Any, where: str, key: str) -> tuple[Message, ...]:
    """Those turns; none where the row has none, or the column holds something else there.

    Raises:
        InputError: as ``as_chat``.
    """
    value = opened(value)
    if _is_pairs(value):
        value = [text for pair in value for text in pair]
    return as_chat(value, where, key) if (value and may_be_turns(value)) or _is_texts(value) else ()


def _is_pairs(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_texts(pair) and len(pair) == 2 for pair in value)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value)


def _listed(value: Any) -> Any:
    """A turn alone, as LLaMA-Factory writes the chosen one and the rejected one, as a list of it."""
    alone = (
        isinstance(value, Mapping) and any(value.get(key) for key in SPEAKER) and any(key in value for key in CONTENT)
    )
    return [value] if alone else value


def _spoken_in_turn(value: Any) -> Any:
    """A list of texts as turns, the user's first; any other value as it is."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        return value
    if not all(isinstance(turn, str) for turn in value):
        return value
    roles = ("user", "assistant")
    return [{"role": roles[place % 2], "content": text} for place, text in enumerate(value)]


def _message(turn: Mapping[str, Any], where: str, key: str) -> Message:
    spoken = next(turn[name] for name in SPEAKER if name in turn)
    role = ROLES.get(str(spoken).lower())
    if role is None:
        raise InputError(f"{where}: {key} is by {brief(spoken)}; roles are {', '.join(ROLES)}")
    if any(_calls(turn.get(name)) for name in CALLS):
        raise InputError(f"{where}: {key} calls a tool; chats with tool calls cannot be learnt")
    content = next((turn[name] for name in CONTENT if turn.get(name) is not None), None)
    text = as_text(_joined(content, where, key), where, key)
    thinking = next((turn[name] for name in THINKING if isinstance(turn.get(name), str) and turn[name].strip()), "")
    if thinking and role == "assistant" and "</think>" not in text:
        text = f"<think>\n{thinking.strip()}\n</think>\n\n{text}"
    return Message(role=role, content=text)


def _calls(value: Any) -> bool:
    """Whether there is a call: tables give null, an empty list or an object of nulls to a turn without one."""
    value = opened(value)
    return any(value.values()) if isinstance(value, Mapping) else bool(value)


def _joined(content: Any, where: str, key: str) -> Any:
    """The text of a content that comes in parts, ``[{"type": "text", "text": ...}]``."""
    if not isinstance(content, Sequence) or isinstance(content, str):
        return content
    parts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) < len(content):
        raise InputError(f"{where}: {key} has a part that is no text: {brief(content)}")
    return "".join(texts)


def question_in(line: Line, keys: Sequence[str]) -> tuple[str, tuple[Message, ...] | None]:
    """(the question, what stands before it where it is a chat), in the first of the columns that a row has.

    Raises:
        InputError: there is none, or a chat that does not end with the user.
    """
    key = next((key for key in keys if line.table.get(key) is not None), "")
    if not key:
        raise line.lacks("'prompt'", "prompt")
    if not is_chat(line.table[key]):
        return line.text(key), None
    turns = as_chat(line.table[key], line.where, key)
    if turns[-1].role != "user":
        raise InputError(
            f"{line.where}: {key!r} is a chat that ends with the {turns[-1].role}; it must end with the user"
        )
    return turns[-1].content, tuple(turns[:-1]) or None
