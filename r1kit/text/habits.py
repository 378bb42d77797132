"""What a chat template does beyond writing the messages down, found out by rendering probes. No torch.

A template is a program that came with the model. Some write ``<think>`` themselves or drop the thinking of earlier
turns, some refuse a system prompt or want content in parts; whoever prompts, rewards or trains has to know.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, Protocol

from r1kit.text.template_source import as_of, reads

__all__ = [
    "TAGS",
    "ChatTokenizer",
    "Habits",
    "Message",
    "close_of_turn",
    "end_of_turn",
    "habits_of",
    "opens_think",
    "template_text",
]

TAGS = ("<think>", "</think>")
Message = dict[str, Any]
"""``role`` and ``content``; content is a text, or a list of parts where a template wants that."""
Render = Callable[..., str]
"""(messages, add_generation_prompt) -> text."""


class ChatTokenizer(Protocol):
    """What is asked of a tokenizer; ``transformers``' satisfy it, and so does ``light_tokenizer.LightTokenizer``."""

    chat_template: Any

    @property
    def bos_token_id(self) -> Any: ...

    @property
    def eos_token(self) -> Any: ...

    @property
    def eos_token_id(self) -> Any: ...

    @property
    def added_tokens_decoder(self) -> Mapping[int, Any]: ...

    def __len__(self) -> int: ...

    def convert_ids_to_tokens(self, ids: int) -> Any: ...

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]: ...

    def apply_chat_template(self, conversation: Any, **more: Any) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    refuses: str = ""
    """Why it cannot write a lone question; empty: it can."""
    opens_think: bool = False
    """A prompt ends in ``<think>``, so that a completion does not write it."""
    closes_think: bool = False
    """A prompt ends in ``</think>``, so that a completion is the answer alone."""
    thinking: Literal["kept", "dropped earlier", "dropped"] = "kept"
    """What becomes of ``<think>...</think>`` in an assistant's turn: kept, dropped from turns before the last question,
    or dropped from every turn."""
    apart: Literal["", "reasoning_content", "thinking"] = ""
    """Thinking must be given apart, under this key: in an assistant's text it is taken for the answer."""
    marks: tuple[str, str] = TAGS
    """What is written before and behind thinking that is given apart, where it is no tags: gpt-oss's channels."""
    parts: bool = False
    """Content must be a list of parts, ``{"type": "text", "text": ...}``; a plain string is lost or refused."""
    system: Literal["taken", "refused", "ignored"] = "taken"
    """What becomes of a system prompt."""
    default_system: str = ""
    """Written where no system prompt is given."""
    alternating: bool = False
    """Two turns of one role in a row are refused."""
    dated: bool = False
    """It writes today's date, unless that is given, so that prompts differ from day to day."""
    closing: str = ""
    """What follows the text of an assistant's turn, up to the end of the chat."""
    going: str = ""
    """The same where a question follows, up to that question."""
    header: str = ""
    """What is written before an answer that is not in the prompt, as ``<|channel|>final<|message|>``."""
    reads: tuple[str, ...] = ()
    """Arguments that it looks at, such as ``enable_thinking``."""

    def taken(self, messages: Sequence[Message]) -> list[Message]:
        """A chat as this template takes it: a system prompt that it has no place for goes before the first question."""
        turns = list(messages)
        if self.system != "taken" and len(turns) > 1 and turns[0]["role"] == "system" and turns[1]["role"] == "user":
            system, asked, *rest = turns
            turns = [{**asked, "content": f"{system['content']}\n\n{asked['content']}"}, *rest]
        turns = [_parted(turn, self.apart) for turn in turns] if self.apart else turns
        return [in_parts(turn) for turn in turns] if self.parts else turns

    def told(self) -> list[str]:
        """What is out of the ordinary, in words for the user."""
        found = {
            "it opens <think> itself: a completion begins after the tag": self.opens_think,
            "it closes the thinking before it began: a completion is the answer alone": self.closes_think,
            "it drops the thinking from earlier turns": self.thinking == "dropped earlier",
            "it drops the thinking from every turn of an assistant": self.thinking == "dropped",
            f"it writes thinking behind {self.marks[0]}: rewards, chats and samples have it in <think> tags": (
                self.marks != TAGS
            ),
            "it wants content in parts": self.parts,
            "it refuses a system prompt, which goes before the question instead": self.system == "refused",
            "it leaves a system prompt out, which goes before the question instead": self.system == "ignored",
            f"it writes a system prompt of its own, {_cut(self.default_system)!r}": bool(self.default_system),
            "it wants user and assistant in turn": self.alternating,
            "it writes today's date, so that prompts differ from day to day": self.dated,
        }
        return [line for line, holds in found.items() if holds]


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:57]}..."


def habits_of(tokenizer: ChatTokenizer, arguments: Mapping[str, Any] | None = None) -> Habits:
    """Of a tokenizer's chat template; worked out once for each template and its arguments."""
    settings = json.dumps(dict(arguments or {}), sort_keys=True, default=str)
    key = (template_text(tokenizer), settings, str(tokenizer.eos_token))
    if key not in _known:

        def render(messages: Sequence[Message], prompt: bool, **more: Any) -> str:
            told = {**(arguments or {}), **more}
            return str(
                tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=prompt, **told)
            )

        while len(_known) >= _MOST_KNOWN:
            del _known[next(iter(_known))]
        _known[key] = _inspect(key[0], render)
    return _known[key]


_known: dict[tuple[str, str, str], Habits] = {}
"""(template, arguments, end token) -> its habits, the oldest first."""
_MOST_KNOWN = 256
"""Arguments may come from whoever asks a server."""


def opens_think(prompt: str) -> bool:
    """Whether a prompt's text ends inside a thinking block that has just begun."""
    return prompt.rstrip().endswith("<think>")


def close_of_turn(
    tokenizer: ChatTokenizer, arguments: Mapping[str, Any] | None = None, ends: Collection[str] = ()
) -> str:
    """What the chat template closes an assistant's turn with, up to and with the first mark; empty: with no mark.

    A mark is the end token or one that was added to the vocabulary, as ``<|im_end|>`` is. Where a template closes with
    none, a turn ends as it does before a further question, if that begins with an end token: GLM-4.5 ends at its
    ``<|user|>``.

    Args:
        ends: end tokens besides the tokenizer's, as text.
    """
    if not template_text(tokenizer):
        return ""
    habits = habits_of(tokenizer, arguments)
    ending = {str(token) for token in (tokenizer.eos_token, *ends) if token}
    marks = ending | {str(token) for token in tokenizer.added_tokens_decoder.values()}
    going = _to_mark(habits.going, marks)
    return _to_mark(habits.closing, marks) or (going if going.endswith(tuple(ending)) else "")


def _to_mark(text: str, marks: Collection[str]) -> str:
    """Up to and with its first mark; empty: it has none."""
    ends = [text.index(mark) + len(mark) for mark in marks if mark.strip() and mark in text]
    return text[: min(ends)] if ends else ""


def end_of_turn(
    tokenizer: ChatTokenizer, arguments: Mapping[str, Any] | None = None, ends: Collection[str] = ()
) -> tuple[int, ...]:
    """Tokens with which the chat template closes an assistant's turn; the last one is its end.

    Where it closes with no mark, or there is no template, the tokenizer's end token; empty where there is none either.
    """
    if close := close_of_turn(tokenizer, arguments, ends):
        return tuple(tokenizer.encode(close, add_special_tokens=False))
    own = tokenizer.eos_token_id
    return () if own is None else (own,)


def template_text(tokenizer: ChatTokenizer) -> str:
    """The chat template's source; the one called ``default`` where there are several; empty without one."""
    found = tokenizer.chat_template
    if isinstance(found, Mapping):
        found = found.get("default", "")
    return found or ""


def _parted(message: Message, key: str) -> Message:
    """A message whose thinking stands apart."""
    thought, closed, answer = str(message["content"]).partition("</think>")
    if message["role"] != "assistant" or not closed:
        return message
    thought = thought.lstrip().removeprefix("<think>").strip("\n")
    return {**message, "content": answer.lstrip("\n"), key: thought}


def in_parts(message: Message) -> Message:
    """A message whose content is a list of parts."""
    return {**message, "content": [{"type": "text", "text": message["content"]}]}


# ---- probes ---------------------------------------------------------------------------------------------------------

SYSTEM, QUESTION, CHAIN, ANSWER = "qsystemx", "qquestionx", "qchainx", "qanswerx"
"""Words that no template writes itself."""
LONG_AGO = date(1925, 2, 3)
THOUGHT = f"<think>\n{CHAIN}\n</think>\n\n{ANSWER}"


def _turn(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _tried(render: Render, *messages: Message, parts: bool = False, prompt: bool = False, **more: Any) -> str | None:
    """The text, or None where the template raises."""
    try:
        return render([in_parts(each) for each in messages] if parts else messages, prompt, **more)
    except Exception:  # a template is somebody else's program: it may raise anything
        return None


def _inspect(source: str, render: Render) -> Habits:
    asked = _turn("user", QUESTION)
    as_text, as_parts = (_tried(render, asked, parts=parts, prompt=True) for parts in (False, True))
    parts = QUESTION not in (as_text or "") and QUESTION in (as_parts or "")

    def tried(*messages: Message, prompt: bool = False) -> str | None:
        return _tried(render, *messages, parts=parts, prompt=prompt)

    alone = tried(asked, prompt=True)
    if alone is None:
        return Habits(refuses=_why(render, asked))
    told, told_twice = tried(_turn("system", SYSTEM), asked, prompt=True), tried(asked, asked)
    answered = tried(asked, _turn("assistant", ANSWER)) or ""
    further = tried(asked, _turn("assistant", ANSWER), asked) or ""
    apart = _apart(tried, alone)
    return Habits(
        opens_think=opens_think(alone),
        closes_think=alone.rstrip().endswith("</think>"),
        thinking=_thinking(tried, apart.get("apart", "")),
        **apart,
        parts=parts,
        system="refused" if told is None else "taken" if SYSTEM in told else "ignored",
        default_system=_default_system(alone, told or ""),
        alternating=told_twice is None and bool(answered),
        dated="strftime_now" in source
        and _tried(render, asked, parts=parts, prompt=True, chat_template=as_of(source, LONG_AGO)) not in (None, alone),
        closing=answered.rpartition(ANSWER)[2] if ANSWER in answered else "",
        header=answered.removeprefix(alone).partition(ANSWER)[0] if answered.startswith(alone) else "",
        going=further.rpartition(ANSWER)[2].partition(QUESTION)[0] if ANSWER in further else "",
        reads=reads(source),
    )


def _thinking(tried: Callable[..., str | None], apart: str) -> Literal["kept", "dropped earlier", "dropped"]:
    asked, thought = _turn("user", QUESTION), _turn("assistant", THOUGHT)
    thought = _parted(thought, apart) if apart else thought
    if CHAIN not in (tried(asked, thought) or CHAIN):
        return "dropped"
    return "kept" if CHAIN in (tried(asked, thought, asked) or CHAIN) else "dropped earlier"


def _apart(tried: Callable[..., str | None], alone: str) -> dict[str, Any]:
    """``apart`` and ``marks``."""
    asked, given = _turn("user", QUESTION), _turn("assistant", THOUGHT)
    inside = tried(asked, given) or ""
    for key in ("reasoning_content", "thinking"):
        beside = tried(asked, _parted(given, key)) or ""
        if CHAIN in beside and inside.count("<think>") > beside.count("<think>") == 1:
            return {"apart": key}
        before, _, rest = beside.removeprefix(alone).partition(CHAIN)
        between, answered, _ = rest.partition(ANSWER)
        if answered and beside.startswith(alone) and "<think>" not in beside and before.strip() and between.strip():
            return {"apart": key, "marks": (before, between)}
    return {}


def _default_system(alone: str, told: str) -> str:
    """What stands in the place of the system prompt where none is given."""
    before, given, after = told.partition(SYSTEM)
    between = after.partition(QUESTION)[0]
    if not given or not before or not between or not alone.startswith(before):
        return ""
    found, ended, _ = alone[len(before) :].partition(between)
    return found if ended and QUESTION not in found else ""


def _why(render: Render, asked: Message) -> str:
    try:
        render([asked], True)
    except Exception as error:
        return str(error).strip() or type(error).__name__
    return ""
