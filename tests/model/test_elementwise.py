from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from r1kit.model import elementwise
from r1kit.model.elementwise import rms_norm, swiglu


@pytest.fixture(params=[1 << 18, 16])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows at once, and few at a time."""
    monkeypatch.setattr(elementwise, "BLOCK", request.param)


def gradients(out: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
    weight = torch.linspace(-1, 1, out.numel()).view_as(out)
    return torch.autograd.grad((out * weight).sum(), leaves)


@pytest.mark.usefixtures("block")
def test_rms_norm_is_torchs() -> None:
    x = torch.randn(7, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    norm = nn.RMSNorm(6, eps=1e-3)
    nn.init.uniform_(norm.weight)
    ours, theirs = rms_norm(x, norm), norm(x)
    torch.testing.assert_close(ours, theirs)
    for found, expected in zip(gradients(ours, x, norm.weight), gradients(theirs, x, norm.weight), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.usefixtures("block")
def test_swiglu_is_silu_times_up() -> None:
    x = torch.randn(7, 12, generator=torch.Generator().manual_seed(0)).requires_grad_()
    ours, theirs = swiglu(x), F.silu(x[:, :6]) * x[:, 6:]
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradients(ours, x)[0], gradients(theirs, x)[0])
