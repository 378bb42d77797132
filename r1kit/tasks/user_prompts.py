"""A user's function that yields prompts, as a task: what it gives is listed and split by a hash, as JSONL lines are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import islice
from typing import Any, Literal

from r1kit.errors import InputError
from r1kit.records import Prompt
from r1kit.registry import short
from r1kit.tasks.listed import Listed
from r1kit.tasks.references import References
from r1kit.tasks.rules import graded
from r1kit.tasks.split import check_shares
from r1kit.tasks.task import Grade, Split, Task
from r1kit.tasks.user import as_prompt, calling, equal_to_reference, spelled
from r1kit.tasks.user_settings import fields_of_call, settings_from

__all__ = ["from_function"]

OURS: dict[str, tuple[Any, Any]] = {
    "size": (int, 1000),
    "rule": (Literal["math", "exact"], "math"),
    "language": (str, "en"),
    "dev_share": (float, 0.05),
    "test_share": (float, 0.1),
    "split_seed": (int, 0),
    "seed": (int, 0),
}
"""Settings beside the function's own, which it is handed too if it asks for them: how many prompts are listed (of an
endless one, the first so many), the rule that judges them unless the reward does, and the split."""


@cache
def from_function(function: Any, reference: str) -> Any:
    """A class of ours around the function: it has a ``Config`` and is built as ``cls(name, config)``."""
    own = fields_of_call(function, reference)
    config = settings_from(getattr(function, "__name__", "prompts"), {**OURS, **own})

    class FromFunction(YieldedPrompts):
        Config = config

        def __init__(self, name: str, config: Any) -> None:
            given = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
            super().__init__(name, function, {key: given[key] for key in own}, given, reference)

    return FromFunction


class YieldedPrompts(Task):
    """Prompts that a function yields: finite, or endless and cut at ``size``."""

    def __init__(
        self, name: str, function: Any, arguments: Mapping[str, Any], settings: Mapping[str, Any], reference: str
    ) -> None:
        """Raises InputError for what the function raises, for what is no prompt, and where none is left to train on."""
        self.name, self._rule, self._where = name, settings["rule"], short(reference)
        if settings["size"] < 1:
            raise InputError(f"tasks.{name}.size = {settings['size']}: must be at least 1")
        check_shares(f"tasks.{name}", settings["dev_share"], settings["test_share"])
        given = calling(reference, lambda: self._yielded(function, arguments, settings["size"]))
        prompts = [self._prompt(place, one, settings["language"]) for place, one in enumerate(given)]
        if self._rule == "math":
            self._look_at(prompts)
        if not prompts:
            raise InputError(f"{self._where} yielded no prompt")
        ids = {prompt.id for prompt in prompts}
        if len(ids) < len(prompts):
            raise InputError(f"{self._where} yielded an id twice; ids must differ, or be left out")
        self._prompts = Listed(
            self._where,
            prompts,
            lambda prompt: prompt,
            called="prompt",
            **{key: settings[key] for key in ("dev_share", "test_share", "split_seed", "seed")},
        )

    def _look_at(self, prompts: list[Prompt]) -> None:
        """Raises InputError for reference answers that no answer can meet."""
        self._references = References(skip=False)
        for prompt in prompts:
            self._references.keeps(f"prompt {prompt.id}", prompt.answers)
        self._references.finish()

    def doubts(self) -> list[str]:
        return self._references.doubts() if self._rule == "math" else []

    about = doubts

    def _yielded(self, function: Any, arguments: Mapping[str, Any], size: int) -> list[Any]:
        given = function(**arguments)
        if not isinstance(given, Iterable) or isinstance(given, (str, Mapping)):
            raise InputError(f"{self._where} gave {spelled(given)}; it yields prompts, or gives a list of them")
        return list(islice(given, size))

    def _prompt(self, place: int, given: Any, language: str) -> Prompt:
        if isinstance(given, Mapping):
            given = {**given, "language": given.get("language") or language}
        elif isinstance(given, (tuple, list)) and len(given) == 2:
            given = {"prompt": given[0], "answer": given[1], "language": language}
        return as_prompt(given, self.name, f"{self.name}/{place}", self._where)

    def train(self, index: int) -> Prompt:
        """Every prompt once in each pass, each pass in an order of its own."""
        prompt: Prompt = self._prompts.train(index)
        return prompt

    def listed(self) -> list[Prompt]:
        return self._prompts.training()

    def held_out(self, split: Split, limit: int | None = None) -> list[Prompt]:
        """The split's prompts in the order they were yielded. Raises InputError for a split without one."""
        return self._prompts.held_out(split, limit)

    def grade(self, prompt: Prompt, answer: str) -> Grade:
        """1 or 0 by the rule."""
        if self._rule == "exact" and prompt.answer is not None:
            return graded(prompt.answers, answer, "exact")
        return equal_to_reference(prompt, answer, self._where)
