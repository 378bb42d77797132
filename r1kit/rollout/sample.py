"""Prompts in, groups of rollouts out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from r1kit.records import Completion, Group, Prompt, Sampling
from r1kit.rollout.engine import Engine, Telling

__all__ = ["sample_groups"]


def sample_groups(
    engine: Engine,
    prompts: Sequence[Prompt],
    render: Callable[[Prompt], Sequence[int]],
    sampling: Sampling,
    seed_of: Callable[[int], int],
    done: Callable[[int, Group], None] | None = None,
) -> list[Group]:
    """Draw a group of ``sampling.n`` completions for each prompt.

    Args:
        engine: who writes.
        prompts: any order; the groups keep it.
        render: token ids of a prompt, template applied.
        sampling: how to draw.
        seed_of: 63-bit seed of the prompt at an index of ``prompts``, for example from ``streams.stream_seed``.
        done: is told each group with its place among the prompts, as soon as its last completion has ended where the
            engine tells (``engine.Telling``), else at the end.
    """
    rendered = [tuple(render(prompt)) for prompt in prompts]
    seeds = [seed_of(index) for index in range(len(prompts))]
    told: dict[int, Group] = {}

    def ended(index: int, completions: tuple[Completion, ...]) -> None:
        told[index] = Group(prompt=prompts[index], prompt_ids=rendered[index], completions=completions)
        if done is not None:
            done(index, told[index])

    if isinstance(engine, Telling):
        engine.generate_each(rendered, sampling, seeds, ended)
    else:
        for index, completions in enumerate(engine.generate(rendered, sampling, seeds)):
            ended(index, completions)
    return [told[index] for index in range(len(prompts))]
