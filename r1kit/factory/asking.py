"""A model that is given instructions: what judges and refiners have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from r1kit.records import Completion, Prompt, Sampling
from r1kit.rollout.engine import Engine
from r1kit.text.seen import in_tags

__all__ = ["Asking", "filled", "spoken"]


class Asking:
    """Gives one completion an instruction, and counts what the model writes."""

    def __init__(
        self, engine: Engine, encode: Callable[[str], Sequence[int]], sampling: Sampling,
        read: Callable[[str], str] = in_tags,
    ) -> None:  # fmt: skip
        """``encode`` gives the token ids of an instruction, the model's template applied; ``read`` puts the thinking of
        what it wrote into tags."""
        self._engine, self._encode, self._read = engine, encode, read
        self._sampling = replace(sampling, n=1)
        self.written = 0
        """Tokens, over its life."""

    def ask(self, instructions: Sequence[str], seeds: Sequence[int]) -> list[Completion]:
        """One answer each, in order, its thinking in tags."""
        if not instructions:
            return []
        drawn = self._engine.generate([self._encode(text) for text in instructions], self._sampling, seeds)
        answers = [row[0] for row in drawn]
        self.written += sum(len(answer.token_ids) for answer in answers)
        return [replace(answer, text=self._read(answer.text)) for answer in answers]


def filled(instruction: str, **values: str) -> str:
    """The instruction with each value in its ``{name}``, all at once: ``\\boxed{answer}`` in a question is none."""
    places = re.compile("|".join(re.escape(f"{{{name}}}") for name in values))
    return places.sub(lambda found: values[found[0][1:-1]], instruction)


def spoken(prompt: Prompt) -> str:
    """The question, behind the system prompt and the earlier turns where it has some."""
    if not prompt.history:
        return prompt.question
    return "\n\n".join([*(f"{turn.role}: {turn.content}" for turn in prompt.history), f"user: {prompt.question}"])
