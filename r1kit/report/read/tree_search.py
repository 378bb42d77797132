"""Rounds of tree search: accuracy beside the controls at equal tokens, the value model's calibration, diversity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from r1kit.report.read.reward_models import RewardModel
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.series import Series, series
from r1kit.report.read.stage_folder import StageFolder
from r1kit.report.read.values import Row, mapping, objects

__all__ = ["SearchRounds", "search_rounds"]

METHODS = {
    "search_accuracy": "tree search", "majority_accuracy": "majority vote", "best_of_n_accuracy": "best of N by value",
    "weighted_accuracy": "vote by value", "beam_accuracy": "beam search", "plain_accuracy": "one chain",
}  # fmt: skip
"""Field of a round -> what the page calls it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRounds:
    """One stage."""

    title: str
    rows: Sequence[Row]
    """``metrics.jsonl``, a line a round."""
    values: Sequence[RewardModel]
    """The value model of the first and of the last round, with its reliability."""

    @property
    def accuracy(self) -> Mapping[str, Series]:
        """Method -> held-out accuracy over rounds."""
        return {name: series(self.rows, key) for key, name in METHODS.items()}

    @property
    def calibration(self) -> Mapping[str, Series]:
        """Brier scores over rounds."""
        names = {"brier": "all prefixes", "brier_whole": "whole chains", "brier_base": "their mean for everything"}
        return {name: series(self.rows, key) for key, name in names.items()}


def search_rounds(run: RunFolder) -> list[SearchRounds]:
    """Every stage of tree search that has finished a round."""
    return [
        SearchRounds(title=run.title(stage.name), rows=stage.metrics, values=_values(stage))
        for stage in run.of_kind("mcts")
        if stage.metrics
    ]


def _values(stage: StageFolder) -> list[RewardModel]:
    rounds = objects(stage.numbers.get("rounds"))
    found = []
    for row in rounds[:: max(1, len(rounds) - 1)][:2]:
        for task, numbers in mapping(row.get("tasks")).items():
            found.append(RewardModel(name=f"{task}, round {row.get('round')}", numbers=mapping(numbers)))
    return found
