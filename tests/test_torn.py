"""Every file of a run is torn, zeroed or deleted: the run goes on bit for bit, or says one line and ends with 2."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from kill_resume import SETTINGS, contents, differences

from r1kit import workspace
from r1kit.errors import InputError, Interrupted
from r1kit.launcher import run_here
from r1kit.recipe import load_recipe

RECIPE = load_recipe(
    "nano-zero",
    [*SETTINGS, "pretrain.steps=6", "r1_zero.steps=6", "pretrain.evaluation.limit=2", "r1_zero.evaluation.limit=2"],
)
"""Two stages of six steps."""


def go(folder: Path, stop_at: int = 0) -> list[str]:
    """Run in this process; what it said. ``stop_at``: a signal comes in this step of RL."""
    said: list[str] = []
    agreed = workspace.Workspace._agreed

    def signalled(self: workspace.Workspace) -> tuple[bool, str]:
        due, signal = agreed(self)
        self_stops = stop_at and self.stage == "r1_zero" and self.cursor["prompt"] == 8 * stop_at
        return due, "SIGTERM" if self_stops else signal

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workspace, "SAVE_COST_SHARE", 1e9)  # a resume point after every step
        patch.setattr(workspace.Workspace, "_agreed", signalled)
        run_here(RECIPE, folder, "", said.append)
    (folder / "report.html").touch()
    return said


def cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def swap(path: Path) -> None:
    """JSON of another shape."""
    path.write_text("[]\n")


FAULTS: dict[str, Callable[[Path], None]] = {
    "deleted": Path.unlink,
    "empty": lambda path: cut(path, 0.0),
    "cut early": lambda path: cut(path, 0.1),
    "cut in the middle": lambda path: cut(path, 0.5),
    "the last byte lost": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "zeroed": zero,
    "another shape": swap,
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run to its end, one that was stopped in RL, and one stopped in pretraining."""
    base = tmp_path_factory.mktemp("runs")
    go(base / "whole")
    with pytest.raises(Interrupted, match=r"r1_zero stands at step 4 of 6"):
        go(base / "stopped", 4)
    return {"whole": base / "whole", "stopped": base / "stopped"}


def outcome(run: Path, whole: Path, place: Path, name: str, fault: str) -> str:
    """``equal``, or the one line of an InputError. Anything else is a failure."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(run, place)
    FAULTS[fault](place / name)
    torn = (place / name).read_bytes() if (place / name).exists() else None
    try:
        go(place)
    except InputError as error:
        return str(error)
    if torn == ((place / name).read_bytes() if (place / name).exists() else None):
        shutil.copy(run / name, place / name)  # a stage that is done is not looked at again: nothing else may differ
    expected = contents(whole)
    assert differences(expected, {key: value for key, value in contents(place).items() if key in expected}) == []
    return "equal"


def files(run: Path) -> list[str]:
    return sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file() and path.name != ".lock")
