"""A hub-format folder's tokenizer without `transformers` and torch, for what must answer at once.

It encodes by the same ``tokenizer.json`` and renders by the same chat template; only what a class of `transformers`
adds in code of its own is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from r1kit.errors import InputError, first_line
from r1kit.text.ends import read_json
from r1kit.text.habits import ChatTokenizer, opens_think
from r1kit.text.template import Template, prompt_text

__all__ = ["LightTokenizer", "prompts_open", "read_tokenizer"]

NAMED = ("bos_token", "eos_token", "pad_token", "unk_token")


def read_tokenizer(folder: Path) -> ChatTokenizer:
    """The light one where the folder holds ``tokenizer.json``, else the one that `transformers` makes (with torch)."""
    if (folder / "tokenizer.json").is_file():
        return LightTokenizer(folder)
    from r1kit.checkpoint.hub import open_tokenizer

    return open_tokenizer(folder)


def prompts_open(folder: Path, template: Template) -> bool:
    """Whether the prompts of a model folder end in ``<think>`` under a template."""
    return opens_think(prompt_text(template, read_tokenizer(folder), "what is 7 and 5?"))


class LightTokenizer:
    """See ``habits.ChatTokenizer``.

    Raises:
        InputError: ``tokenizer.json`` is damaged.
    """

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_str((folder / "tokenizer.json").read_text(encoding="utf-8-sig"))
        except Exception as error:  # the library raises a bare Exception
            raise InputError(f"{folder / 'tokenizer.json'} is damaged ({first_line(error)}); fetch it again") from None
        self._tokenizer.no_truncation()  # what it was last used with, which `transformers` takes away too
        self._tokenizer.no_padding()
        settings = read_json(folder / "special_tokens_map.json") | read_json(folder / "tokenizer_config.json")
        self.tokens: dict[str, str] = {name: _content(settings[name]) for name in NAMED if settings.get(name)}
        """``eos_token`` and its kind, as text."""
        self.chat_template = _template(folder, settings)

    @property
    def bos_token(self) -> str | None:
        return self.tokens.get("bos_token")

    @property
    def eos_token(self) -> str | None:
        return self.tokens.get("eos_token")

    @property
    def bos_token_id(self) -> int | None:
        return self.id_of(self.bos_token)

    @property
    def eos_token_id(self) -> int | None:
        return self.id_of(self.eos_token)

    @property
    def pad_token_id(self) -> int | None:
        return self.id_of(self.tokens.get("pad_token"))

    def id_of(self, token: str | None) -> int | None:
        """A token's id by its text; None where there is no such token."""
        return None if token is None else self._tokenizer.token_to_id(token)

    def convert_ids_to_tokens(self, ids: int) -> str | None:
        """A token's text by its id."""
        return self._tokenizer.id_to_token(ids)

    @cached_property
    def added_tokens_decoder(self) -> Mapping[int, Any]:
        found: Mapping[int, Any] = self._tokenizer.get_added_tokens_decoder()
        return found

    def __len__(self) -> int:
        return self._tokenizer.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Token ids of a text."""
        return list(self._tokenizer.encode(text, add_special_tokens=add_special_tokens).ids)

    def apply_chat_template(
        self, conversation: list[dict[str, Any]], *, tokenize: bool = False, add_generation_prompt: bool = False,
        chat_template: str | None = None, **arguments: Any,
    ) -> str:  # fmt: skip
        """The chat as text; ``chat_template``: in place of the tokenizer's own."""
        assert not tokenize
        from transformers.utils.chat_template_utils import render_jinja_template

        template = chat_template or self.chat_template
        rendered: Any = render_jinja_template(
            [conversation],
            chat_template=template.get("default", "") if isinstance(template, Mapping) else template,
            add_generation_prompt=add_generation_prompt,
            **{**self.tokens, **arguments},
        )
        return str(rendered[0][0])


def _content(token: Any) -> str:
    """Written as text, or as a table that holds it."""
    return str(token["content"] if isinstance(token, Mapping) else token)


def _template(folder: Path, settings: Mapping[str, Any]) -> str | dict[str, str] | None:
    """From the file of its own, else from the tokenizer's settings: a text, or several by name."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        try:
            return file.read_text(encoding="utf-8-sig")
        except ValueError as error:
            raise InputError(f"{file} is not UTF-8 ({error}); write it as UTF-8") from None
    found = read_json(folder / "chat_template.json").get("chat_template") or settings.get("chat_template")
    if isinstance(found, list):
        return {str(each["name"]): str(each["template"]) for each in found}
    return found
