"""What a model is shown that judges or refines an answer: an instruction with its places filled in."""

from __future__ import annotations

import re

from r1kit.records import Prompt

__all__ = ["filled", "spoken"]


def filled(instruction: str, **values: str) -> str:
    """The instruction with each value in its ``{name}``, all at once: ``\\boxed{answer}`` in a question is none."""
    places = re.compile("|".join(re.escape(f"{{{name}}}") for name in values))
    return places.sub(lambda found: values[found[0][1:-1]], instruction)


def spoken(prompt: Prompt) -> str:
    """The question, behind the system prompt and the earlier turns where it has some."""
    if not prompt.history:
        return prompt.question
    return "\n\n".join([*(f"{turn.role}: {turn.content}" for turn in prompt.history), f"user: {prompt.question}"])
