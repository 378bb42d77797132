"""How far people who decided on the same items agree, to keep them or not: the share, and Cohen's kappa.

Only decisions count that were made without seeing the other's, the first two people's of an item.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from r1kit.factory.review import Item

__all__ = ["Agreement", "Pair", "agreement", "cohens_kappa"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two people."""

    people: tuple[str, str]
    items: int
    """That both decided."""
    share: float
    """Of these: both keep it, or both reject it."""
    kappa: float | None
    """None where chance alone would make them agree: both always said the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Over all pairs."""

    items: int
    share: float | None
    kappa: float | None
    """Mean of the pairs that have one, weighted by their items."""
    pairs: tuple[Pair, ...]


def cohens_kappa(labels: Sequence[tuple[bool, bool]]) -> float | None:
    """(p_o - p_e) / (1 - p_e): agreement beyond what two people with these shares of yes would reach by chance (Cohen,
    1960). None where there is no label, or p_e = 1.

    Args:
        labels: what each of the two said of an item.
    """
    count = len(labels)
    both = sum(first == second for first, second in labels)
    first, second = sum(a for a, _ in labels), sum(b for _, b in labels)
    chance = first * second + (count - first) * (count - second)  # p_e times count squared, so that all is whole
    return None if chance == count * count else (both * count - chance) / (count * count - chance)


def agreement(items: Iterable[Item]) -> Agreement:
    found: dict[tuple[str, str], list[tuple[bool, bool]]] = defaultdict(list)
    for item in items:
        if len(item.votes) > 1:
            first, second = sorted(item.votes[:2], key=lambda each: each.by)
            found[first.by, second.by].append((first.keeps, second.keeps))
    pairs = tuple(
        Pair(
            people=people,
            items=len(labels),
            share=sum(a == b for a, b in labels) / len(labels),
            kappa=cohens_kappa(labels),
        )
        for people, labels in sorted(found.items())
    )
    total, told = sum(pair.items for pair in pairs), [pair for pair in pairs if pair.kappa is not None]
    return Agreement(
        items=total,
        share=sum(pair.share * pair.items for pair in pairs) / total if total else None,
        kappa=sum((pair.kappa or 0.0) * pair.items for pair in told) / sum(pair.items for pair in told)
        if told
        else None,
        pairs=pairs,
    )
