"""Numbers worked out by hand, agreement with TRL's loss on random tensors, and REINFORCE's gradient on policy."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from trl import GRPOTrainer

from r1kit.maths.aggregate import token_weights
from r1kit.maths.loss_terms import LossTerms
from r1kit.maths.policy_loss import from_settings, importance_weight, policy_loss, row_mean, supervised_loss
from r1kit.maths.settings import PAPER, PolicyLoss


def terms(ratios: list[float], advantages: list[float], **more: Any) -> LossTerms:
    """Tokens with these ratios to the old policy, one row unless ``row_ids`` says otherwise."""
    old = torch.full((len(ratios),), -1.0)
    given = {
        "sampler_logprobs": None,
        "reference_logprobs": None,
        "row_ids": torch.zeros(len(ratios), dtype=torch.int64),
    } | more
    return LossTerms(
        logprobs=(old + torch.tensor(ratios).log()).requires_grad_(),
        old_logprobs=old,
        advantages=torch.tensor(advantages),
        **given,
    )


def test_clipped_surrogate_by_hand() -> None:
    given = terms([1.0, 1.5, 1.5, 0.5, 0.5], [2.0, 2.0, -2.0, 2.0, -2.0])
    loss, logged = policy_loss(given, clip_low=0.2, clip_high=0.28)
    assert loss.tolist() == pytest.approx([-2.0, -2.56, 3.0, -1.0, 1.6])
    assert logged["clip_share"].tolist() == [0, 1, 0, 0, 1]
    assert logged["ratio"].tolist() == pytest.approx([1.0, 1.5, 1.5, 0.5, 0.5])
    loss.sum().backward()
    assert given.logprobs.grad is not None
    assert given.logprobs.grad.tolist() == pytest.approx([-2.0, 0.0, 3.0, -1.0, 0.0])  # -ratio A, 0 where clipped


def test_the_papers_clip_of_ten_leaves_negative_advantages_to_the_dual_clip() -> None:
    given = terms([12.0, 12.0, 0.01, 2.0], [1.0, -1.0, -1.0, -1.0])
    loss, logged = policy_loss(given, clip_low=10, clip_high=10)  # range [-9, 11]
    assert loss.tolist() == pytest.approx([-11.0, 12.0, 0.01, 2.0])
    guarded, logged = from_settings(PolicyLoss(clip_low=10, clip_high=10, dual_clip=3.0))(given)
    assert guarded.tolist() == pytest.approx([-11.0, 3.0, 0.01, 2.0])
    assert logged["clip_share"].tolist() == [1, 1, 0, 0]


def test_a_clip_holds_the_gradient_however_far_the_policies_are() -> None:
    given = terms([1.0, 1.0, 1.0], [1.0, -1.0, 0.0])
    far = replace(given, old_logprobs=given.old_logprobs - 200)
    loss, _ = policy_loss(far, dual_clip=3.0)
    assert loss.tolist() == pytest.approx([-1.2, 3.0, 0.0])
    loss.sum().backward()
    assert given.logprobs.grad is not None
    assert given.logprobs.grad.tolist() == [0.0, 0.0, 0.0]


def test_sequence_ratio_by_hand() -> None:
    given = terms([2.0, 8.0, 3.0], [1.0, 1.0, -1.0], row_ids=torch.tensor([0, 0, 1]))
    loss, logged = policy_loss(given, clip_low=10, clip_high=10, ratio="sequence")
    assert logged["ratio"].tolist() == pytest.approx([4.0, 4.0, 3.0])  # geometric means
    assert loss.tolist() == pytest.approx([-4.0, -4.0, 3.0])
    (loss * torch.tensor([0.5, 0.5, 1.0])).sum().backward()
    assert given.logprobs.grad is not None
    assert given.logprobs.grad.tolist() == pytest.approx([-2.0, -2.0, 3.0])  # -s A / |o|


def test_truncated_importance_weighs_the_surrogate_and_not_the_kl() -> None:
    sampler = torch.full((2,), -1.0) - torch.tensor([math.log(1.5), math.log(4.0)])  # old / sampler = 1.5, 4
    reference = torch.full((2,), -1.0) + math.log(2)
    given = terms([1.0, 1.0], [1.0, 1.0], sampler_logprobs=sampler, reference_logprobs=reference)
    loss, logged = policy_loss(given, importance="truncated", importance_cap=2.0, kl_weight=0.5)
    kl = 2 - math.log(2) - 1
    assert loss.tolist() == pytest.approx([-1.5 + kl / 2, -2.0 + kl / 2])
    assert logged["kl"].tolist() == pytest.approx([kl, kl])
    assert logged["sampler_gap"].tolist() == pytest.approx([math.log(1.5), math.log(4.0)])


def test_row_mean_gives_each_token_its_rows_mean() -> None:
    assert row_mean(torch.tensor([1.0, 3.0, 5.0]), torch.tensor([0, 0, 1])).tolist() == [2.0, 2.0, 5.0]


def test_masked_importance_leaves_out_what_is_outside_the_bounds() -> None:
    """old / sampler = 0.4, 0.5, 1.5, 2, 2.1 within [0.5, 2]: the first and the last weigh nothing."""
    ratios = torch.tensor([0.4, 0.5, 1.5, 2.0, 2.1])
    given = terms([1.0] * 5, [1.0] * 5, sampler_logprobs=torch.full((5,), -1.0) - ratios.double().log())
    loss, logged = policy_loss(given, importance="masked", importance_cap=2.0001, importance_floor=0.4999)
    assert loss.tolist() == pytest.approx([0.0, -0.5, -1.5, -2.0, 0.0], abs=1e-6)
    assert logged["importance_cut_share"].tolist() == [1, 0, 0, 0, 1]
    loss.sum().backward()
    assert given.logprobs.grad is not None
    assert given.logprobs.grad.tolist() == pytest.approx([0.0, -0.5, -1.5, -2.0, 0.0], abs=1e-6)


@pytest.mark.parametrize("kind", ["truncated", "masked"])
def test_an_importance_weight_has_no_gradient(kind: Any) -> None:
    assert not importance_weight(torch.ones(2, requires_grad=True), kind, 2.0, 0.5).requires_grad


def test_supervised_loss_is_the_cross_entropy() -> None:
    assert supervised_loss(terms([1.0, 0.5], [1.0, -2.0]))[0].tolist() == pytest.approx([1.0, 1.0 + math.log(2)])


@pytest.mark.parametrize("ratio", ["token", "sequence"])
@pytest.mark.parametrize("settings", [{}, {"dual_clip": 3.0}, {"clip_low": 10, "clip_high": 10}])
def test_on_policy_the_gradient_is_reinforces(ratio: str, settings: dict[str, Any]) -> None:
    """With row-constant weights, d/d logp_t of the loss is -w A at every token, clipped or not."""
    lengths, advantages = [4, 1, 7], [0.7, -1.3, 0.4]
    weight = torch.tensor(token_weights(lengths, "sequence-mean")).repeat_interleave(torch.tensor(lengths))
    advantage = torch.tensor(advantages).repeat_interleave(torch.tensor(lengths))
    row_ids = torch.arange(3).repeat_interleave(torch.tensor(lengths))
    given = terms([1.0] * 12, advantage.tolist(), row_ids=row_ids)
    loss, _ = policy_loss(given, ratio=ratio, **settings)  # type: ignore[arg-type]
    (loss * weight).sum().backward()
    torch.testing.assert_close(given.logprobs.grad, -weight * advantage)


class TrlLoss:
    """As much of a GRPOTrainer as its ``_compute_loss`` reads, with log-probs given instead of a model."""

    def __init__(self, logprobs: Tensor, **changes: Any) -> None:
        self.logprobs = logprobs
        self.args = SimpleNamespace(delta=changes.pop("delta", None), use_bias_correction_kl=False)
        self.accelerator = SimpleNamespace(gather=lambda x: x, reduce=lambda x, reduction: x, num_processes=1)
        self.model = SimpleNamespace(training=False)
        self.aux_loss_enabled = self.use_vllm = self._entropy_bonus_enabled = False
        self.top_entropy_quantile, self.off_policy_mask_threshold = 1.0, None
        self.epsilon_low, self.epsilon_high, self.beta, self.max_completion_length = 0.2, 0.28, 0.04, 11
        self.importance_sampling_level, self.loss_type = "token", "grpo"
        self.vllm_importance_sampling_correction = True
        self._metrics: dict[str, dict[str, list[float]]] = {"eval": defaultdict(list)}
        self.__dict__ |= changes

    def _get_per_token_logps_and_entropies(self, *_: Any, **__: Any) -> tuple[Tensor, Tensor, None]:
        return self.logprobs, torch.zeros_like(self.logprobs), None

    def __call__(self, inputs: dict[str, Tensor]) -> Tensor:
        return GRPOTrainer._compute_loss(self, None, inputs)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("aggregate", "trl", "ours"),
    [
        ("sequence-mean", {"loss_type": "grpo"}, {}),
        ("constant", {"loss_type": "dr_grpo"}, {}),
        ("token-mean", {"loss_type": "bnpo"}, {}),
        ("token-mean", {"loss_type": "dapo"}, {}),
        ("sequence-mean", {"loss_type": "grpo", "importance_sampling_level": "sequence"}, {"ratio": "sequence"}),
        ("token-mean", {"loss_type": "bnpo", "delta": 1.4}, {"dual_clip": 1.4}),
        ("sequence-mean", {"use_vllm": True}, {"importance": "truncated", "importance_cap": 2.0}),
        ("sequence-mean", {"beta": 0.0}, {"kl_weight": 0.0}),
    ],
)
def test_equals_trls_loss_and_gradient_on_random_tensors(
    aggregate: str, trl: dict[str, Any], ours: dict[str, Any]
) -> None:
    g = torch.Generator().manual_seed(3)
    lengths = torch.tensor([5, 11, 1, 8, 3, 11])
    mask = (torch.arange(11) < lengths[:, None]).long()
    old, sampler, reference, start = (torch.randn(4, 6, 11, generator=g) * 0.3 - 2).unbind()
    advantages = torch.randn(6, generator=g)
    # rows 0-3 move as a whole to where their sign is clipped, 4 and 5 to where it is not
    start = start + (0.5 * advantages.sign() * torch.tensor([1, 1, 1, 1, -1, -1]))[:, None]

    theirs = start.clone().requires_grad_()
    inputs = {
        "prompt_ids": torch.zeros(6, 2, dtype=torch.int64),
        "prompt_mask": torch.ones(6, 2, dtype=torch.int64),
        "completion_ids": torch.zeros(6, 11, dtype=torch.int64),
        "completion_mask": mask,
        "advantages": advantages,
        "old_per_token_logps": old,
        "ref_per_token_logps": reference,
        "num_items_in_batch": mask.sum(),
        "importance_sampling_ratio": (old - sampler).exp().clamp(max=2.0),
    }
    expected = TrlLoss(theirs, **trl)(inputs)
    expected.backward()

    packed = mask.bool()
    flat = start[packed].requires_grad_()
    given = LossTerms(
        logprobs=flat,
        old_logprobs=old[packed],
        sampler_logprobs=sampler[packed],
        reference_logprobs=reference[packed],
        advantages=advantages.repeat_interleave(lengths),
        row_ids=torch.arange(6).repeat_interleave(lengths),
    )
    settings = {"clip_low": 0.2, "clip_high": 0.28, "kl_weight": 0.04} | ours
    loss, logged = policy_loss(given, **settings)
    weights = token_weights(lengths.tolist(), aggregate, constant=11)  # type: ignore[arg-type]
    total = (loss * torch.tensor(weights).repeat_interleave(lengths)).sum()
    total.backward()
    assert logged["clip_share"].any()
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)
    assert theirs.grad is not None
    torch.testing.assert_close(flat.grad, theirs.grad[packed])


def test_paper_settings_reach_the_loss() -> None:
    given = terms([12.0], [1.0], reference_logprobs=torch.tensor([-1.0]))
    loss, _ = from_settings(PAPER)(given)
    log_r = -math.log(12)
    assert loss.item() == pytest.approx(-11.0 + 0.001 * (math.exp(log_r) - log_r - 1), rel=1e-5)
