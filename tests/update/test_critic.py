"""The value model against a dense computation of the same, row by row."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from r1kit.maths.gae import value_loss
from r1kit.model.decoder import Decoder, DecoderConfig
from r1kit.model.segments import Segments
from r1kit.update.critic import HEAD, Critic
from r1kit.update.learner import Batch, Row
from r1kit.update.local import LearnerSettings
from r1kit.update.settings import OptimiserSettings

SHAPE = DecoderConfig(
    vocab_size=12, hidden_size=16, intermediate_size=32, num_layers=1, num_heads=2, num_kv_heads=2, head_dim=8
)
SETTINGS = LearnerSettings(optimiser=OptimiserSettings(lr=1e-2), token_budget=24)
PROMPTS = [torch.tensor([1, 2, 3]), torch.tensor([1, 5])]
ROWS = [(0, [4, 5, 6, 7]), (0, [8]), (1, [9, 3, 2]), (1, [7, 7, 7, 7, 7])]


def model() -> Decoder:
    made = Decoder(SHAPE)
    made.initialise(torch.Generator().manual_seed(5))
    return made


def batch(weight: float = 0.1) -> Batch:
    return Batch(prompts=PROMPTS, rows=[Row(prompt=p, tokens=torch.tensor(t), weight=weight) for p, t in ROWS])


def dense(decoder: Decoder, head: Tensor) -> list[Tensor]:
    """The same without packing: each row alone with its prompt."""
    found = []
    for prompt, tokens in ROWS:
        run = torch.cat([PROMPTS[prompt], torch.tensor(tokens)])[:-1]
        hidden = decoder.hidden(Segments.pack([run], [-1]))
        found.append((hidden @ head[:-1] + head[-1])[len(PROMPTS[prompt]) - 1 :])
    return found


def test_values_begin_at_nothing_and_are_of_the_text_before_each_token() -> None:
    critic = Critic(model(), SETTINGS)
    assert all(not values.any() for values in critic.values(batch()))
    head = torch.randn(SHAPE.hidden_size + 1, generator=torch.Generator().manual_seed(2))
    getattr(critic.flat.model, HEAD).data.copy_(head)
    for own, wanted in zip(critic.values(batch()), dense(model(), head), strict=True):
        assert own.tolist() == pytest.approx(wanted.tolist(), abs=1e-5)


def test_one_update_is_adamw_on_the_dense_loss() -> None:
    head = torch.randn(SHAPE.hidden_size + 1, generator=torch.Generator().manual_seed(2)) * 0.3
    old = [torch.linspace(-1, 1, len(tokens)) for _, tokens in ROWS]
    returns = [torch.full((len(tokens),), float(i)) for i, (_, tokens) in enumerate(ROWS)]
    critic = Critic(model(), SETTINGS)
    getattr(critic.flat.model, HEAD).data.copy_(head)
    told = critic.fit(batch(), old, returns, 0.2, 1e-2)

    plain, own = model(), torch.nn.Parameter(head.clone())
    losses = [value_loss(v, o, r, 0.2) for v, o, r in zip(dense(plain, own), old, returns, strict=True)]
    total = sum((loss.sum() * 0.1 for loss, _ in losses), torch.zeros(()))
    total.backward()  # type: ignore[no-untyped-call]
    weights = [*(one for one in plain.parameters() if one.grad is not None), own]
    norm = float(torch.nn.utils.clip_grad_norm_(weights, 1.0))
    torch.optim.AdamW(weights, lr=1e-2, betas=(0.9, 0.95), weight_decay=0.0).step()
    assert told["value_loss"] == pytest.approx(float(total.detach()), rel=1e-5)
    assert told["value_grad_norm"] == pytest.approx(norm, rel=1e-4)
    assert told["value_clip_share"] == pytest.approx(float(torch.cat([cut for _, cut in losses]).mean()))
    for name, value in plain.named_parameters():
        torch.testing.assert_close(dict(critic.flat.model.named_parameters())[name], value, atol=2e-5, rtol=1e-3)
    torch.testing.assert_close(getattr(critic.flat.model, HEAD), own, atol=2e-5, rtol=1e-3)


def test_goes_on_bit_for_bit(tmp_path: Path) -> None:
    returns = [torch.ones(len(tokens)) for _, tokens in ROWS]
    critic, other = Critic(model(), SETTINGS), Critic(model(), SETTINGS)

    def update(one: Critic) -> None:
        one.fit(batch(), one.values(batch()), returns, None, 1e-2)

    update(critic)
    critic.save(tmp_path / "state")
    other.load(tmp_path / "state")
    update(critic)
    update(other)
    assert torch.equal(critic.flat.master, other.flat.master)
