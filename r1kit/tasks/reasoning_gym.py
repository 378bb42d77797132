"""Any reasoning-gym generator as a task, judged by its own scorer. The library is imported on first use."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from r1kit.errors import InputError, nearest
from r1kit.records import Prompt
from r1kit.tasks.split import check_shares, digest, evened, part_of
from r1kit.tasks.task import Grade, Split, Task

__all__ = ["ReasoningGym", "ReasoningGymConfig"]

_FULL_MARKS = 0.99
_CHUNK = 1000
"""Items taken from one seed of a generator; some generators do work, or refuse, by the size they are asked for."""
_PATIENCE = 3000
"""Draws without a new held-out question after which a generator has no more of them."""
_RETRY_STRIDE = 387
"""Coprime to the chunk, so that the retries of one prompt go through all of a chunk."""
_SEEDS = 2**30
OPTIONS = -1
"""In place of a level: the recipe's options."""
_OURS = ("seed", "size")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningGymConfig:
    generator: str
    """Name of the generator, for example ``chain_sum``; a recipe writes ``kind = "reasoning_gym/chain_sum"``."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The generator's own options, for example ``{"min_terms": 2, "max_terms": 2}``."""
    suffix: str = ""
    """Put after every question, for example `` Answer with just the number.``"""
    partial_credit: bool = False
    """Whether a score between 0 and 1 counts as such; otherwise only full marks (0.99 and more) count, as 1."""
    dev_share: float = 0.05
    """Share of all questions, by hash, that may be asked in the dev split only."""
    test_share: float = 0.1
    """Share of all questions, by hash, that may be asked in the test split only."""
    dev_size: int = 100
    """Problems of the dev split; fewer where the generator has not so many distinct questions."""
    test_size: int = 200
    split_seed: int = 0
    """Decides the parts and the held-out problems; the same for every run."""
    seed: int = 0
    """Seed of the training stream."""
    levels: int = 0
    """Levels of the generator's own curriculum that RL may climb (``curriculum.by = "pass_rate"``), the easiest first;
    0: it trains on ``options``. What is held out is drawn by ``options`` in any case: where training is to get."""

    def __post_init__(self) -> None:
        check_shares(f"reasoning_gym/{self.generator}", self.dev_share, self.test_share)
        if self.levels < 0:
            raise InputError(f"reasoning_gym/{self.generator}: levels = {self.levels} must be at least 0")
        if min(self.dev_size, self.test_size) < 1:
            raise InputError(f"reasoning_gym/{self.generator}: dev_size and test_size must be at least 1")
        for key in _OURS:
            if key in self.options:
                raise InputError(
                    f"reasoning_gym/{self.generator}: option {key!r} is set here; use the task's own settings"
                )


class ReasoningGym(Task):
    """Prompts of one generator.

    A question is train, dev or test by the hash of its exact text (case and spaces aside), so that none is ever two of
    them. Questions that differ in text but ask the same, as ``2 + 3`` and ``3 + 2``, may still fall into two parts.
    """

    Config = ReasoningGymConfig
    named = "generator"

    def __init__(self, name: str, config: ReasoningGymConfig) -> None:
        """Raises InputError for an unknown generator or option and for a value the generator refuses."""
        self.name = name
        self.config = config
        self._dataset = lru_cache(maxsize=16)(self._create)
        self._entry = lru_cache(maxsize=8192)(self._generate)
        self._dataset(0)
        self._options = [options_of_level(config.generator, config.options, level) for level in range(config.levels)]

    @property
    def levels(self) -> int:
        return self.config.levels

    def train(self, index: int) -> Prompt:
        """Raises InputError if all questions that come up are held out: the generator has too few of them."""
        return self._train(index, OPTIONS, f"{self.name}/train/{index}")

    def train_at(self, index: int, level: int) -> Prompt:
        """As ``train``, of a level of the generator's curriculum."""
        return self._train(index, level, f"{self.name}/train/{index}/{level}")

    def _train(self, index: int, level: int, identity: str) -> Prompt:
        for seed, place in self._draws(index):
            if self._part(seed, place, level) == "train":
                return self._prompt(identity, seed, place, level)
        raise InputError(
            f"task {self.name!r}: {_CHUNK} draws of reasoning_gym/{self.config.generator} met only held-out "
            "questions; widen its options or lower dev_share and test_share"
        )

    def _draws(self, index: int) -> Iterator[tuple[int, int]]:
        """Seed and place of a training item, and of those that step in where its question is held out."""
        chunk, place = divmod(index, _CHUNK)
        yield _seed("train", self.config.seed, chunk), place
        again = _seed("train again", self.config.seed, chunk)
        for attempt in range(_CHUNK):
            yield again, (place + attempt * _RETRY_STRIDE) % _CHUNK

    def held_out(self, split: Split, limit: int | None = None) -> list[Prompt]:
        """Raises InputError if no question of the split comes up."""
        size = self.config.dev_size if split == "dev" else self.config.test_size
        size = size if limit is None else min(size, limit)
        prompts = [
            self._prompt(f"{self.name}/{split}/{number}", seed, place)
            for number, (seed, place) in zip(range(size), self._distinct(split), strict=False)
        ]
        if not prompts:
            raise InputError(
                f"task {self.name!r}: reasoning_gym/{self.config.generator} gives no question for the {split} split; "
                f"widen its options or raise {split}_share"
            )
        return prompts

    def grade(self, prompt: Prompt, answer: str) -> Grade:
        seed, level = prompt.facts["seed"], prompt.facts.get("level", OPTIONS)
        entry = self._entry(seed, prompt.facts["index"], level)
        score = float(self._dataset(seed, level).score_answer(answer.strip(), entry))
        correct = score if self.config.partial_credit else float(score >= _FULL_MARKS)
        return Grade(correct=correct, canonical=_canonical(answer))

    def _distinct(self, split: Split) -> Iterator[tuple[int, int]]:
        """Seed and place of questions that belong to the split and did not come before."""
        config = self.config
        if (config.dev_share if split == "dev" else config.test_share) == 0:
            return
        seen: set[str] = set()
        draw = misses = 0
        while misses < _PATIENCE:
            seed, place = _seed("held out", config.split_seed, draw // _CHUNK), draw % _CHUNK
            question = evened(self._entry(seed, place)["question"])
            draw, misses = draw + 1, misses + 1
            if question not in seen and self._part(seed, place) == split:
                misses = 0
                seen.add(question)
                yield seed, place

    def _part(self, seed: int, place: int, level: int = OPTIONS) -> str:
        config = self.config
        question = str(self._entry(seed, place, level)["question"])
        return part_of(question, config.dev_share, config.test_share, config.split_seed)

    def _prompt(self, identity: str, seed: int, place: int, level: int = OPTIONS) -> Prompt:
        entry = self._entry(seed, place, level)
        answer = entry["answer"]
        return Prompt(
            id=identity,
            task=self.name,
            question=str(entry["question"]) + self.config.suffix,
            answer=None if answer is None else str(answer),
            cluster=digest(str(entry["question"])),
            facts={"generator": self.config.generator, "seed": seed, "index": place}
            | ({} if level == OPTIONS else {"level": level}),
        )

    def _generate(self, seed: int, place: int, level: int = OPTIONS) -> Mapping[str, Any]:
        entry: Mapping[str, Any] = self._dataset(seed, level)[place]
        return entry

    def _create(self, seed: int, level: int = OPTIONS) -> Any:
        options = self.config.options if level == OPTIONS else self._options[level]
        return _create(self.config.generator, options, seed)


def _seed(stream: str, seed: int, chunk: int) -> int:
    """A chunk's seed. Streams and chunks lie apart: to many generators item i of seed s is item 0 of seed s + i."""
    digest = hashlib.blake2b(f"reasoning_gym/{stream}/{seed}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % _SEEDS + chunk * _CHUNK


def _create(generator: str, options: Mapping[str, Any], seed: int) -> Any:
    """A reasoning-gym dataset, its name and options checked."""
    from reasoning_gym.factory import DATASETS, create_dataset  # type: ignore[import-untyped]

    if generator not in DATASETS:
        raise InputError(
            f"reasoning_gym has no generator {generator!r}; it has {len(DATASETS)}, see `r1 tasks`."
            f"{nearest(generator, DATASETS)}"
        )
    allowed = [option.name for option in dataclasses.fields(DATASETS[generator][1]) if option.name not in _OURS]
    for key in options:
        if key not in allowed:
            raise InputError(
                f"reasoning_gym/{generator} has no option {key!r}; options are {', '.join(allowed)}."
                f"{nearest(key, allowed)}"
            )
    try:
        return create_dataset(generator, seed=seed, size=_CHUNK, **options)
    except (AssertionError, TypeError, ValueError) as error:
        raise InputError(f"reasoning_gym/{generator} refuses its options: {error}") from error


def options_of_level(generator: str, options: Mapping[str, Any], level: int) -> dict[str, Any]:
    """The options with those that the generator's curriculum says at a level; a range is that level's own alone.

    Raises:
        InputError: the generator has no curriculum, or none of so many levels.
    """
    from reasoning_gym.coaching.base_curriculum import (  # type: ignore[import-untyped]
        DefaultCurriculumContext,
        RangeAttributeMode,
    )
    from reasoning_gym.factory import create_curriculum, has_curriculum

    if not has_curriculum(generator):
        raise InputError(f"reasoning_gym/{generator} has no curriculum, so no levels; set levels = 0")
    curriculum = create_curriculum(generator)
    there = max((len(attribute.levels) for attribute in curriculum.attributes.values()), default=0)
    if level >= there:
        raise InputError(f"reasoning_gym/{generator} has {there} levels; lower levels to {there}")
    curriculum.set_global_level(level)
    context = DefaultCurriculumContext(mode=RangeAttributeMode.UPPER_BOUND)
    try:
        found = curriculum.generate_configuration(dict(options), context)
        if hasattr(found, "validate"):  # as the library's own create_dataset does: not every generator has it
            found.validate()
    except (AssertionError, TypeError, ValueError) as error:
        raise InputError(f"reasoning_gym/{generator} refuses its level {level}: {error}") from error
    return {
        each.name: getattr(found, each.name)
        for each in dataclasses.fields(found)
        if each.init and each.name not in _OURS
    }


def _canonical(answer: str) -> str:
    """Spaces evened out; a number without thousands commas, leading plus and trailing zeros."""
    text = " ".join(answer.split())
    try:
        number = Decimal(text.replace(",", ""))
    except InvalidOperation:
        return text
    if not number.is_finite() or abs(number.adjusted()) > 30:
        return text
    return format(number.normalize() + 0, "f")
