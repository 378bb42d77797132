"""The one RL loop: sample rollouts, score them, turn rewards into advantages, update the policy (R1 paper, 2.1).

Ranks are single-program-multiple-data: each samples and scores its share of the prompts, then all see all groups, so
advantages are over whole groups and every rank packs the same batch, of which the learner takes its share.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from r1kit.cluster.ranks import Ranks
from r1kit.evals.aha import find_aha
from r1kit.evals.evaluator import Evaluation
from r1kit.evals.transcripts import rollout_lines, summary
from r1kit.loops.settings import RL
from r1kit.maths.advantage import group_relative
from r1kit.maths.aggregate import token_weights
from r1kit.maths.loss_terms import TokenLoss
from r1kit.maths.policy_loss import from_settings
from r1kit.maths.schedule import learning_rate
from r1kit.records import Group, Prompt, Score
from r1kit.rollout.sample import sample_groups
from r1kit.rollout.streams import stream_seed
from r1kit.tasks.task import Task
from r1kit.update.learner import Batch, Learner, Row
from r1kit.workspace import Workspace

if TYPE_CHECKING:
    from r1kit.loops.policy import Policy

__all__ = ["PromptStream", "advantages_of", "minibatches", "over_updates", "train"]

COUNTS = ("tokens", "rows_skipped")
AN_UPDATE = ("loss", "grad_norm", "lr")

TasksAt = Callable[[int], Mapping[str, Task]]
"""Step -> the tasks that its prompts come from."""
Watch = Callable[[int, Mapping[str, Evaluation]], str]
"""Step and its evaluation (empty where none is due) -> why to stop there; empty: go on. What it knows must come from
the stage's logs, so that a run that was killed stops at the same step."""


def train(config: RL, policy: Policy, tasks_at: TasksAt | None = None, watch: Watch | None = None) -> int:
    """Train the learner's policy in place; evaluations, metrics and transcripts go into the workspace.

    Args:
        config: of the stage.
        policy: as it was opened.
        tasks_at: which tasks each step's prompts come from; by default all of the policy's, at every step.
        watch: says when to stop early.

    Returns:
        The steps taken: ``config.steps``, or fewer where ``watch`` said to stop.
    """
    loss = from_settings(config.loss)
    workspace, engine, learner, evaluator = policy.workspace, policy.engine, policy.learner, policy.evaluator
    tasks_at = tasks_at or (lambda step: policy.tasks)
    stream, done = PromptStream(config.task_weights, workspace), config.steps
    for step in workspace.steps(config.steps, learner):
        learner.publish(engine, version=step)
        found = evaluator.evaluate(step) if step % config.evaluate_every == 0 else {}
        if step == 0 and config.final_split:
            evaluator.evaluate(step, config.final_split, config.final_limit)
        if watch and (why := watch(step, found)):
            workspace.say(f"{workspace.stage}: stopped at step {step}: {why}")
            done = step
            break
        began = time.monotonic()
        groups, scores, times = _rollout(config, tasks_at(step), stream, policy)
        advantages = advantages_of(scores, config)
        sampled = time.monotonic()
        metrics = _update(config, groups, advantages, learner, loss, workspace.seed, step)
        workspace.spend(trained=metrics["tokens"])
        updated = time.monotonic()
        workspace.log(
            step + 1,
            {
                **summary(groups, scores, advantages),
                **metrics,
                **times,
                "update_seconds": updated - sampled,
                "tokens_per_second": sum(len(c.token_ids) for g in groups for c in g.completions) / (updated - began),
            },
        )
        workspace.append("rollouts", rollout_lines(step + 1, groups, scores, advantages, config.record_groups))
    learner.publish(engine, version=done)
    if done == config.steps or done % config.evaluate_every:
        evaluator.evaluate(done)
    last = evaluator.evaluate(done, config.final_split, config.final_limit) if config.final_split else {}
    aha = [moment for one in last.values() for moment in find_aha(one.groups, one.scores)]
    workspace.write("aha.json", aha)
    return done


# ---- rollout -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class PromptStream:
    """Training prompts of several tasks in turn, by weight; where it stands survives a kill."""

    weights: Mapping[str, float]
    """1 for a task that is not named."""
    workspace: Workspace

    def take(self, tasks: Mapping[str, Task], count: int) -> list[tuple[int, Prompt]]:
        """The next ``count`` prompts with their running number: always of the task that is furthest behind.

        A task that joins late is not behind: turns are counted anew for every set of tasks.
        """
        cursor, taken = self.workspace.cursor, []
        first, together = cursor.get("prompt", 0), "+".join(tasks)
        for number in range(first, first + count):
            name = min(tasks, key=lambda t: (cursor.get(f"{together}:{t}", 0) + 0.5) / self.weights.get(t, 1.0))
            index = cursor.get(f"prompt:{name}", 0)
            taken.append((number, tasks[name].train(self.workspace.seed * 1_000_003 + index)))
            cursor[f"prompt:{name}"] = index + 1
            cursor[f"{together}:{name}"] = cursor.get(f"{together}:{name}", 0) + 1
        cursor["prompt"] = first + count
        return taken


def _rollout(
    config: RL,
    tasks: Mapping[str, Task],
    stream: PromptStream,
    policy: Policy,
) -> tuple[list[Group], list[list[Score]], dict[str, float]]:
    """A step's groups and scores, the same on every rank; with dynamic sampling, flat groups are replaced."""
    workspace, ranks, seconds = policy.workspace, policy.workspace.ranks, {"sample_seconds": 0.0, "score_seconds": 0.0}
    groups: list[Group] = []
    scores: list[list[Score]] = []
    for attempt in range(config.dynamic_sampling + 1):
        began = time.monotonic()
        share = stream.take(tasks, config.prompts_per_step)[ranks.rank :: ranks.size]
        fresh = sample_groups(
            policy.engine,
            [prompt for _, prompt in share],
            policy.render,
            config.sampling,
            [stream_seed(workspace.seed, workspace.stage, "rollout", number) for number, _ in share].__getitem__,
        )
        sampled = time.monotonic()
        scored = policy.scorer.score(fresh)
        workspace.spend_read(policy.scorer.read())
        seconds["sample_seconds"] += sampled - began
        seconds["score_seconds"] += time.monotonic() - sampled
        for group, score in _interleave(ranks, list(zip(fresh, scored, strict=True))):
            workspace.spend(sampled=sum(len(completion.token_ids) for completion in group.completions))
            workspace.complaints.add(score)
            wanted = len(groups) < config.prompts_per_step
            last = attempt == config.dynamic_sampling
            if wanted and (last or not _is_flat(score)):
                groups.append(group)
                scores.append(score)
        if len(groups) == config.prompts_per_step:
            break
    return groups, scores, seconds


def _interleave(ranks: Ranks, mine: list[tuple[Group, list[Score]]]) -> list[tuple[Group, list[Score]]]:
    """All ranks' items in the order of the prompts that were dealt out in turn."""
    shares = ranks.gather_objects(mine)
    return [share[i] for i in range(max(map(len, shares))) for share in shares if i < len(share)]


def _is_flat(scores: Sequence[Score]) -> bool:
    return all(score.total == scores[0].total for score in scores)


# ---- advantage and update ---------------------------------------------------------------------------------------


def advantages_of(scores: Sequence[Sequence[Score]], config: RL) -> list[Tensor]:
    """Group-relative advantages, float32 [G] for each group."""
    return [
        group_relative(torch.tensor([score.total for score in group], dtype=torch.float64), config.loss.std)
        for group in scores
    ]


def minibatches(groups: Sequence[Group], advantages: Sequence[Tensor], config: RL, seed: int) -> list[Batch]:
    """One rollout as ``config.minibatches`` batches of rows drawn at random; a single batch keeps its order.

    Advantages were taken over whole groups before; a minibatch need not keep groups together (R1 paper, section 2.1).
    """
    prompts = [torch.tensor(group.prompt_ids) for group in groups]
    rows = [(g, i) for g, group in enumerate(groups) for i in range(len(group.completions))]
    if config.minibatches > 1:
        random.Random(seed).shuffle(rows)
    size = len(rows) // config.minibatches
    batches = []
    for first in range(0, size * config.minibatches, size):
        chosen = rows[first : first + size]
        lengths = [len(groups[g].completions[i].token_ids) for g, i in chosen]
        weights = token_weights(lengths, config.loss.aggregate, constant=config.sampling.max_tokens)
        batches.append(
            Batch(
                prompts=prompts,
                rows=[
                    Row(
                        prompt=g,
                        tokens=torch.tensor(groups[g].completions[i].token_ids),
                        weight=weight,
                        advantage=float(advantages[g][i]),
                        sampler_logprobs=torch.tensor(groups[g].completions[i].logprobs),
                    )
                    for (g, i), weight in zip(chosen, weights, strict=True)
                ],
            )
        )
    return batches


def _update(
    config: RL, groups: Sequence[Group], advantages: Sequence[Tensor], learner: Learner, loss: TokenLoss, seed: int,
    step: int,
) -> dict[str, float]:  # fmt: skip
    """Every minibatch of a rollout, once; their metrics as one."""
    batches = minibatches(groups, advantages, config, stream_seed(seed, "minibatches", step))
    if config.minibatches > 1:  # stale from the second on: the trainer's own log-probs are the old ones
        batches = [_with_old(batch, learner.logprobs(batch)) for batch in batches]
    found = []
    for index, batch in enumerate(batches):
        update = step * config.minibatches + index
        if config.loss.kl_weight:
            if update % config.reference_every == 0:
                learner.refresh_reference()
            batch = _with_reference(batch, learner.reference_logprobs(batch))
        lr = learning_rate(
            update,
            steps=config.steps * config.minibatches,
            peak=config.optimiser.lr,
            warmup=config.schedule.warmup,
            shape=config.schedule.shape,
            floor=config.schedule.floor,
        )
        found.append({**learner.update(batch, loss, lr), "lr": lr})
    return over_updates(found)


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


def _with_old(batch: Batch, logprobs: Sequence[Tensor]) -> Batch:
    return replace(batch, rows=[replace(r, old_logprobs=p) for r, p in zip(batch.rows, logprobs, strict=True)])


def _with_reference(batch: Batch, logprobs: Sequence[Tensor]) -> Batch:
    return replace(batch, rows=[replace(r, reference_logprobs=p) for r, p in zip(batch.rows, logprobs, strict=True)])
