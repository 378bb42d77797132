"""The verifier's processes, for the tasks of a stage."""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Iterable, Mapping

from r1kit.cluster.cores import cores_left
from r1kit.cluster.directory import is_directed
from r1kit.cluster.ranks import Ranks, Solo
from r1kit.cluster.remote import Opened, Remote, wait_for
from r1kit.contracts import Recipe
from r1kit.reward.remote import RemoteVerifiers
from r1kit.reward.settings import RewardConfig
from r1kit.reward.verifier import Verifier, Verifying

__all__ = ["open_verifier"]


def open_verifier(
    tasks: Iterable[str], recipe: Recipe, reward: RewardConfig, deadline: float = 10.0,
    rewards: Mapping[str, RewardConfig] | None = None, workers: int = 0, ranks: Ranks | None = None,
    opens: bool = False,
) -> Verifying:  # fmt: skip
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
    paid = {task: each.settled(opens) for task, each in {**dict.fromkeys(specs, reward), **(rewards or {})}.items()}
    cluster, ranks = recipe.cluster, ranks or Solo()
    if not (cluster.verifiers and is_directed()):
        return Verifier(specs, paid, workers or cores_left(ranks), deadline_seconds=deadline)
    payload = pickle.dumps((specs, paid, deadline, workers))
    opened = Opened(kind="verifier", key=hashlib.sha256(payload).hexdigest(), payload=payload)
    helpers = [Remote(number, opened, cluster) for number in range(cluster.verifiers)]
    wait_for(helpers, 60 * cluster.wait_minutes)
    return RemoteVerifiers(
        helpers,
        tell=_to_stderr if ranks.rank == 0 else lambda line: None,
        look_every=cluster.heartbeat,
        patience=60 * cluster.wait_minutes,
        offset=ranks.rank,
    )


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
