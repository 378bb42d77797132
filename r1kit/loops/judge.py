"""Scoring and evaluation as the loops use them: verifier processes, this rank's share, gathered over ranks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from r1kit.evals.evaluate import EvaluationConfig, evaluate
from r1kit.evals.paired import paired_difference
from r1kit.loops.transcripts import evaluation_lines
from r1kit.records import Group, Prompt, Sampling, Score
from r1kit.reward.learned import LearnedReward
from r1kit.reward.verifier import Verifier
from r1kit.rollout.engine import Engine
from r1kit.rollout.sample import sample_groups
from r1kit.rollout.streams import stream_seed
from r1kit.tasks.task import Split, Task
from r1kit.workspace import Workspace

__all__ = ["Judge", "Judged", "accuracy_difference"]

RECORDED_PROMPTS = 8
"""Held-out prompts whose completions are written out at every evaluation, to read side by side."""
RECORDED_EACH = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """k completions for each prompt of a split, in the order of the prompts."""

    groups: list[Group]
    scores: list[list[Score]]
    diagnostics: list[list[dict[str, float]]]
    model_reward: float | None = None
    """Mean score of the task's reward model, where it has one."""


@dataclass(slots=True, kw_only=True)
class Judge:
    """Holds what judging needs, so that a loop only says when."""

    tasks: Mapping[str, Task]
    config: EvaluationConfig
    sampling: Sampling
    """The training one; evaluation takes its stop strings and length from it where its own are not set."""
    engine: Engine
    verifier: Verifier
    render: Callable[[Prompt], Sequence[int]]
    workspace: Workspace
    learned: LearnedReward | None = None
    """Reward models, for the tasks that they judge."""
    learned_weight: float = 1.0
    """Of a reward model's score in the reward."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What else a line of ``eval.jsonl`` says, for example which checkpoint."""
    log: str = "eval"
    """``NN_STAGE/LOG.jsonl`` that evaluations go to."""

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        """Rules, and for the tasks that they judge the reward models' scores as the part ``preference``."""
        scores, preferences = self.verifier.score_groups(groups), self._learned(groups)
        if self.learned is not None:
            self.workspace.spend_read(self.learned.read())
        return [
            [self._preferred(score, value) for score, value in zip(row, values, strict=True)] if values else row
            for row, values in zip(scores, preferences, strict=True)
        ]

    def _learned(self, groups: Sequence[Group]) -> list[list[float]]:
        """The reward models' scores of each group's completions; none for a group that no model judges."""
        if self.learned is None:
            return [[] for _ in groups]
        judged = [place for place, group in enumerate(groups) if self.learned.judges(group.prompt.task)]
        found: list[list[float]] = [[] for _ in groups]
        for place, values in zip(judged, self.learned.score([groups[place] for place in judged]), strict=True):
            found[place] = values
        return found

    def _preferred(self, score: Score, value: float) -> Score:
        total = score.total + self.learned_weight * value
        return replace(score, total=total, parts={**score.parts, "preference": value})

    def evaluate(self, step: int, split: Split | None = None, limit: int | None = None) -> dict[str, Judged]:
        """Sample k completions for each held-out prompt, judge them, append to ``eval.jsonl``; by task.

        Split and limit are the config's where they are not given.
        """
        split = split or self.config.split
        found = {}
        for name in self.config.tasks or tuple(self.tasks):
            judged = found[name] = self.sample(name, split, limit)
            metrics = evaluate(
                judged.groups,
                judged.scores,
                judged.diagnostics,
                self.config.budgets,
                resamples=self.config.resamples,
                seed=self.config.seed,
            )
            seconds, model_reward = self.workspace.seconds, judged.model_reward
            line = {"step": step, "split": split, "seconds": seconds, **metrics, "model_reward": model_reward}
            self.workspace.append(self.log, [{**line, **self.labels}])
            lines = evaluation_lines(step, judged.groups, judged.scores, RECORDED_PROMPTS, RECORDED_EACH)
            self.workspace.append("rollouts", [{**line, **self.labels} for line in lines])
        return found

    def sample(self, name: str, split: Split, limit: int | None = None) -> Judged:
        """The same on every rank; each samples its share."""
        ranks = self.workspace.ranks
        prompts = self.tasks[name].held_out(split, limit or self.config.limit)
        mine = list(range(len(prompts)))[ranks.rank :: ranks.size]
        groups = sample_groups(
            self.engine,
            [prompts[i] for i in mine],
            self.render,
            Sampling(
                n=self.config.k,
                max_tokens=self.config.max_tokens or self.sampling.max_tokens,
                temperature=self.config.temperature,
                top_p=self.config.top_p,
                stop=self.sampling.stop,
            ),
            lambda index: stream_seed(self.workspace.seed, "evaluation", name, split, mine[index]),
        )
        scores, diagnostics = self.verifier.score_groups(groups), self.verifier.diagnose_groups(groups)
        judged = zip(mine, groups, scores, diagnostics, self._learned(groups), strict=True)
        everyone = sorted((item for share in ranks.gather_objects(list(judged)) for item in share), key=lambda i: i[0])
        if self.learned is not None:
            self.workspace.spend_read(self.learned.read(), evaluating=True)
        self.workspace.spend(evaluated=sum(len(one.token_ids) for item in everyone for one in item[1].completions))
        return Judged(
            groups=[item[1] for item in everyone],
            scores=[item[2] for item in everyone],
            diagnostics=[item[3] for item in everyone],
            model_reward=_mean([value for item in everyone for value in item[4]]),
        )


def accuracy_difference(
    one: Mapping[str, Any], other: Mapping[str, Any], config: EvaluationConfig, workspace: Workspace
) -> dict[str, Any]:
    """``one - other``, lines that ``config`` wrote of one task, paired by problem: see ``paired_difference``."""
    task = workspace.recipe.task(one["task"])
    clusters = [prompt.cluster for prompt in task.held_out(config.split, config.limit)]
    return paired_difference(one["per_problem"], other["per_problem"], clusters)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
