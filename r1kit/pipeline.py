"""A run: for each stage of the recipe, already done? skip : run it, write its result."""

from __future__ import annotations

import errno
import json
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any

from r1kit import __version__, interrupts
from r1kit.cluster import last_words
from r1kit.cluster.ranks import Ranks
from r1kit.contracts import Recipe
from r1kit.depends import changes, former_key, is_taken_over, read_key, written_key
from r1kit.errors import InputError, MissingError, R1Error, is_file_limit, is_full_disk
from r1kit.faults import users_told
from r1kit.files import object_of, write_atomic, write_json
from r1kit.growth import GROWS, ends_anew, grown
from r1kit.recipe import fingerprint
from r1kit.resume import FOLDER, has_point, keep_last
from r1kit.update.settings import settled
from r1kit.workspace import Workspace

__all__ = ["run", "write_manifest"]

REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE)
"""What a file system answers that has failed, or whose rights were changed, under a run."""


def run(
    recipe: Recipe, folder: Path, ranks: Ranks, until: str = "", say: Callable[[str], None] = print,
    after: Callable[[str], None] | None = None, stands: Callable[[str], None] | None = None,
) -> None:  # fmt: skip
    """Run every stage that is not done, up to and including ``until``; each starts where it stopped.

    Args:
        after: called by rank 0 with the name of each stage that it has just finished, before the next begins.
        stands: takes the line that says, now and then, where the running stage stands; by default ``say`` does.
    """
    checkpoints: dict[str, str] = {}
    keys: dict[str, str] = {}
    former: dict[str, str] = {}
    say = say if ranks.rank == 0 else _silent
    settle = cache(partial(_settled, recipe, folder, ranks, say))
    for index, name in enumerate(recipe.stages, start=1):
        workspace = Workspace(
            run=folder,
            stage=name,
            index=index,
            recipe=recipe,
            ranks=ranks,
            checkpoints=dict(checkpoints),
            say=say,
            stands=stands if stands and ranks.rank == 0 else say,
        )
        with _disk_told(folder):
            written = ranks.broadcast_object(_written(workspace, keys, former) if workspace.is_writer else None)
            workspace.key = keys[name] = written["key"]
            result = _run_stage(settle, workspace, written, after)
        if result.get("checkpoint"):
            checkpoints[name] = result["checkpoint"]
        if name == until:
            break


def _written(workspace: Workspace, keys: Mapping[str, str], former: dict[str, str]) -> dict[str, Any]:
    """What the stage depends on, told to rank 0; a stage that an earlier version made of the same is given its new key.

    Args:
        former: earlier stage -> the key that a stage of an earlier version knows it by; this stage's is added.
    """
    recipe, name, folder = workspace.recipe, workspace.stage, workspace.folder
    before = read_key(folder)
    written = written_key(recipe, name, keys, before, fetch=True)
    taken_over = is_taken_over(recipe, name, before, former)
    former[name] = former_key(before, written, taken_over)
    if taken_over:
        kept = {**written, "former": before["key"]}
        for path in (*folder.rglob("state.json"), folder / "result.json", folder / "key.json"):
            if path.is_file():
                found = json.loads(path.read_text(encoding="utf-8"))
                write_json(path, {**found, "key": written["key"]} if path.name != "key.json" else kept)
        workspace.say(
            f"{name}: kept from an earlier version of r1kit, which told files by their paths; from now on they are "
            "told by what they hold"
        )
    return written


def _run_stage(
    settle: Callable[[], Recipe], workspace: Workspace, written: Mapping[str, Any],
    after: Callable[[str], None] | None,
) -> dict[str, Any]:  # fmt: skip
    """What the stage's ``result.json`` says: as it was found, or after running it, of the recipe once settled."""
    name, say = workspace.stage, workspace.say
    result: dict[str, Any] | None = workspace.ranks.broadcast_object(
        _result(workspace) if workspace.is_writer else None
    )
    ran, began = result is None, time.monotonic()
    if result is not None:
        say(f"{name}: done before")
    else:
        if workspace.is_writer:
            _make_room(workspace, written)
        workspace.ranks.broadcast_object(None)  # the folder is there on every rank
        say(f"{name}: {workspace.recipe.about[name].title}")
        workspace.recipe = settle()
        interrupts.keep(f"{name} was about to {'go on' if has_point(workspace.folder) else 'begin'}")
        last_words.tell(doing=name)
        _, run_stage = workspace.recipe.about[name].load()
        with users_told(name):
            made = run_stage(workspace.recipe.stages[name], workspace)
        result = workspace.finish(made)
    if workspace.is_writer:  # also after a kill right behind result.json
        kept = _let_go(workspace)
        if ran:
            say(f"{name}: done in {time.monotonic() - began:.0f} s{kept}")
        _record_lineage(workspace, result)
        if ran and after:
            after(name)
    return result


def _settled(recipe: Recipe, folder: Path, ranks: Ranks, say: Callable[[str], None]) -> Recipe:
    """The recipe with every ``auto`` dtype as this run computes it; keys are taken of the recipe as it is written."""
    if settled(recipe, "float32") is recipe:
        return recipe
    from r1kit.backends import arithmetic
    from r1kit.backends.device import device_of

    device = device_of(recipe.device, ranks)
    return settled(recipe, arithmetic.of_run(folder, device, ranks, say))


def _silent(line: str) -> None:
    """Ranks other than 0 say nothing."""


@contextmanager
def _disk_told(folder: Path) -> Iterator[None]:
    """However a writer dresses up a full disk, the user reads the same line and the run can go on; also of a folder
    that somebody deleted, or that is read-only now."""
    try:
        yield
    except (OSError, RuntimeError, R1Error) as error:
        if is_file_limit(error):
            raise MissingError(
                f"a file in {folder} grew as large as is allowed; raise `ulimit -f`, or move the folder to another "
                "file system, and run again to go on"
            ) from error
        if is_full_disk(error):
            raise MissingError(
                f"no disk space left at {folder}; free some and run the same command to go on"
            ) from error
        if isinstance(error, OSError) and error.errno in REFUSED and str(error.filename).startswith(str(folder)):
            raise InputError(
                f"{error.filename} cannot be written or read any more ({error.strerror}); mend that and run the same "
                "command to go on"
            ) from error
        if isinstance(error, (OSError, RuntimeError)) and not (folder / "manifest.json").is_file():
            raise R1Error(
                f"{folder} was deleted or moved while the run wrote there; move it back and run again to go on, or "
                "delete what is left of it to begin anew"
            ) from error
        raise


def _result(workspace: Workspace) -> dict[str, Any] | None:
    """What the stage's ``result.json`` says, where it is of this stage as the recipe has it."""
    path = workspace.folder / "result.json"
    if not path.is_file():
        return None
    result = object_of(path.read_text(encoding="utf-8", errors="replace")) or {}
    if set(result) >= {"key", "seconds", "inputs"}:
        return result if result["key"] == workspace.key else None
    if not has_point(workspace.folder):
        raise InputError(
            f"{path} is damaged; copy the run folder again, or delete the file to do {workspace.stage} again"
        )
    workspace.say(f"{workspace.stage}: {path} is damaged; what came after its last step is done again")
    return None


def _make_room(workspace: Workspace, written: Mapping[str, Any]) -> None:
    """Create the stage's folder; what other settings left there is moved aside, never deleted. A stage that is to
    train longer, and is otherwise the same, keeps what is there and goes on."""
    folder = workspace.folder
    found = read_key(folder)
    if found and found["key"] != workspace.key:
        more, why = grown(found, written), changes(found, written)
        if more and (has_point(folder) or not (folder / "result.json").is_file()):
            workspace.say(f"{workspace.stage}: {why}; it goes on from where it stands")
            written = {**written, "grown": [*found.get("grown", []), {name: less for name, (less, _) in more.items()}]}
            workspace.write("key.json", written)
            (folder / "result.json").unlink(missing_ok=True)
            return
        if ends_anew(found, written):
            workspace.say(f"{workspace.stage}: {why}; what it sampled and what people decided stays")
            workspace.write("key.json", written)
            (folder / "result.json").unlink(missing_ok=True)
            return
        aside = next(
            path for n in range(1, 10_000) if not (path := folder.with_name(f"{folder.name}.before-{n}")).exists()
        )
        shutil.move(folder, aside)
        why += " (its last state was not kept, so it cannot go on)" if more else ""
        workspace.say(f"{workspace.stage}: done again: {why}; the earlier result is kept in {aside.name}")
        written = {**written, "why": why}
    folder.mkdir(parents=True, exist_ok=True)
    if found.get("key") != workspace.key or "settings" not in found:
        workspace.write("key.json", written)


def _let_go(workspace: Workspace) -> str:
    """Drop the resume point of a stage that is done, or keep its last state so that more steps can go on from it.

    Returns:
        What is said of it.
    """
    folder = workspace.folder / FOLDER
    if workspace.recipe.keep_state and workspace.recipe.kinds[workspace.stage] in GROWS and has_point(workspace.folder):
        size = keep_last(folder)
        return f"; its last state is kept, {size / 1e6:.3g} MB (keep_state = false drops it)"
    shutil.rmtree(folder, ignore_errors=True)
    return ""


def write_manifest(recipe: Recipe, folder: Path) -> None:
    """``manifest.json``: versions, hardware, seed, recipe hash of the newest sitting; lineage comes as stages end."""
    path = folder / "manifest.json"
    before = _manifest(path)
    packages = ("torch", "transformers", "tokenizers", "numpy", "reasoning-gym", "math-verify")
    manifest = {
        "recipe": recipe.name,
        "recipe_hash": fingerprint(recipe),
        "seed": recipe.seed,
        "created": before.get("created", time.strftime("%Y-%m-%dT%H:%M:%S%z")),
        "versions": {
            "r1kit": __version__,
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in packages},
        },
        "hardware": {"processor": _processor(), "ranks": recipe.ranks, "device": recipe.device},
        "lineage": before.get("lineage", {}),
    }
    if manifest != before:
        write_atomic(path, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def _manifest(path: Path) -> dict[str, Any]:
    """What is there; nothing if it is missing or damaged: a run writes all of it again as it passes its stages."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _record_lineage(workspace: Workspace, result: Mapping[str, Any]) -> None:
    path = workspace.run / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    entry = {
        "inputs": result["inputs"],
        "checkpoint": result.get("checkpoint"),
        "seconds": round(result["seconds"], 1),
        "key": result["key"],
    }
    if manifest["lineage"].get(workspace.stage) != entry:
        manifest["lineage"][workspace.stage] = entry
        write_atomic(path, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
