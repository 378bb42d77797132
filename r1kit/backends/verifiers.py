"""The verifier's processes, for the tasks of a stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from r1kit.cluster.cores import cores_left
from r1kit.cluster.ranks import Ranks, Solo
from r1kit.contracts import Recipe
from r1kit.reward.settings import RewardConfig
from r1kit.reward.verifier import Verifier

__all__ = ["open_verifier"]


def open_verifier(
    tasks: Iterable[str], recipe: Recipe, reward: RewardConfig, deadline: float = 10.0,
    rewards: Mapping[str, RewardConfig] | None = None, workers: int = 0, ranks: Ranks | None = None,
    opens: bool = False,
) -> Verifier:  # fmt: skip
    """A verifier of some of a recipe's tasks.

    Args:
        tasks: by name.
        recipe: that has them.
        reward: what every task is paid.
        deadline: seconds for one completion.
        rewards: what a task is paid instead.
        workers: processes; 0: one a core that the ranks leave over, at least 1.
        ranks: that share this machine's cores.
        opens: whether the prompts of the model that answers end in ``<think>``.
    """
    specs = {name: recipe.spec(name) for name in tasks}
    return Verifier(
        specs,
        {task: paid.settled(opens) for task, paid in {**dict.fromkeys(specs, reward), **(rewards or {})}.items()},
        workers or cores_left(ranks or Solo()),
        deadline_seconds=deadline,
    )
