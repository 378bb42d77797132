"""``r1 doctor --cluster``: what each host of a Ray cluster has, what they share, how fast they reach each other."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from r1kit.cluster.placement import Host
from r1kit.cluster.ray import host as ray_host
from r1kit.cluster.ray.checks import PACKAGES, about_hosts, check_versions, mine
from r1kit.cluster.ray.cluster import Cluster
from r1kit.cluster.ray.environment import carried
from r1kit.errors import MissingError

__all__ = ["examine", "spelled"]

SENT = 64_000_000
"""Bytes that are sent from host to host to see how fast they go."""
ALL_PAIRS = 8
"""Hosts up to which every pair is tried, both ways; of more each sends to the next one only."""
CLOCK_TRIES = 5
SKEW = 1.0
"""Seconds that clocks may differ before it is told: logs and files are compared by them."""
DOCTOR_SECONDS = 300.0
SEEN = {True: "shared", False: "not seen"}


def examine(cluster: Cluster, paths: Sequence[str]) -> dict[str, Any]:
    """All that the report says, JSON-ready.

    Args:
        paths: folders that hosts should share, absolute.
    """
    hosts = sorted(cluster.hosts(fresh=True), key=lambda host: host.id != cluster.here)
    about = about_hosts(cluster, hosts)
    own = _doctors(cluster, hosts)
    shared = _shared(cluster, hosts, paths)
    found: dict[str, Any] = {"address": cluster.address, "hosts": [], "bandwidth": [], "problems": []}
    for host in hosts:
        said = about[host.id]
        found["hosts"].append(
            {
                "name": said["name"],
                "address": host.address,
                "free": {"cpus": host.cpus, "gpus": host.gpus, "memory_gb": host.memory_gb},
                "python": said["python"],
                "versions": said["versions"],
                "code": said["code"],
                "interface": said["interface"],
                "cores": said["cores"],
                "doctor": own[host.id],
                "shared": {path: shared[host.id][path] for path in paths},
            }
        )
        try:
            check_versions([host], about, mine())
        except MissingError as problem:
            found["problems"].append(str(problem))
    _measure(cluster, hosts, found)
    found["problems"] += _problems(found)
    return found


def _doctors(cluster: Cluster, hosts: Sequence[Host]) -> dict[str, Any]:
    """Host id -> what ``r1 doctor`` says there; ``{"missing": why}`` where it does not run."""
    found = {}
    command, given = ["", "-m", "r1kit", "doctor", "--json", "{}"], carried(here=False)
    answers = cluster.ask(
        hosts, ray_host.asked_of, lambda _: (command, given, os.getcwd(), DOCTOR_SECONDS), 2 * DOCTOR_SECONDS
    )
    for id_, (code, text, errors) in answers.items():
        line = (errors.strip().splitlines() or [f"exit code {code}"])[-1]
        found[id_] = {"missing": line}
        with suppress(ValueError):
            found[id_] = json.loads(text)
    return found


def _shared(cluster: Cluster, hosts: Sequence[Host], paths: Sequence[str]) -> dict[str, dict[str, bool]]:
    """Host id -> path -> whether what is written there on this host is seen on that one."""
    found: dict[str, dict[str, bool]] = {host.id: {} for host in hosts}
    for path in paths:
        mark = Path(path) / f".r1-seen-{os.urandom(8).hex()}"
        with suppress(OSError):
            mark.write_text(mark.name, encoding="ascii")
        try:
            seen = cluster.ask(hosts, ray_host.seen, lambda _, mark=mark: (str(mark), ()), 60.0)  # type: ignore[misc]
        finally:
            mark.unlink(missing_ok=True)
        for id_, said in seen.items():
            found[id_][path] = said["mark"] == mark.name
    return found


def _measure(cluster: Cluster, hosts: Sequence[Host], found: dict[str, Any]) -> None:
    """Clocks against this one's, and bytes a second between hosts."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray, keeper = cluster.ray, cluster.ray.remote(num_cpus=0)(ray_host.Keeper)
    on = {
        host.id: keeper.options(scheduling_strategy=NodeAffinitySchedulingStrategy(host.id, soft=False)).remote(600.0)
        for host in hosts
    }
    try:
        for host, entry in zip(hosts, found["hosts"], strict=True):
            tries = []
            for _ in range(CLOCK_TRIES):
                before = time.time()
                there = ray.get(on[host.id].now.remote(), timeout=60)
                after = time.time()
                tries.append((after - before, there - (before + after) / 2))
            entry["round_trip_ms"], entry["clock_s"] = 1e3 * min(tries)[0], min(tries)[1]
        for one, other in _pairs(hosts):
            entry = {"from": one.address, "to": other.address, "gigabits": 0.0}
            try:
                port = ray.get(on[other.id].listen.remote(other.address), timeout=60)
                seconds = ray.get(on[one.id].send_to.remote(other.address, port, SENT), timeout=120)
                entry["gigabits"] = 8 * SENT / seconds / 1e9
            except ray.exceptions.RayError as error:
                cause = getattr(error, "cause", None) or error
                found["problems"].append(f"{one.address} cannot send to {other.address}: {cause}")
            found["bandwidth"].append(entry)
    finally:
        for each in on.values():
            ray.kill(each)


def _pairs(hosts: Sequence[Host]) -> list[tuple[Host, Host]]:
    if len(hosts) <= ALL_PAIRS:
        return [(one, other) for one in hosts for other in hosts if one is not other]
    return list(zip(hosts, [*hosts[1:], hosts[0]], strict=True))


def _problems(found: Mapping[str, Any]) -> list[str]:
    told = []
    for host in found["hosts"]:
        where, doctor = f"host {host['address']}", host["doctor"]
        if why := doctor.get("missing"):
            told.append(f"{where}: r1 doctor does not run: {why}")
        elif doctor["sandbox"]["state"] != "ready":
            told.append(f"{where}: sandbox {doctor['sandbox']['state']}: {doctor['sandbox'].get('brings', '')}")
        if not host["interface"]:
            told.append(f"{where}: no network interface has its address; start its Ray with --node-ip-address")
        if abs(host["clock_s"]) > SKEW:
            told.append(f"{where}: its clock is {host['clock_s']:+.1f} s off; run an NTP client")
        told += [f"{where} does not see {path}" for path, seen in host["shared"].items() if not seen]
    return told


def spelled(found: Mapping[str, Any]) -> str:
    """For a person: a row a property, a column a host."""
    hosts = found["hosts"]
    rows = [["host", *(host["name"] for host in hosts)], ["address", *(host["address"] for host in hosts)]]
    rows.append(["Python", *(host["python"] for host in hosts)])
    rows += [[name, *(host["versions"][name] or "-" for host in hosts)] for name in PACKAGES]
    rows.append(["r1kit's code", *(host["code"] or "-" for host in hosts)])
    rows.append(["cores", *(str(host["cores"]) for host in hosts)])
    rows.append(
        ["free", *("{cpus:g} cpus, {gpus:g} gpus, {memory_gb:.0f} GB".format(**host["free"]) for host in hosts)]
    )
    rows.append(["memory", *(_of(host, lambda it: f"{it['memory_gb']:.1f} GB") for host in hosts)])
    rows.append(["disk free", *(_of(host, lambda it: f"{it['disk_free_gb']['here']:.0f} GB") for host in hosts)])
    rows.append(["GPUs", *(_of(host, _gpus) for host in hosts)])
    engines = {name: None for host in hosts for name in host["doctor"].get("engines", {})}
    for name in engines:
        rows.append(
            [f"engine {name}", *(_of(host, lambda it, n=name: it["engines"][n].split(" (")[0]) for host in hosts)]
        )
    rows.append(["sandbox", *(_of(host, lambda it: str(it["sandbox"]["state"])) for host in hosts)])
    rows += (
        [[f"{path}", *(SEEN[host["shared"][path]] for host in hosts)] for path in hosts[0]["shared"]] if hosts else []
    )
    rows.append(["clock", *(f"{host['clock_s']:+.3f} s" for host in hosts)])
    rows.append(["round trip", *(f"{host['round_trip_ms']:.1f} ms" for host in hosts)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(hosts) + 1)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [f"{each['from']} -> {each['to']}: {each['gigabits']:.2f} Gbit/s" for each in found["bandwidth"]]
    lines += [f"problem: {problem}" for problem in found["problems"]] or ["no problem was found"]
    return "\n".join(lines)


def _of(host: Mapping[str, Any], what: Any) -> str:
    return "-" if "missing" in host["doctor"] else str(what(host["doctor"]))


def _gpus(doctor: Mapping[str, Any]) -> str:
    names = [device["name"] for device in doctor["torch"]["devices"]]
    return ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names)) or "none"
