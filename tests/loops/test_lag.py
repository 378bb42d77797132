"""Which recipes may sample ahead of the learner."""

from __future__ import annotations

import pytest

from r1kit.checks import check_stages
from r1kit.errors import InputError
from r1kit.recipe import load_recipe

AHEAD = ("cluster.engines=1", "r1_zero.max_lag=2")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["r1_zero.max_lag=-1"], "r1_zero.max_lag = -1: must be at least 0"),
        (
            ["r1_zero.max_lag=2"],
            r"max_lag = 2 needs an engine that samples while .*set \[cluster\] engines = 1",
        ),
        (["r1_zero.order=ready"], 'r1_zero.order = "ready" says how to sample ahead; set max_lag above 0 too'),
        (["r1_zero.over_update=keep"], 'over_update = "keep" says how to sample ahead'),
        ([*AHEAD, "r1_zero.late=drop"], 'late = "drop" is for order = "ready"'),
        ([*AHEAD, "r1_zero.sampling.top_p=0.9"], "set sampling.top_p = 1 or max_lag = 0"),
        (
            [*AHEAD, "r1_zero.loss={clip_low=1.0}"],
            'no dual_clip and importance = "none" .*set loss.importance',
        ),
        (["r1_zero.loss={importance='masked', importance_cap=0.4}"], "importance_floor = 0.5 must be .* below"),
    ],
)
def test_what_cannot_be_corrected_for_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_stages(load_recipe("nano-zero", overrides))


@pytest.mark.parametrize(
    "loss", ["{}", "{preset='paper'}", "{clip_low=1.0, importance='masked'}", "{clip_low=1.0, dual_clip=3.0}"]
)
def test_what_bounds_the_ratio_to_the_sampler_may_lag(loss: str) -> None:
    check_stages(load_recipe("nano-zero", [*AHEAD, "r1_zero.old_logprobs=trainer", f"r1_zero.loss={loss}"]))
