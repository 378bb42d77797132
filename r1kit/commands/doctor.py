"""``r1 doctor``: what this machine has, and for each missing thing the command that brings it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from r1kit.commands.options import JsonFile
from r1kit.errors import InputError

__all__ = ["doctor", "examine"]

GIGABYTE = 10**9


def doctor(
    pace: Annotated[str, typer.Option(help="RECIPE or RECIPE:STAGE: measure how fast its RL step is here.")] = "",
    json_file: JsonFile = None,
    cluster: Annotated[
        str, typer.Option(metavar="auto|HOST:PORT", help="Every host of a Ray cluster, and the ways between them.")
    ] = "",
    paths: Annotated[
        list[Path] | None, typer.Option("--path", help="With --cluster: a folder that all hosts should share.")
    ] = None,
) -> None:
    """Python, torch, devices, cores, memory, disk, engines and extras of this machine, or of each host of a cluster."""
    from r1kit.files import check_writable, write_json

    check_writable(json_file)
    if pace:
        measured = _paced(pace)
        typer.echo(_spelled_pace(measured))
        if json_file:
            write_json(json_file, {"pace": measured})
        return
    found = _of_cluster(cluster, paths or []) if cluster else examine()
    if not cluster:
        typer.echo(_spelled(found))
    if json_file:
        write_json(json_file, found)


def _paced(text: str) -> dict[str, Any]:
    """What ``r1 plan --simulate --pace`` reads."""
    from r1kit.plan.scenarios import stage_of
    from r1kit.recipe import load_recipe, shipped_recipes

    name, _, stage = (text, "", "") if text in shipped_recipes() or Path(text).is_file() else text.rpartition(":")
    recipe = load_recipe(name or text)
    stage, _ = stage_of(recipe, stage)
    import torch

    from r1kit.loops.pace import measure

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))  # as a rank that stands beside others
    return measure(recipe, stage)


def _spelled_pace(found: dict[str, Any]) -> str:
    seconds = found["seconds"]
    told = {
        "step": "a token more for every row in flight, whatever their number",
        "row": "what each row adds to it",
        "key": "what each token of a row's context adds to it",
        "prompt": "a token of a prompt",
        "learn": "a token learnt",
        "read": "a token whose log-prob alone is computed",
        "update": "a step of the optimiser",
        "score": "a completion judged",
        "hand_over": "the weights into the engine",
        "other": "all else of a step",
    }
    head = f"{found['recipe']}, {found['stage']}, {found['threads']} threads; seconds of"
    return "\n".join([head, *(f"  {seconds[name]:9.3g}  {words}" for name, words in told.items())])


def _of_cluster(address: str, paths: Sequence[Path]) -> dict[str, Any]:
    """What ``ray.doctor`` finds and prints; the working folder and the cache of models are always among the paths."""
    from r1kit.checkpoint.source import cache_folder
    from r1kit.cluster.ray import connect as ray_connect
    from r1kit.cluster.ray import doctor as ray_doctor

    looked_at = dict.fromkeys(str(path.absolute()) for path in (Path.cwd(), cache_folder(), *paths) if path.is_dir())
    if missing := [path for path in paths if not path.is_dir()]:
        raise InputError(f"--path {missing[0]}: there is no such folder on this host")
    with ray_connect.Quiet():
        joined = ray_connect.connect(address)
        try:
            found = ray_doctor.examine(joined, list(looked_at))
        finally:
            joined.leave()
    typer.echo(ray_doctor.spelled(found))
    return found


def examine() -> dict[str, Any]:
    """All that the report says, JSON-ready."""
    from importlib import metadata

    from r1kit.checkpoint.source import cache_folder
    from r1kit.cluster.cores import cores

    cache = next(path for path in (cache_folder(), *cache_folder().parents) if path.exists())
    extras = _extras()
    return {
        "r1kit": metadata.version("r1kit"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": cores(),
        "memory_gb": _memory() / GIGABYTE,
        "disk_free_gb": {"here": _free(Path.cwd()), "model cache": _free(cache)},
        "torch": _torch(),
        "engines": _engines(),
        "packages": extras.pop("", {}),
        "extras": extras,
        "sandbox": _sandbox(),
    }


def _free(path: Path) -> float:
    return shutil.disk_usage(path).free / GIGABYTE


def _memory() -> int:
    """Bytes this process may use: the machine's, or the container's where that is less."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        if Path(file).is_file() and (text := Path(file).read_text(encoding="utf-8").strip()).isdigit():
            return min(machine, int(text))
    return machine


def _torch() -> dict[str, Any]:
    try:
        import torch
    except ImportError as error:
        return {"version": None, "devices": [], "arithmetic": {}, "brings": f"pip install torch ({error})"}
    devices = [
        {
            "name": torch.cuda.get_device_name(index),
            "memory_gb": torch.cuda.get_device_properties(index).total_memory / GIGABYTE,
        }
        for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    ]
    from r1kit.backends.arithmetic import auto

    dtype, why = auto(torch.device("cuda", 0) if devices else torch.device("cpu"))
    arithmetic = {"auto": dtype, "why": why}
    return {"version": torch.__version__, "cuda": torch.version.cuda, "devices": devices, "arithmetic": arithmetic}


def _engines() -> dict[str, str]:
    from r1kit.backends.vllm_package import check_vllm, installed
    from r1kit.errors import MissingError

    try:
        check_vllm()
        vllm = f"ready ({' '.join(installed() or ())})"
    except MissingError as error:
        vllm = str(error)
    return {
        "local": "ready",
        "transformers": "ready",
        "scripted": "ready (for tests: writes what it is told)",
        "vllm": vllm,
    }


def _sandbox() -> dict[str, Any]:
    """The default sandbox, opened and attacked from inside."""
    from r1kit.errors import R1Error
    from r1kit.sandbox import SandboxSettings, open_sandbox
    from r1kit.sandbox.walls import prove_walls

    try:
        sandbox = open_sandbox(SandboxSettings())
        try:
            walls = prove_walls(sandbox, platform.machine())
        finally:
            sandbox.close()
    except R1Error as error:
        return {"state": "missing", "brings": str(error), "walls": {}}
    broken = [name for name, held in walls.items() if not held]
    return {"state": f"broken: {', '.join(broken)}" if broken else "ready", "kind": sandbox.name, "walls": walls}


def _extras() -> dict[str, dict[str, Any]]:
    """Extra -> {"missing": [...], "brings": command}, read off the installed package; "" is what it always needs."""
    from importlib import metadata

    from packaging.requirements import Requirement

    names = ["", *(metadata.metadata("r1kit").get_all("Provides-Extra") or [])]
    found: dict[str, dict[str, Any]] = {name: {"has": {}, "missing": []} for name in names}
    for line in metadata.requires("r1kit") or []:
        requirement = Requirement(line)
        for name in names:
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": name})
            unconditional = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if applies and (not name or not unconditional):
                _sort(found[name], requirement.name, str(requirement.specifier), requirement)
    for entry in found.values():
        if entry["missing"]:
            wanted = " ".join(f"'{each}'" for each in entry["missing"])
            entry["brings"] = f"{Path(sys.executable).parent / 'pip'} install {wanted}"
    return found


def _sort(entry: dict[str, Any], name: str, specifier: str, requirement: Any) -> None:
    from importlib import metadata

    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        version = ""
    if version and requirement.specifier.contains(version, prereleases=True):
        entry["has"][name] = version
    else:
        entry["missing"].append(f"{name}{specifier}")


def _spelled(found: dict[str, Any]) -> str:
    torch = found["torch"]
    devices = [f"{each['name']} ({each['memory_gb']:.0f} GB)" for each in torch["devices"]]
    disk = ", ".join(f"{value:.0f} GB free ({name})" for name, value in found["disk_free_gb"].items())
    lines = [
        f"r1kit    {found['r1kit']}, Python {found['python']}, {found['system']}",
        f"machine  {found['cores']} cores, {found['memory_gb']:.1f} GB memory, {disk}",
        f"torch    {torch['version'] or 'missing: ' + torch['brings']}",
        f"devices  {', '.join(devices) or 'no GPU: runs use the cores'}",
    ]
    if arithmetic := torch["arithmetic"]:
        lines.append(f"dtype    auto is {arithmetic['auto']}: {arithmetic['why']}")
    lines += [f"engine   {name}: {state}" for name, state in found["engines"].items()]
    sandbox = found["sandbox"]
    told = (
        sandbox.get("brings") or f"{sandbox['kind']}, {sum(sandbox['walls'].values())} walls tried from inside and held"
    )
    lines += [f"sandbox  {sandbox['state']}: {told} (needed by code tasks only)"]
    for name, entry in {"core": found["packages"], **found["extras"]}.items():
        state = f"missing {', '.join(entry['missing'])}: {entry['brings']}" if entry["missing"] else "complete"
        lines.append(f"extra    {name}: {state}" if name != "core" else f"packages {state}")
    return "\n".join(lines)
