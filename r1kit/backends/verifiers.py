"""The verifier's processes, for the tasks of a stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from r1kit.reward.settings import RewardConfig
from r1kit.reward.verifier import Verifier
from r1kit.tasks import Spec

__all__ = ["open_verifier"]


def open_verifier(
    tasks: Iterable[str], known: Mapping[str, Spec], reward: RewardConfig, deadline: float = 10.0,
    rewards: Mapping[str, RewardConfig] | None = None,
) -> Verifier:  # fmt: skip
    """A verifier of some of a recipe's tasks.

    Args:
        tasks: by name.
        known: the recipe's tasks, name -> kind and plain settings.
        reward: what every task is paid.
        deadline: seconds for one completion.
        rewards: what a task is paid instead.
    """
    configs = {name: known[name] for name in tasks}
    return Verifier(configs, {**dict.fromkeys(configs, reward), **(rewards or {})}, deadline_seconds=deadline)
