"""``r1 run`` from outside the training: the run folder, its lock, and one process a rank."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from r1kit import interrupts
from r1kit.checks import check_recipe, check_stage, check_stages
from r1kit.cluster import launched
from r1kit.cluster.cores import cores, gpus_here, ranks_here, threads_asked
from r1kit.cluster.helpers import helper_jobs, refuse_helpers
from r1kit.cluster.launch import launch, rank_jobs
from r1kit.cluster.peers import several_hosts
from r1kit.cluster.placement import Host, is_rank, plan, room_for
from r1kit.cluster.processes import Here, Job
from r1kit.cluster.ranks import Ranks, Solo, join
from r1kit.cluster.settings import Cluster
from r1kit.contracts import Recipe
from r1kit.errors import InputError, Interrupted, MissingError, PeerLostError, RankError
from r1kit.files import check_utf8, object_of, write_atomic
from r1kit.recipe import as_toml, load_recipe, recipe_name
from r1kit.registry import names_code
from r1kit.report import shown
from r1kit.structure import plain
from r1kit.trackers.beside import tracked

__all__ = ["run", "run_here"]

MIN_FREE_BYTES = 200_000_000
"""Below this a run is not started: a checkpoint could not be written."""


def run(
    name: str, out: Path | None, overrides: Sequence[str], until: str = "", cluster: str = "",
    trackers: Sequence[str] = (), *, quiet: bool = False, as_json: bool = False,
) -> None:  # fmt: skip
    """Resolve and check the recipe, take the folder, start the ranks; or, as one of the ranks, work.

    Args:
        cluster: the Ray cluster that the ranks are placed on, see ``ray_connect.connect``; empty: this machine.
        trackers: names, beside those of the recipe.
        quiet: print warnings, errors and a line at the end.
        as_json: print JSON lines.
    """
    if not launched.is_launched():
        shown.chosen(quiet, as_json, parent="RANK" not in os.environ)
        overrides = [*overrides, *_to_track(trackers, name, overrides)]
    if cluster and "RANK" not in os.environ:
        if launched.is_launched():
            launched.run_as_rank(lambda: _run_on_cluster(name, out, overrides, until, cluster))
        given = [*(["--out", str(out)] if out else []), *(part for each in overrides for part in ("--set", each))]
        command = ("-m", "r1kit", "run", name, "--cluster", cluster, "--until", until, *given)
        recipe = load_recipe(name, overrides)
        try:
            with _seen(out or Path("runs") / recipe.name, recipe.trackers) as show:
                job = Job(name="the run's process on the cluster", command=command)
                launch([job], starter=Here(streams=show.streams), tell=show.tell)
        except RankError as error:  # Ray has ended it
            from r1kit.cluster.ray.connect import why_ended

            raise RankError(why_ended(cluster, str(error))) from None
        return
    if launched.is_launched():
        launched.run_as_rank(lambda: _as_rank_of_ours(Path(os.environ["R1KIT_RUN"]), until))
    if "RANK" in os.environ:
        _under_torchrun(name, out, overrides, until)
        return
    try:
        with interrupts.heeded():
            _run_here(name, out, overrides, until)
    except interrupts.Stopped as stopped:
        raise Interrupted(str(stopped)) from None


def _run_here(name: str, out: Path | None, overrides: Sequence[str], until: str) -> None:
    recipe = load_recipe(name, overrides)
    recipe, folder = replace(recipe, ranks=recipe.ranks or default_ranks(recipe)), out or Path("runs") / recipe.name
    for warning in check_recipe(recipe, folder):
        print(warning, file=sys.stderr)
    if until:
        check_stage(recipe, until)
    lock = _take(folder, recipe)
    threads = threads_asked() or max(1, cores() // recipe.ranks)
    helpers = helper_jobs(recipe.cluster, threads, recipe.ranks)
    with _seen(folder, recipe.trackers) as show:
        if recipe.ranks == 1 and not helpers and not show.streams and not names_code(plain(recipe)):
            os.environ["OMP_NUM_THREADS"] = str(threads)  # read when torch is imported
            os.environ["R1KIT_RUN"] = str(folder)  # as a rank of several is told
            _work(folder, Solo(), until)
        else:
            arguments = ["run", "--until", until] if until else ["run"]
            ranks, cluster = rank_jobs(arguments, recipe.ranks, threads, str(folder)), recipe.cluster
            launch(
                ranks,
                helpers,
                starter=Here(keep=(lock,), streams=show.streams),
                restarts=cluster.restarts,
                lost_after=cluster.lost_after,
                tell=show.tell,
            )
        show.close()
        shown.present(folder)


@contextmanager
def _seen(folder: Path, trackers: Mapping[str, Any]) -> Iterator[shown.Shown]:
    """Show the run and feed its trackers while the block works on it."""
    with shown.shown(folder) as show, tracked(trackers, folder, show.streams and show.streams[1], show.tell):
        yield show


def _to_track(trackers: Sequence[str], name: str, overrides: Sequence[str]) -> list[str]:
    """As settings: those trackers that the recipe does not have, each with its defaults."""
    known = {Path(one).absolute() for one in load_recipe(name, overrides).trackers} if trackers else {}
    return [f"trackers.{json.dumps(tracker)}={{}}" for tracker in trackers if Path(tracker).absolute() not in known]


def _run_on_cluster(name: str, out: Path | None, overrides: Sequence[str], until: str, address: str) -> None:
    """Place the run's processes on a Ray cluster and see it through; the work of the process that ``run`` guards."""
    from r1kit.cluster.ray import checks as ray_checks
    from r1kit.cluster.ray import connect as ray_connect
    from r1kit.cluster.ray import run as ray_run

    recipe = load_recipe(name, overrides)
    alone = default_ranks(recipe) if not recipe.ranks else recipe.ranks
    for warning in check_recipe(replace(recipe, ranks=recipe.ranks or 1), out or Path("runs") / recipe.name):
        print(warning, file=sys.stderr)
    if until:
        check_stage(recipe, until)
    with ray_connect.Quiet() as quiet:
        cluster = ray_connect.connect(address, ray_checks.cpus_of(recipe.cluster, alone))
        try:
            cluster.said = ray_checks.check_hosts(cluster)
            asked = recipe.ranks or (alone if cluster.alone else _ranks_of(recipe, cluster.hosts()))
            recipe = replace(recipe, ranks=asked)
            check_stages(recipe)
            folder = (out or Path("runs") / recipe.name).absolute()
            arguments = ["run", "--until", until] if until else ["run"]

            def jobs(ranks: int) -> tuple[list[Job], list[Job]]:
                made = rank_jobs(arguments, ranks, 1, str(folder))
                share = cores() // ranks if cluster.alone else int(recipe.cluster.engine_needs.cpus)
                helpers = helper_jobs(recipe.cluster, threads_asked() or max(1, share), ranks)
                told = {shown.SHOWS: os.environ.get(shown.SHOWS, "lines")}
                return [
                    replace(job, needs=recipe.cluster.rank_needs, environment={**job.environment, **told})
                    for job in made
                ], helpers

            def starter(ranks: int) -> ray_run.RayStarter:
                write_atomic(folder / "recipe.toml", as_toml(replace(recipe, ranks=ranks)))
                return ray_run.RayStarter(cluster, recipe.cluster, str(folder), threads_asked(), quiet.user)

            first = cluster.here if recipe.cluster.first_rank == "driver" else ""
            slots = plan(
                cluster.hosts(), [*jobs(asked)[0], *jobs(asked)[1]], first, share_devices=recipe.cluster.share_devices
            )
            _take(folder, recipe)
            quiet.to(str(folder / ".cluster.log"))
            vet = ray_checks.Vet(cluster, folder, ray_checks.read_by(recipe))
            vet.paths(list({slot.host.id: slot.host for slot in slots if is_rank(slot.job)}.values()))
            cluster.look(recipe.cluster.heartbeat, vet)
            ray_run.run(starter, jobs, asked, lambda ranks: _divides(recipe, ranks))
        finally:
            cluster.leave()
    shown.present(folder)


def _ranks_of(recipe: Recipe, hosts: Sequence[Host]) -> int:
    """As ``default_ranks``, of all hosts of a cluster: a rank a GPU, or a core, as far as there is room for each."""
    needs = recipe.cluster.rank_needs
    gpus = 0 if recipe.device == "cpu" else int(sum(host.gpus for host in hosts))
    most = gpus or min(8, int(sum(host.cpus for host in hosts)))
    most = room_for(hosts, needs, most)
    return next((ranks for ranks in range(most, 1, -1) if _divides(recipe, ranks)), 1)


def run_here(recipe: Recipe, folder: Path, until: str, say: Callable[[str], None]) -> None:
    """Run in this process, as one rank: what a notebook does. Presents nothing."""
    from r1kit import pipeline

    recipe = replace(recipe, ranks=1)
    refuse_helpers(recipe.cluster, "in a notebook")
    for warning in check_recipe(recipe, folder):
        say(warning)
    if until:
        check_stage(recipe, until)
    lock = _take(folder, recipe)
    try:
        with interrupts.heeded(), tracked(recipe.trackers, folder, None, say):
            pipeline.run(recipe, folder, Solo(), until, say)
    except interrupts.Stopped as stopped:
        raise Interrupted(str(stopped)) from None
    finally:
        os.close(lock)


def _under_torchrun(name: str, out: Path | None, overrides: Sequence[str], until: str) -> None:
    """A rank that torchrun started. There is no parent of ours: rank 0 checks, takes the folder and presents.

    Whatever rank 0 refuses, the others leave without a word; torchrun adds its own account of who failed.
    """
    with interrupts.heeded(again=False):  # torchrun hands on what the terminal has sent to all already
        _as_rank_of_torchrun(name, out, overrides, until)


def _as_rank_of_ours(folder: Path, until: str) -> None:
    _work(folder, join(load_recipe(str(folder / "recipe.toml")).cluster), until)


def _as_rank_of_torchrun(name: str, out: Path | None, overrides: Sequence[str], until: str) -> None:
    try:
        ranks = join(_cluster_of(name, overrides))
    except PeerLostError as error:
        if several_hosts() and os.environ.get("LOCAL_RANK") == "0":
            print(f"r1: {error}; run the same command on all hosts", file=sys.stderr, flush=True)
        os._exit(PeerLostError.exit_code)
    try:
        taken: Path | None = None
        trackers: Mapping[str, Any] = {}
        try:
            if ranks.rank == 0:
                recipe = replace(load_recipe(name, overrides), ranks=ranks.size)
                refuse_helpers(recipe.cluster, "under torchrun")
                taken, trackers = out or Path("runs") / recipe.name, recipe.trackers
                for warning in check_recipe(recipe, taken):
                    print(warning, file=sys.stderr)
                if until:
                    check_stage(recipe, until)
                _take(taken, recipe)
        finally:
            taken = ranks.broadcast_object(taken)
        if taken is None:
            os._exit(PeerLostError.exit_code)
        with tracked(trackers, taken, None, shown.say):
            _work(taken, ranks, until)
    except PeerLostError:
        os._exit(PeerLostError.exit_code)
    except interrupts.Stopped as stopped:
        raise Interrupted(str(stopped)) from None
    finally:
        ranks.close()  # those on other hosts are told that this one means to end
    if ranks.rank == 0:
        shown.present(taken)


def _cluster_of(name: str, overrides: Sequence[str]) -> Cluster:
    """How long ranks wait for each other; the usual where the recipe is wrong, which rank 0 will say."""
    try:
        return load_recipe(name, overrides).cluster
    except InputError:
        return Cluster()


def _work(folder: Path, ranks: Ranks, until: str) -> None:
    """One rank's whole life."""
    import torch

    from r1kit import pipeline

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or cores() // ranks_here(ranks) or 1))
    recipe = load_recipe(str(folder / "recipe.toml"))
    last = until or list(recipe.stages)[-1]
    pipeline.run(
        recipe, folder, ranks, until, say=shown.say, stands=shown.stands(folder),
        after=lambda stage: shown.so_far(folder, stage, last),
    )  # fmt: skip
    ranks.close()


def _take(folder: Path, recipe: Recipe) -> int:
    """Lock the run folder, refuse another recipe's, write the resolved recipe; the lock's file descriptor.

    Nothing in the folder is touched before the lock is held.
    """
    from r1kit.pipeline import write_manifest

    check_utf8(folder, "--out")
    _check_owner(folder, recipe)
    free_at = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    if shutil.disk_usage(free_at).free < MIN_FREE_BYTES:
        raise MissingError(f"no disk space left at {free_at}: a run needs {MIN_FREE_BYTES // 10**6} MB; free some")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}; choose another --out") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"{folder} is in use by another r1 run; wait for it or choose another --out") from None
    _check_owner(folder, recipe)  # another run may have come and gone since
    for stale in folder.glob(".report.html.*"):  # of a run that was killed while it wrote its report
        stale.unlink()
    write_atomic(folder / "recipe.toml", as_toml(recipe))
    write_manifest(recipe, folder)
    return lock


def _check_owner(folder: Path, recipe: Recipe) -> None:
    """The folder must be new, empty or a run of the same recipe. A run killed at birth leaves dot files only."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; choose another --out")
    if not (folder / "recipe.toml").is_file() and not (folder / "manifest.json").is_file():
        if folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir()):
            raise InputError(f"{folder} is not empty and not a run folder; choose another --out")
        return
    if (owner := _owner(folder)) != recipe.name:
        raise InputError(f"{folder} belongs to recipe {owner!r}, not {recipe.name!r}; choose another --out")


def _owner(folder: Path) -> str:
    """The recipe whose run a folder is: as ``recipe.toml`` says, or ``manifest.json`` where that is damaged."""
    path = folder / "manifest.json"
    manifest = (object_of(path.read_text(encoding="utf-8", errors="replace")) or {}) if path.is_file() else {}
    named = manifest.get("recipe")
    try:
        written = recipe_name(folder / "recipe.toml")
    except InputError:
        if not named:
            raise
        return str(named)
    damaged = written == "recipe" and named  # the file's own name, where it says none
    return str(named) if damaged else written


def default_ranks(recipe: Recipe) -> int:
    """One rank a GPU where there is one and the recipe lets it, else one a core, at most 8; fewer where a stage's
    batch does not divide over them."""
    if recipe.device == "cuda" and not gpus_here():
        raise MissingError("recipe asks for device 'cuda' but no GPU is visible; set device = \"auto\" or free one")
    most = (gpus_here() if recipe.device != "cpu" else 0) or min(8, cores())
    return next((ranks for ranks in range(most, 1, -1) if _divides(recipe, ranks)), 1)


def _divides(recipe: Recipe, ranks: int) -> bool:
    try:
        check_stages(replace(recipe, ranks=ranks))
    except InputError:
        return False
    return True
