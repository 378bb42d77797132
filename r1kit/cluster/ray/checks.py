"""What is looked at on a cluster before anything loads: versions on every host, and what ranks read there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

from r1kit.cluster.placement import Host
from r1kit.cluster.ray import host as ray_host
from r1kit.cluster.ray.cluster import Cluster
from r1kit.cluster.ray.environment import carried
from r1kit.cluster.settings import Cluster as Settings
from r1kit.contents import place_of
from r1kit.contracts import Recipe
from r1kit.errors import InputError, MissingError, R1Error
from r1kit.registry import is_reference, split_reference
from r1kit.structure import plain

__all__ = ["PACKAGES", "Vet", "about_hosts", "check_hosts", "check_versions", "cpus_of", "read_by"]

PACKAGES = ("ray", "r1kit", "torch", "transformers", "tokenizers", "numpy")
"""Whose versions must be the same on every host: they decide what is computed, or how hosts talk."""
HOST_SECONDS = 120.0
"""How long a host may take to start a worker and answer; the first one of a busy machine takes long."""
CHECK_SECONDS = 300.0
"""How long ``r1 check`` may take there."""


def cpus_of(settings: Settings, ranks: int) -> int:
    """CPUs that all processes of a run ask for."""
    parts = ((ranks, settings.rank_needs), (settings.engines, settings.engine_needs))
    return ceil(sum(count * needs.cpus for count, needs in (*parts, (settings.verifiers, settings.verifier_needs))))


def check_hosts(cluster: Cluster) -> dict[str, Any]:
    """Host id -> what ``ray_host.about`` says there, of every host that has something to give.

    Raises:
        MissingError: as ``check_versions``, or a host does not answer.
    """
    hosts = [host for host in cluster.hosts(fresh=True) if host.cpus or host.gpus]
    said = about_hosts(cluster, hosts)
    check_versions(hosts, said, mine())
    return said


def about_hosts(cluster: Cluster, hosts: Iterable[Host]) -> dict[str, Any]:
    """Host id -> what ``ray_host.about`` says there."""

    def told(host: Host) -> tuple[Any, ...]:
        return host.address, PACKAGES, carried(here=host.id == cluster.here), os.getcwd()

    return cluster.ask(hosts, ray_host.about, told, HOST_SECONDS)


def check_versions(hosts: Iterable[Host], said: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
    """Refuse a host whose Python, packages or r1kit are not those of this one.

    Args:
        said: host id -> what it says of itself.
        mine: what this process says.

    Raises:
        MissingError: the first that differs, with the host and both versions.
    """
    for host in hosts:
        its, where = said[host.id], f"host {host.address}"
        pairs = [("Python", its["python"], mine["python"])]
        pairs += [(name, its["versions"][name], mine["versions"][name]) for name in PACKAGES]
        for name, there, here in pairs:
            if name == "r1kit" and its["code"]:
                continue  # a clone on PYTHONPATH has no version; its code is compared
            if there != here:
                has = f"has {name} {there}" if there else f"does not have {name}"
                raise MissingError(f"{where} {has}, here it is {here}; install the same on each host: pip install "
                                   f"{name}=={here}" if name != "Python" else
                                   f"{where} {has}, here it is {here}; use the same Python on each host")  # fmt: skip
        if its["code"] != mine["code"]:
            raise MissingError(
                f"{where} has another r1kit than this one (code {its['code'] or 'missing'}, here {mine['code']}); "
                "install the same on each host"
            )


class Vet:
    """Looks at hosts before anything is placed on them, at the start and when one has joined."""

    def __init__(self, cluster: Cluster, folder: Path, paths: Sequence[str]) -> None:
        """
        Args:
            folder: the run folder.
            paths: files and folders that the recipe reads.
        """
        self.cluster, self.folder, self.read = cluster, folder, paths

    def __call__(self, host: Host) -> Any:
        """What a host that has joined says of itself. Raises R1Error, one line, if it will not do."""
        said = about_hosts(self.cluster, [host])
        check_versions([host], said, mine())
        self.paths([host])
        return said[host.id]

    def paths(self, hosts: Sequence[Host]) -> None:
        """On every other host that gets ranks: the run folder is this one, the recipe's files and models are there and
        hold the same, and ``r1 check`` finds nothing.

        Raises:
            InputError, MissingError: the host and what is wrong there, one line.
        """
        hosts = [host for host in hosts if host.id != self.cluster.here]
        mark = self.folder / f".seen-{os.urandom(8).hex()}"
        mark.write_text(mark.name, encoding="ascii")
        try:
            seen = self.cluster.ask(hosts, ray_host.seen, lambda _: (str(mark), self.read), HOST_SECONDS)
        finally:
            mark.unlink()
        for host in hosts:
            if seen[host.id]["mark"] != mark.name:
                raise InputError(
                    f"host {host.address} does not see the run folder {self.folder} (ranks read models and settings "
                    "from it); choose an --out that every host has under the same path, on a shared file system"
                )
            for path in self.read:
                if (there := seen[host.id]["there"][path]) != ray_host.signature(path):
                    how = "has something else in" if there else "does not see"
                    raise InputError(
                        f"host {host.address} {how} {path}, which the recipe reads; put the same where every host has "
                        "it under this path"
                    )
        words = ["", "-m", "r1kit", "check", str(self.folder / "recipe.toml")]
        given = (words, carried(here=False), os.getcwd(), CHECK_SECONDS)
        answers = self.cluster.ask(hosts, ray_host.asked_of, lambda _: given, CHECK_SECONDS + HOST_SECONDS)
        for host in hosts:
            code, _, errors = answers[host.id]
            if code:
                line = (errors.strip().splitlines() or [f"r1 check ended with exit code {code}"])[-1]
                raise _of_code(code, f"host {host.address}: {line.removeprefix('r1: ')}")


def mine() -> dict[str, Any]:
    """What this host says of itself."""
    return ray_host.about("127.0.0.1", PACKAGES, carried(here=True), os.getcwd())


def read_by(recipe: Recipe) -> list[str]:
    """Files and folders that a recipe's settings name, absolute: data, models, the user's code."""
    names = frozenset((*recipe.stages, *recipe.tasks))
    found: dict[str, None] = {}

    def walk(value: Any, setting: str) -> None:
        if isinstance(value, Mapping):
            for name, item in value.items():
                walk(name, "")
                walk(item, str(name))
        elif isinstance(value, (list, tuple)):
            for item in value:
                walk(item, setting)
        elif isinstance(value, str):
            text = split_reference(value)[0] if is_reference(value) else value
            if path := place_of(text, setting, names, model=text == recipe.model.name):
                found[str(path.absolute())] = None

    walk(plain(recipe.model), "")
    walk({name: {"kind": recipe.task_kinds[name], **plain(recipe.tasks[name])} for name in recipe.tasks}, "")
    walk({name: {"kind": recipe.kinds[name], **plain(recipe.stages[name])} for name in recipe.stages}, "")
    return list(found)


def _of_code(code: int, line: str) -> R1Error:
    return {InputError.exit_code: InputError, MissingError.exit_code: MissingError}.get(code, R1Error)(line)
