"""Samples of several domains in chosen shares, drawn the same way every time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

from r1kit.errors import InputError, nearest
from r1kit.records import Sample
from r1kit.tasks.split import fraction

__all__ = ["check_weights", "mix"]


def check_weights(weights: Mapping[str, float], where: str) -> None:
    """Raise InputError for a weight that is negative or not finite."""
    for domain, weight in weights.items():
        if not 0 <= weight < math.inf:
            raise InputError(f"{where}.{domain} = {weight}: must be at least 0")


def mix(
    samples: Sequence[Sample], weights: Mapping[str, float], seed: int, where: str, size: int = 0,
    of: Callable[[Sample], str] = attrgetter("domain"),
) -> list[Sample]:  # fmt: skip
    """Draw without repeats, in a shuffled order that the ids and the seed decide.

    Args:
        samples: of all domains.
        weights: relative share of each domain among what is drawn, 1 where it is not named; empty: all samples.
        seed: of the draw.
        where: dotted name of the weights, for messages.
        size: samples to draw at most; 0: as many as the shares allow.
        of: the domain of a sample.

    Raises:
        InputError: the weights sum to nothing, or name a domain that has no sample.
    """
    check_weights(weights, where)
    pools: dict[str, list[Sample]] = {}
    for sample in sorted(samples, key=lambda sample: (fraction(sample.id, seed), sample.id)):
        pools.setdefault(of(sample), []).append(sample)
    for domain, weight in weights.items():
        if weight and domain not in pools:
            raise InputError(
                f"{where} names {domain!r}, of which there is no sample; domains are {', '.join(pools) or 'none'}."
                f"{nearest(domain, pools)}"
            )
    shares = {domain: weights.get(domain, 1.0) for domain in pools}
    total = sum(shares.values())
    if pools and not total:
        raise InputError(f"{where}: the weights of {', '.join(pools)} sum to nothing; give one of them more than 0")
    if weights:
        room = min((len(pools[domain]) * total / share for domain, share in shares.items() if share), default=0.0)
        drawn = min(room, size or room)
        counts = {domain: round(drawn * share / total + 1e-9) for domain, share in shares.items()}
        samples = [sample for domain, pool in pools.items() for sample in pool[: counts[domain]]]
    shuffled = sorted(samples, key=lambda sample: (fraction(sample.id, seed + 1), sample.id))
    return shuffled[: size or None]
