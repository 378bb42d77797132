"""Best of N by reward models, beside majority voting: what they are worth at inference (R1 paper, 4.2: good for
reranking the top N)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from r1kit.evals.evaluator import Evaluation, sample_evaluation
from r1kit.evals.interval import mean_interval, paired_difference
from r1kit.loops.step_labels import open_labeller
from r1kit.maths.pass_at_k import consensus
from r1kit.maths.step_scores import AGGREGATES, Aggregate, of_steps, picked
from r1kit.resume import Stateless
from r1kit.reward.scorer import Scorer
from r1kit.reward.stepwise import Stepwise
from r1kit.rollout.streams import stream_seed

if TYPE_CHECKING:
    from r1kit.loops.prm_settings import PRM
    from r1kit.workspace import Workspace

__all__ = ["Ranked", "accuracies", "best_of", "weighted"]

LOG = "best_of"
"""``NN_STAGE/PART/best_of.jsonl``: a task a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """The samples of one problem, in the order they were drawn."""

    right: Sequence[float]
    answers: Sequence[str | None]
    """As majority voting counts them; None: no answer, no vote."""
    steps: Sequence[Sequence[float]]
    """Process rewards of each sample's steps; empty for one without a token."""
    outcome: Sequence[float]
    """The outcome model's."""


Chooser = Callable[[Ranked, slice], float]
"""Accuracy of what is chosen among some of the samples."""


def _by_steps(how: Aggregate) -> Chooser:
    def choose(ranked: Ranked, block: slice) -> float:
        values = [of_steps(steps, how) if steps else float("-inf") for steps in ranked.steps[block]]
        return picked(values, ranked.right[block])

    return choose


def weighted(answers: Sequence[str | None], right: Sequence[float], weights: Sequence[float]) -> float:
    """Accuracy of the answer with the largest sum of weights; without any answer 0. As ``consensus``, which counts."""
    sums: dict[str, float] = {}
    for answer, weight in zip(answers, weights, strict=True):
        if answer is not None:
            sums[answer] = sums.get(answer, 0.0) + weight
    if not sums:
        return 0.0
    best = {answer: max(one for other, one in zip(answers, right, strict=True) if other == answer) for answer in sums}
    return picked(list(sums.values()), [best[answer] for answer in sums])


def _choosers(by: Aggregate) -> Mapping[str, Chooser]:
    return {
        "average": lambda one, block: sum(one.right[block]) / len(one.right[block]),
        "majority": lambda one, block: consensus(one.answers[block], one.right[block]),
        "outcome": lambda one, block: picked(one.outcome[block], one.right[block]),
        "process": _by_steps(by),
        "process_majority": lambda one, block: weighted(
            one.answers[block], one.right[block], [of_steps(s, by) if s else 0.0 for s in one.steps[block]]
        ),
        "any": lambda one, block: max(one.right[block]),
        **{f"process_{how}": _by_steps(how) for how in AGGREGATES if how != by},
    }


def accuracies(ranked: Sequence[Ranked], counts: Sequence[int], by: Aggregate) -> dict[str, dict[int, list[float]]]:
    """Way of choosing -> N -> accuracy of each problem, averaged over the disjoint runs of N samples in a row.

    ``average``: of one at random. ``majority``: voted. ``process``: the best by its steps, ``process_HOW``: under the
    other aggregates. ``outcome``: the best by the outcome model. ``process_majority``: votes weighed by the process
    rewards. ``any``: whether one is right, what no way of choosing passes.
    """
    found: dict[str, dict[int, list[float]]] = {}
    for name, choose in _choosers(by).items():
        for n in counts:
            rows = []
            for one in ranked:
                blocks = [slice(first, first + n) for first in range(0, len(one.right) - n + 1, n)]
                rows.append(sum(choose(one, block) for block in blocks) / len(blocks))
            found.setdefault(name, {})[n] = rows
    return found


def best_of(config: PRM, model: str, models: Mapping[str, Stepwise], workspace: Workspace) -> dict[str, Any]:
    """Task -> way of choosing -> N -> accuracy with its interval, and the differences at the largest N.

    Args:
        config: of the stage.
        model: folder of the policy.
        models: ``process`` and ``outcome``.
        workspace: of the part.
    """
    rl, own = config.rl, config.best_of
    tasks = workspace.recipe.built(rl.evaluation.tasks or rl.tasks or tuple(workspace.recipe.tasks))
    with open_labeller(replace(config, rl=replace(rl, tasks=tuple(tasks))), workspace, model) as (opened, loaded):
        for step in workspace.steps(len(tasks), Stateless()):
            name = list(tasks)[step]
            prompts = tasks[name].held_out(own.split, own.limit)
            found = sample_evaluation(
                prompts, config.ranked, opened.engine, Scorer(verifier=opened.verifier), loaded.render,
                partial(stream_seed, workspace.seed, "best_of", name, own.split),
                workspace.ranks,
            )  # fmt: skip
            workspace.spend(evaluated=found.tokens)
            ranked = _ranked(found, models, workspace)
            clusters = [prompt.cluster or prompt.question for prompt in prompts]
            workspace.append(LOG, [{"task": name, **_summed(ranked, clusters, config)}])
            workspace.log(step + 1, {"problems": len(prompts), "sampled": found.tokens})
    return {line.pop("task"): line for line in workspace.read(LOG)}


def _ranked(found: Evaluation, models: Mapping[str, Stepwise], workspace: Workspace) -> list[Ranked]:
    """Every rank scores its share of the problems."""
    ranks = workspace.ranks
    mine = found.groups[ranks.rank :: ranks.size]
    scored = {}
    for kind, one in models.items():
        shares = ranks.gather_objects(one.steps(mine))
        scored[kind] = [shares[place % ranks.size][place // ranks.size] for place in range(len(found.groups))]
        workspace.spend_read(one.read(), evaluating=True)
    return [
        Ranked(
            right=[score.parts.get("accuracy", 0.0) for score in scores],
            answers=[score.answer for score in scores],
            steps=[[value for _, value in steps] for steps in scored["process"][place]],
            outcome=[steps[-1][1] if steps else float("-inf") for steps in scored["outcome"][place]],
        )
        for place, scores in enumerate(found.scores)
    ]


def _summed(ranked: Sequence[Ranked], clusters: Sequence[str], config: PRM) -> dict[str, Any]:
    counts, by = config.best_of.n, config.best_of.by
    each = accuracies(ranked, counts, by)
    curves = {name: {str(n): _interval(rows, clusters) for n, rows in found.items()} for name, found in each.items()}
    most, chosen = counts[-1], each["process"][counts[-1]]
    minus = {name: paired_difference(chosen, each[name][most], clusters) for name in ("majority", "outcome", "average")}
    return {"problems": len(ranked), "by": by, "curves": curves, "process_minus": minus}


def _interval(rows: Sequence[float], clusters: Sequence[str]) -> list[float]:
    """(mean, low, high)."""
    found = mean_interval(np.array(rows), clusters)
    return [found.mean, found.low, found.high]
