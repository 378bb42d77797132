"""The value model of tree search: pre-trained on the outcomes of chains, then on the values that trees found."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from r1kit.backends.backend import backend_of
from r1kit.errors import InputError
from r1kit.loops.mcts_settings import MCTS
from r1kit.loops.preference import examples_seen
from r1kit.loops.searching import everyones, mine_of, opened, training_prompts, value_model
from r1kit.model.reward_model import Outlook, RewardModel
from r1kit.rollout.sample import sample_groups
from r1kit.rollout.streams import stream_seed
from r1kit.search.calibrate import Example, examples_of_chains
from r1kit.search.steps import Cutter
from r1kit.search.value import row_of
from r1kit.seeds import place_in_epochs
from r1kit.update.reward import Item
from r1kit.workspace import Workspace

__all__ = ["first_value", "later_value"]

Numbers = dict[str, Any]


def first_value(config: MCTS, model: str, inner: Workspace) -> Numbers:
    """Pre-trained on the outcomes of chains that the start draws."""
    prompts = training_prompts(config, inner, 0, config.value.prompts)
    seeds = [stream_seed(inner.seed, "chains", place) for place in range(len(prompts))]
    with opened(config, model, inner) as one:
        mine = mine_of(list(zip(prompts, seeds, strict=True)), inner)
        sampling = replace(config.sampling, n=config.value.chains)
        groups = sample_groups(
            one.player.engine, [prompt for prompt, _ in mine], one.player.render, sampling,
            lambda place: mine[place][1],
        )  # fmt: skip
        scores = one.verifier.score_groups(groups)
        cutter = Cutter(one.player.tokenizer, config.search.steps)
    both = everyones(list(zip(groups, scores, strict=True)), inner)
    inner.spend(sampled=sum(len(one.token_ids) for group, _ in both for one in group.completions))
    examples = [
        example for example, _ in examples_of_chains([each[0] for each in both], [each[1] for each in both], cutter)
    ]
    created = backend_of(inner.recipe, inner.ranks).create_reward_model(
        model, Outlook(template=inner.recipe.model.template), config.dtype
    )
    return _taught(config, examples, created, inner)


def later_value(config: MCTS, data: Path, before: str, inner: Workspace) -> Numbers:
    """What the value model became by the values of a round's trees.

    Raises:
        InputError: they cannot be read.
    """
    path = data / "values.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        examples = [(tuple(row), float(value)) for row, value in map(json.loads, lines)]
    except (OSError, ValueError, TypeError):
        raise InputError(f"{path} is damaged; copy the run folder again, or delete {data} to search again") from None
    return _taught(config, examples, value_model(before, inner), inner)


def _taught(config: MCTS, examples: Sequence[Example], model: RewardModel, inner: Workspace) -> Numbers:
    """The model trained in place, saved; how many examples it saw."""
    inner.parameters = model.parameters
    learner = backend_of(inner.recipe, inner.ranks).open_reward_learner(
        model, config.value.optimiser, config.micro_batch_tokens
    )
    items = [Item(rows=(row_of(row, model.pad),), label=right) for row, right in examples]
    batch, seen = config.value.batch, examples_seen(config.value.epochs, len(items), inner.name, inner)
    steps, seed = math.ceil(seen / batch), stream_seed(inner.seed, inner.name, "order")
    began = time.monotonic()
    for step in inner.steps(steps, learner):
        places = range(step * batch, min(seen, (step + 1) * batch))
        lr = config.value.schedule.rate(step, steps, config.value.optimiser.lr)
        chosen = mine_of([items[place_in_epochs(n, len(items), seed)] for n in places], inner)
        metrics = learner.update(chosen, len(places), lr)
        inner.spend(trained=metrics["tokens"])
        if step + 1 == steps or (step + 1) % 10 == 0:
            speed = metrics["tokens"] / max(1e-9, time.monotonic() - began)
            inner.log(step + 1, {"loss": metrics["loss"], "lr": lr, "tokens_per_second": speed})
        began = time.monotonic()
    if inner.is_writer:
        model.save(inner.folder / "checkpoint")
    inner.ranks.broadcast_object(None)
    folder = str((inner.folder / "checkpoint").relative_to(inner.run))
    return {"checkpoint": folder, "value_examples": len(items)}
