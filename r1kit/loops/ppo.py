"""PPO's credit: a value model foretells what is still earned, and the KL to the reference is paid token by token.

The loop, the learner, the engine, the rewards and the clipped loss are GRPO's; this is what stands in the place of the
group (R1 paper, v2, appendix A.3; PPO, 1707.06347; per-token KL in the reward as in InstructGPT, 2203.02155).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from r1kit.loops.dealing import Drawn
from r1kit.loops.rl import rows_of
from r1kit.maths.aggregate import token_weights
from r1kit.maths.gae import advantages_and_returns, explained_variance, whitened
from r1kit.records import Group
from r1kit.resume import Resumable
from r1kit.rollout.streams import stream_seed
from r1kit.update.learner import Batch, Row

if TYPE_CHECKING:
    from r1kit.loops.policy import Policy
    from r1kit.loops.ppo_settings import PPO
    from r1kit.update.critic import Critic

__all__ = ["ActorCritic"]


@dataclass(frozen=True, slots=True)
class _Told:
    """Of a step's completions, in the order of its groups."""

    batch: Batch
    """Every completion; weights do not count here."""
    values: list[Tensor]
    returns: list[Tensor]


class ActorCritic:
    """See ``loops.credit.Credit``. Holds what it foretold of a step between ``advantages`` and ``learn``."""

    def __init__(self, config: PPO, policy: Policy, critic: Critic) -> None:
        self._config, self._policy, self._critic = config, policy, critic
        self._told: _Told | None = None
        self._metrics: dict[str, float] = {}

    def advantages(self, drawn: Drawn, step: int) -> list[list[Tensor]]:
        """float32 [n] of every completion; 0 while the value model warms up, so that the policy stands still."""
        config, learner = self._config, self._policy.learner
        batch = _batch(drawn.groups)
        values = self._critic.values(batch)
        penalties = [torch.zeros(len(row.tokens)) for row in batch.rows]
        self._metrics = {}
        if config.reward_kl:
            if self._is_due(step):
                learner.refresh_reference()
            both = zip(learner.logprobs(batch), learner.reference_logprobs(batch), strict=True)
            gaps = [own - reference for own, reference in both]
            penalties = [-config.reward_kl * gap for gap in gaps]
            self._metrics = {
                "reference_gap": float(torch.cat(gaps).mean()),
                "kl_paid": -float(sum(float(one.sum()) for one in penalties)) / len(penalties),
            }
        scores = [score.total for group in drawn.scores for score in group]
        found = [
            advantages_and_returns(_paid(kl, score), v, discount=config.discount, gae_lambda=config.gae_lambda)
            for kl, score, v in zip(penalties, scores, values, strict=True)
        ]
        self._told = _Told(batch, values, [returns for _, returns in found])
        self._policy.workspace.spend(read=sum(drawn.loads) * (3 if config.reward_kl else 1))
        advantages = [one for one, _ in found]
        if config.whiten:
            advantages = whitened(advantages)
        if step < config.value_warmup:
            advantages = [torch.zeros_like(one) for one in advantages]
        rest = iter(advantages)
        return [[next(rest) for _ in group.completions] for group in drawn.groups]

    def learn(self, drawn: Drawn, step: int) -> dict[str, float]:
        """The value model's updates: as many, of the same rows, as the policy's."""
        assert self._told is not None
        config, told = self._config, self._told
        foretold = explained_variance(told.values, told.returns)
        seed = stream_seed(self._policy.workspace.seed, "minibatches", step)
        found: list[dict[str, float]] = []
        total = config.steps * config.minibatches
        for index, (places, batch) in enumerate(_minibatches(told.batch, drawn.groups, config, seed)):
            lr = config.schedule.rate(step * config.minibatches + index, total, config.value_lr)
            old, returns = ([each[place] for place in places] for each in (told.values, told.returns))
            found.append(self._critic.fit(batch, old, returns, config.value_clip, lr))
        self._policy.workspace.spend(trained=sum(drawn.loads))
        self._told = None
        metrics = {name: sum(one[name] for one in found) / len(found) for name in found[0]}
        mean = float(torch.cat(told.values).mean())
        return {**self._metrics, **metrics, "explained_variance": foretold, "value_mean": mean}

    @property
    def learners(self) -> tuple[Critic, ...]:
        return (self._critic,)

    def beside(self, state: Resumable) -> Resumable:
        return _Beside(state, self._critic)

    def _is_due(self, step: int) -> bool:
        """Whether the reference is set anew before this step, every ``reference_every`` updates."""
        first, every = step * self._config.minibatches, self._config.reference_every
        return step == 0 or first // every > (first - self._config.minibatches) // every


class _Beside:
    """The policy's state and the value model's, in one folder."""

    def __init__(self, state: Resumable, critic: Critic) -> None:
        self._state, self._critic = state, critic

    def save(self, folder: Path) -> None:
        self._state.save(folder)
        self._critic.save(folder / "critic")

    def load(self, folder: Path) -> None:
        self._state.load(folder)
        self._critic.load(folder / "critic")


def _batch(groups: Sequence[Group]) -> Batch:
    """Every completion, in order."""
    rows = [
        Row(prompt=place, tokens=torch.tensor(one.token_ids), weight=1.0, experts=one.experts)
        for place, group in enumerate(groups)
        for one in group.completions
    ]
    return Batch(prompts=[torch.tensor(group.prompt_ids) for group in groups], rows=rows)


def _minibatches(
    whole: Batch, groups: Sequence[Group], config: PPO, seed: int
) -> Iterator[tuple[list[int], Batch]]:  # fmt: skip
    """The policy's minibatches: places among all completions, and the batch with each row's weight."""
    starts = [0, *accumulate(len(group.completions) for group in groups)]
    for chosen, total in zip(*rows_of(groups, config, seed), strict=True):
        places = [starts[g] + i for g, i in chosen]
        lengths = [len(whole.rows[place].tokens) for place in places]
        weights = token_weights(lengths, config.loss.aggregate, constant=config.sampling.max_tokens, batch=total)
        rows = [replace(whole.rows[place], weight=weight) for place, weight in zip(places, weights, strict=True)]
        yield places, replace(whole, rows=rows)


def _paid(penalties: Tensor, score: float) -> Tensor:
    """Each token's KL, and at the last one what the completion earned."""
    paid = penalties.clone()
    paid[-1] += score
    return paid
