"""Answers of an OpenAI-compatible API, whole and streamed: what they hold, or in a line what is wrong with them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError

from r1kit.errors import R1Error

__all__ = ["Again", "Replies", "Reply", "cause_of", "content_of", "count_of", "retry_after", "words_of"]

SHOWN = 200
"""Characters of a server's own words that a message repeats."""


class Again(Exception):
    """This try came to nothing; the next may not."""

    def __init__(self, said: str, wait: float | None = None, limited: bool = False) -> None:
        super().__init__(said)
        self.wait, self.limited = wait, limited


@dataclass(slots=True)
class Reply:
    """What came of an answer so far."""

    thinking: list[str] = field(default_factory=list)
    content: list[str] = field(default_factory=list)
    finish: str = ""
    pieces: int = 0
    tokens: int | None = None
    prompt_tokens: int | None = None

    @property
    def text(self) -> str:
        thought, said = "".join(self.thinking), "".join(self.content)
        return f"<think>\n{thought.strip()}\n</think>\n\n{said}" if thought else said


class Replies:
    """Of one address."""

    def __init__(self, base: str) -> None:
        self.base = base

    def streamed(self, lines: Iterable[bytes], longest: int) -> Reply:
        """``longest``: tokens. Raises Again and R1Error."""
        reply = Reply()
        for event in _events(lines):
            if event is None:
                break
            table = self._table(event)
            self._failed(table)
            for choice in self._choices(table):
                self._add(reply, choice, choice.get("delta"))
            _count(reply, table)
            if reply.pieces > 4 * longest + 1000:
                raise R1Error(f"{self.base}: its answer goes on past max_tokens = {longest}")
        if not reply.finish:
            raise Again("its stream stops in the middle of an answer")
        return reply

    def whole(self, content: bytes) -> Reply:
        """Raises Again and R1Error."""
        table = self._table(content.decode("utf-8", "replace"))
        self._failed(table)
        reply = Reply()
        choices = self._choices(table)
        if not choices:
            raise self._shape("no choice in it", table)
        self._add(reply, choices[0], choices[0].get("message"))
        reply.finish = reply.finish or "stop"
        _count(reply, table)
        return reply

    def _add(self, reply: Reply, choice: Mapping[str, Any], message: Any) -> None:
        """A choice, or what it grew by."""
        table = message if isinstance(message, Mapping) else {"content": choice.get("text")}
        if message is None and "text" not in choice and not choice.get("finish_reason"):
            raise self._shape("a choice without message, delta or text", choice)
        thought = table.get("reasoning_content") or table.get("reasoning") or ""
        said = table.get("content") or ""
        if not isinstance(thought, str) or not isinstance(said, str):
            raise self._shape("content that is no text", table)
        reply.thinking.append(thought)
        reply.content.append(said)
        reply.pieces += bool(thought or said)
        reply.finish = str(choice.get("finish_reason") or reply.finish)

    def _table(self, text: str) -> Mapping[str, Any]:
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            raise self._shape("no JSON", text) from None
        if not isinstance(found, dict):
            raise self._shape("no JSON object", text)
        return found

    def _choices(self, table: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        found = table.get("choices")
        if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
            raise self._shape("no list 'choices'", table)
        return found

    def _shape(self, what: str, got: Any) -> R1Error:
        text = got if isinstance(got, str) else json.dumps(got, ensure_ascii=False)
        return R1Error(
            f"{self.base} answers in another shape than OpenAI's: {what}: {_line(text)}; is it the base address of an "
            "OpenAI-compatible API?"
        )

    def _failed(self, table: Mapping[str, Any]) -> None:
        """An error inside an answer that began well."""
        if table.get("error"):
            raise Again(f"it fails: {words_of(table)}")


def _events(lines: Iterable[bytes]) -> Iterator[str | None]:
    """The data of each event; None: the stream says that it is done."""
    for line in lines:
        text = line.decode("utf-8", "replace").strip()
        if text.startswith("data:"):
            data = text.removeprefix("data:").strip()
            yield None if data == "[DONE]" else data
        elif text and not text.startswith((":", "event:", "id:", "retry:")):
            yield text  # what is told of as no JSON, or as an error


def _count(reply: Reply, table: Mapping[str, Any]) -> None:
    usage = table.get("usage")
    found = usage if isinstance(usage, Mapping) else {}
    reply.tokens = count_of(found.get("completion_tokens"), reply.tokens)
    reply.prompt_tokens = count_of(found.get("prompt_tokens"), reply.prompt_tokens)


def count_of(value: Any, otherwise: int | None = None) -> int | None:
    """A number of tokens, as a server tells it."""
    return value if isinstance(value, int) and 0 <= value < 2**31 else otherwise


def content_of(error: HTTPError) -> Any:
    try:
        content = error.read(100_000)
    except (OSError, HTTPException):
        return ""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content.decode("utf-8", "replace")


def words_of(found: Any) -> str:
    """What an answer says, in one line: the message where it is one of OpenAI's errors."""
    error = found.get("error", found.get("detail", found.get("message"))) if isinstance(found, Mapping) else found
    text = error.get("message") if isinstance(error, Mapping) else error
    return _line(str(text or found or "no word"))


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}..."


def retry_after(error: HTTPError) -> float | None:
    """Seconds that it asks for: a number, or a date."""
    said = (error.headers.get("Retry-After") or "").strip()
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def cause_of(error: Any) -> str:
    """What the operating system says, or the library."""
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
