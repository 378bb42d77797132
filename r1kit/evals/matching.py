"""Scores and the completions that they are of."""

from __future__ import annotations

from collections.abc import Sequence

from r1kit.errors import R1Error
from r1kit.records import Group, Score

__all__ = ["match_scores"]


def match_scores(groups: Sequence[Group], scores: Sequence[Sequence[Score]]) -> None:
    """Refuse rewards that do not match their samples one to one; nothing is ever broadcast.

    Raises:
        R1Error: a list of another length, naming the first group where it differs.
    """
    if len(groups) != len(scores):
        raise R1Error(f"rewards were given for {len(scores)} groups, but {len(groups)} were sampled")
    for group, row in zip(groups, scores, strict=True):
        if len(group.completions) != len(row):
            raise R1Error(
                f"{len(row)} rewards were given for the {len(group.completions)} completions of {group.prompt.id}"
            )
