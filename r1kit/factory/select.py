"""From the candidates that a stage collected to its samples: pure functions of ``candidates.jsonl``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from r1kit.errors import InputError, first_line
from r1kit.factory.decontaminate import EvaluationPrompts, texts_of
from r1kit.factory.samples import sample_of
from r1kit.records import Sample
from r1kit.tasks.split import evened, fraction

__all__ = ["Candidate", "candidate_of", "select"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A completion that passed every check: a line of ``candidates.jsonl``."""

    sample: Sample
    tokens: int
    """Of the response."""
    consistency: tuple[float, float]
    """Language consistency of the chain as it was written, and as it is now."""


def candidate_of(where: str, table: Mapping[str, Any]) -> Candidate:
    """Raises InputError, naming file and line, for what a hand edit broke."""
    try:
        before, after = table["consistency"]
        sample, tokens = sample_of(where, table["sample"]), int(table["tokens"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{where}: no candidate as the stage wrote it: {first_line(error)}; delete it") from None
    return Candidate(sample=sample, tokens=tokens, consistency=(before, after))


def select(
    candidates: Iterable[Candidate], keep: int, limit: int, seed: int, evaluation: EvaluationPrompts | None = None
) -> tuple[list[Candidate], dict[str, int]]:
    """What becomes samples, and how many were dropped for each reason.

    Args:
        candidates: in the order they were sampled.
        keep: of one question, the first so many different responses; 0: all.
        limit: in all; every question's first comes before any question's second. 0: no limit.
        seed: decides whose first comes first.
        evaluation: what prompt and response must not overlap with.
    """
    dropped, turns = Counter[str](), Counter[Any]()
    seen: set[tuple[Any, str]] = set()
    kept: list[tuple[int, float, Candidate]] = []
    for candidate in candidates:
        sample = candidate.sample
        question = (sample.history, evened(sample.prompt))  # behind other turns it is another one
        if evaluation and evaluation.overlaps(*texts_of(sample)):
            dropped["contaminated"] += 1
        elif (question, sample.response) in seen:
            dropped["duplicate"] += 1
        elif keep and turns[question] >= keep:
            dropped["over_keep"] += 1
        else:
            seen.add((question, sample.response))
            kept.append((turns[question], fraction(sample.id, seed), candidate))
            turns[question] += 1
    kept.sort(key=lambda item: item[:2])
    if limit and len(kept) > limit:
        dropped["over_limit"] = len(kept) - limit
        kept = kept[:limit]
    return [candidate for _, _, candidate in kept], dict(dropped)
