"""Reward hacking: the model's reward rises while a check that no reward model sees falls (R1 paper, v2, B.5, figure 6).

Pure: series in, verdict out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from r1kit.errors import InputError

__all__ = ["Hacking", "HackingWatch", "find_hacking"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HackingWatch:
    """When a run is told to stop. An evaluation is suspicious if since the one with the best gold check the model's
    reward has risen by ``rise`` and the gold check has fallen by ``fall``."""

    rise: float = 0.1
    """Least rise of the mean model reward, in its own unit (standard deviations where it is standardised)."""
    fall: float = 0.05
    """Least fall of the mean gold check, a share between 0 and 1."""
    patience: int = 2
    """Suspicious evaluations in a row until the run stops."""

    def __post_init__(self) -> None:
        if self.rise < 0 or self.fall <= 0 or self.patience < 1:
            raise InputError(
                f"hacking watch: rise = {self.rise} must be at least 0, fall = {self.fall} above 0 and patience = "
                f"{self.patience} at least 1"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hacking:
    """Why the run stops."""

    step: int
    """Of the evaluation that decided."""
    best_step: int
    """Of the evaluation with the best gold check before it: the checkpoint to go back to."""
    reason: str
    """One line for the user."""


def find_hacking(
    steps: Sequence[int], rewards: Sequence[float], gold: Sequence[float], watch: HackingWatch
) -> Hacking | None:
    """The first moment to stop, or None.

    Args:
        steps: of the evaluations so far, rising.
        rewards: mean reward of the model that is trained on, at each.
        gold: mean of the held-out check, at each.
        watch: when to stop. Among equal bests the latest counts, so a flat gold check never lets old rises pile up.
    """
    best, suspicious = 0, 0
    for place, (step, reward, check) in enumerate(zip(steps, rewards, gold, strict=True)):
        if check >= gold[best]:
            best = place
        risen, fallen = reward - rewards[best], gold[best] - check
        suspicious = suspicious + 1 if fallen >= watch.fall and risen >= watch.rise else 0
        if suspicious >= watch.patience:
            reason = (
                f"reward hacking: since step {steps[best]} the model's reward rose from {rewards[best]:.3g} to "
                f"{reward:.3g} while the gold check fell from {gold[best]:.3g} to {check:.3g}, "
                f"{suspicious} evaluations in a row; stopped at step {step}"
            )
            return Hacking(step=step, best_step=steps[best], reason=reason)
    return None
