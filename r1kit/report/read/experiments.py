"""What the experiments show: stages ``probe`` (drafts, engine against learner), ``mcts`` (tree search), ``prm``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from r1kit.report.read.reward_models import RewardModel
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.series import Series, series
from r1kit.report.read.stage_folder import StageFolder
from r1kit.report.read.values import Row, interval_of, mapping, number, objects

__all__ = [
    "BestOf", "Choice", "Course", "Probe", "Probed", "ProcessRewards", "SearchRounds", "StepModel", "probed",
    "process_rewards", "search_rounds",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One checkpoint in one dtype."""

    checkpoint: str
    dtype: str
    numbers: Row

    @property
    def speed(self) -> float | None:
        """Tokens a second with drafts, over those without."""
        with_drafts, plain = (number(self.numbers, key) for key in ("drafted_tokens_per_second", "tokens_per_second"))
        return with_drafts / plain if with_drafts and plain else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """A stage of kind probe."""

    title: str
    held: Sequence[Probe]

    @property
    def dtypes(self) -> list[str]:
        """In the order of the stage."""
        return list(dict.fromkeys(one.dtype for one in self.held))

    def has(self, key: str) -> bool:
        """Whether any checkpoint has the field."""
        return any(number(one.numbers, key) is not None for one in self.held)


def probed(run: RunFolder) -> list[Probed]:
    """Every such stage that is done."""
    return [
        Probed(
            title=run.title(stage.name),
            held=[
                Probe(checkpoint=run.alias(str(checkpoint)), dtype=str(dtype), numbers=mapping(row))
                for checkpoint, found in stage.numbers.items()
                for dtype, row in mapping(found).items()
            ],
        )
        for stage in run.of_kind("probe")
        if stage.numbers
    ]


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


MODELS = {"process": "process reward model", "outcome": "outcome reward model"}
WAYS = {
    "majority": "majority vote", "process": "process reward", "outcome": "outcome reward",
    "process_majority": "votes weighed by process reward", "any": "any of them right", "average": "one at random",
}  # fmt: skip
"""Ways of choosing that the figure draws; the other aggregates are in the table."""
COURSES = {
    "process_reward": "process reward, mean of the steps",
    "accuracy": "accuracy",
    "truncated_share": "cut at the longest length",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepModel:
    name: str
    numbers: Row
    labels: Row
    """What the labels that it learnt came to; empty for the outcome model."""

    @property
    def before(self) -> Row:
        """Of one that was trained on: what it was worth on the same steps before."""
        return mapping(self.numbers.get("before"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A way of choosing among N."""

    name: str
    drawn: bool
    points: Sequence[tuple[int, float, tuple[float, float]]]
    """N, accuracy, its interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BestOf:
    task: str
    by: str
    choices: Sequence[Choice]
    minus: Mapping[str, tuple[float, tuple[float, float] | None]]
    """The best by process reward, less another way, at the largest N."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One RL."""

    name: str
    by_steps: bool
    lines: Mapping[str, Series]
    steps_a_chain: Series
    tokens: Series
    ends: Sequence[tuple[str, Row, Row]]
    """(task, first and last evaluation)."""
    flops: float | None
    stopped: str
    """Why the watch stopped it; empty: it did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRewards:
    """One stage of kind ``prm``."""

    title: str
    models: Sequence[StepModel]
    chosen: Sequence[BestOf]
    courses: Sequence[Course]


def process_rewards(run: RunFolder) -> list[ProcessRewards]:
    """Every stage of kind ``prm`` that has trained a reward model."""
    found = (_read(run, stage) for stage in run.of_kind("prm"))
    return [one for one in found if one.models]


def _rounds(stage: StageFolder, name: str) -> list[tuple[str, StageFolder]]:
    """(how it is called, part) of every round of a part that is there."""
    found: list[tuple[str, StageFolder]] = []
    while (part := stage.part(name + (f"_{len(found) + 1}" if found else ""))).path.is_dir():
        found.append((f", round {len(found) + 1}" if found else "", part))
    return found


def _read(run: RunFolder, stage: StageFolder) -> ProcessRewards:
    labels = [part.result for _, part in _rounds(stage, "labels")]
    models = [
        StepModel(name=MODELS["process"] + called, numbers=part.result, labels=of)
        for (called, part), of in zip(_rounds(stage, "process"), labels, strict=False)
        if part.done
    ]
    if stage.part("outcome").done:
        models.insert(1, StepModel(name=MODELS["outcome"], numbers=stage.part("outcome").result, labels={}))
    courses = [(f"RL by process rewards{called}", True, part) for called, part in _rounds(stage, "process_rl")]
    courses += [(f"RL by rules{called}", False, part) for called, part in _rounds(stage, "rule_rl")]
    return ProcessRewards(
        title=run.title(stage.name),
        models=models,
        chosen=[
            _best_of(str(task), mapping(row))
            for task, row in stage.part("best_of").result.items()
            if mapping(row).get("curves")
        ],
        courses=[_course(name, by_steps, part) for name, by_steps, part in courses if part.metrics],
    )


def _best_of(task: str, row: Row) -> BestOf:
    choices = []
    for name, curve in mapping(row["curves"]).items():
        points = [
            (int(n), float(ends[0]), (float(ends[1]), float(ends[2])))
            for n, ends in mapping(curve).items()
            if isinstance(ends, list) and len(ends) == 3 and None not in ends
        ]
        choices.append(Choice(name=WAYS.get(str(name), str(name)), drawn=str(name) in WAYS, points=points))
    minus = {
        WAYS.get(str(name), str(name)): (value, interval_of(mapping(line)))
        for name, line in mapping(row.get("process_minus")).items()
        if (value := number(mapping(line), "difference")) is not None
    }
    return BestOf(task=task, by=str(row.get("by", "")), choices=choices, minus=minus)


def _course(name: str, by_steps: bool, part: StageFolder) -> Course:
    rows = part.metrics
    lines = {called: series(rows, key) for key, called in COURSES.items()}
    first: dict[tuple[str, str], Row] = {}
    last: dict[tuple[str, str], Row] = {}
    for line in part.evals:
        place = (str(line.get("task", "")), str(line.get("split", "")))
        first.setdefault(place, line)
        last[place] = line
    return Course(
        name=name,
        by_steps=by_steps,
        lines={called: line for called, line in lines.items() if len(line)},
        steps_a_chain=series(rows, "process_steps"),
        tokens=series(rows, "response_tokens"),
        ends=[(f"{task}, {split}", first[task, split], last[task, split]) for task, split in first],
        flops=number(mapping(part.result.get("cost")), "training_flops"),
        stopped=str(mapping(part.result.get("hacking")).get("reason", "")),
    )
