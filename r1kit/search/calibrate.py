"""How well a value model's probabilities hold, prefix by prefix, on chains of problems that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from r1kit.maths.preference import calibration_error, reliability
from r1kit.records import Group, Score
from r1kit.search.steps import Cutter
from r1kit.search.value import ModelValue, is_right

__all__ = ["brier", "calibration", "examples_of_chains"]

Example = tuple[tuple[int, ...], float]
"""A prompt with the beginning of a chain behind it, and how often, or how likely, the chain ends right."""


def brier(predicted: Sequence[float], observed: Sequence[float]) -> float:
    """Mean of ``(p - y)^2`` (Brier, 1950): 0 is perfect, 1/4 is what one half for everything earns."""
    assert len(predicted) == len(observed) > 0
    return sum((p - y) ** 2 for p, y in zip(predicted, observed, strict=True)) / len(predicted)


def examples_of_chains(
    groups: Sequence[Group], scores: Sequence[Sequence[Score]], cutter: Cutter
) -> list[tuple[Example, bool]]:
    """Each chain's prefixes at the ends of its steps, with whether the chain came out right; and whether the prefix is
    the whole chain."""
    found = []
    for group, row in zip(groups, scores, strict=True):
        for one, score in zip(group.completions, row, strict=True):
            ends = cutter.ends(one.token_ids)
            right = float(is_right(score))
            found += [((group.prompt_ids + one.token_ids[:end], right), end == ends[-1]) for end in ends]
    return found


def calibration(value: ModelValue, examples: Sequence[tuple[Example, bool]]) -> dict[str, Any]:
    """``brier`` of all prefixes, beside ``brier_base``, what their share of right ones for everything would earn;
    ``brier_whole`` of whole chains alone; ``calibration_error`` and ``reliability``; how many ``prefixes``."""
    predicted = value.of_rows([row for (row, _), _ in examples])
    observed = [right for (_, right), _ in examples]
    share = sum(observed) / len(observed)
    whole = [place for place, (_, last) in enumerate(examples) if last]
    table = reliability(predicted, [right > 0.5 for right in observed])
    return {
        "brier": brier(predicted, observed),
        "brier_base": share * (1.0 - share),
        "brier_whole": brier([predicted[place] for place in whole], [observed[place] for place in whole]),
        "calibration_error": calibration_error(table),
        "reliability": table,
        "prefixes": len(examples),
    }
