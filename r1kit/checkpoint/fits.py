"""Whether what a recipe asks of a named model fits the positions that the model knows. No torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from r1kit.checkpoint.context import positions_of
from r1kit.checkpoint.headers import read_headers
from r1kit.checkpoint.whole import text_config
from r1kit.errors import InputError
from r1kit.records import Prompt, Sample
from r1kit.text.ends import read_json
from r1kit.text.habits import ChatTokenizer
from r1kit.text.light_tokenizer import read_tokenizer
from r1kit.text.template import Template, render

__all__ = ["Fits"]

INSIDE = re.compile(r"\.\d+\.(?!.*(experts\.\d|\.gate$|\.router$))")
"""Of the name of a layer's matrix: a layer's number, and no expert or router behind it."""
COUNTED = 64
"""Samples whose tokens are counted."""


class Fits:
    """A model's folder and how it is prompted."""

    def __init__(self, folder: Path, template: Template) -> None:
        self._folder, self._template = folder, template
        self._positions = positions_of(text_config(read_json(folder / "config.json")))[0]

    @cached_property
    def _tokenizer(self) -> ChatTokenizer:
        return read_tokenizer(self._folder)

    def too_long(self, stage: str, config: Any, prompts: Sequence[Prompt], what: str) -> list[str]:
        """Warnings, a line each, for prompts that leave no room for the stage's longest completion.

        Args:
            stage: and ``config``: as in ``check``.
            prompts: that it asks.
            what: they are, for the line: ``train prompts of maths``.

        Raises:
            InputError: there are some, and the stage's ``long_prompts`` refuses them.
        """
        longest = dict(config.lengths).get("sampling.max_tokens", 0)
        if not longest or not prompts:
            return []
        lengths = [len(render(self._template, self._tokenizer, one.question, one.history)) for one in prompts]
        count, room = sum(length + longest > self._positions for length in lengths), self._positions - longest
        if not count:
            return []
        told = (
            f"stages.{stage}: {count} of {len(prompts)} {what} are longer than the {room} tokens that the model's "
            f"{self._positions} positions leave beside sampling.max_tokens = {longest} (the longest has {max(lengths)})"
        )
        if getattr(config, "long_prompts", "") == "refuse":
            raise InputError(f'{told}; shorten them, or set long_prompts = "drop"')
        return [f"warning: {told}; they are left out of training, and count as wrong where they are held out"]

    def samples_too_long(self, stage: str, config: Any, samples: Sequence[Sample]) -> list[str]:
        """A warning for samples that pass the model's positions, or the stage's ``max_tokens``; the longest by their
        letters are counted in tokens.

        Raises:
            InputError: there are some, and the stage's ``too_long`` refuses them.
        """
        limit = min(config.max_tokens or self._positions, self._positions)
        longest = sorted(samples, key=lambda one: -len(one.prompt) - len(one.response))[:COUNTED]
        lengths = [self._tokens(one) for one in longest]
        count = sum(length > limit for length in lengths)
        if not count:
            return []
        least = "at least " if count == COUNTED else ""
        told = (
            f"stages.{stage}: {least}{count} of {len(samples)} samples are longer than {limit} tokens (the longest has "
            f"{max(lengths)})"
        )
        if config.too_long == "refuse":
            raise InputError(f'{told}; set too_long to "cut" or "drop"')
        return [f"warning: {told}: too_long = {config.too_long!r}"]

    def _tokens(self, sample: Sample) -> int:
        """Of a prompt, a response and one that ends it."""
        asked = render(self._template, self._tokenizer, sample.prompt, sample.history)
        return len(asked) + len(self._tokenizer.encode(sample.response, add_special_tokens=False)) + 1

    @cached_property
    def linears(self) -> dict[str, tuple[int, ...]]:
        """[out, in] of what an adapter may be put beside, by its hub name: matrices inside a layer, no router, no
        experts."""
        found = {name.removesuffix(".weight"): tuple(one.shape) for name, one in read_headers(self._folder).items()}
        return {name: shape for name, shape in found.items() if len(shape) == 2 and INSIDE.search(name)}

    def check(self, stage: str, config: Any, prompts: Sequence[Prompt]) -> None:
        """Raise InputError for a length that no prompt leaves room for, and for a template that cannot prompt.

        Args:
            stage: its name, for the message.
            config: its settings; ``lengths`` are looked at.
            prompts: some that it asks.
        """
        asked = (render(self._template, self._tokenizer, one.question, one.history) for one in prompts)
        shortest = min(map(len, asked), default=0)
        if shortest >= self._positions:
            raise InputError(
                f"stages.{stage}: the shortest prompt has {shortest} tokens and the model {self._positions} positions, "
                "which leaves no room for a completion; shorten the template, or take a model with a longer context"
            )
        for key, value in config.lengths.items():
            if shortest + value > self._positions:
                raise InputError(
                    f"stages.{stage}.{key} = {value} after a prompt of {shortest} tokens or more passes the model's "
                    f"{self._positions} positions; lower it to {self._positions - shortest} or less"
                )
