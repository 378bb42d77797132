"""Prompts in, groups of rollouts out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from r1kit.records import Completion, Group, Prompt, Sampling
from r1kit.rollout.engine import Bounded, Engine, Telling

__all__ = ["room_for_prompt", "sample_groups", "unanswered"]


def room_for_prompt(engine: Engine, sampling: Sampling) -> int | None:
    """Most tokens of a prompt that leave room for a whole completion; None where the engine does not say, or where no
    prompt would: then the engine refuses."""
    room = engine.positions - sampling.max_tokens if isinstance(engine, Bounded) else 0
    return room if room > 0 else None


def unanswered(group: Group) -> bool:
    """Whether the prompt was too long to be asked."""
    return not any(completion.token_ids for completion in group.completions)


def sample_groups(
    engine: Engine,
    prompts: Sequence[Prompt],
    render: Callable[[Prompt], Sequence[int]],
    sampling: Sampling,
    seed_of: Callable[[int], int],
    done: Callable[[int, Group], None] | None = None,
) -> list[Group]:
    """Draw a group of ``sampling.n`` completions for each prompt. A prompt that leaves no room for ``max_tokens`` in
    the model's positions is not asked: its completions are empty, cut at length 0.

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

    room = room_for_prompt(engine, sampling)
    asked = [index for index, ids in enumerate(rendered) if room is None or len(ids) <= room]
    for index in sorted(set(range(len(prompts))) - set(asked)):
        ended(index, (Completion(token_ids=(), logprobs=(), text="", finish="length"),) * sampling.n)
    given, drawn = [rendered[index] for index in asked], [seeds[index] for index in asked]
    if isinstance(engine, Telling):
        engine.generate_each(given, sampling, drawn, lambda place, completions: ended(asked[place], completions))
    else:
        for index, completions in zip(asked, engine.generate(given, sampling, drawn), strict=True):
            ended(index, completions)
    return [told[index] for index in range(len(prompts))]
