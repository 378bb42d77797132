"""The chat template and the generation settings of an exported folder, so that others prompt it as it was trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from r1kit.checkpoint.hub import open_tokenizer, save_tokenizer
from r1kit.text.habits import habits_of
from r1kit.text.template import NAMED, Template, render

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["chat_template_of", "put_chat_template", "put_generation_config"]


def put_chat_template(folder: Path, template: Template) -> list[str]:
    """Make a folder's chat template write what the model was trained on, earlier thinking dropped as R1's drops it;
    notes for its user, where it cannot too."""
    return [*_put_trained(folder, template), *_drop_earlier(folder)]


DROPPING = (
    "{%- set kept = namespace(turns=[]) %}{%- for turn in messages %}"
    "{%- if turn['role'] == 'assistant' and not loop.last and turn['content'] is string %}"
    "{%- set kept.turns = kept.turns + [dict(turn, content=turn['content'].split('</think>')[-1].lstrip())] %}"
    "{%- else %}{%- set kept.turns = kept.turns + [turn] %}{%- endif %}{%- endfor %}{%- set messages = kept.turns %}"
)
"""In front of a chat template: an assistant's turn that is not the last says no more than its answer, as in R1's
released template."""


def _drop_earlier(folder: Path) -> list[str]:
    """Where the chat template keeps the thinking of earlier turns."""
    tokenizer = open_tokenizer(folder)
    template = tokenizer.chat_template
    if not isinstance(template, str) or habits_of(tokenizer).thinking != "kept":
        return []
    before = _chat_ids(tokenizer)
    tokenizer.chat_template = DROPPING + template
    if _chat_ids(tokenizer) != before or habits_of(tokenizer).thinking == "kept":
        return ["the chat template keeps the thinking of earlier turns; leave it out of the history"]
    save_tokenizer(folder, tokenizer)
    return ["the chat template leaves the thinking of earlier turns out, as R1's does"]


def _put_trained(folder: Path, template: Template) -> list[str]:
    tokenizer = open_tokenizer(folder)
    trained = render(template, tokenizer, PROBE)
    if tokenizer.chat_template and _chat_ids(tokenizer) == trained:
        return []
    if template.name == "chat":
        own = {"system": "system prompt", "suffix": "suffix after the question", "prefill": "prefill", "date": "date"}
        told = [f"{said} {getattr(template, name)!r}" for name, said in own.items() if getattr(template, name)]
        told += [f"chat template argument {name} = {value!r}" for name, value in template.arguments.items()]
        said = ", ".join(told) or "a prompt of its own"
        return [f"trained with {said}, which the chat template does not write by itself; put that in"]
    tokenizer.chat_template = chat_template_of(template, tokenizer.bos_token if _begins(tokenizer, trained) else None)
    if _chat_ids(tokenizer) != trained:
        return [f"no chat template gives the prompt it was trained on; write it yourself: {NAMED.get(template.name)!r}"]
    save_tokenizer(folder, tokenizer)
    return ["the chat template is the one of the training prompt: one question, no system prompt, no history"]


PROBE = "what is 7 and 5"


def _chat_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": PROBE}], tokenize=False, add_generation_prompt=True
    )  # fmt: skip
    return list(tokenizer.encode(str(text), add_special_tokens=False))


def _begins(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> bool:
    return tokenizer.bos_token_id is not None and ids[:1] == [tokenizer.bos_token_id]


def chat_template_of(template: Template, begin: str | None) -> str:
    """A Jinja chat template that writes a text template: every user message in its place, answers after it."""
    before, _, after = NAMED.get(template.name, template.name).partition("{question}")
    opening = json.dumps((begin or "") + before, ensure_ascii=False)
    closing = json.dumps(template.suffix + after, ensure_ascii=False)
    prefill = json.dumps(template.prefill, ensure_ascii=False)
    return (
        "{% for message in messages %}"
        "{% if message['role'] == 'user' %}{{ " + opening + " + message['content'] + " + closing + " }}"
        "{% else %}{{ message['content'] }}{% endif %}"
        "{% endfor %}"
        "{% if add_generation_prompt %}{{ " + prefill + " }}{% endif %}"
    )


def put_generation_config(folder: Path) -> None:
    """Sample as the paper evaluates, not greedily: long chains repeat themselves when they are decoded greedily."""
    file = folder / "generation_config.json"
    settings = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    settings |= {"do_sample": True, "temperature": 0.6, "top_p": 0.95}
    file.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
