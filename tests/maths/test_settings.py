from __future__ import annotations

import subprocess
import sys

import pytest

from r1kit.checks import check_stages
from r1kit.errors import InputError
from r1kit.maths.settings import MODERN, PAPER, PolicyLoss
from r1kit.recipe import load_recipe


def test_presets_say_what_the_papers_say() -> None:
    assert (PAPER.clip_low, PAPER.clip_high, PAPER.kl_weight, PAPER.aggregate) == (10, 10, 0.001, "sequence-mean")
    assert (MODERN.clip_low, MODERN.clip_high, MODERN.kl_weight, MODERN.aggregate) == (0.2, 0.28, 0, "token-mean")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, ""),
        ({"clip_low": -1.0}, "clip_low = -1.0 must not be negative"),
        ({"clip_high": -0.5}, "clip_high = -0.5 must not be negative"),
        ({"kl_weight": float("nan")}, "kl_weight = nan must not be negative"),
        ({"dual_clip": 0.5}, "dual_clip = 0.5 must be above 1"),
        ({"kl_value_clamp": 0.0}, "kl_value_clamp = 0.0 must be above 0"),
    ],
)
def test_what_would_turn_the_loss_round_is_told(settings: dict[str, float], told: str) -> None:
    assert PolicyLoss(**settings).wrong() == told  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"stages.r1_zero.loss.clip_high = -1.0 must not be negative"):
        check_stages(load_recipe("nano-zero", ["r1_zero.loss.clip_high=-1"]))


def test_settings_come_without_torch() -> None:
    code = "import r1kit.maths.settings, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
