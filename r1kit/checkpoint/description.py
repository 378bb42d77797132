"""What a model folder holds, in words a person can act on: from configs, headers and tokenizer alone. No torch.

``r1 check`` prints it; ``docs/models.md`` explains it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from r1kit.checkpoint.context import UNBOUNDED, positions_of, recurrent, refuse_recurrent
from r1kit.checkpoint.headers import named_table, read_headers
from r1kit.checkpoint.whole import embedding_rows, text_config
from r1kit.model.families import unsupported
from r1kit.text.ends import end_sources, read_json
from r1kit.text.habits import Habits, close_of_turn, habits_of, opens_think
from r1kit.text.light_tokenizer import read_tokenizer
from r1kit.text.template import Template, prompt_text

__all__ = ["Description", "describe"]

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64"}
WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
HEADS = ("lm_head.weight", "embed_out.weight", "output.weight")
PROBE = "what is 7 and 5?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    family: str
    """The hub's ``model_type``."""
    parameters: int
    tied: bool
    """Embedding and head are one matrix."""
    stored: tuple[str, ...]
    """Dtypes of the weights as they lie on disk."""
    bytes: int
    positions: int
    """Most tokens of a prompt and its completion."""
    lengthens: str
    """The kind of rotary embedding that would change in a longer row."""
    tokens: int
    rows: int
    """Of the embedding: one for each token, and often some to spare."""
    ends: Mapping[int, tuple[str, ...]]
    """End token -> what names it."""
    texts: Mapping[int, str]
    """End token -> its text."""
    closes: str
    """What the chat template closes a turn with; empty: the template is a text, or closes with no token of its own."""
    habits: Habits | None
    """Of the chat template, where prompts go through it."""
    opens_think: bool
    tags: Mapping[str, int]
    """Tag -> tokens that it is written in."""
    unsupported: str
    """Why this package's own decoder does not run it; empty where it does."""

    def lines(self, computes: str, engine: str = "auto", learner: str = "auto") -> list[tuple[str, str]]:
        """(what, in words) for each thing found.

        Args:
            computes: dtype of the products.
            engine, learner: as the recipe names them.
        """
        return [
            ("weights", self._weights(computes)),
            ("decoder", self._decoder(engine, learner)),
            ("context", self._context()),
            ("tokens", f"{self.tokens:,}, and {self.rows:,} rows for them"),
            ("ends at", self._ends()),
            ("template", self._template()),
            ("tags", self._tags()),
        ]

    def _weights(self, computes: str) -> str:
        one = "one matrix for embedding and head" if self.tied else "embedding and head apart"
        size = f"{self.bytes / 1e9:.3g} GB" if self.bytes >= 1e9 else f"{self.bytes / 1e6:.3g} MB"
        stored = " and ".join(self.stored)
        return f"{self.parameters:,} parameters, {one}; stored in {stored} ({size}), computed in {computes}"

    def _decoder(self, engine: str, learner: str) -> str:
        native = "transformers" if self.unsupported else "local"
        used = native if engine == "auto" else engine
        taught = "local" if learner == "auto" else learner
        if self.unsupported:
            return (
                f"{self.family}, by transformers, which is slower: {self.unsupported}; engine {used}, learner {taught}"
            )
        return f"{self.family}, by this package's own decoder; engine {used}, learner {taught}"

    def _context(self) -> str:
        if self.positions == UNBOUNDED:
            return "its config names no limit"
        longer = f" (a longer row would change its {self.lengthens} frequencies)" if self.lengthens else ""
        return f"{self.positions:,} tokens of prompt and completion{longer}"

    def _ends(self) -> str:
        if not self.ends:
            told = "no end token: completions run to their limit"
            return f"{told} unless they close the turn with {self.closes.strip()}" if self.closes else told
        found = [f"{self.texts[token]} ({token}: {', '.join(where)})" for token, where in self.ends.items()]
        known = any(self.closes.endswith(text) for text in self.texts.values())
        taught = self.closes.strip() or "an end token, since the template writes none"
        if self.habits is None:
            return ", ".join(found)
        return (
            f"{', '.join(found)}; SFT closes a turn with {taught}{'' if known or not self.closes else ', an end too'}"
        )

    def _template(self) -> str:
        opens = ["prompts end in <think>, so reward.prefilled is true"] if self.opens_think else []
        if self.habits is None:
            return "; ".join(["a text of the recipe's", *opens])
        own = [line for line in self.habits.told() if not (self.opens_think and line.startswith("it opens <think>"))]
        reads = [f"it looks at {', '.join(self.habits.reads)}"] if self.habits.reads else []
        return "; ".join(["the model's own", *opens, *own, *reads])

    def _tags(self) -> str:
        split = {tag: count for tag, count in self.tags.items() if count > 1}
        if not split:
            return f"{', '.join(self.tags)} are one token each"
        if len(set(split.values())) == 1 and len(split) == len(self.tags):
            return f"{', '.join(split)} are {min(split.values())} tokens each"
        return ", ".join(f"{tag} is {count} token{'s' * (count > 1)}" for tag, count in self.tags.items())


def describe(folder: Path, template: Template) -> Description:
    """What a hub-format folder holds and how this template prompts it.

    Raises:
        InputError: the folder is damaged, the model keeps a state, or the template cannot prompt it.
    """
    config, headers, tokenizer = read_json(folder / "config.json"), read_headers(folder), read_tokenizer(folder)
    text = text_config(config)
    if recurrent(text):
        raise refuse_recurrent(str(config.get("model_type", "")))
    prompt = prompt_text(template, tokenizer, PROBE)
    habits = habits_of(tokenizer, template.arguments) if template.name == "chat" else None
    ends = end_sources(folder, tokenizer.eos_token_id)
    texts = {token: str(tokenizer.convert_ids_to_tokens(token)) for token in ends}
    positions, lengthens = positions_of({**text, "rope_parameters": _rope(text)})
    return Description(
        family=str(config.get("model_type", "")),
        parameters=sum(one.count for one in headers.values()),
        tied=bool(named_table(headers)) or not any(name.endswith(HEADS) for name in headers),
        stored=tuple(dict.fromkeys(DTYPES.get(one.dtype, one.dtype) for one in headers.values())),
        bytes=sum(one.count * WIDTHS.get(one.dtype, 1) for one in headers.values()),
        positions=positions,
        lengthens=lengthens,
        tokens=len(tokenizer),
        rows=embedding_rows(config, headers),
        ends=ends,
        texts=texts,
        closes=close_of_turn(tokenizer, template.arguments, list(texts.values())) if habits else "",
        habits=replace(habits, dated=habits.dated and not template.date) if habits else None,
        opens_think=opens_think(prompt),
        tags={tag: len(tokenizer.encode(tag, add_special_tokens=False)) for tag in TAGS},
        unsupported=_unsupported(config, text),
    )


def _unsupported(config: Mapping[str, Any], text: Mapping[str, Any]) -> str:
    """``families.unsupported`` of a config as it is written, with the class defaults that it leaves out left out."""
    settings = {**text, "rope_parameters": _rope(text)}
    named: Any = SimpleNamespace(
        model_type=config.get("model_type", ""), architectures=config.get("architectures"), to_dict=lambda: settings
    )
    return unsupported(named)


def _rope(text: Mapping[str, Any]) -> dict[str, Any]:
    """The rope parameters as `transformers` 5 writes them; configs before that have two keys instead."""
    if isinstance(text.get("rope_parameters"), Mapping):
        return dict(text["rope_parameters"])
    scaling = text.get("rope_scaling") or {}
    kind = scaling.get("rope_type") or scaling.get("type") or "default"
    return {**scaling, "rope_type": kind, "rope_theta": text.get("rope_theta", 10000.0)}
