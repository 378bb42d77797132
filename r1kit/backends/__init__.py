"""The one room that opens things: models, engines, learners, reward models, verifiers, and on which device.

The two lists name what opens an engine or a learner; they are strings, so that ``r1 check`` imports no torch. A recipe
chooses with ``engine`` and ``learner``; ``auto`` takes the first that can run the model.
"""

from __future__ import annotations

from collections.abc import Mapping

from r1kit.cluster.settings import AUTO
from r1kit.errors import InputError, nearest
from r1kit.registry import is_reference

__all__ = ["AUTO", "ENGINES", "LEARNERS", "SHARDED", "check_names"]

ENGINES = {
    "local": "r1kit.backends.engines:open_local",
    "transformers": "r1kit.backends.engines:open_transformers",
    "vllm": "r1kit.backends.vllm:open_vllm",
}
"""Name -> ``module:function`` of an ``engines.OpenEngine``."""
SHARDED = "fsdp"
LEARNERS = {"local": "r1kit.backends.learners:open_local", SHARDED: "r1kit.backends.learners:open_fsdp"}
"""Name -> ``module:function`` of a ``learners.OpenLearner``."""


def check_names(engine: str, learner: str) -> None:
    """Refuse names that are in neither list and no reference to one of the user's own.

    Raises:
        InputError: which name, and what is known.
    """
    _check("engine", engine, ENGINES)
    _check("learner", learner, LEARNERS)


def _check(key: str, name: str, known: Mapping[str, str]) -> None:
    allowed = (AUTO, *known)
    if name not in allowed and not is_reference(name):
        raise InputError(
            f"{key} = {name!r} is unknown; known are {', '.join(allowed)}, or write FILE.py:NAME for one of your own."
            f"{nearest(name, allowed)}"
        )
