"""What a vLLM server serves, told before anything loads, and whether a run can sample from it. No torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from r1kit.backends.vllm_package import OLDEST
from r1kit.cluster.settings import VLLM
from r1kit.errors import InputError, MissingError
from r1kit.rollout.replica import ReplicaLost
from r1kit.vllm.calls import Calls, Refused, check_address
from r1kit.vllm.plugin import BACKEND

__all__ = ["START", "Served", "check_fits", "check_servers", "look", "look_at"]

START = "python -m r1kit.vllm.serve MODEL --port PORT"
PATIENCE = 10.0
"""Seconds that a server may take to say what it is."""
NO_SHAPE = {
    "architectures", "bos_token_id", "eos_token_id", "pad_token_id", "dtype", "torch_dtype", "transformers_version",
    "use_cache", "initializer_range", "pretraining_tp", "max_position_embeddings", "attention_dropout",
    "output_router_logits", "router_aux_loss_coef",
}  # fmt: skip
"""Of a hub config, what changes neither a weight's shape nor what is computed with it; positions are told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What ``worker.Extension`` tells."""

    version: str
    """Of vLLM."""
    config: Mapping[str, Any]
    """The hub config of the model."""
    dtype: str
    positions: int
    """Most tokens of a prompt and its completion."""
    logprobs_mode: str
    backend: str
    """What takes weights."""
    max_rows: int
    """Completions that it draws side by side."""
    device: str
    experts_apart: bool = False
    """Each worker has some of a layer's experts whole."""
    experts_move: bool = False
    """vLLM copies and moves them by their load (EPLB)."""
    workers: int = 1
    """That share the model."""


def check_servers(settings: VLLM, config: Mapping[str, Any]) -> list[str]:
    """Warnings, a line each, for servers that a run can do without.

    Args:
        config: what is known of the model's ``config.json`` already.

    Raises:
        InputError, MissingError: see ``look`` and ``check_fits``; or weights cannot reach a server so.
    """
    if settings.hand_over == "folder" and not Path(settings.folder or "/dev/null").is_dir():
        raise InputError(
            f'engine.folder = "{settings.folder}" is no folder here; hand_over = "folder" needs one that learner and '
            f"servers see under the same path"
        )
    found, warnings = look(settings.address)
    for address, served in found.items():
        check_fits(address, served, config)
        if settings.expert_parallel and not served.experts_apart:
            raise MissingError(
                f"engine.expert_parallel = true, and {address} was started without --enable-expert-parallel (beside "
                f"--tensor-parallel-size); start it with both"
            )
        if settings.hand_over == "nccl" and served.device != "cuda":
            raise InputError(
                f'engine.hand_over = "nccl" needs GPUs, and {address} computes on {served.device}; leave it at "auto"'
            )
    return warnings


def look(addresses: Sequence[str]) -> tuple[dict[str, Served], list[str]]:
    """What the servers of an engine are, those that are there, by address; and a warning for each that is not.

    Raises:
        InputError: an address is wrong, or something else listens there.
        MissingError: there is no server at all, or one was started without what a run needs.
    """
    found, away = {}, []
    for address in addresses:
        check_address(address)
    for address in addresses:
        with closing(Calls(address)) as calls:
            try:
                found[address] = look_at(calls)
            except ReplicaLost as lost:
                away.append(f"engine.address {address}: {lost}")
    if not found:
        raise MissingError(f"{away[0]}; start a server there: {START}")
    return found, [f"warning: {line}; the run begins without it" for line in away]


def look_at(calls: Calls) -> Served:
    """What the server at an address is.

    Raises:
        ReplicaLost: it does not answer.
        InputError: it answers, but is no server of vLLM.
        MissingError: it lacks something.
    """
    where = f"engine.address {calls.address}"
    try:
        told = str(calls.ask("GET", "/version", timeout=PATIENCE)["version"])
    except (Refused, KeyError, TypeError):
        raise InputError(f"{where}: what listens there is no server of vLLM; start one: {START}") from None
    except ReplicaLost as lost:
        if "is not JSON" in str(lost):
            raise InputError(f"{where}: what listens there is no server of vLLM; start one: {START}") from None
        raise
    if not _new_enough(told):
        raise MissingError(f"{where} runs vLLM {told}; weights are handed over as {OLDEST} and newer take them")
    lacks = f"{where} was started without what a run needs, start it by: {START} ("
    try:
        workers = int(calls.ask("GET", "/get_world_size", timeout=PATIENCE)["world_size"])
    except Refused as refused:
        if refused.status in (401, 403):
            raise MissingError(f"{where} wants a key; set VLLM_API_KEY to the one that it was started with") from None
        raise MissingError(f"{lacks}VLLM_SERVER_DEV_MODE=1 is not set)") from None
    try:
        says = calls.ask("POST", "/collective_rpc", {"method": "r1kit_describe"}, timeout=PATIENCE)["results"][0]
        served = Served(**{each.name: says[each.name] for each in fields(Served) if each.name in says}, workers=workers)
    except ReplicaLost as lost:
        if "r1kit_describe" in str(lost):
            raise MissingError(f"{lacks}r1kit's worker extension is not there)") from None
        raise
    except (KeyError, TypeError, IndexError):
        raise MissingError(f"{lacks}its worker extension is another version of r1kit's)") from None
    if served.backend != BACKEND:
        raise MissingError(f"{lacks}its weights come by {served.backend or 'nothing'!r}, not by {BACKEND!r})")
    if served.logprobs_mode != "processed_logprobs":
        raise MissingError(f"{lacks}logprobs_mode is {served.logprobs_mode}, not processed_logprobs)")
    if served.experts_move:
        raise MissingError(
            f"{where} was started with --enable-eplb, which moves experts: weights that are handed over later would go "
            f"to where experts were at first; start it without"
        )
    try:
        calls.ask("GET", "/inference/v1/generate", timeout=PATIENCE)
    except Refused as refused:
        if refused.status == 404:
            raise MissingError(f"{lacks}/inference/v1/generate is not there: --enable-scale-out)") from None
    return served


def _new_enough(version: str) -> bool:
    try:
        return Version(version).release >= Version(OLDEST).release
    except InvalidVersion:  # of a build from sources without their tags
        return False


def check_fits(address: str, served: Served, config: Mapping[str, Any]) -> None:
    """Raise InputError where the server's model is another than the one whose ``config.json`` this is."""
    own, other = _flat(config), _flat(served.config)
    for key in sorted(own.keys() & other.keys()):
        if own[key] != other[key] and None not in (own[key], other[key]):
            raise InputError(
                f"engine.address {address} serves another model: its {key} is {other[key]}, the recipe's "
                f"{own[key]}; start it with a model of the recipe's shape: {START}"
            )


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Values by name; rotary settings under one name, as older configs have them."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    theta = {"rope_theta": rope["rope_theta"]} if isinstance(rope, Mapping) and "rope_theta" in rope else {}
    plain = {key: value for key, value in config.items() if isinstance(value, (bool, int, float, str))}
    return {key: value for key, value in {**plain, **theta}.items() if key not in NO_SHAPE and not key.startswith("_")}
