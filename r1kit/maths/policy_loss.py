"""The loss of a token: GRPO's clipped surrogate and its published corrections, and plain cross-entropy.

Every function takes ``LossTerms`` (M tokens, flat) and returns the loss of each token [M], not yet weighted
(``aggregate.py`` gives the weights), and detached per-token quantities [M] to log.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from r1kit.maths import kl
from r1kit.maths.loss_terms import LossTerms, TokenLoss
from r1kit.maths.settings import Importance, KlEstimator, PolicyLoss, Ratio

__all__ = ["from_settings", "importance_weight", "policy_loss", "row_mean", "supervised_loss"]

MOST_LOG_RATIO = 20.0
"""Largest log of a ratio that the loss sees (verl's bound). Above 88 a ratio is infinite in float32, and the zero
gradient of a clip times infinity is not a number."""


def policy_loss(
    terms: LossTerms,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    dual_clip: float | None = None,
    kl_weight: float = 0.0,
    kl_estimator: KlEstimator = "k3",
    kl_input_clamp: float | None = None,
    kl_value_clamp: float | None = None,
    ratio: Ratio = "token",
    importance: Importance = "none",
    importance_cap: float = 2.0,
    importance_floor: float = 0.5,
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """``-min(rho A, clip(rho, 1 - clip_low, 1 + clip_high) A) + kl_weight KL`` (R1 paper, equations 1 and 2).

    With ``ratio="token"`` rho is the token's own ratio (DeepSeekMath, 2402.03300); with ``"sequence"`` it is GSPO's
    ``s_i = exp(mean_t(log policy - log old))`` (2507.18071) at every token of the row, the gradient going through the
    mean. The paper's clip 10 is the range [-9, 11]: its lower bound never binds, so a negative advantage is never
    clipped; ``dual_clip`` c (1912.09729) then bounds the loss by ``c abs(A)``. ``importance`` multiplies the
    surrogate, not the KL, by ``importance_weight``.

    Logged: ``ratio``, ``clip_share`` (1 where the clip cut the gradient), and when the log-probs are there ``kl``,
    ``sampler_gap`` = abs(old - sampler) and ``importance_cut_share`` (1 where the importance weight is not the ratio).
    """
    log_ratio = terms.logprobs - terms.old_logprobs
    if ratio == "sequence":
        log_ratio = row_mean(log_ratio, terms.row_ids)
    rho, advantage = log_ratio.clamp(max=MOST_LOG_RATIO).exp(), terms.advantages
    plain, clipped = rho * advantage, rho.clamp(1 - clip_low, 1 + clip_high) * advantage
    surrogate = torch.minimum(plain, clipped)
    cut = clipped < plain
    if dual_clip is not None:
        bound = dual_clip * advantage
        below = (advantage < 0) & (surrogate < bound)
        surrogate, cut = torch.where(below, bound, surrogate), cut | below
    loss = -surrogate
    logged = {"ratio": rho.detach(), "clip_share": cut.float()}
    if terms.sampler_logprobs is not None:
        logged["sampler_gap"] = (terms.old_logprobs - terms.sampler_logprobs).abs()
        if importance != "none":
            exact = (terms.old_logprobs - terms.sampler_logprobs).exp()
            weight = importance_weight(exact, importance, importance_cap, importance_floor)
            loss, logged["importance_cut_share"] = loss * weight, (weight != exact).float()
    if terms.reference_logprobs is not None:
        value = _kl(terms, kl_estimator, kl_input_clamp, kl_value_clamp)
        logged["kl"] = value.detach()
        if kl_weight:
            loss = loss + kl_weight * value
    return loss, logged


def from_settings(settings: PolicyLoss) -> TokenLoss:
    """``policy_loss`` with a recipe's settings filled in."""
    return partial(
        policy_loss,
        clip_low=settings.clip_low,
        clip_high=settings.clip_high,
        dual_clip=settings.dual_clip,
        kl_weight=settings.kl_weight,
        kl_estimator=settings.kl_estimator,
        kl_input_clamp=settings.kl_input_clamp,
        kl_value_clamp=settings.kl_value_clamp,
        ratio=settings.ratio,
        importance=settings.importance,
        importance_cap=settings.importance_cap,
        importance_floor=settings.importance_floor,
    )


def supervised_loss(terms: LossTerms) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Cross-entropy, ``-log policy`` [M]: pretraining and supervised fine-tuning. Nothing more to log."""
    return -terms.logprobs, {}


def row_mean(x: Tensor, row_ids: Tensor) -> Tensor:
    """Mean over each row's tokens, given back at each token: [M] -> [M]."""
    rows = int(row_ids[-1]) + 1
    count = torch.bincount(row_ids, minlength=rows)
    total = torch.zeros(rows, dtype=x.dtype, device=x.device).index_add(0, row_ids, x)
    return (total / count)[row_ids]


def importance_weight(ratio: Tensor, kind: Importance, cap: float, floor: float) -> Tensor:
    """Weight [M] of tokens whose old policy is not quite their sampler, from old / sampler [M]; no gradient.

    ``truncated``: ``min(ratio, cap)`` (TIS, as verl has it). ``masked``: the ratio, and 0 outside ``[floor, cap]``
    (IcePop, Ring-1T report, 2510.18855): what the two see too differently is not learnt from.
    """
    if kind == "truncated":
        return ratio.detach().clamp(max=cap)
    return ratio.detach().where((ratio >= floor) & (ratio <= cap), 0.0)


def _kl(terms: LossTerms, estimator: KlEstimator, input_clamp: float | None, value_clamp: float | None) -> Tensor:
    assert terms.reference_logprobs is not None
    if estimator == "k1":
        return kl.k1(terms.logprobs, terms.reference_logprobs)
    if estimator == "k2":
        return kl.k2(terms.logprobs, terms.reference_logprobs)
    return kl.k3(terms.logprobs, terms.reference_logprobs, input_clamp=input_clamp, value_clamp=value_clamp)
