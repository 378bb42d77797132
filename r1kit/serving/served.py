"""A model that is served: its engine, how it is prompted, what its text means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from r1kit.errors import InputError
from r1kit.records import Message, Sampling
from r1kit.rollout.stopping import Tokenizer
from r1kit.serving.batcher import Batcher
from r1kit.serving.writing import Parting, Tags, Writer
from r1kit.text.habits import ChatTokenizer, habits_of, template_text
from r1kit.text.template import Template, chat_text, ids_of, prompt_text

__all__ = ["Rendered", "Served", "Speaking", "Speech"]


class Speaking(Tokenizer, ChatTokenizer, Protocol):
    """What is asked of a tokenizer; ``transformers``' satisfy it."""

    def __hash__(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A chat as the model reads it."""

    ids: tuple[int, ...]
    opened: bool
    """It ends in the tag that opens the thinking."""
    closed: bool
    """It ends in the tag that closes it: the answer is all that follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """How a model is talked to: what the server and the terminal's chat share."""

    tokenizer: Speaking
    template: Template
    ends: frozenset[int]
    """Tokens that end a completion."""
    vocab_size: int
    positions: int
    """Most tokens of a prompt and its completion."""
    sampling: Sampling
    """Its stage's own: the longest answer where nobody names one, the strings that end it."""
    tags: Tags | None = field(default_factory=Tags)
    """None: nothing it writes is taken for thinking."""
    alone: bool = False
    """It was made from nothing by its run, which asks one question at a time: earlier turns would only confuse it."""

    def render(self, messages: Sequence[Message], arguments: dict[str, Any] | None = None) -> Rendered:
        """A chat up to where the model goes on.

        Raises:
            InputError: the template cannot write it.
        """
        template = self.template
        if arguments:
            template = replace(template, arguments={**template.arguments, **arguments})
        if template.name == "chat":
            text = chat_text(template, self.tokenizer, messages)
        else:
            if len(messages) > 1:
                raise InputError("the model's template knows one question alone: send one user message")
            text = prompt_text(template, self.tokenizer, messages[0].content)
        shown, tags = text.rstrip(), self.tags or Tags()
        return Rendered(
            ids=tuple(ids_of(self.tokenizer, text)), opened=shown.endswith(tags.open), closed=shown.endswith(tags.close)
        )

    def reads(self, arguments: dict[str, Any]) -> Sequence[str]:
        """Names that the template looks at where it is told these."""
        if not self.chats or self.template.name != "chat":
            return ()
        return habits_of(self.tokenizer, {**self.template.arguments, **arguments}).reads

    @property
    def chats(self) -> bool:
        """Whether it can be asked at all: it has a template."""
        return self.template.name != "chat" or bool(template_text(self.tokenizer))

    @property
    def one_question(self) -> bool:
        """Its template knows one question alone: it has no place for earlier turns, or begins anew at each of them."""
        if self.template.name != "chat":
            return True
        first, answered = Message(role="user", content="qfirstx"), Message(role="assistant", content="qansweredx")
        try:
            alone = chat_text(self.template, self.tokenizer, [first])
            twice = chat_text(self.template, self.tokenizer, [first, answered, replace(first, content="qsecondx")])
        except InputError:
            return True
        opening = alone.partition("qfirstx")[0]
        return len(opening) > _PREAMBLE and twice.count(opening[-_PREAMBLE:]) > 1

    def writer(self, prompt: Rendered, stop: Sequence[str] = ()) -> Writer:
        """Of an answer in a chat."""
        tags = None if prompt.closed else self.tags
        parting = Parting(tags, prompt.opened and tags is not None)
        return Writer(self.tokenizer, self.ends, parting, stop=stop, kept_stop=self.sampling.stop)

    def continued(self, prompt: Sequence[int], stop: Sequence[str] = ()) -> Writer:
        """Of a text that goes on: nothing is taken apart."""
        return Writer(self.tokenizer, self.ends, Parting(None), stop=stop, before=prompt)

    def room(self, prompt: Sequence[int]) -> int:
        """Tokens of an answer where nobody names a number: the stage's own, or what the positions leave."""
        return max(0, min(self.sampling.max_tokens, self.positions - len(prompt)))


_PREAMBLE = 100
"""Characters before a question that are more than the mark of a role: an instruction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    name: str
    """As the user wrote it, and as requests name it."""
    speech: Speech
    batcher: Batcher
    """One a model: its thread samples."""
    created: int
    """Seconds since 1970."""
    temperature: float
    """Where a request names none."""
    top_p: float
