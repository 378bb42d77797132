"""What is kept of each token of a completion: its text, how likely it was, how sure the policy, how far the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from r1kit.records import Completion

__all__ = ["Spell", "per_token"]

Spell = Callable[[Sequence[int], str], list[str]]
"""(ids of a completion, its text) -> the text of each token."""
DIGITS = 4
"""Of nats; a gap, which is far below that where all is well, has as many that count."""


def per_token(completion: Completion, spell: Spell, read: Tensor | None = None) -> dict[str, list[str] | list[float]]:
    """One value a token under each name.

    Args:
        completion: as it was sampled.
        spell: ids as texts.
        read: float32 [2, n] or [1, n]: the learner's log-probs of the same tokens before it learnt from them, and the
            entropies of its distributions, where it gives them. None: it did not look.
    """
    found: dict[str, list[str] | list[float]] = {
        "text": spell(completion.token_ids, completion.text),
        "logprob": [round(value, DIGITS) for value in completion.logprobs],
    }
    if read is not None:
        own, *entropies = read.tolist()
        if entropies:
            found["entropy"] = [round(value, DIGITS) for value in entropies[0]]
        gaps = (learner - sampler for learner, sampler in zip(own, completion.logprobs, strict=True))
        found["gap"] = [float(f"{gap:.{DIGITS}g}") for gap in gaps]
    return found
