"""How a question becomes the model's prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from r1kit.errors import InputError, nearest
from r1kit.model.habits import habits_of, template_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["NAMED", "Template", "prompt_text", "render"]

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
    place for it gets it before the question."""
    suffix: str = ""
    """Put right after the question, for example ``\\nAnswer with a number in <answer> tags.``"""
    prefill: str = ""
    """What the assistant's turn begins with, for example ``<think>\\n``; part of the prompt, so it is never trained."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Handed to the chat template, for example ``{enable_thinking = false}``; it must look at each of them."""

    def __post_init__(self) -> None:
        if self.name not in NAMED and "{question}" not in self.name:
            allowed = f"{', '.join(NAMED)} or a text with {{question}} in it"
            raise InputError(f"no template {self.name!r}; a template is {allowed}.{nearest(self.name, NAMED)}")
        if self.system and self.name != "chat":
            raise InputError("a system prompt needs the template 'chat'; write it into the template's text instead")
        if self.arguments and self.name != "chat":
            raise InputError("template.arguments are for the template 'chat'; a text takes none")


def render(template: Template, tokenizer: PreTrainedTokenizerBase, question: str) -> list[int]:
    """Token ids of the prompt, with exactly one begin token if the tokenizer puts one, and no end token.

    Special tokens spelled out in the question are taken as such, as `transformers` does.
    """
    ids = list(tokenizer.encode(prompt_text(template, tokenizer, question), add_special_tokens=False))
    begin = tokenizer.bos_token_id
    wanted = begin is not None and tokenizer.encode("")[:1] == [begin]
    return [begin, *ids] if wanted and ids[:1] != [begin] else ids


def prompt_text(template: Template, tokenizer: PreTrainedTokenizerBase, question: str) -> str:
    """The prompt as text, before the tokenizer adds its begin token."""
    question += template.suffix
    if template.name == "chat":
        return _chat_text(template, tokenizer, question) + template.prefill
    return NAMED.get(template.name, template.name).replace("{question}", question) + template.prefill


def _chat_text(template: Template, tokenizer: PreTrainedTokenizerBase, question: str) -> str:
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
    try:
        return str(
            tokenizer.apply_chat_template(
                habits.messages(template.system, question),
                tokenize=False,
                add_generation_prompt=True,
                **template.arguments,
            )
        )
    except (TemplateError, TypeError, ValueError) as error:
        raise InputError(f"the model's chat template refuses the prompt: {error}") from error
