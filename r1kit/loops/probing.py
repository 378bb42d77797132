"""One model, sampled plainly, with drafts and with its experts told; then read by a learner, with and without replay.

The completions that are read are the same ones, so the two gaps differ by routing alone. They are read by the weights
that wrote them: the ratio of learner's and engine's probability of a token would be 1 if both rounded alike.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from r1kit.backends.engines import open_local
from r1kit.backends.models import LoadedModel
from r1kit.cluster.settings import Local
from r1kit.errors import InputError
from r1kit.model.decoder import Decoder
from r1kit.records import Completion, Prompt, Sampling
from r1kit.rollout.local import LocalEngine
from r1kit.rollout.streams import stream_seed
from r1kit.update.learner import Batch, Row
from r1kit.update.local import DTYPES, LearnerSettings, LocalLearner
from r1kit.update.settings import Dtype
from r1kit.workspace import Workspace

__all__ = ["gap_of", "probed"]

OFF = 0.1
"""A ratio further from 1 is counted."""

Completions = Sequence[Sequence[Completion]]


def probed(
    loaded: LoadedModel, prompts: Sequence[Prompt], sampling: Sampling, dtype: Dtype, rows: int, workspace: Workspace
) -> dict[str, float]:
    """Metrics of one model in one dtype, see ``docs/metrics.md``; rank 0's, on every rank.

    Raises:
        InputError: the local engine cannot run the model.
    """
    if not isinstance(loaded.model, Decoder):
        raise InputError(f"stage {workspace.stage} samples with the local engine, which cannot run this model")
    own: tuple[dict[str, float], int] | None = None
    if workspace.is_writer:
        own = _probed(loaded, loaded.model, prompts, sampling, dtype, rows, workspace.seed)
    found: tuple[dict[str, float], int] = workspace.ranks.broadcast_object(own)
    metrics, tokens = found
    passes = 1 + ("draft_hit_share" in metrics) + ("replay_gap" in metrics)
    workspace.spend(evaluated=tokens * passes, read=tokens * passes, evaluating=True)
    return metrics


def _probed(
    loaded: LoadedModel, model: Decoder, prompts: Sequence[Prompt], sampling: Sampling, dtype: Dtype, rows: int,
    seed: int,
) -> tuple[dict[str, float], int]:  # fmt: skip
    asked = [list(loaded.render(prompt)) for prompt in prompts]
    seeds = [stream_seed(seed, "probe", place) for place in range(len(prompts))]

    def sampled(settings: Local) -> tuple[Completions, float, LocalEngine]:
        engine = open_local(loaded, dtype=DTYPES[dtype], max_rows=rows, settings=settings)
        assert isinstance(engine, LocalEngine)
        began = time.monotonic()
        completions = engine.generate(asked, sampling, seeds)
        return completions, time.monotonic() - began, engine

    plain, seconds, _ = sampled(Local())
    tokens = sum(len(one.token_ids) for group in plain for one in group)
    metrics = {"response_tokens": tokens / sum(map(len, plain)), "tokens_per_second": tokens / seconds}
    if model.config.ahead:
        drafted, seconds, engine = sampled(Local(draft=True))
        made, hit = engine.drafts
        count = sum(len(one.token_ids) for group in drafted for one in group)
        metrics |= {"draft_hit_share": hit / max(1, made), "drafted_tokens_per_second": count / seconds}
    told = sampled(Local(replay=True))[0] if model.config.experts else plain
    learner = LocalLearner(model, LearnerSettings(dtype=dtype, temperature=sampling.temperature or 1.0))
    batch = _batch(asked, told)
    without = replace(batch, rows=[replace(row, experts=None) for row in batch.rows])
    metrics |= gap_of(learner.logprobs(without), told, "engine")
    if model.config.experts:
        metrics |= gap_of(learner.logprobs(batch), told, "replay")
    return metrics, tokens


def _batch(prompts: Sequence[Sequence[int]], completions: Completions) -> Batch:
    rows = [
        Row(prompt=place, tokens=torch.tensor(one.token_ids), weight=1.0, experts=one.experts)
        for place, group in enumerate(completions)
        for one in group
    ]
    return Batch(prompts=[torch.tensor(prompt) for prompt in prompts], rows=rows)


def gap_of(read: Sequence[Tensor], completions: Completions, name: str) -> dict[str, float]:
    """How far a learner's log-probs [n] of each completion are from the engine's: mean and largest, in nats a token;
    the share of tokens whose ratio is further than a tenth from 1."""
    told = [torch.tensor(one.logprobs) for group in completions for one in group]
    off = torch.cat([own - engine for own, engine in zip(read, told, strict=True)])
    return {
        f"{name}_gap": float(off.abs().mean()),
        f"{name}_gap_max": float(off.abs().max()),
        f"{name}_off_share": float(((off.exp() - 1).abs() > OFF).float().mean()),
    }
