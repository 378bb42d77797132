"""Small panels of everything that the steps of a stage logged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import plotly.graph_objects as go  # type: ignore[import-untyped]

from r1kit.report.draw.figures import panel, time_split
from r1kit.report.read.series import Series
from r1kit.report.read.wording import plainly

__all__ = ["panels", "rl_panels", "unchanged"]

Panel = tuple[go.Figure, str, str]
"""A figure, its title, and a word on it."""

RL_PANELS: Sequence[tuple[str, str, Mapping[str, str]]] = (
    (
        "Reward and its parts",
        "mean over the step's samples; the reward is their weighted sum",
        {"reward": "reward", "accuracy": "accuracy", "format": "format", "language": "language"},
    ),
    ("Entropy", "of the policy, nats a token; near 0 it explores no more", {"entropy": "entropy"}),
    ("KL to the reference", "k3 estimate, nats a token", {"kl": "KL"}),
    ("Clip share", "tokens whose ratio was clipped", {"clip_share": "clip share"}),
    ("Flat groups", "all answers equally good or bad: no gradient", {"flat_group_share": "flat groups"}),
    (
        "Cut, ungradable, timed out",
        "shares of the samples",
        {"truncated_share": "cut", "ungradable_share": "ungradable", "timeout_share": "timed out"},
    ),
    ("Sampler–learner gap", "between the two log-probs of a token, nats", {"sampler_gap": "sampler–learner gap"}),
    ("Largest ratio", "of new to old probability of a token", {"ratio_max": "largest ratio"}),
    ("Gradient norm", "before clipping", {"grad_norm": "gradient norm"}),
    ("Loss", "its value says little in RL; its jumps do", {"loss": "loss"}),
    ("Learning rate", "", {"lr": "learning rate"}),
    ("Tokens per second", "sampled and learned, the whole step", {"tokens_per_second": "tokens/s"}),
)
WHOLE_SCALE = "flat_group_share"
"""A share that is drawn from 0 to 1."""
ELSEWHERE = {
    "step",
    "seconds",
    "response_tokens",
    "tokens",
    "ratio",
    "sample_seconds",
    "score_seconds",
    "update_seconds",
}
"""Drawn in another figure, or of no use over steps."""
NAMES = {key: name for _, _, names in RL_PANELS for key, name in names.items()}


def rl_panels(metrics: Mapping[str, Series]) -> Iterator[Panel]:
    """What RL steps log, in the order of ``RL_PANELS``, then any other field, then where the time went."""
    for title, text, names in RL_PANELS:
        if drawn := panel(metrics, names, shares=WHOLE_SCALE in names):
            yield drawn, title, text
    yield from panels({key: line for key, line in metrics.items() if key not in NAMES})
    if drawn := time_split(metrics):
        yield drawn, "Seconds of a step", "sampling, scoring, updating"


def panels(metrics: Mapping[str, Series]) -> Iterator[Panel]:
    """One for each field that varies."""
    for key in metrics:
        if key not in ELSEWHERE and (drawn := panel(metrics, {key: key})):
            yield drawn, key.replace("_", " ").capitalize(), ""


def unchanged(constants: Mapping[str, float], *, everything: bool = False) -> str:
    """``KL 0, clip share 0``: fields that never move and so have no line; those that RL steps log, or all."""
    names = {key: key.replace("_", " ") for key in constants if key not in ELSEWHERE} if everything else NAMES
    return ", ".join(f"{name} {plainly(constants[key])}" for key, name in names.items() if key in constants)
