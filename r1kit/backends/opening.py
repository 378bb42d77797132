"""Engines in processes of their own, opened by what the ranks send them: a pool over ``[cluster] engines``."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from r1kit.backends import AUTO, ENGINES
from r1kit.backends.device import device_of
from r1kit.cluster.directory import DIRECTORY, where
from r1kit.cluster.ranks import Ranks, Solo
from r1kit.cluster.settings import Cluster, EngineChoice
from r1kit.cluster.wire import Lost
from r1kit.errors import R1Error
from r1kit.model.skeleton import pack, unpack
from r1kit.registry import find
from r1kit.rollout.engine import Engine
from r1kit.rollout.pool import Pool
from r1kit.rollout.remote import Opening, RemoteEngine

if TYPE_CHECKING:
    from r1kit.backends.models import LoadedModel

__all__ = ["has_engines", "open_from", "open_here", "open_pool"]

START_SECONDS = 60.0
"""How long the engines that are there wait for those that are not."""


def open_here(loaded: LoadedModel, choice: EngineChoice, dtype: torch.dtype, max_rows: int, ranks: Ranks) -> Engine:
    """The engine that the recipe names, in this process.

    Raises:
        InputError: it cannot run the model.
    """
    more = {} if choice.settings is None else {"settings": choice.settings, "ranks": ranks}
    engine: Engine = find(loaded.native_engine if choice.kind == AUTO else choice.kind, ENGINES, "engine", "engine")(
        loaded, dtype=dtype, max_rows=max_rows, **more
    )
    return engine


def open_from(payload: bytes) -> Engine:
    """In a helper: an engine of what ``open_pool`` sent, on the helper's device, without its weights."""
    choice, dtype, max_rows, device, loaded = unpack(payload)
    loaded.model.to(device_of(device, Solo()))
    return open_here(loaded, choice, dtype, max_rows, Solo())


def has_engines(cluster: Cluster) -> bool:
    """Does this run have engines in processes of their own?"""
    return cluster.engines > 0 and DIRECTORY in os.environ


def open_pool(
    loaded: LoadedModel, choice: EngineChoice, dtype: torch.dtype, max_rows: int, ranks: Ranks, cluster: Cluster,
    tell: Callable[[str], None],
) -> Pool:  # fmt: skip
    """A pool over the run's engines, with the model's present weights as version 0; every rank opens it.

    Raises:
        InputError: the engines cannot run the model.
        R1Error: none of them is there after ``cluster.wait_minutes``.
    """
    device = "cpu" if loaded.device.type == "cpu" else "auto"
    opening = Opening(
        key=ranks.broadcast_object(uuid.uuid4().hex),
        payload=pack((choice, dtype, max_rows, device, loaded.bare())),
        positions=loaded.positions,
        dtype=dtype,
    )
    replicas = [
        RemoteEngine(f"engine {number}", where, opening, ranks.rank, cluster.heartbeat, cluster.lost_after)
        for number in range(cluster.engines)
    ]
    _wait(replicas, 60 * cluster.wait_minutes)
    pool = Pool(replicas, ranks, tell=tell, look_every=cluster.heartbeat, patience=60 * cluster.wait_minutes)
    pool.load_weights(loaded.weights, 0)
    return pool


def _wait(replicas: Sequence[RemoteEngine], patience: float) -> None:
    """Until all are there; or some, for a while."""
    began, missing = time.monotonic(), dict.fromkeys(replicas, "")
    while missing:
        for replica in list(missing):
            try:
                replica.alive()
                del missing[replica]
            except Lost as lost:
                missing[replica] = str(lost)
        waited = time.monotonic() - began
        if len(missing) < len(replicas) and waited > START_SECONDS:
            return
        if waited > patience:
            why = "; ".join(f"{replica.name}: {reason}" for replica, reason in missing.items())
            raise R1Error(f"no engine was there after {waited:.0f} s ({why}); run the same command to go on")
        if missing:
            time.sleep(0.1)
