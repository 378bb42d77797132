"""Open ``engine = {kind = "vllm", address = [...]}``: servers that run already, as one pool."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from contextlib import closing
from typing import Any, cast

import torch

from r1kit.backends.models import LoadedModel
from r1kit.cluster.ranks import Ranks
from r1kit.cluster.settings import VLLM
from r1kit.errors import InputError, MissingError, R1Error
from r1kit.rollout.pool import Pool
from r1kit.rollout.replica import ReplicaLost
from r1kit.rollout.stopping import Tokenizer
from r1kit.vllm.calls import Calls
from r1kit.vllm.carriers import Carrier, Folder, Group
from r1kit.vllm.served import check_fits, look
from r1kit.vllm.server import VLLMServer, draw_first

__all__ = ["open_servers"]


def open_servers(loaded: LoadedModel, *, dtype: torch.dtype, settings: VLLM, ranks: Ranks) -> Pool:
    """A pool over the servers, the model's present weights handed over; every rank calls it.

    Raises:
        InputError: a server serves another model.
        MissingError: no server is there, or one lacks something.
    """
    config = loaded.model.hub_config().to_dict()
    found = ranks.broadcast_object(_look(settings, config, dtype) if ranks.rank == 0 else None)
    if isinstance(found, R1Error):
        raise found
    run, positions, on_gpus = found
    replicas = []
    for number, address in enumerate(settings.address, start=1):
        calls = Calls(address)
        replicas.append(
            VLLMServer(
                f"engine {number} at {address}",
                calls,
                _carrier(settings, calls, loaded.device, on_gpus) if ranks.rank == 0 else None,
                cast(Tokenizer, loaded.tokenizer),
                run=run,
                config=config,
                positions=min(positions, loaded.positions),
                vocab_size=loaded.model.config.vocab_size,
                ends=loaded.stop_ids,
                timeout=settings.timeout,
                liveness=settings.liveness,
                checksums=settings.checksums,
            )
        )
    look_every, published = settings.liveness / 5, loaded.model.published
    pool = Pool(replicas, ranks, tell=_tell, look_every=look_every, patience=settings.patience, published=published)
    pool.load_weights(loaded.weights, version=0)
    return pool


def _look(settings: VLLM, config: Mapping[str, Any], dtype: torch.dtype) -> tuple[str, int, bool] | R1Error:
    """(name of this run at its servers, most tokens of a prompt and its completion, whether all servers have GPUs), or
    what is wrong."""
    try:
        served, warnings = look(settings.address)
        for address, one in served.items():
            check_fits(address, one, config)
            _draw(address)
            if one.dtype != (own := str(dtype).removeprefix("torch.")):
                warnings.append(f"warning: engine.address {address} computes in {one.dtype}, and not in {own}")
    except (InputError, MissingError) as error:
        return error
    for warning in warnings:
        _tell(warning)
    on_gpus = all(one.device == "cuda" for one in served.values())
    return secrets.token_hex(6), min(one.positions for one in served.values()), on_gpus


def _draw(address: str) -> None:
    """A token of a server that was just started, before anything is handed to it.

    Raises:
        MissingError: it serves a model that it cannot run.
    """
    with closing(Calls(address)) as calls:
        try:
            draw_first(calls)
        except ReplicaLost as lost:
            raise MissingError(
                f"engine.address {address} cannot sample from its model ({lost}); its log says why"
            ) from None


def _carrier(settings: VLLM, calls: Calls, device: torch.device, on_gpus: bool) -> Carrier:
    """The way of the weights, from the learner's device to servers that may have GPUs too."""
    if settings.hand_over == "folder":
        return Folder(settings.folder)
    over_nccl = settings.hand_over == "nccl" or (settings.hand_over == "auto" and device.type == "cuda" and on_gpus)
    if over_nccl and device.type != "cuda":
        raise InputError('engine.hand_over = "nccl" needs a GPU beside the learner; leave it at "auto", or say "gloo"')
    return Group(calls.own_host, settings.timeout, device if over_nccl else None)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
