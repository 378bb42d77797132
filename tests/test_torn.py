"""Every file of a run is torn, zeroed or deleted: the run goes on bit for bit, or says one line and ends with 2."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import count
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
    agreed, steps = workspace.Workspace._agreed, count(1)

    def signalled(self: workspace.Workspace) -> tuple[bool, str]:
        due, signal = agreed(self)
        return due, "SIGTERM" if self.stage == "r1_zero" and next(steps) == stop_at else signal

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workspace, "SAVE_COST_SHARE", 1e9)  # a resume point after every step
        patch.setattr(workspace, "WORTH_SAVING", 0.0)
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
    """A run to its end, and one that was stopped in RL."""
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
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(run / name, place / name)  # a stage that is done is not looked at again: nothing else may differ
    lost = f"{Path(name).parts[0]}/resume/" if name.endswith("01_pretrain/resume/state.json") else "nothing"
    expected, found = ({k: v for k, v in contents(each).items() if not k.startswith(lost)} for each in (whole, place))
    assert differences(expected, {key: value for key, value in found.items() if key in expected}) == []
    return "equal"


def files(run: Path) -> list[str]:
    return sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file() and path.name != ".lock")


GOES_ON = "equal"
CHOSEN = [
    ("02_r1_zero/resume/state.json", "cut in the middle", GOES_ON),
    ("02_r1_zero/resume/learner-4/state.pt", "zeroed", GOES_ON),
    ("02_r1_zero/resume/learner-4/state.pt", "deleted", GOES_ON),
    ("02_r1_zero/metrics.jsonl", "the last byte lost", GOES_ON),
    ("02_r1_zero/metrics.jsonl", "cut early", "metrics.jsonl is cut short"),
    ("02_r1_zero/key.json", "cut in the middle", GOES_ON),
    ("01_pretrain/result.json", "zeroed", GOES_ON),
    ("01_pretrain/checkpoint/model.safetensors", "cut in the middle", "model.safetensors"),
    ("manifest.json", "cut in the middle", GOES_ON),
    ("recipe.toml", "zeroed", GOES_ON),
]


QUICK = ("02_r1_zero/resume/state.json", "02_r1_zero/metrics.jsonl", "01_pretrain/checkpoint/model.safetensors")


@pytest.mark.parametrize(
    ("name", "fault", "expected"),
    [one if one[0] in QUICK else pytest.param(*one, marks=pytest.mark.slow) for one in CHOSEN],
)
def test_a_torn_file_of_a_stopped_run(
    runs: dict[str, Path], tmp_path: Path, name: str, fault: str, expected: str
) -> None:
    found = outcome(runs["stopped"], runs["whole"], tmp_path / "torn", name, fault)
    assert found == expected if expected == GOES_ON else expected in found
    assert "\n" not in found


@pytest.mark.slow
@pytest.mark.parametrize("which", ["stopped", "whole"])
def test_every_file_torn_in_every_way(runs: dict[str, Path], tmp_path: Path, which: str) -> None:
    for name in files(runs[which]):
        for fault in FAULTS:
            if fault != "another shape" or "checkpoint" not in name:  # JSON of another shape is no tear
                assert "\n" not in outcome(runs[which], runs["whole"], tmp_path / "torn", name, fault), (name, fault)
