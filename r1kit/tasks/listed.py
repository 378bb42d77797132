"""Prompts that are all there at once (the lines of a file, what a user's function gives), in three parts.

What is equal never falls into two parts: an item goes where the hash of its cluster says, and one of train or dev
whose question is also in a part held out more strictly is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Generic, TypeVar

from r1kit.data.settings import Reading
from r1kit.errors import InputError
from r1kit.records import Prompt
from r1kit.seeds import SEED_STRIDE
from r1kit.tasks.split import Part, check_shares, digest, own_cluster, part_of
from r1kit.tasks.task import Split, Task

__all__ = ["Listed", "OfFiles", "OfLines", "SplitReading", "listed_files", "told_apart"]

_Item = TypeVar("_Item")


class Listed(Generic[_Item]):
    """Items, each with a prompt, cut into train, dev and test."""

    def __init__(
        self,
        where: str,
        items: Iterable[_Item],
        prompt_of: Callable[[_Item], Prompt],
        *,
        test: Iterable[_Item] | None = None,
        nothing_to_train_on: bool = False,
        system_asks: bool = False,
        dev_share: float,
        test_share: float,
        split_seed: int,
        seed: int,
        called: str = "line",
    ) -> None:
        """Args:
            where: what errors begin with: the file, or the task.
            test: the test split, where it is given apart; ``items`` then go into train and dev alone.
            nothing_to_train_on: the items are the test split once more, so that an empty training part is no mistake.
            system_asks: prompts that differ in their system prompts alone ask different things.
            seed: of the training order.
            called: one item, in errors.

        Raises:
            InputError: nothing is left to train on.
        """
        self.where, self._called, self._seed = where, called, seed
        self._parts: dict[Part, list[_Item]] = {"test": [], "dev": [], "train": []}
        if test is not None:
            test_share, self._parts["test"] = 0.0, list(test)
        clusters, given = set[int](), 0
        for item in items:
            cluster = prompt_of(item).cluster
            clusters.add(hash(cluster))
            given += 1
            self._parts[part_of(cluster, dev_share, test_share, split_seed)].append(item)
        alike = f"; {given} {called}s are {len(clusters)} different problem{'s' * (len(clusters) != 1)}"
        self._alike = alike * (len(clusters) < given)
        taken: set[str] = set()
        for part, kept in self._parts.items():
            kept = [item for item in kept if taken.isdisjoint(_meets(prompt_of(item), system_asks))]
            self._parts[part] = kept
            if part != "train":  # the last
                taken.update(key for item in kept for key in _holds(prompt_of(item), system_asks))
        self._order: tuple[tuple[int, int], list[int]] = ((-1, -1), [])
        if not self._parts["train"] and not nothing_to_train_on:
            raise InputError(
                f"{where}: no {called} is left to train on{self._alike}; add {called}s or lower dev_share and "
                "test_share"
            )

    def __iter__(self) -> Iterator[_Item]:
        return (item for part in self._parts.values() for item in part)

    def training(self) -> list[_Item]:
        """The items to train on, in the order they came."""
        return self._parts["train"]

    def train(self, index: int) -> _Item:
        """Every item once in each pass, each pass in an order of its own; every run's seed begins at a first pass."""
        items = self._parts["train"]
        if not items:
            raise InputError(
                f"{self.where}: every problem is in the test split, as those of a source on a command line are; "
                f"ask for test, or in a recipe leave test_path out"
            )
        run, number = divmod(index, SEED_STRIDE)
        turn, place = divmod(number, len(items))
        if (run, turn) != self._order[0]:
            order = list(range(len(items)))
            Random((run << 64) + (self._seed << 32) + turn).shuffle(order)
            self._order = ((run, turn), order)
        return items[self._order[1][place]]

    def held_out(self, split: Split, limit: int | None = None) -> list[_Item]:
        """The split's items in the order they came. Raises InputError for a split without one."""
        if not self._parts[split]:
            raise InputError(
                f"{self.where}: no {self._called} falls into the {split} split{self._alike}; raise {split}_share or "
                f"add {self._called}s"
            )
        return self._parts[split][:limit]


def _holds(prompt: Prompt, system_asks: bool) -> list[str]:
    """What a part that holds this prompt keeps from the others, short where there are many: its cluster, its question,
    and where earlier turns stand before it the same question asked alone."""
    whole, alone = own_cluster(prompt.question, prompt.history, system_asks), digest(prompt.question)
    return [f"cluster {prompt.cluster}", f"question {whole}", *([f"last {alone}"] if whole != alone else [])]


def _meets(prompt: Prompt, system_asks: bool) -> list[str]:
    """What another part must not keep for it: a question that is asked alone there is the same behind any turns."""
    whole, alone = own_cluster(prompt.question, prompt.history, system_asks), digest(prompt.question)
    return [
        f"cluster {prompt.cluster}",
        f"question {whole}",
        f"question {alone}" if whole != alone else f"last {alone}",
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitReading(Reading):
    """Settings of a task whose prompts are the rows of a source: how they are read, and how they are split."""

    path: str
    """A file (``.jsonl .json .csv .tsv .parquet .txt``, also with ``.gz`` or ``.zst``), a folder of them, or the name
    of a hub data set."""
    test_path: str = ""
    """A second source that is the test split; rows of ``path`` that ask the same are dropped. The same as ``path``: all
    of it is the test split, and there is nothing to train on."""
    test_split: str = ""
    """The split of ``path`` (or of ``test_path``) that is the test split."""
    dev_share: float = 0.05
    """Share of the questions, by hash, held out for choosing settings."""
    test_share: float = 0.1
    """Share of the questions, by hash, held out for the reported result; unused with a test split of its own."""
    split_seed: int = 0
    """Decides the parts; the same for every run."""
    seed: int = 0
    """Seed of the training order."""

    @property
    def test_source(self) -> tuple[str, str]:
        """(source, split) of the test split; no source: it is a share of the rows."""
        if not self.test_path and not self.test_split:
            return "", ""
        path = self.test_path or self.path
        return path, self.test_split or (self.split if path == self.path else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class OfFiles:
    """Settings of a task whose prompts are the lines of a file."""

    kind: ClassVar[str]
    """For messages."""
    path: str
    """A file with one JSON object a line."""
    test_path: str = ""
    """A second file that is the test split; lines of ``path`` that ask the same or share a cluster are dropped.
    The same file as ``path``: all of it is the test split, and there is nothing to train on."""
    dev_share: float = 0.05
    """Share of the questions, by hash, held out for choosing settings."""
    test_share: float = 0.1
    """Share of the questions, by hash, held out for the reported result; unused with a ``test_path``."""
    split_seed: int = 0
    """Decides the parts; the same for every run."""
    seed: int = 0
    """Seed of the training order."""

    def __post_init__(self) -> None:
        if not self.path:
            raise InputError(f'{self.kind}: path is empty; write path = "FILE.jsonl"')
        check_shares(f"{self.kind} {self.path}", self.dev_share, self.test_share)


def listed_files(
    name: str, config: OfFiles, read: Callable[[str, str], list[Prompt]], by_id: bool = False
) -> Listed[Prompt]:
    """The prompts of ``path`` and, where it is named, ``test_path``; ``read(path, prefix)`` gives those of one file,
    whose lines are called by the prefix and their number where they have no id. ``by_id``: the task judges by the id,
    so that no two prompts of the two files may share one.

    Raises:
        InputError: nothing is left to train on; two files share an id.
    """
    own = read(config.path, f"{name}/")
    test = read(config.test_path, f"{name}/test/") if config.test_path else None
    if by_id and test is not None and config.test_path != config.path:
        taken = {prompt.id for prompt in own}
        if both := next((prompt.id for prompt in test if prompt.id in taken), ""):
            raise InputError(f"{config.test_path}: id {both!r} is also in {config.path}; ids must differ")
    return Listed(
        config.path,
        own,
        lambda prompt: prompt,
        test=test,
        nothing_to_train_on=config.path == config.test_path,
        dev_share=config.dev_share,
        test_share=config.test_share,
        split_seed=config.split_seed,
        seed=config.seed,
    )


def told_apart(found: Iterable[tuple[str, int, Prompt]]) -> list[Prompt]:
    """The prompts of (place, line number, prompt).

    Raises:
        InputError: two of them have one id.
    """
    lines: dict[str, tuple[int, Prompt]] = {}
    for where, number, prompt in found:
        if prompt.id in lines:
            raise InputError(f"{where}: id {prompt.id!r} is taken by line {lines[prompt.id][0]}; ids must differ")
        lines[prompt.id] = number, prompt
    return [prompt for _, prompt in lines.values()]


class OfLines(Task):
    """A task whose problems are the lines of a file, or of two."""

    _lines: Listed[Prompt]

    def train(self, index: int) -> Prompt:
        """Every line once in each pass over the file, each pass in an order of its own."""
        return self._lines.train(index)

    def listed(self) -> Sequence[Prompt]:
        return self._lines.training()

    def held_out(self, split: Split, limit: int | None = None) -> list[Prompt]:
        """The split's lines in the order of the file. Raises InputError for a split without a line."""
        return self._lines.held_out(split, limit)
