"""An engine of the user's own, held to the protocol: what it gives is looked at before anything is made of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, get_args, get_type_hints

from r1kit.errors import R1Error
from r1kit.records import Completion, Sampling
from r1kit.rollout.engine import Ended, Engine, Telling

__all__ = ["looked_at"]

FINISHES = get_args(get_type_hints(Completion)["finish"])


def looked_at(engine: Engine, name: str, vocabulary: int) -> Engine:
    """The engine, whose ``generate`` and ``generate_each`` raise R1Error where they give what nothing can be learnt of.

    Args:
        name: for the message.
        vocabulary: tokens that the model has.
    """
    generate = getattr(engine.generate, "looked_into", engine.generate)  # of one that was given out before, its own

    def every(prompts: Sequence[Sequence[int]], sampling: Sampling, seeds: Sequence[int]) -> Any:
        found = generate(prompts, sampling, seeds)
        groups = len(found) if isinstance(found, (list, tuple)) else type(found).__name__
        if groups != len(prompts):
            raise R1Error(f"{name}.generate gave {groups} for {len(prompts)} prompts; it gives a list of a tuple each")
        for group in found:
            _check(group, sampling.n, f"{name}.generate", vocabulary)
        return found

    _replace(engine, "generate", generate, every)
    if isinstance(engine, Telling):
        generate_each = getattr(engine.generate_each, "looked_into", engine.generate_each)

        def each(prompts: Sequence[Sequence[int]], sampling: Sampling, seeds: Sequence[int], ended: Ended) -> Any:
            def told(place: int, group: tuple[Completion, ...]) -> None:
                _check(group, sampling.n, f"{name}.generate_each", vocabulary)
                ended(place, group)

            return generate_each(prompts, sampling, seeds, told)

        _replace(engine, "generate_each", generate_each, each)
    return engine


def _replace(engine: Engine, name: str, method: Any, by: Any) -> None:
    """Of a frozen engine too, and of one with slots."""
    by.looked_into = method
    try:
        object.__setattr__(engine, name, by)
    except AttributeError:
        looked = type(type(engine).__name__, (type(engine),), {"__slots__": (), name: staticmethod(by)})
        object.__setattr__(engine, "__class__", looked)


def _check(group: Any, n: int, where: str, vocabulary: int) -> None:
    count = len(group) if isinstance(group, (list, tuple)) else type(group).__name__
    if count != n:
        raise R1Error(f"{where} gave {count} for the completions of a prompt; sampling.n = {n} of them are due")
    for one in group:
        if wrong := _wrong(one, vocabulary):
            raise R1Error(f"{where} gave a completion {wrong}")


def _wrong(one: Any, vocabulary: int) -> str:
    """What is wrong with a completion; empty: nothing that can be seen."""
    if not isinstance(one, Completion):
        return f"of type {type(one).__name__}; it must be an r1kit.Completion"
    ids, logprobs = one.token_ids, one.logprobs
    if not isinstance(ids, (tuple, list)) or not all(isinstance(each, int) for each in ids):
        return "whose token_ids are no tuple of int; tensors have tolist()"
    if strange := next((each for each in ids if not 0 <= each < vocabulary), None):
        return f"with token {strange}; the model has {vocabulary}"
    if not isinstance(logprobs, (tuple, list)) or len(logprobs) != len(ids):
        given = f"{len(logprobs)}" if isinstance(logprobs, (tuple, list)) else type(logprobs).__name__
        return f"with {given} logprobs for {len(ids)} tokens; each has one, the end token too"
    if not all(isinstance(each, (int, float)) and math.isfinite(each) for each in logprobs):
        return "whose logprobs are no finite numbers"
    if not isinstance(one.text, str):
        return f"whose text is {one.text!r}; it must be text"
    if one.finish not in FINISHES:
        return f"with finish = {one.finish!r}; allowed are {', '.join(map(repr, FINISHES))}"
    return "" if isinstance(one.version, int) else f"with version = {one.version!r}; it is that of load_weights"
