"""Prompts in, groups of rollouts out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from r1kit.records import Group, Prompt, Sampling
from r1kit.rollout.engine import Engine

__all__ = ["sample_groups"]


def sample_groups(
    engine: Engine,
    prompts: Sequence[Prompt],
    render: Callable[[Prompt], Sequence[int]],
    sampling: Sampling,
    seed_of: Callable[[int], int],
) -> list[Group]:
    """Draw a group of ``sampling.n`` completions for each prompt.

    Args:
        engine: who writes.
        prompts: any order; the groups keep it.
        render: token ids of a prompt, template applied.
        sampling: how to draw.
        seed_of: 63-bit seed of the prompt at an index of ``prompts``, for example from ``streams.stream_seed``.
    """
    rendered = [tuple(render(prompt)) for prompt in prompts]
    drawn = engine.generate(rendered, sampling, [seed_of(index) for index in range(len(prompts))])
    return [
        Group(prompt=prompt, prompt_ids=ids, completions=completions)
        for prompt, ids, completions in zip(prompts, rendered, drawn, strict=True)
    ]
