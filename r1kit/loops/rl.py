"""The one RL loop: sample rollouts, score them, turn rewards into advantages, update the policy (R1 paper, 2.1).

Ranks are single-program-multiple-data: each samples and scores its share of the prompts. Then all see all groups and
every rank packs the same batch, of which the learner takes its share; or, for a learner that shares (``dealing.py``),
each keeps the groups that it sampled and only sums are told. Advantages are over whole groups either way, and a
minibatch holds the same rows.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from r1kit.contracts import BASE
from r1kit.evals.aha import find_aha
from r1kit.evals.evaluator import Evaluation
from r1kit.evals.gate import write_gate
from r1kit.evals.transcripts import rollout_lines, summary, tally, with_tokens
from r1kit.loops.ahead import Ahead
from r1kit.loops.credit import Credit, GroupRelative
from r1kit.loops.dealing import Drawn, Part
from r1kit.loops.gap import Looked, check_gap
from r1kit.loops.late import Late
from r1kit.loops.own import loss_of
from r1kit.loops.rollouts import Rollouts, TasksAt
from r1kit.loops.settings import RL
from r1kit.maths.advantage import Advantages
from r1kit.maths.aggregate import token_weights
from r1kit.maths.loss_terms import TokenLoss
from r1kit.records import Completion, Group
from r1kit.rollout.engine import asleep, drafted_metrics
from r1kit.rollout.hand_over import handed_metrics
from r1kit.rollout.streams import stream_seed
from r1kit.update.learner import Batch, Learner, Row, Weighed, shares
from r1kit.update.memory import peak_bytes
from r1kit.update.pack import carries_gradient

if TYPE_CHECKING:
    from r1kit.loops.policy import Policy
    from r1kit.workspace import Workspace

__all__ = ["minibatches", "over_updates", "rows_of", "train"]

COUNTS = ("tokens", "rows_skipped")
AN_UPDATE = ("loss", "grad_norm", "lr")

Watch = Callable[[int, Mapping[str, Evaluation]], str]
"""Step and its evaluation (empty where none is due) -> why to stop there; empty: go on. What it knows must come from
the stage's logs, so that a run that was killed stops at the same step."""


def train(
    config: RL, policy: Policy, tasks_at: TasksAt | None = None, watch: Watch | None = None,
    credit: Credit | None = None,
) -> int:  # fmt: skip
    """Train the learner's policy in place; evaluations, metrics and transcripts go into the workspace.

    Args:
        config: of the stage.
        policy: as it was opened.
        tasks_at: which tasks each step's prompts come from; by default all of the policy's, at every step.
        watch: says when to stop early.
        credit: from rewards to advantages; by default the group's.

    Returns:
        The steps taken: ``config.steps``, or fewer where ``watch`` said to stop.
    """
    workspace, engine, learner, evaluator = policy.workspace, policy.engine, policy.learner, policy.evaluator
    loss, paying = loss_of(config.loss), credit or GroupRelative(config)
    rollouts = _drawn_by(config)(config, policy, tasks_at or (lambda step: policy.tasks))
    state, done = paying.beside(rollouts.beside(learner)), config.steps
    for step in workspace.steps(config.steps, state, partial(_rate, config)):
        rollouts.settle()
        learner.publish(engine, version=step)
        found = evaluator.evaluate(step) if step % config.evaluate_every == 0 else {}
        if step == 0:
            _evaluate_first(config, policy, found)
        if watch and (why := watch(step, found)):
            workspace.say(f"{workspace.stage}: stopped at step {step}: {why}")
            done = step
            rollouts.stop(step)
            break
        began = time.monotonic()
        drawn = rollouts.next(step)
        sampled = time.monotonic()
        with asleep(engine):
            also = _with_tokens(config, drawn) if config.record_tokens > 1 else None
            looked = check_gap(drawn.groups, learner, step, config.max_gap, workspace.ranks, also)
            advantages = paying.advantages(drawn, step)
            metrics, read = _update(config, drawn, advantages, learner, loss, workspace, step)
            metrics |= paying.learn(drawn, step)
        workspace.spend(trained=metrics["tokens"], read=read)
        updated = time.monotonic()
        told, lines = _told(config, drawn, advantages, looked, policy, step + 1)
        workspace.log(
            step + 1,
            {
                **told,
                **metrics,
                **drawn.metrics,
                "engine_gap": looked.gap,
                "flops": workspace.cost["training_flops"],
                **(handed_metrics(engine) | drafted_metrics(engine)),
                "update_seconds": updated - sampled,
                "tokens_per_second": sum(drawn.loads) / (updated - began),
            },
        )
        workspace.append("rollouts", lines)
    learner.publish(engine, version=done)
    _evaluate_last(config, policy, paying, done)
    return done


def _drawn_by(config: RL) -> type[Rollouts]:
    return Ahead if config.max_lag else Rollouts if config.verdicts.slow == "wait" else Late


def _evaluate_first(config: RL, policy: Policy, found: Mapping[str, Evaluation]) -> None:
    """The base gate, of a stage that starts from the base, and what the last model is compared with."""
    if found and config.start in (BASE, policy.workspace.recipe.base_stage):
        write_gate(found, policy.workspace)
    if config.final_split:
        policy.evaluator.evaluate(0, config.final_split, config.final_limit)


def _evaluate_last(config: RL, policy: Policy, credit: Credit, done: int) -> None:
    """The model that the stage leaves, and its aha candidates; what the stage held in memory."""
    if done == config.steps or done % config.evaluate_every:
        policy.evaluator.evaluate(done)
    last = policy.evaluator.evaluate(done, config.final_split, config.final_limit) if config.final_split else {}
    aha = [moment for one in last.values() for moment in find_aha(one.groups, one.scores)]
    policy.workspace.write("aha.json", aha)
    learners = [one for one in (policy.learner, *credit.learners) if isinstance(one, Weighed)]
    peak = peak_bytes(getattr(policy.learner, "device", None))
    policy.workspace.write("memory.json", {"states": [one.state_bytes for one in learners], "peak": peak})


# ---- update -----------------------------------------------------------------------------------------------------


def minibatches(
    groups: Sequence[Group], advantages: Advantages, config: RL, seed: int, version: int | None = None,
    part: Part | None = None,
) -> list[Batch]:  # fmt: skip
    """One rollout as ``config.minibatches`` batches of rows drawn at random; a single batch keeps its order.

    Advantages were taken over whole groups before; a minibatch need not keep groups together (R1 paper, section 2.1).
    A completion of another policy ``version`` than the one that learns is stale: its sampler's log-probs are the old,
    so that the clip bounds how far the policy is from its sampler. Where the loss has an ``importance`` weight that is
    what tells the two apart, and the old ones are the trainer's own for every row. With ``old_logprobs = "sampler"``
    every completion counts as stale.

    Args:
        part: where the groups are those of one rank: the batches are its share of what all ranks' groups would give,
            which they agree on in one sum of a number a batch. None: the groups are all there are.
    """
    prompts = [torch.tensor(group.prompt_ids) for group in groups]
    chosen, totals = rows_of(groups, config, seed, part)
    newest = version if config.loss.importance == "none" else None
    if config.old_logprobs == "sampler":
        newest = -1  # nobody's, so that all are stale
    batches = []
    for rows, total in zip(chosen, totals, strict=True):
        lengths = [len(groups[g].completions[i].token_ids) for g, i in rows]
        weights = token_weights(lengths, config.loss.aggregate, constant=config.sampling.max_tokens, batch=total)
        batches.append(
            Batch(
                prompts=prompts,
                rows=[
                    _row(g, groups[g].completions[i], weight, advantages[g][i], newest)
                    for (g, i), weight in zip(rows, weights, strict=True)
                ],
                sharded=part is not None,
            )
        )
    return batches


def rows_of(
    groups: Sequence[Group], config: RL, seed: int, part: Part | None = None
) -> tuple[list[list[tuple[int, int]]], list[tuple[int, int]]]:
    """Of each minibatch: this rank's rows as (index into the groups, completion); rows and tokens on all ranks."""
    sizes = [len(group.completions) for group in groups] if part is None else [config.sampling.n] * part.count
    held = {place: index for index, place in enumerate(range(len(groups)) if part is None else part.places)}
    rows = [(place, i) for place, size in enumerate(sizes) for i in range(size)]
    if config.minibatches > 1:
        random.Random(seed).shuffle(rows)
    parts = min(config.minibatches, len(rows))  # late groups leave a step with fewer rows, and rarely a round number
    edges = [len(rows) * part // parts for part in range(parts + 1)]
    cut = [rows[first:last] for first, last in pairwise(edges)]
    mine = [[(held[place], i) for place, i in batch if place in held] for batch in cut]
    tokens = torch.tensor([sum(len(groups[g].completions[i].token_ids) for g, i in batch) for batch in mine])
    if part is not None:
        part.ranks.all_reduce_sum_(tokens)
    return mine, [(len(batch), count) for batch, count in zip(cut, tokens.tolist(), strict=True)]


def _row(prompt: int, completion: Completion, weight: float | Tensor, advantage: Tensor, version: int | None) -> Row:
    logprobs = torch.tensor(completion.logprobs)
    return Row(
        prompt=prompt,
        tokens=torch.tensor(completion.token_ids),
        weight=weight,
        advantage=advantage if advantage.dim() else float(advantage),
        sampler_logprobs=logprobs,
        experts=completion.experts,
        old_logprobs=None if version in (None, completion.version) else logprobs,
    )


def _update(
    config: RL, drawn: Drawn, advantages: Advantages, learner: Learner, loss: TokenLoss, workspace: Workspace,
    step: int,
) -> tuple[dict[str, float], int]:  # fmt: skip
    """Every minibatch of a rollout, once; their metrics as one, and the tokens whose log-probs were computed besides:
    the old ones, and those of the reference."""
    seed = stream_seed(workspace.seed, "minibatches", step)
    part = drawn.part(workspace.ranks) if shares(learner) else None
    batches = minibatches(drawn.groups, advantages, config, seed, version=step, part=part)
    lacking = _lack_old(batches, part)
    pairs = zip(batches, lacking, strict=True)
    held = config.is_held(step)
    batches = [_with_old(batch, learner, held) if lacks else batch for batch, lacks in pairs]
    found = []
    for index, batch in enumerate(batches):
        update = step * config.minibatches + index
        if config.renews(update):
            learner.refresh_reference()
        if held:
            batch = _with_reference(batch, learner.reference_logprobs(batch))
        lr = config.schedule.rate(update, config.steps * config.minibatches, config.optimiser.lr)
        found.append({**learner.update(batch, loss, lr), "lr": lr})
    lacked = range(step * config.minibatches + len(batches), (step + 1) * config.minibatches)  # there were too few rows
    if any(config.renews(update) for update in lacked):
        learner.refresh_reference()
    read = sum(update["tokens"] for update, lacks in zip(found, lacking, strict=True) if lacks)
    return over_updates(found), int(read) + sum(drawn.loads) * held


def _lack_old(batches: Sequence[Batch], part: Part | None) -> list[bool]:
    """Of each minibatch, whether the trainer's own log-probs of what is not stale are to be computed before the first
    update: where they stand beside what is stale, and from the second minibatch on, which is not on policy. Log-probs
    are a collective, so the answer is the same on all ranks."""
    old = [row.old_logprobs is not None for batch in batches for row in batch.rows]
    counts = torch.tensor([sum(old), len(old) - sum(old)])
    if part is not None:
        part.ranks.all_reduce_sum_(counts)
    stale, fresh = counts.tolist()
    return [fresh > 0 and (index > 0 or stale > 0) for index in range(len(batches))]


def _rate(config: RL, step: int, steps: int) -> float:
    """Learning rate of a step's first update, of so many steps."""
    updates = config.minibatches
    return config.schedule.rate(step * updates, steps * updates, config.optimiser.lr)


def over_updates(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Metrics of a rollout's updates as those of the step (docs/metrics.md).

    Counts are summed, ``..._max`` is the largest; ``loss``, ``grad_norm`` and ``lr``, one value an update, are averaged
    over the updates, everything else over the tokens: an update that learnt from none says nothing about them.
    """
    if len(found) == 1:
        return dict(found[0])
    tokens = sum(update["tokens"] for update in found)
    merged: dict[str, float] = {}
    for name in dict.fromkeys(name for update in found for name in update):
        having = [update for update in found if name in update]
        if name in COUNTS:
            merged[name] = sum(update[name] for update in having)
        elif name.endswith("_max"):
            merged[name] = max(update[name] for update in having)
        elif name in AN_UPDATE:
            merged[name] = sum(update[name] for update in having) / len(having)
        else:
            merged[name] = sum(update[name] * update["tokens"] for update in having) / max(1.0, tokens)
    return merged


def _with_old(batch: Batch, learner: Learner, held: bool) -> Batch:
    """Of the rows that are not stale and that the update will learn from; ``held``: to the reference, so all."""
    learnt = [held or carries_gradient(row) for row in batch.rows]
    chosen = [place for place, row in enumerate(batch.rows) if learnt[place] and row.old_logprobs is None]
    found = learner.logprobs(replace(batch, rows=[batch.rows[place] for place in chosen]))
    rows = list(batch.rows)
    for place, logprobs in zip(chosen, found, strict=True):
        rows[place] = replace(rows[place], old_logprobs=logprobs)
    return replace(batch, rows=rows)


def _with_tokens(config: RL, drawn: Drawn) -> list[int]:
    """Those of the groups held here of whose tokens something is kept: the first."""
    count = min(config.record_tokens, config.record_groups)
    return [at for at, place in enumerate(drawn.places) if place < count]


def _told(
    config: RL, drawn: Drawn, advantages: Advantages, looked: Looked, policy: Policy, step: int
) -> tuple[dict[str, float], list[dict[str, object]]]:
    """A step's means for ``metrics.jsonl``, and the lines for ``rollouts.jsonl``, which rank 0 alone gets."""
    share, ranks = shares(policy.learner), policy.workspace.ranks
    own = tally(drawn.groups, drawn.scores, advantages)
    recorded = sum(place < config.record_groups for place in drawn.places)
    lines = rollout_lines(step, drawn.groups, drawn.scores, advantages, recorded)
    if share or policy.workspace.is_writer:
        groups = [drawn.groups[at] for at in _with_tokens(config, drawn)]
        count = sum(len(group.completions) for group in groups)
        lines[:count] = with_tokens(lines[:count], groups, looked.read, policy.spell)
    if not share:
        return summary([own]), lines
    places = [place for place in drawn.places if place < config.record_groups]
    each = config.sampling.n
    mine = [(place, lines[at * each : (at + 1) * each]) for at, place in enumerate(places)]
    everyone = sorted(one for other in ranks.collect_objects(mine) for one in other)
    loads = [float(held) for held in ranks.gather_objects(sum(drawn.loads[place] for place in drawn.places))]
    balance = sum(loads) / len(loads) / max(1.0, *loads)
    told = {**summary(ranks.gather_objects(own)), "rank_balance": balance}
    return told, [line for _, own_lines in everyone for line in own_lines]


def _with_reference(batch: Batch, logprobs: Sequence[Tensor]) -> Batch:
    return replace(batch, rows=[replace(r, reference_logprobs=p) for r, p in zip(batch.rows, logprobs, strict=True)])
