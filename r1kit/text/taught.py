"""A chat as a model learns it: token ids, and which of them are the assistant's own.

The chat template is rendered prefix by prefix: what it writes between the prompt of a turn and the token that closes
the turn is the assistant's. A template that drops thinking from earlier turns, or opens it itself, is noticed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

from r1kit.errors import InputError
from r1kit.records import Message, Sample
from r1kit.text.habits import TAGS, Habits, close_of_turn, habits_of
from r1kit.text.seen import in_tags
from r1kit.text.template import Template, chat_text, prompt_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Taught", "Teacher", "Thinking"]

Thinking = Literal["last", "every"]
OPEN, CLOSE = TAGS


@dataclass(frozen=True, slots=True)
class Taught:
    """One run of tokens to learn from."""

    ids: list[int]
    learnt: list[bool]
    """For each token, whether it is the assistant's: of a turn's own text, and what closes it."""

    @property
    def prompt(self) -> int:
        """Tokens before the first that is learnt."""
        return self.learnt.index(True)


@dataclass(frozen=True, slots=True)
class _Turn:
    """Where one of the assistant's turns stands."""

    before: str
    """The prompt that it answers, as it is asked."""
    body: str
    """What is learnt, what closes the turn included; empty: it is not asked for."""
    kept: bool
    """Whether the chat's last prompt has it like that, behind that prompt."""


@dataclass
class Teacher:
    """Turns samples into tokens under one template."""

    tokenizer: PreTrainedTokenizerBase
    template: Template
    thinking: Thinking = "last"
    """Where the template drops the thinking of earlier turns: ``last`` learns the turns that are whole, the last one
    always; ``every`` learns each dropped one too, as the answer to what comes before it."""
    seen: Counter[str] = field(default_factory=Counter)
    """What was noticed: ``dropped``, samples whose earlier turns the template writes otherwise than they are;
    ``no_thought``, responses without thinking where the prompt opens it; ``no_thinking``, responses with thinking where
    the prompt closes it, which leaves theirs out."""
    end: int | None = None
    """Ends a response where the template closes it with no such token; None: the tokenizer's end token."""
    ends: Sequence[str] = ()
    """End tokens of the model besides the tokenizer's, as text: a turn may end with any."""

    def taught(self, sample: Sample) -> list[Taught]:
        """What is learnt from a sample: one run of tokens, more where ``thinking`` is ``every``."""
        history = sample.history or ()
        if self.template.name != "chat":
            before = prompt_text(self.template, self.tokenizer, sample.prompt, history)
            return [self._encoded([(before, False), (_behind(before, sample.response), True)], end=True)]
        messages = [
            *history,
            Message(role="user", content=sample.prompt),
            Message(role="assistant", content=sample.response),
        ]
        *earlier, last = self._turns(messages)
        pieces: list[tuple[str, bool]] = []
        at = 0
        for turn in earlier:
            if turn.kept:
                pieces += [(last.before[at : len(turn.before)], False), (turn.body, True)]
                at = len(turn.before) + len(turn.body)
        pieces += [(last.before[at:], False), (last.body, True)]
        found = [self._encoded(pieces)]
        lost = [turn for turn in earlier if not turn.kept]
        self.seen["dropped"] += bool(lost)
        if self.thinking == "every":
            found += [self._encoded([(turn.before, False), (turn.body, True)]) for turn in lost]
        return found

    @cached_property
    def close(self) -> str:
        """What the template closes the assistant's turn with, up to the token that ends it; empty: the template has no
        such token, and the tokenizer's end token is learnt."""
        return close_of_turn(self.tokenizer, self.template.arguments, self.ends)

    @cached_property
    def habits(self) -> Habits:
        """What the chat template does beside writing the messages down."""
        return habits_of(self.tokenizer, self.template.arguments)

    @property
    def marks(self) -> tuple[str, str]:
        """What the model writes around thinking."""
        return self.habits.marks

    @property
    def header(self) -> str:
        """What the template writes before any answer that is not in the prompt."""
        return "" if self.template.prefill else self.habits.header

    # ---- turns ----------------------------------------------------------------------------------------------------

    def _turns(self, messages: Sequence[Message]) -> list[_Turn]:
        """The assistant's turns, in order; the last message is one. What it says before anything was asked is none."""
        asked = next(place for place, message in enumerate(messages) if message.role == "user")
        places = [place for place, message in enumerate(messages) if message.role == "assistant" and place > asked]
        prompts = [chat_text(self.template, self.tokenizer, messages[:place]) for place in places]
        found = []
        for place, before in zip(places, prompts, strict=True):
            content, is_last = in_tags(messages[place].content, self.marks), place == places[-1]
            body = "" if is_last else self._written(before, content, prompts[-1])
            kept = bool(body)
            if not body and (is_last or self.thinking == "every"):
                whole = chat_text(self.template, self.tokenizer, messages[: place + 1], answering=False)
                body = self._written(before, content, whole) or self._headed(self._given(before, content)) + self.close
            if is_last:
                self.seen["no_thought"] += before.rstrip().endswith(OPEN) and CLOSE not in content
                self.seen["no_thinking"] += _closed(before) and CLOSE in content
            found.append(_Turn(before, body, kept))
        return found

    def _written(self, before: str, content: str, text: str) -> str:
        """How the template writes a turn behind its prompt, what closes it included; empty where it leaves some of it
        out, or writes another prompt before it."""
        if not text.startswith(before):
            return ""
        rest = text[len(before) :]
        given = self._given(before, content).strip()
        at = rest.find(given)
        if given and at >= 0 and self._only_adds(rest[:at], given):
            at += len(given)
        elif (at := _spaced(rest, given)) < 0:
            return ""
        end = self._end_of(rest[at:])
        return "" if end is None else rest[:at] + end

    def _end_of(self, behind: str) -> str | None:
        """What ends a turn, of what the template writes behind its text; None: nothing that ends a response."""
        text = behind.lstrip()
        for close in (self.close.strip(), *self.ends):
            if close and text.startswith(close):
                return behind[: len(behind) - len(text) + len(close)]
        return "" if not self.close else None if text else self.close

    def _given(self, before: str, content: str) -> str:
        """A response behind its prompt, thinking between the marks that the model writes."""
        text = _behind(before, content)
        thought, closed, answer = text.partition(CLOSE)
        if self.marks == TAGS or not closed:
            return text
        return self.marks[0] + thought.lstrip().removeprefix(OPEN).strip("\n") + self.marks[1] + answer.lstrip("\n")

    def _headed(self, response: str) -> str:
        """A response behind the prompt, with what the template puts before any answer."""
        if OPEN in self.header or (self.marks != TAGS and response.startswith(self.marks[0])):
            return response
        return self.header + (response if self.header.strip() or not self.header else response.lstrip())

    def _only_adds(self, text: str, given: str) -> bool:
        """Whether what the template puts before an answer is spaces, what it puts before any answer, or thinking that
        is empty, before an answer without."""
        bare = text.replace(OPEN, "").replace(CLOSE, "")
        return not text.strip() or text == self.header or (not bare.strip() and CLOSE not in given)

    # ---- tokens ---------------------------------------------------------------------------------------------------

    def _encoded(self, pieces: Sequence[tuple[str, bool]], end: bool = False) -> Taught:
        """Tokens of pieces of text, each learnt or not. The first is a prompt as it is asked; where a token would lie
        across the edge of two pieces, or the prompt read otherwise with what follows, they are encoded one by one."""
        bare = self.tokenizer.encode(pieces[0][0], add_special_tokens=False)
        begin = [self.tokenizer.bos_token_id] if self._begins and bare[:1] != [self.tokenizer.bos_token_id] else []
        ids, learnt = self._at_once(pieces, bare) or self._one_by_one(pieces, bare)
        ids, learnt = [*begin, *ids], [*[False] * len(begin), *learnt]
        if end or not self.close:
            last = self.tokenizer.eos_token_id if self.end is None else self.end
            if last is None:
                raise InputError(
                    "the tokenizer has no end token, and the template closes a turn with none; supervised fine-tuning "
                    "needs one: set eos_token in tokenizer_config.json"
                )
            ids, learnt = [*ids, last], [*learnt, True]
        return Taught(ids, learnt)

    def _at_once(self, pieces: Sequence[tuple[str, bool]], first: list[int]) -> tuple[list[int], list[bool]] | None:
        if not self.tokenizer.is_fast:
            return None
        text = "".join(piece for piece, _ in pieces)
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ids, spans = list(encoded["input_ids"]), encoded["offset_mapping"]
        if ids[: len(first)] != first:
            return None
        edges = list(accumulate(len(piece) for piece, _ in pieces))
        learnt, at = [False] * len(first), 0
        for token, (start, stop) in zip(ids[len(first) :], spans[len(first) :], strict=True):
            while at < len(edges) - 1 and start >= edges[at]:
                at += 1
            across = start < edges[at] < stop and not (token in self._swallow and text[edges[at] : stop].isspace())
            if across or (at == 0 and len(pieces) > 1):
                return None
            learnt.append(pieces[at][1])
        return ids, learnt

    def _one_by_one(self, pieces: Sequence[tuple[str, bool]], first: list[int]) -> tuple[list[int], list[bool]]:
        ids, learnt = list(first), [False] * len(first)
        for text, own in pieces[1:]:
            found = self.tokenizer.encode(text, add_special_tokens=False)
            ids, learnt = [*ids, *found], [*learnt, *[own] * len(found)]
        return ids, learnt

    @cached_property
    def _swallow(self) -> set[int]:
        """Marks that take the spaces behind them into their token, as Phi-3's do."""
        return {token for token, mark in self.tokenizer.added_tokens_decoder.items() if mark.rstrip}

    @cached_property
    def _begins(self) -> bool:
        """Whether the tokenizer puts a begin token."""
        begin = self.tokenizer.bos_token_id
        return begin is not None and self.tokenizer.encode("")[:1] == [begin]


def _behind(before: str, content: str) -> str:
    """A response behind its prompt, with thinking tags once.

    A tag that the prompt ends with is not written again; where a response has no thinking behind such a tag, it is
    closed at once. Behind a prompt that has closed the thinking stands the answer alone.
    """
    if _closed(before):
        return content.partition(CLOSE)[2].lstrip("\n") if CLOSE in content else content
    if not before.rstrip().endswith(OPEN):
        return content
    space = before[len(before.rstrip()) :]
    if content.lstrip().startswith(OPEN):
        rest = content.lstrip().removeprefix(OPEN)
        return rest.removeprefix(space)
    return content if CLOSE in content else f"\n{CLOSE}\n\n{content.lstrip()}"


def _closed(before: str) -> bool:
    """Whether a prompt ends in the end of the thinking; DeepSeek-V3.1 writes no more than that."""
    return before.rstrip().endswith(CLOSE)


def _spaced(rest: str, given: str) -> int:
    """Where the given text ends in ``rest``, which may have other spaces; -1 where it does not begin with it."""
    at = 0
    for letter in given:
        if letter.isspace():
            continue
        while at < len(rest) and rest[at].isspace():
            at += 1
        if at >= len(rest) or rest[at] != letter:
            return -1
        at += 1
    return at
