"""Answers as OpenAI's two addresses write them, whole and in chunks."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from r1kit.rollout.piece import Scored
from r1kit.rollout.stopping import text_of
from r1kit.serving.answering import Answer
from r1kit.serving.requests import Asked
from r1kit.serving.served import Served
from r1kit.serving.writing import Delta, Detokeniser, Token

if TYPE_CHECKING:
    from r1kit.serving.served import Speaking

__all__ = ["Shape", "dumped", "listed", "token_bytes", "token_text"]

_HEX = re.compile(r"<0x([0-9A-Fa-f]{2})>")
"""A byte, as SentencePiece's vocabularies write it."""


@lru_cache(maxsize=1 << 16)
def token_bytes(tokenizer: Speaking, token: int) -> bytes:
    """Within a text: with the space before a word where the tokenizer keeps it there."""
    anchor = list(tokenizer.encode("a", add_special_tokens=False))[-1:]
    text = text_of(tokenizer, [*anchor, token])[len(text_of(tokenizer, anchor)) :]
    if "\ufffd" not in text:
        return text.encode()
    spelled = str(tokenizer.convert_ids_to_tokens(token))
    if found := _HEX.fullmatch(spelled):
        return bytes([int(found[1], 16)])
    table = _byte_of()
    return bytes(table[character] for character in spelled) if table.keys() >= set(spelled) else text.encode()


def token_text(tokenizer: Speaking, token: int) -> str:
    """``token_bytes`` as text; bytes that are no whole character as ``bytes:\\xe2\\x80``, as OpenAI writes them."""
    spelled = token_bytes(tokenizer, token)
    try:
        return spelled.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in spelled)


@lru_cache(maxsize=1)
def _byte_of() -> dict[str, int]:
    """The characters with which byte-level vocabularies (GPT-2's and its like) write bytes: printable ones stand for
    themselves, the others for 256 and on."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + place): byte for place, byte in enumerate(others)}


def dumped(value: Any) -> bytes:
    """JSON without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def listed(served: Served) -> dict[str, Any]:
    """An entry of ``/v1/models``; what OpenAI's does not have is under ``r1``."""
    speech = served.speech
    return {
        "id": served.name, "object": "model", "created": served.created, "owned_by": "r1kit",
        "max_model_len": speech.positions,
        "r1": {
            "chat": speech.chats, "one_question": speech.one_question,
            "turns": not (speech.one_question or speech.alone), "temperature": served.temperature,
            "top_p": served.top_p, "max_tokens": speech.room((0,)), "running": served.batcher.running,
        },
    }  # fmt: skip


class Shape:
    """The answers to one request."""

    def __init__(self, asked: Asked) -> None:
        self._asked, self._chat = asked, asked.kind == "chat"
        self._tokenizer = asked.served.speech.tokenizer
        kind = "chat.completion" if self._chat else "text_completion"
        prefix = "chatcmpl" if self._chat else "cmpl"
        self._head = {
            "id": f"{prefix}-{secrets.token_hex(12)}", "object": kind, "created": int(time.time()),
            "model": asked.served.name, "system_fingerprint": f"r1kit-{asked.served.created:x}",
        }  # fmt: skip
        if asked.stream and self._chat:
            self._head["object"] = "chat.completion.chunk"
        self._start = b"data: " + dumped(self._head)[:-1] + b',"choices":'
        self._begun: set[int] = set()
        self._offsets: dict[int, int] = {}

    def whole(self, answer: Answer, choices: Sequence[Delta], echoed: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Of the whole answer: each choice's delta is all of it. ``echoed``: see ``echo``; none where not asked."""
        n = self._asked.sampling.n
        found = [
            self._choice(index, delta, echoed[index // n] if echoed else None) for index, delta in enumerate(choices)
        ]
        return {**self._head, "choices": found, "usage": self.usage(answer)}

    def chunk(self, index: int, delta: Delta) -> bytes:
        """An event of a stream."""
        if not self._chat:
            return self._event([self._choice(index, delta, None)], usage=None)
        change: dict[str, Any] = {} if index in self._begun else {"role": "assistant", "content": ""}
        self._begun.add(index)
        if delta.thinking:
            change["reasoning_content"] = delta.thinking
        if delta.content:
            change["content"] = delta.content
        choice = {"index": index, "delta": change, "logprobs": self._chat_logprobs(delta.tokens)}
        return self._event([{**choice, "finish_reason": delta.finish or None}], usage=None)

    def echo(self, place: int, scored: Sequence[Scored] | None) -> dict[str, Any]:
        """The text of a prompt, and its log-probs where they were asked for: the first token has none."""
        ids = self._asked.prompts[place]
        text = text_of(self._tokenizer, ids)
        if scored is None:
            return {"text": text, "logprobs": None}
        reader, at, offsets = Detokeniser(self._tokenizer), 0, []
        added = [reader.add([token]) for token in ids]
        for text_of_one in added:
            offsets.append(at)
            at += len(text_of_one)
        return {
            "text": text,
            "logprobs": {
                "tokens": [self._spelled(*one) for one in zip(ids, added, strict=True)],
                "token_logprobs": [None, *(_finite(one.logprob) for one in scored)],
                "top_logprobs": [None, *(map(self._named, scored, ids[1:], added[1:]))],
                "text_offset": offsets,
            },
        }  # fmt: skip

    def echoed(self, index: int, echoed: dict[str, Any]) -> bytes:
        """The first event of a choice that begins with its prompt."""
        self._offsets[index] = len(echoed["text"])
        choice = {"index": index, "text": echoed["text"], "logprobs": echoed["logprobs"], "finish_reason": None}
        return self._event([choice], usage=None)

    def usage(self, answer: Answer) -> dict[str, int]:
        """Tokens; of a completion with its end token."""
        read, wrote = answer.prompt_tokens, answer.completion_tokens
        return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}

    def last(self, answer: Answer) -> bytes:
        """The event that tells the usage."""
        return self._event([], usage=self.usage(answer))

    def _event(self, choices: Sequence[dict[str, Any]], usage: dict[str, int] | None) -> bytes:
        told = b',"usage":' + dumped(usage) if self._asked.usage else b""
        return self._start + dumped(choices) + told + b"}\n\n"

    def _choice(self, index: int, delta: Delta, echoed: dict[str, Any] | None) -> dict[str, Any]:
        if self._chat:
            message = {"role": "assistant", "content": delta.content, "refusal": None}
            if self._asked.served.speech.tags is not None:
                message["reasoning_content"] = delta.thinking or None
            logprobs = self._chat_logprobs(delta.tokens)
            return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": delta.finish}
        text = delta.content
        from_prompt = self._offsets.get(index, len(echoed["text"]) if echoed else 0)
        logprobs = self._logprobs(delta.tokens, from_prompt)
        if echoed is not None:
            text = echoed["text"] + text
            if logprobs is not None and echoed["logprobs"] is not None:
                logprobs = {name: echoed["logprobs"][name] + values for name, values in logprobs.items()}
        return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": delta.finish or None}

    # ---- log-probs --------------------------------------------------------------------------------------------------

    def _chat_logprobs(self, tokens: Sequence[Token]) -> dict[str, Any] | None:
        """Tokens of the thinking apart, as DeepSeek's API tells them."""
        if self._asked.top is None:
            return None
        return {
            "content": [self._entry(token) for token in tokens if not token.thinking],
            "reasoning_content": [self._entry(token) for token in tokens if token.thinking],
            "refusal": None,
        }

    def _entry(self, token: Token) -> dict[str, Any]:
        top = [self._pair(one, logprob, token.text if one == token.id else "") for one, logprob in token.scored.top]
        return {**self._pair(token.id, token.scored.logprob, token.text), "top_logprobs": top}

    def _pair(self, token: int, logprob: float, text: str = "") -> dict[str, Any]:
        spelled = token_bytes(self._tokenizer, token)
        told = token_text(self._tokenizer, token)
        if text and "\ufffd" not in text and not told.startswith("bytes:"):
            told, spelled = text, text.encode()
        return {"token": told, "logprob": _finite(logprob), "bytes": list(spelled)}

    def _logprobs(self, tokens: Sequence[Token], offset: int) -> dict[str, list[Any]] | None:
        if self._asked.top is None:
            return None
        return {
            "tokens": [self._spelled(token.id, token.text) for token in tokens],
            "token_logprobs": [_finite(token.scored.logprob) for token in tokens],
            "top_logprobs": [self._named(token.scored, token.id, token.text) for token in tokens],
            "text_offset": [offset + token.start for token in tokens],
        }

    def _spelled(self, token: int, text: str) -> str:
        return str(self._pair(token, 0.0, text)["token"])

    def _named(self, scored: Scored, chosen: int, text: str) -> dict[str, float]:
        """By spelling, the chosen token's as it stands in the text; of two that are spelled alike it counts, else the
        likelier."""
        found: dict[str, float] = {}
        for token, logprob in scored.top:
            name = self._spelled(token, text if token == chosen else "")
            if token == chosen or name not in found:
                found[name] = _finite(logprob)
        return found


def _finite(logprob: float) -> float:
    """JSON knows no infinity; -9999 is what OpenAI's API says of the unlikely."""
    return max(logprob, -9999.0)
