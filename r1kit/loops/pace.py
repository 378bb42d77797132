"""Measure what ``plan.pace.Pace`` holds: how fast this machine samples, learns, judges and hands weights over.

One engine and one rank in this process, with the threads that a rank gets; other work on the machine would be measured
along with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from r1kit.backends.backend import Backend, backend_of
from r1kit.backends.models import LoadedModel
from r1kit.backends.verifiers import open_verifier
from r1kit.contracts import BASE, Recipe
from r1kit.evals.transcripts import rollout_lines, summary, tally
from r1kit.loops.credit import advantages_of
from r1kit.loops.rl import minibatches
from r1kit.loops.settings import RL
from r1kit.maths.policy_loss import from_settings
from r1kit.records import Completion, Group, Prompt, Sampling, Score
from r1kit.reward.verifier import Verifying
from r1kit.rollout.engine import Engine
from r1kit.rollout.streams import stream_seed
from r1kit.tasks.corpora import build_corpus
from r1kit.tasks.task import Task
from r1kit.text.tokenizer import build_tokenizer
from r1kit.update.learner import Learner

__all__ = ["measure"]

REPEATS = 5
"""Each measurement is the shortest of so many, after one that warms up: what it takes where nothing else runs."""


def measure(recipe: Recipe, stage: str) -> dict[str, Any]:
    """Seconds of each part of a step of an RL stage, and what they were measured on; JSON-ready."""
    config: RL = recipe.stages[stage]
    tasks = recipe.built(config.tasks or tuple(recipe.tasks))
    backend = backend_of(recipe)
    loaded = _model(recipe, backend)
    numbers = range(config.prompts_per_step)
    prompts = [task.train(index) for index in numbers for task in [list(tasks.values())[index % len(tasks)]]]
    with (
        open_verifier(tasks, recipe, config.reward, config.deadline, workers=1, opens=loaded.opens_think) as verifier,
        closing(backend.open_engine(loaded, dtype=config.dtype, max_rows=config.rows_in_flight)) as engine,
    ):
        learner = backend.open_learner(
            loaded, config.optimiser, dtype=config.dtype, token_budget=config.micro_batch_tokens,
            temperature=config.sampling.temperature,
        )  # fmt: skip
        learner.publish(engine, version=0)
        seconds, groups = _sampling(config, engine, loaded, prompts)
        seconds |= _learning(config, learner, groups)
        seconds["score"] = _judging(verifier, groups)
        scores = verifier.score_groups(groups)
        seconds["other"] = _shortest(lambda: _keep_books(config, tasks, loaded, groups, scores))
        seconds["hand_over"] = _shortest(lambda: learner.publish(engine, version=0))
    weights = sum(weight.numel() * weight.element_size() for weight in loaded.model.parameters())
    return {
        "recipe": recipe.name,
        "stage": stage,
        "threads": torch.get_num_threads(),
        "weight_bytes": weights,
        "hand_over_bytes_per_second": weights / seconds["hand_over"],
        "seconds": seconds,
    }


def _model(recipe: Recipe, backend: Backend) -> LoadedModel:
    """The base, or a fresh model of its shape where the run pretrains it."""
    if recipe.model.name:
        return backend.load(recipe.model.name)
    base = recipe.stages[recipe.base_stage or BASE]
    return backend.draw(recipe.model, build_tokenizer(build_corpus(base.corpus).vocabulary()), recipe.seed)


def _sampling(
    config: RL, engine: Engine, loaded: LoadedModel, prompts: Sequence[Prompt]
) -> tuple[dict[str, float], list[Group]]:
    """Fit ``step``, ``row`` and ``key`` to batches of several sizes and lengths; and a step's groups."""
    rendered = [loaded.render(prompt) for prompt in prompts]
    longest = config.sampling.max_tokens
    found: list[tuple[list[float], float]] = []
    groups: list[Group] = []
    for count, n, tokens in ((1, 1, longest), (2, 4, longest), (len(prompts), config.sampling.n, max(1, longest // 4)),
                             (len(prompts), config.sampling.n, longest)):  # fmt: skip
        asked = rendered[:count]
        seeds = [stream_seed(0, "pace", number) for number in range(count)]
        sampling = replace(config.sampling, n=n, max_tokens=tokens)
        drawn: list[tuple[Completion, ...]] = []
        took = _shortest(lambda: drawn.__setitem__(slice(None), engine.generate(asked, sampling, seeds)))  # noqa: B023
        lengths = [len(one.token_ids) for row in drawn for one in row]
        keys = sum(
            len(one.token_ids) * (len(ids) + len(one.token_ids) / 2)
            for ids, row in zip(asked, drawn, strict=True) for one in row
        )  # fmt: skip
        steps = max(max(lengths), sum(lengths) / config.rows_in_flight)
        found.append(([float(steps), float(sum(lengths)), keys], took))
        groups = [
            Group(prompt=prompt, prompt_ids=tuple(ids), completions=row)
            for prompt, ids, row in zip(prompts, asked, drawn, strict=False)
        ]
    step, row, key = _fitted(found)
    one = Sampling(n=1, max_tokens=1)
    everyone = [stream_seed(0, "pace", number) for number in range(len(rendered))]
    read = _shortest(lambda: engine.generate(rendered, one, everyone))
    prompt = max(0.0, read - step - row * len(rendered)) / sum(map(len, rendered))
    return {"step": step, "row": row, "key": key, "prompt": prompt}, groups


def _fitted(found: Sequence[tuple[list[float], float]]) -> tuple[float, ...]:
    """Least squares in relative error, no coefficient below 0: the smallest one is left out until none is."""
    counts = np.array([row for row, _ in found])
    seconds = np.array([took for _, took in found])
    kept = list(range(counts.shape[1]))
    while True:
        scaled = counts[:, kept] / seconds[:, None]
        solved = np.linalg.lstsq(scaled, np.ones(len(seconds)), rcond=None)[0]
        if solved.min() >= 0:
            break
        kept.pop(int(solved.argmin()))
    whole = [0.0] * counts.shape[1]
    for place, value in zip(kept, solved, strict=True):
        whole[place] = float(value)
    return tuple(whole)


def _learning(config: RL, learner: Learner, groups: Sequence[Group]) -> dict[str, float]:
    """Seconds a token and an update from a whole batch and a quarter of it; a learning rate of 0 changes no weight."""
    one = replace(config, minibatches=1)
    loss = from_settings(replace(config.loss, kl_weight=0.0))

    def took(some: Sequence[Group]) -> tuple[float, float]:
        steep = [torch.linspace(-1.0, 1.0, len(group.completions)) + 0.01 for group in some]
        (batch,) = minibatches(some, steep, one, seed=0)
        tokens = sum(len(row.tokens) for row in batch.rows) + sum(len(prompt) for prompt in batch.prompts)
        return float(tokens), _shortest(lambda: learner.update(batch, loss, 0.0))

    (few, short), (many, long) = took(groups[: max(1, len(groups) // 4)]), took(groups)
    learn = max(0.0, (long - short) / (many - few)) if many > few else long / many
    (batch,) = minibatches(groups, [torch.ones(len(group.completions)) for group in groups], one, seed=0)
    read = _shortest(lambda: learner.logprobs(batch)) / many
    return {"learn": learn, "update": max(0.0, long - many * learn), "read": read}


def _keep_books(
    config: RL, tasks: Mapping[str, Task], loaded: LoadedModel, groups: Sequence[Group],
    scores: Sequence[Sequence[Score]],
) -> None:  # fmt: skip
    """What a step does beside sampling, judging and learning."""
    for index in range(config.prompts_per_step):
        loaded.render(list(tasks.values())[index % len(tasks)].train(index))
    advantages = advantages_of(scores, config)
    minibatches(groups, advantages, config, seed=0)
    summary([tally(groups, scores, advantages)])
    rollout_lines(0, groups, scores, advantages, config.record_groups)


def _judging(verifier: Verifying, groups: Sequence[Group]) -> float:
    return _shortest(lambda: verifier.score_groups(groups)) / sum(len(group.completions) for group in groups)


def _shortest(work: Callable[[], object]) -> float:
    """Seconds of the work, once warm."""
    work()
    found = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)
