"""The head in chunks, against autograd over whole logits: plain, and as families that bias, scale and cap them."""

from __future__ import annotations

import pytest
import torch

from r1kit.model.finish import PLAIN, Finish
from r1kit.update.head import Head


@pytest.mark.parametrize("chunk", [3, 100])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("finish", [PLAIN, Finish(scale=0.25), Finish(cap=3.0), Finish(scale=2.0, cap=3.0)])
def test_log_probs_entropies_and_gradients_are_autograd_s(finish: Finish, biased: bool, chunk: int) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden, weight, bias, slopes = (
        torch.randn(*shape, generator=generator, requires_grad=True) for shape in ((7, 5), (11, 5), (11,), (7,))
    )
    targets = torch.randint(0, 11, (7,), generator=generator)
    logits = finish(hidden @ weight.T + (bias if biased else 0.0)) / 0.7
    distribution = torch.distributions.Categorical(logits=logits)
    wanted = distribution.log_prob(targets)
    (wanted * slopes.detach()).sum().backward()
    head = Head(weight.detach(), chunk, 0.7, finish, bias.detach() if biased else None)
    seen = []

    def slope(logprobs: torch.Tensor, entropy: torch.Tensor) -> torch.Tensor:
        seen.extend([logprobs, entropy])
        return slopes.detach()

    totals = torch.zeros(11, 5), torch.zeros(11) if biased else None
    grad = head.gradient(hidden.detach(), targets, slope, *totals)
    close = {"atol": 1e-5, "rtol": 1e-4}
    torch.testing.assert_close(seen[0], wanted.detach(), **close)
    torch.testing.assert_close(seen[1], distribution.entropy().detach(), **close)
    torch.testing.assert_close(grad, hidden.grad, **close)
    torch.testing.assert_close(totals[0], weight.grad, **close)
    if totals[1] is not None:
        torch.testing.assert_close(totals[1], bias.grad, **close)


def test_a_capped_logit_by_hand() -> None:
    """Two tokens with products 3 and 0 and a cap of 3: logits 3 tanh(1) = 2.2848 and 0; p of the first .9076."""
    head = Head(torch.tensor([[3.0], [0.0]]), 8, 1.0, Finish(cap=3.0))
    logprobs, _ = head.logprobs(torch.tensor([[1.0]]), torch.tensor([0]))
    assert logprobs.exp().item() == pytest.approx(0.9076, abs=1e-4)
