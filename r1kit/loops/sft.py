"""Supervised fine-tuning: question and response pairs, the loss on the response alone (R1 paper v2, B.4.2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from r1kit.backends.backend import backend_of
from r1kit.backends.models import LoadedModel
from r1kit.errors import InputError
from r1kit.evals.evaluator import last_evaluation
from r1kit.factory.samples import read_samples
from r1kit.loops import supervised
from r1kit.loops.policy import open_evaluator, save_checkpoint
from r1kit.loops.settings import SFT, Schedule
from r1kit.records import Prompt, Sample, StageResult
from r1kit.rollout.streams import stream_seed
from r1kit.seeds import place_in_epochs
from r1kit.update.learner import Batch, Learner, Row
from r1kit.update.settings import OptimiserSettings
from r1kit.workspace import Workspace

__all__ = ["Lesson", "fine_tune", "lessons", "sample_batches", "train"]


@dataclass(frozen=True, slots=True)
class Lesson:
    """A sample as the model sees it."""

    prompt: torch.Tensor
    """int64 [m], template applied; never trained on."""
    response: torch.Tensor
    """int64 [n], the end token included."""


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
    samples = read_samples(Path(config.data) if config.files else workspace.folder_of(config.data) / "samples.jsonl")
    learner, steps = train(config, samples, loaded, workspace)
    checkpoint = save_checkpoint(workspace, loaded, learner)
    if workspace.recipe.tasks:
        with open_evaluator(
            loaded, config.evaluation, config.sampling, config.reward, workspace, config.dtype, learner=learner
        ) as evaluator:
            evaluator.evaluate(steps)
    return StageResult(metrics=last_evaluation(workspace), checkpoint=checkpoint, inputs=(name, config.data))


def train(config: SFT, samples: Sequence[Sample], loaded: LoadedModel, workspace: Workspace) -> tuple[Learner, int]:
    """What has learnt the samples, and the number of updates it took; the loaded model is taken over."""
    learner = backend_of(workspace.recipe, workspace.ranks).open_learner(
        loaded, config.optimiser, dtype=config.dtype, token_budget=config.micro_batch_tokens
    )
    learnt = lessons(samples, loaded, workspace.folder)
    loaded.keep_ends()
    steps = math.ceil(config.epochs * len(learnt) / config.samples_per_step)
    batch_of = sample_batches(learnt, config.samples_per_step, stream_seed(workspace.seed, workspace.stage, "order"))
    run = _Run(steps=steps, log_every=config.log_every, optimiser=config.optimiser, schedule=config.schedule)
    supervised.train(run, batch_of, learner, workspace)
    return learner, steps


def lessons(samples: Sequence[Sample], loaded: LoadedModel, where: Path) -> list[Lesson]:
    """Token ids of every sample. A response ends as the model's turns do, once, and nothing after its end is learnt.

    Raises:
        InputError: there is nothing to learn from.
    """
    if not samples:
        raise InputError(f"{where}: no sample to learn from; loosen the filters of the stage that made them")
    end, ends = loaded.turn_end, set(loaded.stop_ids)
    found = []
    for sample in samples:
        prompt = Prompt(id=sample.id, task=sample.domain, question=sample.prompt, language=sample.language)
        response = loaded.tokenizer.encode(sample.response, add_special_tokens=False)
        written = next((place for place, token in enumerate(response) if token in ends), len(response))
        found.append(Lesson(torch.tensor(list(loaded.render(prompt))), torch.tensor([*response[:written], *end])))
    return found


def sample_batches(learnt: Sequence[Lesson], per_step: int, seed: int) -> Callable[[int], Batch]:
    """Step -> its batch, the same on every rank; each epoch has its order. A token counts alike in any sample."""

    def batch_of(step: int) -> Batch:
        numbers = range(step * per_step, (step + 1) * per_step)
        chosen = [learnt[place_in_epochs(number, len(learnt), seed)] for number in numbers]
        weight = 1.0 / sum(len(lesson.response) for lesson in chosen)
        return Batch(
            prompts=[lesson.prompt for lesson in chosen],
            rows=[Row(prompt=at, tokens=lesson.response, weight=weight) for at, lesson in enumerate(chosen)],
        )

    return batch_of
