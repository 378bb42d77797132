"""Settings of a search, as recipes hold them. No torch here: ``r1 check`` reads this."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from r1kit.errors import InputError
from r1kit.search.steps import Steps

__all__ = ["Search"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Monte Carlo tree search over steps of an answer (R1 paper, section 4.2; AlphaZero, 1712.01815)."""

    steps: Steps = field(default_factory=lambda: Steps(marks=("</step>", "\n\n"), most=128))
    """What a step is; ``most`` bounds one that has no mark."""
    simulations: int = 32
    """A problem's walks from the root to a leaf, each of which expands the leaf or arrives at an ended chain."""
    children: int = 4
    """Steps that are drawn behind a node when it is expanded: the cap; equal ones are one child."""
    exploration: float = 1.0
    """``c`` of PUCT."""
    prior: Literal["policy", "uniform"] = "policy"
    """Of a child among its siblings: in proportion to how likely the policy finds the step, or all alike."""
    at_once: int = 4
    """Leaves of one problem in one wave, kept apart by virtual losses."""
    depth: int = 32
    """Most steps of a chain; one that has not ended by then has failed."""
    max_tokens: int = 512
    """Longest chain."""
    temperature: float = 1.0
    """Of the steps' sampling."""
    value: Literal["model", "rollouts", "none"] = "model"
    """What a leaf is worth: by a value model, by chains drawn from it to their end, or one half whatever it is."""
    rollouts: int = 2
    """Chains a leaf, with ``value = "rollouts"``."""
    answer: Literal["best", "vote"] = "best"
    """Of the chains that ended in the tree: the one worth most, or the answer whose chains are worth most together."""

    def __post_init__(self) -> None:
        for name in ("simulations", "children", "at_once", "depth", "max_tokens", "rollouts"):
            if getattr(self, name) < 1:
                raise InputError(f"search.{name} = {getattr(self, name)}: must be at least 1")
        if self.steps.most < 1:
            raise InputError("search.steps.most must be at least 1: a step that meets no mark has to end somewhere")
        if not self.exploration >= 0 or not self.temperature > 0:
            raise InputError(
                f"search: exploration = {self.exploration} must be at least 0 and temperature = {self.temperature} "
                f"above 0"
            )
