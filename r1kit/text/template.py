"""How a question becomes the model's prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from r1kit.errors import InputError, nearest
from r1kit.records import Message
from r1kit.text.habits import ChatTokenizer, habits_of, template_text
from r1kit.text.seen import in_tags
from r1kit.text.template_source import as_of

__all__ = ["NAMED", "Template", "chat_text", "ids_of", "prompt_text", "render", "suited"]

R1_ZERO = (
    "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. "
    "The assistant first thinks about the reasoning process in the mind and then provides the user with the answer. "
    "The reasoning process and answer are enclosed within <think> </think> and <answer> </answer> tags, respectively, "
    "i.e., <think> reasoning process here </think> <answer> answer here </answer>. User: {question}. Assistant:"
)
"""The R1 paper's template for a base model, word for word (v1, table 1)."""

NAMED = {"chat": "", "plain": "User: {question} Assistant:", "r1_zero": R1_ZERO}
"""Template name -> its text; ``chat`` takes the tokenizer's own chat template."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """Raises InputError on a name that is neither known nor a text with ``{question}``."""

    name: str = "chat"
    """``chat``, ``plain``, ``r1_zero``, or the text itself with ``{question}`` in it."""
    system: str = ""
    """System prompt, for ``chat`` only; empty: what the chat template does without one. A chat template that has no
    place for it gets it before the first question."""
    suffix: str = ""
    """Put right after the question, for example ``\\nAnswer with a number in <answer> tags.``"""
    prefill: str = ""
    """What the assistant's turn begins with, for example ``<think>\\n``; part of the prompt, so it is never trained."""
    drop_thinking: bool = False
    """Leave the thinking out of the assistant's turns before the last question, as R1's own chat template does; for
    ``chat`` only, and for chat templates that would keep it."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Handed to the chat template, for example ``{enable_thinking = false}``; it must look at each of them."""
    date: str = ""
    """What a chat template that writes today's date writes instead, as ``2025-01-20``: prompts are then the same on any
    day. For ``chat`` only."""

    def __post_init__(self) -> None:
        if self.name not in NAMED and "{question}" not in self.name:
            allowed = f"{', '.join(NAMED)} or a text with {{question}} in it"
            raise InputError(f"no template {self.name!r}; a template is {allowed}.{nearest(self.name, NAMED)}")
        if self.system and self.name != "chat":
            raise InputError("a system prompt needs the template 'chat'; write it into the template's text instead")
        if self.drop_thinking and self.name != "chat":
            raise InputError("template.drop_thinking is for the template 'chat'; a text knows one question alone")
        if self.arguments and self.name != "chat":
            raise InputError("template.arguments are for the template 'chat'; a text takes none")
        if self.date and self.name != "chat":
            raise InputError(
                "template.date is for the template 'chat'; write the date into the template's text instead"
            )
        if self.date:
            _day(self.date)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"template.date = {text!r} is no day; write it as 2025-01-20") from None


def render(
    template: Template, tokenizer: ChatTokenizer, question: str, history: Sequence[Message] | None = None
) -> list[int]:
    """Token ids of the prompt, with exactly one begin token if the tokenizer puts one, and no end token.

    Special tokens spelled out in the question are taken as such, as `transformers` does.
    """
    return ids_of(tokenizer, prompt_text(template, tokenizer, question, history))


def ids_of(tokenizer: ChatTokenizer, text: str) -> list[int]:
    """Token ids of a prompt's text, with exactly one begin token if the tokenizer puts one, and no end token."""
    ids = list(tokenizer.encode(text, add_special_tokens=False))
    begin = tokenizer.bos_token_id
    wanted = begin is not None and tokenizer.encode("")[:1] == [begin]
    return [begin, *ids] if wanted and ids[:1] != [begin] else ids


def prompt_text(
    template: Template, tokenizer: ChatTokenizer, question: str, history: Sequence[Message] | None = None
) -> str:
    """The prompt as text, before the tokenizer adds its begin token.

    Raises:
        InputError: earlier turns, or a system prompt, with a template that knows one question alone.
    """
    if template.name == "chat":
        return chat_text(template, tokenizer, [*(history or ()), Message(role="user", content=question)])
    if history:
        raise InputError(
            f"template {template.name[:40]!r} knows one question alone, and a chat has a system prompt or earlier "
            f"turns; set template.name = 'chat'"
        )
    return NAMED.get(template.name, template.name).replace("{question}", question + template.suffix) + template.prefill


def chat_text(template: Template, tokenizer: ChatTokenizer, messages: Sequence[Message], answering: bool = True) -> str:
    """A chat as the tokenizer's chat template writes it; ``answering``: up to where the assistant goes on.

    The template's system prompt stands first unless the chat has one of its own; the suffix is in every question.
    """
    from jinja2 import TemplateError

    if not template_text(tokenizer):
        raise InputError(
            "the model's tokenizer has no chat template; set template.name to 'r1_zero', 'plain' or a text"
        )
    habits = habits_of(tokenizer, template.arguments)
    if habits.refuses:
        raise InputError(f"the model's chat template refuses the prompt: {habits.refuses}")
    for name in template.arguments:
        if name not in habits.reads:
            known = ", ".join(habits.reads) or "none"
            raise InputError(
                f"template.arguments.{name}: the model's chat template never looks at it; those that it does: {known}."
                f"{nearest(name, habits.reads)}"
            )
    if template.date and not habits.dated:
        raise InputError("template.date: the model's chat template writes no date; leave it out")
    messages = [
        replace(one, content=in_tags(one.content, habits.marks)) if one.role == "assistant" else one for one in messages
    ]
    if template.drop_thinking:
        messages = _answers_alone(messages)
    written = [
        {"role": message.role, "content": message.content + (template.suffix if message.role == "user" else "")}
        for message in messages
    ]
    if template.system and messages[0].role not in ("system", "developer"):
        written.insert(0, {"role": "system", "content": template.system})
    more = dict(template.arguments)
    if template.date:
        more["chat_template"] = as_of(template_text(tokenizer), _day(template.date))
    try:
        text = str(
            tokenizer.apply_chat_template(
                habits.taken(written), tokenize=False, add_generation_prompt=answering, **more
            )
        )
    except (TemplateError, TypeError, ValueError) as error:
        raise InputError(f"the model's chat template refuses the prompt: {error}") from error
    return text + template.prefill if answering else text


def suited(template: Template, tokenizer: ChatTokenizer) -> Template:
    """A recipe's template for a model that is not the recipe's: without the arguments and the date that this one's chat
    template never looks at."""
    if template.name != "chat" or not template_text(tokenizer):
        return template
    reads = habits_of(tokenizer, template.arguments).reads
    arguments = {name: value for name, value in template.arguments.items() if name in reads}
    return replace(template, arguments=arguments, date=template.date if habits_of(tokenizer, arguments).dated else "")


def _answers_alone(messages: Sequence[Message]) -> list[Message]:
    """The chat with what the assistant thought before the last question left out."""
    last = max((place for place, message in enumerate(messages) if message.role == "user"), default=0)
    return [
        replace(message, content=message.content.rpartition("</think>")[2].strip())
        if message.role == "assistant" and place < last
        else message
        for place, message in enumerate(messages)
    ]
