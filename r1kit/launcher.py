"""``r1 run`` from outside the training: the run folder, its lock, and one process a rank."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from r1kit.checks import check_recipe, check_stage
from r1kit.cluster import ranks as cluster
from r1kit.errors import InputError, MissingError
from r1kit.recipe import Recipe, as_toml, load_recipe
from r1kit.workspace import write_atomic

__all__ = ["run"]

MIN_FREE_BYTES = 200_000_000
"""Below this a run is not started: a checkpoint could not be written."""


def run(name: str, out: Path | None, overrides: Sequence[str], until: str = "") -> None:
    """Resolve and check the recipe, take the folder, start the ranks; or, as one of the ranks, work."""
    if "RANK" in os.environ:
        _work(Path(os.environ["R1KIT_RUN"]) if "R1KIT_RUN" in os.environ else None, name, out, overrides, until)
        return
    recipe = load_recipe(name, overrides)
    recipe = replace(recipe, ranks=recipe.ranks or default_ranks(recipe))
    check_recipe(recipe)
    if until:
        check_stage(recipe, until)
    folder = out or Path("runs") / recipe.name
    lock = _take(folder, recipe)
    os.environ["R1KIT_RUN"] = str(folder)
    threads = max(1, cores() // recipe.ranks)
    if recipe.ranks == 1:
        os.environ["OMP_NUM_THREADS"] = str(threads)
        _work(folder, name, out, overrides, until)
    else:
        code = cluster.launch(["run", "--until", until] if until else ["run"], recipe.ranks, threads, keep=(lock,))
        if code:
            sys.exit(code)
    _present(folder)


def _work(folder: Path | None, name: str, out: Path | None, overrides: Sequence[str], until: str) -> None:
    """One rank's whole life. Under torchrun there is no parent: rank 0 takes the folder itself."""
    cluster.die_with_parent()
    import torch

    from r1kit import pipeline

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    ranks = cluster.join()
    if folder is None:
        recipe = replace(load_recipe(name, overrides), ranks=ranks.size)
        check_recipe(recipe)
        folder = out or Path("runs") / recipe.name
        if ranks.rank == 0:
            _take(folder, recipe)
        ranks.broadcast_object(None)
    recipe = load_recipe(str(folder / "recipe.toml"))
    try:
        pipeline.run(recipe, folder, ranks, until, say=lambda line: print(line, flush=True))
    finally:
        ranks.close()


def _present(folder: Path) -> None:
    """What a person wants to see at the end."""
    from rich.console import Console

    from r1kit.report.page import write_report
    from r1kit.report.terminal import print_summary

    write_report(folder)
    print_summary(folder, Console())


def _take(folder: Path, recipe: Recipe) -> int:
    """Lock the run folder, refuse another recipe's, write the resolved recipe; the lock's file descriptor."""
    from r1kit.pipeline import write_manifest

    there = folder / "recipe.toml"
    if folder.is_dir() and any(folder.iterdir()) and not there.is_file():
        raise InputError(f"{folder} is not empty and not a run folder; choose another --out")
    if there.is_file() and (other := load_recipe(str(there))).name != recipe.name:
        raise InputError(f"{folder} belongs to recipe {other.name!r}, not {recipe.name!r}; choose another --out")
    free_at = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    if shutil.disk_usage(free_at).free < MIN_FREE_BYTES:
        raise InputError(f"no disk space left at {free_at}: a run needs {MIN_FREE_BYTES // 10**6} MB; free some")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}; choose another --out") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"{folder} is in use by another r1 run; wait for it or choose another --out") from None
    write_atomic(there, as_toml(recipe))
    write_manifest(recipe, folder)
    return lock


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def default_ranks(recipe: Recipe) -> int:
    """One rank a GPU where there is one and the recipe lets it, else one a core, at most 8."""
    if recipe.device != "cpu" and (gpus := _gpus()):
        return gpus
    if recipe.device == "cuda":
        raise MissingError("recipe asks for device 'cuda' but no GPU is visible; set device = \"auto\" or free one")
    return min(8, cores())


def _gpus() -> int:
    """Visible GPUs, without importing torch unless the driver is there."""
    if not Path("/proc/driver/nvidia").exists() and not Path("/dev/nvidiactl").exists():
        return 0
    import torch

    return torch.cuda.device_count()
