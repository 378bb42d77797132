"""The DeepSeek-R1 training system: what a notebook or a user's file needs, each name imported when it is asked for.

``docs/python.md`` shows a session, ``docs/extending.md`` a task, a reward, a stage and an engine of one's own.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PLACES = {
    "api": ("OpenModel", "load_recipe", "open_model", "open_run", "open_task", "policy_loss", "run", "score"),
    "errors": ("InputError", "MissingError", "R1Error"),
    "maths.advantage": ("group_relative",),
    "maths.settings": ("PolicyLoss",),
    "records": ("Completion", "Group", "Prompt", "Sample", "Sampling", "Score", "StageResult"),
    "reward.settings": ("RewardConfig",),
    "tasks.task": ("Grade",),
    "update.learner": ("Batch", "Row"),
    "workspace": ("Workspace",),
}
_HOMES = {name: module for module, names in _PLACES.items() for name in names}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'r1kit' has no attribute {name!r}")
    return getattr(importlib.import_module(f"r1kit.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
