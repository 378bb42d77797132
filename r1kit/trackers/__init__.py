"""Trackers: other programs that keep and draw a run's numbers. Each is a ``Sink``, fed by a process of its own.

===============  ==================================================================================================
name             where it goes
===============  ==================================================================================================
``tensorboard``  event files, ``DIR/tensorboard`` by default: ``tensorboard --logdir DIR/tensorboard``
``trackio``      its local store, or a Space: ``trackio show``
``wandb``        Weights & Biases; ``mode = "offline"`` keeps everything in ``DIR/wandb``
``mlflow``       an MLflow server, or ``DIR/mlflow.db``: ``mlflow ui --backend-store-uri sqlite:///DIR/mlflow.db``
``FILE.py:NAME`` a class of the user's own that keeps to ``Sink``
===============  ==================================================================================================

Chosen in a recipe's ``[trackers]`` table or with ``--track``; no part of what decides a stage's result.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

from r1kit.errors import InputError, MissingError
from r1kit.registry import find, short
from r1kit.structure import structure
from r1kit.trackers.sink import Sink, Tracked

__all__ = ["KINDS", "check_trackers", "open_sink"]

KINDS: dict[str, str] = {
    "tensorboard": "r1kit.trackers.tensorboard:TensorBoard",
    "trackio": "r1kit.trackers.on_trackio:Trackio",
    "wandb": "r1kit.trackers.on_wandb:Wandb",
    "mlflow": "r1kit.trackers.on_mlflow:Mlflow",
}


def check_trackers(trackers: Mapping[str, Any]) -> None:
    """
    Args:
        trackers: name -> its settings, as a recipe's table has them.

    Raises:
        InputError: an unknown name or setting, a file of the user's that is missing or broken.
        MissingError: its package is not installed here; names the extra that brings it.
    """
    for name, table in trackers.items():
        if not isinstance(table, Mapping):
            raise InputError(f"trackers.{name} = {table!r}: expected a table; write {name} = {{}}")
        cls, config = _settings(name, table)
        if alike := [other for other in trackers if other != name and short(other) == short(name)]:
            both = f"trackers {name!r} and {alike[0]!r} are both known as {short(name)}"
            raise InputError(f"{both}; rename one's class or file")
        if name not in KINDS:
            continue
        for package in cls.needs(config) if hasattr(cls, "needs") else (name,):
            if importlib.util.find_spec(package) is None:
                raise MissingError(f"tracker {name!r} needs the package {package}: pip install 'r1kit[{name}]'")


def open_sink(name: str, table: Mapping[str, Any], run: Tracked) -> Sink:
    """The sink, open; whatever its package raises passes through."""
    cls, config = _settings(name, table)
    sink: Sink = cls(config, run) if config is not None else cls(run)
    return sink


def _settings(name: str, table: Mapping[str, Any]) -> tuple[Any, Any]:
    """(its class, its settings: None for a class without ``Config``)."""
    cls = find(name, KINDS, "tracker", "trackers")
    config = getattr(cls, "Config", None)
    if config is None and table:
        raise InputError(f"trackers.{name}: {name} has no settings (no class Config in it); leave the table empty")
    return cls, structure(config, table, f"trackers.{name}") if config else None
