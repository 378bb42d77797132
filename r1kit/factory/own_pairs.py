"""Preference pairs from a policy's own samples, judged by another model or by the task's rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from r1kit.backends.verifiers import open_verifier
from r1kit.factory.pairs import Candidate, Judge, PairwiseJudge, build_pairs, rule_judge
from r1kit.factory.preferences import PairData
from r1kit.factory.samplers import open_samplers
from r1kit.files import object_of
from r1kit.records import Group, Pair
from r1kit.reward.settings import RewardConfig
from r1kit.rollout.sample import sample_groups
from r1kit.rollout.streams import stream_seed
from r1kit.structure import structure
from r1kit.update.settings import DtypeSetting
from r1kit.workspace import Workspace

__all__ = ["own_pairs"]

KEPT = "own_pairs.json"
"""Written once and read again by a run that goes on, so that nothing is sampled twice."""
ROWS, JUDGE_ROWS = 512, 64
"""Completions that decode side by side on a rank: the policy's short ones, a judge's long ones."""


def own_pairs(config: PairData, start: str, workspace: Workspace, dtype: DtypeSetting = "auto") -> list[Pair]:
    """The start's model answers ``own_samples`` training prompts twice; of the two, the judge names the better.

    What the pairs came from is counted in ``own_pairs.json``. The same on every rank; each samples its share.
    """
    path = workspace.folder / KEPT
    kept = workspace.ranks.broadcast_object(
        object_of(path.read_text(encoding="utf-8", errors="replace"))
        if workspace.is_writer and path.is_file()
        else None
    )
    if kept is not None and "pairs" in kept:  # else it is damaged, and the same are sampled again
        _spend(kept, workspace)  # a resume point that knows of them puts its own count here
        return [structure(Pair, pair, KEPT) for pair in kept["pairs"]]
    ranks, task = workspace.ranks, workspace.recipe.task(config.task)
    numbers = range(config.own_samples)[ranks.rank :: ranks.size]
    seed = stream_seed(workspace.seed, "own_pairs")
    with open_samplers([start], workspace, dtype, ROWS) as samplers:
        policy = samplers[start]
        groups = sample_groups(
            policy.engine,
            [task.train(number) for number in numbers],
            policy.render,
            config.sampling,
            lambda place: stream_seed(seed, "sample", numbers[place]),
        )
    groups = [_whole(group, policy.read) for group in groups]
    candidates = [
        Candidate(prompt=group.prompt, first=group.completions[0].text, second=group.completions[1].text)
        for group in groups
    ]
    with _judge(config, groups, workspace, dtype) as (judge, judge_parameters):
        pairs, counts = build_pairs(candidates, judge, config.construction, stream_seed(seed, "judge", ranks.rank))
    sampled = sum(len(completion.token_ids) for group in groups for completion in group.completions)
    judged = judge.written if isinstance(judge, PairwiseJudge) else 0
    shares = ranks.gather_objects((pairs, {**counts, "sampled_tokens": sampled, "judge_tokens": judged}))
    every = [pair for share, _ in shares for pair in share]
    totals = {name: sum(counted[name] for _, counted in shares) for name in shares[0][1]}
    kept = {**totals, "parameters": policy.parameters, "judge_parameters": judge_parameters, "pairs": every}
    _spend(kept, workspace)
    workspace.write(KEPT, kept)
    return every


def _whole(group: Group, read: Callable[[str], str]) -> Group:
    """With the thinking in tags, also where the prompt wrote the first."""
    return replace(group, completions=tuple(replace(one, text=read(one.text)) for one in group.completions))


def _spend(kept: Mapping[str, Any], workspace: Workspace) -> None:
    workspace.spend(sampled=kept["sampled_tokens"], parameters=kept["parameters"])
    workspace.spend(judged=kept["judge_tokens"], parameters=kept["judge_parameters"])


@contextmanager
def _judge(
    config: PairData, groups: list[Group], workspace: Workspace, dtype: DtypeSetting
) -> Iterator[tuple[Judge, int]]:
    """The model that is named and its parameter count, or the task's rule in a verifier process: right beats wrong."""
    if not config.judge:
        with open_verifier([config.task], workspace.recipe, RewardConfig(), ranks=workspace.ranks) as verifier:
            scores = verifier.score_groups(groups)
        graded = {
            (group.prompt.id, completion.text): score.parts["accuracy"]
            for group, row in zip(groups, scores, strict=True)
            for completion, score in zip(group.completions, row, strict=True)
        }
        yield rule_judge(lambda prompt, text: graded[prompt.id, text]), 0
        return
    with open_samplers([config.judge], workspace, dtype, JUDGE_ROWS) as samplers:
        model = samplers[config.judge]
        yield PairwiseJudge(model.engine, model.encode, config.judge_sampling, read=model.read), model.parameters
