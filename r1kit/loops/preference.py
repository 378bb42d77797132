"""Training a reward model on pairs or labels, and judging it on what is held out (R1 paper, Nature version)."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from r1kit.backends.backend import backend_of
from r1kit.errors import InputError
from r1kit.evals.interval import mean_interval
from r1kit.loops.settings import Schedule
from r1kit.maths.preference import calibration_error, reliability
from r1kit.model.reward_model import RewardModel
from r1kit.records import Labelled, Pair, Prompt
from r1kit.rollout.streams import stream_seed
from r1kit.seeds import place_in_epochs
from r1kit.update.reward import Item
from r1kit.update.settings import OptimiserSettings
from r1kit.workspace import Workspace

__all__ = ["Preference", "examples_seen", "held_out", "items_of", "learn_items", "train"]

Examples = Sequence[Pair | Labelled]


class Preference(Protocol):
    """What the loop reads of a stage's config."""

    @property
    def epochs(self) -> float: ...
    @property
    def batch(self) -> int: ...
    @property
    def log_every(self) -> int: ...
    @property
    def micro_batch_tokens(self) -> int: ...
    @property
    def optimiser(self) -> OptimiserSettings: ...
    @property
    def schedule(self) -> Schedule: ...


class Limited(Preference, Protocol):
    """What it reads where examples may be too long."""

    @property
    def max_tokens(self) -> int: ...


def train(config: Limited, name: str, model: RewardModel, examples: Examples, workspace: Workspace) -> None:
    """Train the model in place; a line of metrics every ``log_every`` steps names the model.

    Examples longer than ``max_tokens``, or than the model has positions, are left out and counted.

    Raises:
        InputError: every example is longer.
    """
    limit = min(config.max_tokens, model.positions)
    items = [items for items, _ in _fitting(model, examples, limit, f"{name}: to train on", workspace)]
    if not items:
        raise InputError(
            f"{name}: all {len(examples)} examples are longer than {limit} tokens, the smaller of max_tokens = "
            f"{config.max_tokens} and the model's positions"
        )
    learn_items(config, name, model, items, workspace)


def learn_items(
    config: Preference, name: str, model: RewardModel, items: Sequence[Item], workspace: Workspace
) -> None:  # fmt: skip
    """``train`` of what is encoded already. Of rows whose steps are labelled, each step counts alike in an update."""
    workspace.parameters = model.parameters
    backend = backend_of(workspace.recipe, workspace.ranks)
    learner = backend.open_reward_learner(model, config.optimiser, config.micro_batch_tokens)
    seen = examples_seen(config.epochs, len(items), name, workspace)
    seed = stream_seed(workspace.seed, "preference", name)
    steps = math.ceil(seen / config.batch)
    began, tokens = time.monotonic(), 0.0
    for step in workspace.steps(steps, learner):
        numbers = range(step * config.batch, min(seen, (step + 1) * config.batch))
        chosen = [items[place_in_epochs(n, len(items), seed)] for n in numbers]
        count = sum(max(1, len(item.labels)) for item in chosen)
        lr = config.schedule.rate(step, steps, config.optimiser.lr)
        metrics = learner.update(chosen[workspace.ranks.rank :: workspace.ranks.size], count, lr)
        workspace.spend(trained=metrics["tokens"])
        tokens += metrics["tokens"]
        if (step + 1) % config.log_every == 0 or step + 1 == steps:
            rate = tokens / (time.monotonic() - began)
            workspace.log(step + 1, {"model": name, **metrics, "lr": lr, "tokens_per_second": rate})
            began, tokens = time.monotonic(), 0.0


def examples_seen(epochs: float, count: int, called: str, workspace: Workspace) -> int:
    """How many examples so many epochs of ``count`` are; the user is told where that is none."""
    seen = round(epochs * count)
    if not seen:
        why = f"epochs = {epochs} of {count} is less than one; raise it" if count else "there are none"
        workspace.say(f"warning: {workspace.stage}: {called} learns from no example: {why}")
    return seen


def items_of(model: RewardModel, examples: Examples) -> list[Item]:
    """Examples as the model sees them."""
    items = []
    for example in examples:
        asked = (example.prompt.question, example.prompt.history)
        if isinstance(example, Pair):
            rows = tuple(tuple(model.encode(asked[0], text, asked[1])) for text in (example.chosen, example.rejected))
            items.append(Item(rows=rows))
        else:
            row = tuple(model.encode(asked[0], example.response, asked[1]))
            items.append(Item(rows=(row,), label=float(example.safe)))
    return items


def _fitting(
    model: RewardModel, examples: Examples, limit: int, called: str, workspace: Workspace
) -> list[tuple[Item, Pair | Labelled]]:
    """Examples whose longest row has at most ``limit`` tokens, as the model sees them; how many have more is told."""
    both: list[tuple[Item, Pair | Labelled]] = list(zip(items_of(model, examples), examples, strict=True))
    kept = [(item, example) for item, example in both if max(map(len, item.rows)) <= limit]
    if len(kept) < len(both):
        gone = len(both) - len(kept)
        workspace.say(f"{workspace.stage}: {called}, {gone} of {len(both)} examples pass {limit} tokens: left out")
    return kept


# ---- held out -----------------------------------------------------------------------------------------------------


def held_out(model: RewardModel, examples: Examples, workspace: Workspace, budget: int) -> dict[str, Any]:
    """How well the model does on examples that it has not seen, the same on every rank.

    ``accuracy``: share of pairs ranked right (a tie counts half), or of responses whose label is the likelier one;
    with its interval over clusters of prompts. ``calibration_error`` and ``reliability``: of the probability that the
    better-scored response is the chosen one, or that a response is safe. ``score_mean``, ``score_std``: of all held-out
    responses, before standardising. ``by_fault``: accuracy and count by what kind of example it is.

    Raises:
        InputError: every example is longer than the model has positions.
    """
    ranks = workspace.ranks
    kept = _fitting(model, examples, model.positions, "held out", workspace)
    if not kept:
        raise InputError(f"all {len(examples)} held-out examples pass the model's {model.positions} positions")
    items, examples = [item for item, _ in kept], [example for _, example in kept]
    mine = list(range(len(items)))[ranks.rank :: ranks.size]
    model.read = 0
    found = iter(model.logits_of([row for place in mine for row in items[place].rows], budget))
    workspace.spend_read({model.parameters: model.read}, evaluating=True)
    shares = ranks.gather_objects([(place, [next(found) for _ in items[place].rows]) for place in mine])
    scores = [values for _, values in sorted(pair for share in shares for pair in share)]
    return summed_up(items, scores, [example.prompt for example in examples], [one.fault for one in examples])


def summed_up(
    items: Sequence[Item], scores: Sequence[Sequence[float]], prompts: Sequence[Prompt], faults: Sequence[str]
) -> dict[str, Any]:
    """See ``held_out``."""
    right, predicted, observed = [], [], []
    for item, values in zip(items, scores, strict=True):
        margin = values[0] - values[1] if item.label is None else values[0]
        if item.label is None:  # by confidence: which of the two is called the first says nothing
            right.append(0.5 if margin == 0 else float(margin > 0))
            predicted.append(_sigmoid(abs(margin)))
            observed.append(margin > 0)
        else:
            right.append(float((margin > 0) == bool(item.label)))
            predicted.append(_sigmoid(margin))
            observed.append(bool(item.label))
    every = np.array([value for values in scores for value in values])
    interval = mean_interval(np.array(right), [prompt.cluster or prompt.question for prompt in prompts])
    table = reliability(predicted, observed)
    return {
        "accuracy": interval.mean,
        "interval": [interval.low, interval.high],
        "held_out": len(items),
        "clusters": interval.clusters,
        "calibration_error": calibration_error(table),
        "reliability": table,
        "score_mean": float(every.mean()),
        "score_std": float(every.std()),
        "by_fault": _by_fault(right, faults),
    }


def _by_fault(right: Sequence[float], faults: Sequence[str]) -> Mapping[str, Any]:
    found: dict[str, list[float]] = {}
    for value, fault in zip(right, faults, strict=True):
        found.setdefault(fault, []).append(value)
    named = sorted(name for name in found if name)
    return {name: {"accuracy": sum(found[name]) / len(found[name]), "count": len(found[name])} for name in named}


def _sigmoid(value: float) -> float:
    return float(torch.sigmoid(torch.tensor(value, dtype=torch.float64)))
