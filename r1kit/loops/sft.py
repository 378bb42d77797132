"""Supervised fine-tuning: question and response pairs, the loss on the response alone (R1 paper v2, B.4.2)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from r1kit.backends.backend import backend_of
from r1kit.backends.models import LoadedModel
from r1kit.errors import InputError
from r1kit.evals.evaluator import last_evaluation
from r1kit.factory.mixture import mix
from r1kit.factory.sources import stage_samples
from r1kit.loops import supervised
from r1kit.loops.policy import open_evaluator, save_checkpoint
from r1kit.loops.settings import SFT, Schedule
from r1kit.records import Sample, StageResult
from r1kit.rollout.streams import stream_seed
from r1kit.seeds import place_in_epochs
from r1kit.text.taught import Taught, Teacher
from r1kit.update.learner import Batch, Learner, Row
from r1kit.update.settings import OptimiserSettings
from r1kit.workspace import Workspace

__all__ = ["Lesson", "fine_tune", "lessons", "sample_batches", "samples_of", "train"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What ``supervised.train`` reads."""

    steps: int
    log_every: int
    optimiser: OptimiserSettings
    schedule: Schedule


def fine_tune(config: SFT, workspace: Workspace) -> StageResult:
    """An SFT stage, whole: learn the data stage's samples from the start's checkpoint, save, evaluate."""
    path, name = workspace.start(config.start)
    loaded = backend_of(workspace.recipe, workspace.ranks).load(path)
    workspace.parameters = loaded.parameters
    samples = samples_of(config, workspace)
    learner, steps = train(config, samples, loaded, workspace)
    checkpoint = save_checkpoint(workspace, loaded, learner)
    if workspace.recipe.tasks:
        with open_evaluator(
            loaded, config.evaluation, config.sampling, config.reward, workspace, config.dtype, learner=learner
        ) as evaluator:
            evaluator.evaluate(steps)
    return StageResult(
        metrics=last_evaluation(workspace),
        checkpoint=checkpoint,
        inputs=(name, *(source for source, _ in config.data_sources)),
    )


def samples_of(config: SFT, workspace: Workspace) -> list[Sample]:
    """What the stage learns: all of ``data``, or of each source of ``mix`` as many as its weight allows."""
    found = {name: stage_samples(one.data, one.read, workspace) for name, one in config.sources.items()}
    samples = [sample for own in found.values() for sample in own]
    weights = {name: one.weight for name, one in config.mix.items() if one.weight is not None}
    if not weights:
        return samples
    source = {id(sample): name for name, own in found.items() for sample in own}
    drawn = mix(samples, weights, workspace.seed, f"stages.{workspace.stage}.mix", of=lambda one: source[id(one)])
    counts = Counter(source[id(sample)] for sample in drawn)
    told = ", ".join(f"{counts[name]} of {len(own)} from {name}" for name, own in found.items())
    workspace.say(f"{workspace.stage}: learns {told}")
    return drawn


def train(config: SFT, samples: Sequence[Sample], loaded: LoadedModel, workspace: Workspace) -> tuple[Learner, int]:
    """What has learnt the samples, and the number of updates it took; the loaded model is taken over."""
    learnt = lessons(config, samples, loaded, workspace)
    loaded.keep_ends()
    learner = backend_of(workspace.recipe, workspace.ranks).open_learner(
        loaded, config.optimiser, dtype=config.dtype, token_budget=config.micro_batch_tokens
    )
    steps = math.ceil(config.epochs * len(learnt) / config.samples_per_step)
    batch_of = sample_batches(learnt, config.samples_per_step, stream_seed(workspace.seed, workspace.stage, "order"))
    run = _Run(steps=steps, log_every=config.log_every, optimiser=config.optimiser, schedule=config.schedule)
    supervised.train(run, batch_of, learner, workspace)
    return learner, steps


# ---- samples as the model sees them -------------------------------------------------------------------------------


def lessons(config: SFT, samples: Sequence[Sample], loaded: LoadedModel, workspace: Workspace) -> list[Lesson]:
    """Token ids of every sample, and which of them are learnt; what was noticed is told in a line each.

    A response that brings an end token of its own is learnt up to there.

    Raises:
        InputError: there is nothing to learn from, or a sample is too long and the settings do not say what then.
    """
    if not samples:
        raise InputError(f"{workspace.folder}: no sample to learn from; loosen the filters of the stage that made them")
    end = loaded.turn_end[-1] if loaded.turn_end else None
    teacher = Teacher(loaded.tokenizer, loaded.template, config.thinking, end=end)
    ended = [replace(sample, response=loaded.until_end(sample.response)) for sample in samples]
    found = [(sample.id, _lesson(one)) for sample in ended for one in _taught(teacher, sample)]
    for line in told(teacher, config, len(samples)):
        workspace.say(f"{workspace.stage}: {line}")
    return fit(config, found, loaded.positions, workspace)


def _taught(teacher: Teacher, sample: Sample) -> list[Taught]:
    try:
        return teacher.taught(sample)
    except InputError as error:
        raise InputError(f"sample {sample.id}: {error}") from None


def told(teacher: Teacher, config: SFT, count: int) -> list[str]:
    """What the template does to the samples, a line each."""
    found = []
    if dropped := teacher.seen["dropped"]:
        does = (
            "of those turns each is learnt as the answer to what comes before it"
            if config.thinking == "every"
            else 'those turns are not learnt; thinking = "every" learns each as the answer to what comes before it'
        )
        found.append(f"the chat template rewrites earlier turns (drops their thinking) in {dropped} of {count}: {does}")
    if bare := teacher.seen["no_thought"]:
        found.append(
            f"the chat template opens <think> and {bare} of {count} responses have no thinking: theirs is empty"
        )
    if over := teacher.seen["no_thinking"]:
        found.append(f"the prompt closes the thinking, and {over} of {count} responses have some: it is left out")
    return found


def fit(config: SFT, found: Sequence[tuple[str, Lesson]], positions: int, workspace: Workspace) -> list[Lesson]:
    """Those that are not too long, and what is left of those that are; how many those are is told.

    Args:
        found: each with its sample's id.
        positions: the model's.

    Raises:
        InputError: some are too long and the settings say ``refuse``; or nothing is left.
    """
    limit = min(config.max_tokens or positions, positions)
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


def _lesson(one: Taught) -> Lesson:
    """In as little memory as it takes: all of a stage's are held."""
    ids, learnt, at = torch.tensor(one.ids, dtype=torch.int32), torch.tensor(one.learnt), one.prompt
    return Lesson(ids[:at], ids[at:], None if bool(learnt[at:].all()) else learnt[at:])


def sample_batches(learnt: Sequence[Lesson], per_step: int, seed: int) -> Callable[[int], Batch]:
    """Step -> its batch, the same on every rank; each epoch has its order. A token counts alike in any sample."""

    def batch_of(step: int) -> Batch:
        numbers = range(step * per_step, (step + 1) * per_step)
        chosen = [learnt[place_in_epochs(number, len(learnt), seed)] for number in numbers]
        weight = 1.0 / sum(lesson.count for lesson in chosen)
        return Batch(
            prompts=[lesson.prompt.long() for lesson in chosen],
            rows=[
                Row(
                    prompt=at,
                    tokens=lesson.response.long(),
                    weight=weight if lesson.learnt is None else lesson.learnt * weight,
                )
                for at, lesson in enumerate(chosen)
            ],
        )

    return batch_of
