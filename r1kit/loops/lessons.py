"""Samples as the model sees them: which tokens are learnt, what is too long, and the batches of a step.

A learner that shares (``update.learner.Sharing``) has each rank make the tokens of its own rows alone: at first of one
sample in R, for the lengths of all, then of what falls to it in each step.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch

from r1kit.backends.models import LoadedModel
from r1kit.cluster.ranks import Ranks
from r1kit.errors import InputError
from r1kit.loops.settings import SFT
from r1kit.records import Sample
from r1kit.seeds import place_in_epochs
from r1kit.text.taught import Taught, Teacher
from r1kit.update.learner import Batch, Row
from r1kit.workspace import Workspace

__all__ = ["Lesson", "Outline", "SharedLessons", "lessons", "outlined", "sample_batches"]


@dataclass(frozen=True, slots=True)
class Lesson:
    """A sample as the model sees it."""

    prompt: torch.Tensor
    """int32 [m], template applied; never trained on."""
    response: torch.Tensor
    """int32 [n], from the first token that is learnt on; what closes a turn included."""
    learnt: torch.Tensor | None = None
    """bool [n]: False at what others say in between; None: all of them."""

    @property
    def tokens(self) -> int:
        """Of all."""
        return len(self.prompt) + len(self.response)

    @property
    def count(self) -> int:
        """Tokens that are learnt."""
        return len(self.response) if self.learnt is None else int(self.learnt.sum())

    def cut(self, limit: int) -> Lesson:
        """Its first ``limit`` tokens; of a prompt that long nothing is learnt."""
        room = max(0, limit - len(self.prompt))
        learnt = None if self.learnt is None else self.learnt[:room]
        return Lesson(self.prompt[:limit], self.response[:room], learnt)


def lessons(config: SFT, samples: Sequence[Sample], loaded: LoadedModel, workspace: Workspace) -> list[Lesson]:
    """Token ids of every sample, and which of them are learnt; what was noticed is told in a line each.

    A response that brings an end token of its own is learnt up to there.

    Raises:
        InputError: there is nothing to learn from, or a sample is too long and the settings do not say what then.
    """
    _refuse_none(samples, workspace)
    teacher = _teacher(config, loaded)
    found = [(sample.id, one) for sample in samples for one in _lessons_of(sample, loaded, teacher)]
    for line in told(teacher.seen, config, len(samples)):
        workspace.say(f"{workspace.stage}: {line}")
    return fit(config, found, loaded.positions, workspace)


def _refuse_none(samples: Sequence[Sample], workspace: Workspace) -> None:
    if not samples:
        raise InputError(f"{workspace.folder}: no sample to learn from; loosen the filters of the stage that made them")


def _teacher(config: SFT, loaded: LoadedModel) -> Teacher:
    end = loaded.turn_end[-1] if loaded.turn_end else None
    return Teacher(loaded.tokenizer, loaded.template, config.thinking, end=end, ends=loaded.ends)


def _lessons_of(sample: Sample, loaded: LoadedModel, teacher: Teacher) -> list[Lesson]:
    try:
        return [_lesson(one) for one in teacher.taught(replace(sample, response=loaded.until_end(sample.response)))]
    except InputError as error:
        raise InputError(f"sample {sample.id}: {error}") from None


def told(seen: Counter[str], config: SFT, count: int) -> list[str]:
    """What the template does to the samples, a line each."""
    found = []
    if dropped := seen["dropped"]:
        does = (
            "of those turns each is learnt as the answer to what comes before it"
            if config.thinking == "every"
            else 'those turns are not learnt; thinking = "every" learns each as the answer to what comes before it'
        )
        how = "drops their thinking, or asks or closes them otherwise"
        found.append(f"the chat template rewrites earlier turns ({how}) in {dropped} of {count}: {does}")
    if bare := seen["no_thought"]:
        found.append(
            f"the chat template opens <think> and {bare} of {count} responses have no thinking: theirs is empty"
        )
    if over := seen["no_thinking"]:
        found.append(f"the prompt closes the thinking, and {over} of {count} responses have some: it is left out")
    return found


def fit(config: SFT, found: Sequence[tuple[str, _L]], positions: int, workspace: Workspace) -> list[_L]:
    """Those that are not too long, and what is left of those that are; how many those are is told.

    Args:
        found: each with its sample's id.
        positions: the model's.

    Raises:
        InputError: some are too long and the settings say ``refuse``; or nothing is left.
    """
    limit = _limit(config, positions)
    long = [(one.tokens, name) for name, one in found if one.tokens > limit]
    if not long:
        return [one for _, one in found]
    of = "max_tokens" if config.max_tokens and config.max_tokens <= positions else "the model's positions"
    longest, name = max(long)
    said = f"{len(long)} of {len(found)} samples pass {of}, {limit} tokens; the longest, {name}, has {longest}"
    if config.too_long == "refuse":
        raise InputError(f'stages.{workspace.stage}: {said}; set too_long to "cut" or "drop"')
    cut = [one.cut(limit) if one.tokens > limit and config.too_long == "cut" else one for _, one in found]
    kept = [one for one in cut if one.tokens <= limit and one.count]
    if not kept:
        raise InputError(f"stages.{workspace.stage}: {said}; nothing is left to learn from")
    gone = len(found) - len(kept)
    done = [f"{len(long) - gone} are cut"] if config.too_long == "cut" else []
    done += [f"{gone} are left out"] if gone else []
    workspace.say(f"{workspace.stage}: {said}; {', '.join(done)}")
    return kept


def _limit(config: SFT, positions: int) -> int:
    return min(config.max_tokens or positions, positions)


def _lesson(one: Taught) -> Lesson:
    """In as little memory as it takes: all of a stage's are held."""
    ids, learnt, at = torch.tensor(one.ids, dtype=torch.int32), torch.tensor(one.learnt), one.prompt
    return Lesson(ids[:at], ids[at:], None if bool(learnt[at:].all()) else learnt[at:])


def sample_batches(learnt: Sequence[Lesson], per_step: int, seed: int) -> Callable[[int], Batch]:
    """Step -> its batch, the same on every rank; each epoch has its order. A token counts alike in any sample."""

    def batch_of(step: int) -> Batch:
        chosen = _chosen(learnt, step, per_step, seed)
        return _batch(chosen, 1.0 / sum(lesson.count for lesson in chosen))

    return batch_of


def _chosen(learnt: Sequence[_L], step: int, per_step: int, seed: int) -> list[_L]:
    numbers = range(step * per_step, (step + 1) * per_step)
    return [learnt[place_in_epochs(number, len(learnt), seed)] for number in numbers]


def _batch(chosen: Sequence[Lesson], weight: float, sharded: bool = False) -> Batch:
    rows = [
        Row(
            prompt=at,
            tokens=lesson.response.long(),
            weight=weight if lesson.learnt is None else lesson.learnt * weight,
        )
        for at, lesson in enumerate(chosen)
    ]
    return Batch(prompts=[lesson.prompt.long() for lesson in chosen], rows=rows, sharded=sharded)


# ---- each rank its own ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outline:
    """A lesson without its tokens: what every rank knows of all of them."""

    sample: int
    """Place among the samples."""
    part: int
    """Of the sample's lessons."""
    tokens: int
    """Of all."""
    count: int
    """Tokens that are learnt."""
    after: int
    """``count`` once it is cut at the stage's limit."""
    limit: int = 0
    """Where it is cut; 0: it is whole."""

    def cut(self, limit: int) -> Outline:
        """As ``Lesson.cut``."""
        return replace(self, tokens=limit, count=self.after, limit=limit)


_L = TypeVar("_L", Lesson, Outline)


@dataclass(frozen=True, slots=True)
class SharedLessons:
    """Lessons whose tokens each rank makes when they fall to it."""

    outlines: list[Outline]
    """The same on every rank."""
    tokens_of: Callable[[Outline], Lesson]
    ranks: Ranks

    def batches(self, per_step: int, seed: int) -> Callable[[int], Batch]:
        """Step -> this rank's share of the batch that ``sample_batches`` gives: the longest to the least loaded rank,
        which every rank works out alike."""

        def batch_of(step: int) -> Batch:
            chosen = _chosen(self.outlines, step, per_step, seed)
            loads, mine = [(0, rank) for rank in range(self.ranks.size)], []
            for place in sorted(range(len(chosen)), key=lambda place: (-chosen[place].tokens, place)):
                load, rank = loads[0]
                heapq.heapreplace(loads, (load + chosen[place].tokens, rank))
                if rank == self.ranks.rank:
                    mine.append(place)
            weight = 1.0 / sum(one.count for one in chosen)
            return _batch([self.tokens_of(chosen[place]) for place in sorted(mine)], weight, sharded=True)

        return batch_of


def outlined(config: SFT, samples: Sequence[Sample], loaded: LoadedModel, workspace: Workspace) -> SharedLessons:
    """What ``lessons`` gives, with the tokens left to be made; each rank measures one sample in R. A collective.

    Raises:
        InputError: as ``lessons``, on every rank alike.
    """
    _refuse_none(samples, workspace)
    ranks, limit, teacher = workspace.ranks, _limit(config, loaded.positions), _teacher(config, loaded)
    mine: list[list[tuple[int, int, int]]] = []
    wrong = ""
    try:
        for sample in samples[ranks.rank :: ranks.size]:
            found = _lessons_of(sample, loaded, teacher)
            mine.append([(one.tokens, one.count, one.cut(limit).count) for one in found])
    except InputError as error:
        wrong = str(error)
    everyone = ranks.gather_objects((mine, teacher.seen, wrong))
    for _, _, why in everyone:
        if why:
            raise InputError(why)
    seen = sum((counts for _, counts, _ in everyone), Counter[str]())
    for line in told(seen, config, len(samples)):
        workspace.say(f"{workspace.stage}: {line}")
    measured = [everyone[place % ranks.size][0][place // ranks.size] for place in range(len(samples))]
    outlines = [
        (samples[place].id, Outline(place, part, *sizes))
        for place, parts in enumerate(measured)
        for part, sizes in enumerate(parts)
    ]

    def tokens_of(one: Outline) -> Lesson:
        lesson = _lessons_of(samples[one.sample], loaded, teacher)[one.part]
        return lesson.cut(one.limit) if one.limit else lesson

    return SharedLessons(fit(config, outlines, loaded.positions, workspace), tokens_of, ranks)
