"""Where preference data comes from: a file or data set, or the generator of a nano task; and its held-out part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from r1kit.data.settings import Reading
from r1kit.errors import InputError
from r1kit.factory.pairs import Construction, balanced
from r1kit.factory.sources import LOOKED_AT, Say, check_rows, labels_from, pairs_from, silent
from r1kit.records import Labelled, Pair, Sampling
from r1kit.tasks.split import fraction
from r1kit.tasks.task import Offer, Task

__all__ = [
    "LabelData",
    "PairData",
    "check_data",
    "labels_of",
    "pairs_of",
    "split_by_prompt",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PairData:
    """Pairs for the helpfulness model."""

    path: str = ""
    """A file, a folder or a hub data set of pairs: ``prompt``, ``chosen``, ``rejected``, as texts or as chats; empty:
    the generator of ``task``."""
    read: Reading = field(default_factory=Reading)
    """How its rows are read."""
    task: str = "helpful"
    """Task of the recipe that writes pairs (``preference_pairs``), or whose prompts ``own_samples`` asks."""
    count: int = 6000
    """Pairs that are generated (paper: 66,000 in all)."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The task's own settings of the pairs that it writes."""
    own_samples: int = 0
    """Prompts of ``task`` to which the start's model gives two responses that are judged and added."""
    judge: str = ""
    """Stage or model that judges them, by any name that a model has; empty: the task's rule."""
    construction: Construction = field(default_factory=Construction)
    sampling: Sampling = field(default_factory=lambda: Sampling(n=2, max_tokens=128))
    """Of the start's model."""
    judge_sampling: Sampling = field(default_factory=lambda: Sampling(n=1, max_tokens=2048, temperature=0.0))
    balance_lengths: bool = True
    """Leave pairs out until chosen responses are the longer ones as often as rejected ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelData:
    """Labelled responses for the safety model."""

    path: str = ""
    """A file, a folder or a hub data set of ``prompt``, ``response`` and ``label``, which says whether the response is
    safe; empty: the generator of ``task``."""
    read: Reading = field(default_factory=Reading)
    """How its rows are read."""
    task: str = "safety"
    """Task of the recipe that writes labelled responses (``safety_labels``)."""
    count: int = 6000
    """Responses that are generated (paper: 106,000 prompts)."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The task's own settings of the responses that it writes."""


def _check_classes(labels: Sequence[Labelled], where: str) -> None:
    """Raise InputError unless there are safe and unsafe responses."""
    if len({label.safe for label in labels}) < 2:
        found = f"all {len(labels)} are {'safe' if labels[0].safe else 'unsafe'}" if labels else "there is none"
        raise InputError(f"{where}: a safety model needs safe and unsafe responses, but {found}; add the other class")


# ---- a stage's data -----------------------------------------------------------------------------------------------


def check_data(config: PairData | LabelData, tasks: Mapping[str, Task], where: str) -> None:
    """Raise InputError for data that cannot be had; files are looked into, so that a broken line is told at once."""
    task = tasks.get(config.task)
    offer: Offer = "safety_labels" if isinstance(config, LabelData) else "preference_pairs"
    if not config.path and (task is None or offer not in task.offers):
        raise InputError(
            f"{where}.task = {config.task!r} has no generator of preference data; name a task that has one, as kind "
            f"general, or a file as {where}.path"
        )
    if not config.path and config.count < 1:
        raise InputError(f"{where}.count = {config.count}: must be at least 1")
    if isinstance(config, LabelData):
        if not config.path:
            _written(config, task, 0, 0, where)
        elif len(labels := check_rows(config.path, config.read, "labels", where)) < LOOKED_AT:
            _check_classes(labels, config.path)
        return
    if not config.path:
        _written(config, task, 0, 0, where)
    elif (
        not balanced(check_rows(config.path, config.read, "pairs", where))
        and config.balance_lengths
        and not config.own_samples
    ):
        try:  # all of them are read only where the first ones tell nothing but lengths
            pairs_of(config, tasks, 0)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
    if config.own_samples and (task is None or not (task.graded or config.judge)):
        why = (
            "is none of the recipe's tasks" if task is None else "has no reference answers, by which one beats another"
        )
        raise InputError(
            f"{where}.own_samples asks {where}.task = {config.task!r}, which {why}; name another, or a judge"
        )
    if config.own_samples < 0 or (config.own_samples and config.sampling.n != 2):
        raise InputError(
            f"{where}: own_samples = {config.own_samples} must be at least 0, and sampling.n = {config.sampling.n} be 2"
        )


def _written(config: PairData | LabelData, task: Task | None, count: int, seed: int, where: str) -> list[Any]:
    """What the task writes; a mistake in its options is told with where they stand."""
    assert task is not None
    write = task.safety_labels if isinstance(config, LabelData) else task.preference_pairs
    try:
        return [*write(count, seed, config.options)]
    except InputError as error:
        raise InputError(f"{where}.options: {error}") from None


def pairs_of(
    config: PairData, tasks: Mapping[str, Task], seed: int, judged: Sequence[Pair] = (), say: Say = silent
) -> list[Pair]:
    """The file's or the generated pairs and those that were judged, lengths balanced where that is asked for."""
    if config.path:
        pairs = pairs_from(config.path, config.read, say)
    else:
        pairs = _written(config, tasks[config.task], config.count, seed, f"task {config.task}")
    pairs += judged
    kept = balanced(pairs) if config.balance_lengths else pairs
    if not kept:
        raise InputError(
            f"of {len(pairs)} pairs none is left once lengths are balanced: one side is always the longer; "
            f"set balance_lengths = false or add others"
        )
    return kept


def labels_of(config: LabelData, tasks: Mapping[str, Task], seed: int, say: Say = silent) -> list[Labelled]:
    """The file's or the generated responses."""
    if config.path:
        labels = labels_from(config.path, config.read, say)
    else:
        labels = _written(config, tasks[config.task], config.count, seed, f"task {config.task}")
    _check_classes(labels, config.path or f"task {config.task}")
    return labels


# ---- held out -----------------------------------------------------------------------------------------------------

_Example = TypeVar("_Example", bound=Pair | Labelled)


def split_by_prompt(examples: Sequence[_Example], share: float, where: str) -> tuple[list[_Example], list[_Example]]:
    """(to train on, held out): examples whose prompts ask the same are on the same side.

    Raises:
        InputError: a side would be empty, or lack one of the safety classes.
    """
    train: list[_Example] = []
    held: list[_Example] = []
    for example in examples:
        key = example.prompt.cluster or example.prompt.question  # not the hash that a task splits its asks by
        (held if fraction(f"preference {key}", 0) < share else train).append(example)
    for side, name in ((train, "to train on"), (held, f"held out with held_out_share = {share}")):
        if not side:
            raise InputError(f"{where}: of {len(examples)} examples none is left {name}; add prompts")
        if labels := [example for example in side if isinstance(example, Labelled)]:
            _check_classes(labels, f"{where}, what is {name}")
    return train, held
