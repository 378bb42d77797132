"""Evaluations of a policy: k completions for each held-out prompt, scored, summed up, written down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from r1kit.cluster.ranks import Ranks
from r1kit.evals.interval import paired_difference
from r1kit.evals.numbers import numbers
from r1kit.evals.settings import EvaluationConfig
from r1kit.evals.transcripts import Spell, evaluation_lines
from r1kit.records import Group, Prompt, Sampling, Score
from r1kit.rollout.engine import Engine
from r1kit.rollout.sample import sample_groups, unanswered
from r1kit.rollout.streams import stream_seed
from r1kit.tasks.task import Split, Task
from r1kit.workspace import Workspace

if TYPE_CHECKING:
    from r1kit.reward.scorer import Scorer

__all__ = ["Evaluation", "Evaluator", "accuracy_difference", "last_evaluation", "sample_evaluation"]

RECORDED_PROMPTS = 8
"""Held-out prompts whose completions are written out at every evaluation, to read side by side."""
RECORDED_EACH = 2

Render = Callable[[Prompt], Sequence[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """k completions for each prompt of a split, in the order of the prompts."""

    groups: list[Group]
    scores: list[list[Score]]
    """By the rules alone."""
    diagnostics: list[list[dict[str, float]]]
    model_reward: float | None = None
    """Mean score of the task's reward model, where it has one."""

    @property
    def tokens(self) -> int:
        """Sampled in all."""
        return sum(len(completion.token_ids) for group in self.groups for completion in group.completions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluator:
    """Holds what evaluations of one policy share, so that a loop only says when."""

    tasks: Mapping[str, Task]
    config: EvaluationConfig
    sampling: Sampling
    """The training one; evaluation takes its stop strings and length from it where its own are not set."""
    engine: Engine
    scorer: Scorer
    render: Render
    workspace: Workspace
    spell: Spell | None = None
    """Texts of tokens, which are kept with their log-probs of the completions that are written out; None: they are not.
    """

    def evaluate(
        self,
        step: int,
        split: Split | None = None,
        limit: int | None = None,
        *,
        config: EvaluationConfig | None = None,
        render: Render | None = None,
        log: str = "eval",
        labels: Mapping[str, str] | None = None,
    ) -> dict[str, Evaluation]:
        """Sample k completions for each held-out prompt of every task, score them, append to ``eval.jsonl``; by task.

        Args:
            step: of training that the policy stands at.
            split: and ``limit``: the config's where they are not given.
            config: in place of the evaluator's own.
            render: in place of the evaluator's own.
            log: ``NN_STAGE/LOG.jsonl`` that the numbers go to.
            labels: what else a line says, for example which checkpoint.
        """
        config = config or self.config
        split = split or config.split
        found = {}
        for name in config.tasks or tuple(self.tasks):
            one = found[name] = self._sample(name, split, limit, config, render or self.render)
            metrics = numbers(
                one.groups,
                one.scores,
                one.diagnostics,
                config.budgets,
                resamples=config.resamples,
                seed=config.seed,
            )
            if long := sum(map(unanswered, one.groups)):
                metrics["long_prompts"] = long
                self.workspace.say_once(
                    f"long {split} {name}",
                    f"{self.workspace.stage}: {long} of {len(one.groups)} {split} prompts of {name} leave no room for "
                    f"{config.draws(self.sampling).max_tokens} tokens in the model's positions; they count as wrong",
                )
            line = {"step": step, "split": split, "seconds": self.workspace.seconds, **metrics}
            self.workspace.append(log, [{**line, "model_reward": one.model_reward, **(labels or {})}])
            lines = evaluation_lines(step, one.groups, one.scores, RECORDED_PROMPTS, RECORDED_EACH, self.spell)
            self.workspace.append("rollouts", [{**line, **(labels or {})} for line in lines])
        return found

    def _sample(
        self, name: str, split: Split, limit: int | None, config: EvaluationConfig, render: Render
    ) -> Evaluation:
        found = sample_evaluation(
            self.tasks[name].held_out(split, limit or config.limit),
            config.draws(self.sampling),
            self.engine,
            self.scorer,
            render,
            lambda index: stream_seed(self.workspace.seed, "evaluation", name, split, index),
            self.workspace.ranks,
        )
        for row in found.scores:
            self.workspace.complaints.add(row)
        self.workspace.spend(evaluated=found.tokens)
        self.workspace.spend_read(self.scorer.read(), evaluating=True)
        return found


def sample_evaluation(
    prompts: Sequence[Prompt],
    sampling: Sampling,
    engine: Engine,
    scorer: Scorer,
    render: Render,
    seed_of: Callable[[int], int],
    ranks: Ranks,
) -> Evaluation:
    """The same on every rank; each samples and scores its share of the prompts.

    Args:
        prompts: held out, of one task.
        sampling: how to draw, n completions a prompt.
        engine: with the policy's weights.
        scorer: what scores; reward models are asked, their scores kept apart.
        render: prompt -> token ids.
        seed_of: place of a prompt -> its seed, whichever rank samples it.
        ranks: among which the prompts are shared.
    """
    mine = list(range(len(prompts)))[ranks.rank :: ranks.size]
    groups = sample_groups(engine, [prompts[i] for i in mine], render, sampling, lambda index: seed_of(mine[index]))
    scores, diagnostics = scorer.verifier.score_groups(groups), scorer.verifier.diagnose_groups(groups)
    own = zip(mine, groups, scores, diagnostics, scorer.model_scores(groups), strict=True)
    everyone = sorted((item for share in ranks.gather_objects(list(own)) for item in share), key=lambda item: item[0])
    return Evaluation(
        groups=[item[1] for item in everyone],
        scores=[item[2] for item in everyone],
        diagnostics=[item[3] for item in everyone],
        model_reward=_mean([value for item in everyone for value in item[4]]),
    )


# ---- what evaluations wrote -----------------------------------------------------------------------------------------


def last_evaluation(workspace: Workspace) -> dict[str, Any]:
    """Newest line of ``eval.jsonl`` for each task, by name."""
    return {line["task"]: line for line in workspace.read("eval")}


def accuracy_difference(
    one: Mapping[str, Any], other: Mapping[str, Any], config: EvaluationConfig, workspace: Workspace
) -> dict[str, Any]:
    """``one - other``, lines that ``config`` wrote of one task, paired by problem: see ``paired_difference``."""
    task = workspace.recipe.task(one["task"])
    clusters = [prompt.cluster for prompt in task.held_out(config.split, config.limit)]
    return paired_difference(one["per_problem"], other["per_problem"], clusters)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
