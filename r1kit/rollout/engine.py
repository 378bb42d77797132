"""The engine protocol: prompts in, completions out. Every backend meets the loops here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from r1kit.records import Completion, Sampling

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Engine"]


class Engine(Protocol):
    """Samples completions from the newest weights it was given."""

    def generate(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, seeds: Sequence[int]
    ) -> list[tuple[Completion, ...]]:
        """Draw ``sampling.n`` completions for each prompt.

        Args:
            prompts: token ids of each prompt, template applied; lengths may differ.
            sampling: how to draw.
            seeds: one 63-bit seed a prompt. Row ``i`` of a prompt draws from the stream ``(seed, i)`` alone: what
                shares its batch does not change its random numbers.

        Returns:
            One tuple of ``sampling.n`` completions a prompt, in the order of the prompts.

        Raises:
            InputError: a prompt and ``max_tokens`` pass the positions that the model knows.
        """
        ...

    def load_weights(self, weights: Mapping[str, Tensor], version: int) -> None:
        """Take new weights (hub names, as ``Learner.weights`` gives them); later completions carry ``version``."""
        ...

    def close(self) -> None:
        """Give memory and processes back. Idempotent."""
        ...
