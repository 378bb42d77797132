"""Engines in processes of their own, opened by what the ranks send them: a pool over ``[cluster] engines``."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, cast

import torch

from r1kit.backends import AUTO, ENGINES
from r1kit.backends.device import device_of
from r1kit.backends.own_engine import looked_at
from r1kit.cluster.directory import is_directed, where
from r1kit.cluster.ranks import Ranks, Solo
from r1kit.cluster.remote import Opened, wait_for
from r1kit.cluster.settings import Cluster, EngineChoice
from r1kit.model.skeleton import pack, unpack
from r1kit.registry import find, is_reference, short
from r1kit.rollout.engine import Engine
from r1kit.rollout.pool import Pool
from r1kit.rollout.remote import Opening, RemoteEngine

if TYPE_CHECKING:
    from r1kit.backends.models import LoadedModel

__all__ = ["has_engines", "open_from", "open_here", "open_pool"]


def open_here(loaded: LoadedModel, choice: EngineChoice, dtype: torch.dtype, max_rows: int, ranks: Ranks) -> Engine:
    """The engine that the recipe names, in this process.

    Raises:
        InputError: it cannot run the model.
    """
    more = {} if choice.settings is None else {"settings": choice.settings, "ranks": ranks}
    opens = find(loaded.native_engine if choice.kind == AUTO else choice.kind, ENGINES, "engine", "engine")
    if not is_reference(choice.kind):
        return cast(Engine, opens(loaded, dtype=dtype, max_rows=max_rows, **more))
    with _in_a_folder(loaded) as seen:
        engine = opens(seen, dtype=dtype, max_rows=max_rows, **more)
    return looked_at(engine, short(choice.kind), loaded.model.head.shape[0])


@contextmanager
def _in_a_folder(loaded: LoadedModel) -> Iterator[LoadedModel]:
    """The model for an engine of a user's, which may read its folder: the one it was read from where that is here, else
    one that is written for as long as the engine is opened. In a helper that holds anything for numbers, as the model
    does: the weights come by ``load_weights``."""
    if loaded.folder is not None and loaded.folder.is_dir():
        yield loaded
        return
    with TemporaryDirectory(prefix="r1kit-model-") as folder:
        loaded.save(Path(folder))
        yield replace(loaded, folder=Path(folder))


def open_from(payload: bytes) -> Engine:
    """In a helper: an engine of what ``open_pool`` sent, on the helper's device, without its weights."""
    choice, dtype, max_rows, device, loaded, folder = unpack(payload)
    loaded = replace(loaded, folder=folder)
    loaded.model.to(device_of(device, Solo()))
    return open_here(loaded, choice, dtype, max_rows, Solo())


def has_engines(cluster: Cluster) -> bool:
    """Does this run have engines in processes of their own?"""
    return cluster.engines > 0 and is_directed()


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
    payload = pack((choice, dtype, max_rows, device, loaded.bare(), loaded.folder))
    opened = Opened(kind="engine", key=ranks.broadcast_object(uuid.uuid4().hex), payload=payload)
    opening = Opening(opened=opened, positions=loaded.positions, dtype=dtype)
    replicas = [RemoteEngine(number, opening, ranks.rank, cluster, where) for number in range(cluster.engines)]
    patience = 60 * cluster.wait_minutes
    wait_for(replicas, patience)
    pool = Pool(replicas, ranks, tell=tell, look_every=cluster.heartbeat, patience=patience)
    pool.load_weights(loaded.weights, 0)
    return pool
