"""Supervised fine-tuning: question and response pairs, the loss on the response alone (R1 paper v2, B.4.2)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from r1kit.backends.backend import backend_of
from r1kit.backends.models import LoadedModel
from r1kit.evals.evaluator import last_evaluation
from r1kit.factory.mixture import mix
from r1kit.factory.sources import stage_samples
from r1kit.loops import supervised
from r1kit.loops.lessons import lessons, outlined, sample_batches
from r1kit.loops.policy import open_evaluator, open_learner, save_checkpoint
from r1kit.loops.settings import SFT, Schedule
from r1kit.records import Sample, StageResult
from r1kit.rollout.streams import stream_seed
from r1kit.update.learner import Batch, Learner, shares
from r1kit.update.settings import OptimiserSettings
from r1kit.workspace import Workspace

__all__ = ["fine_tune", "samples_of", "train"]


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
    loaded.keep_ends()
    learner = open_learner(loaded, config, workspace)
    batches: Callable[[int, int], Callable[[int], Batch]]
    if shares(learner):
        shared = outlined(config, samples, loaded, workspace)
        count, batches = len(shared.outlines), shared.batches
    else:
        learnt = lessons(config, samples, loaded, workspace)
        count, batches = len(learnt), partial(sample_batches, learnt)
    each = min(config.samples_per_step, count)  # a step repeats no small set
    batch_of = batches(each, stream_seed(workspace.seed, workspace.stage, "order"))
    steps = max(1, math.ceil(config.epochs * count / each - 1e-9))  # 1.1 x 50 / 5 is a hair above 11
    run = _Run(steps=steps, log_every=config.log_every, optimiser=config.optimiser, schedule=config.schedule)
    supervised.train(run, batch_of, learner, workspace)
    return learner, steps
