"""Runs that are made to be ill: by the loops on a tiny fresh model, or written by the workspace's own functions."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from loops.tiny import questions, save_start

from r1kit.contracts import Recipe
from r1kit.launcher import run_here
from r1kit.recipe import as_toml, load_recipe
from r1kit.report.read.illnesses.doctor import illnesses
from r1kit.report.read.illnesses.illness import Illness
from r1kit.report.read.run_folder import RunFolder
from r1kit.workspace import Workspace

NOW = 1e9
"""Any time will do where no run is going on."""
HEALTHY: Mapping[str, float] = {
    "reward": 0.6, "accuracy": 0.5, "format": 0.5, "language": 0.9, "response_tokens": 40.0, "truncated_share": 0.02,
    "flat_group_share": 0.2, "ungradable_share": 0.0, "timeout_share": 0.0, "tokens": 2000.0, "entropy": 0.3,
    "grad_norm": 0.2, "ratio_max": 1.0, "kl": 0.05, "sampler_gap": 1e-6, "engine_gap": 1e-6,
}  # fmt: skip


def recipe_of(folder: Path, *overrides: str) -> Recipe:
    """R1-Zero on a random model of 44 words, which nothing has taught the form."""
    folder.mkdir(parents=True, exist_ok=True)
    start, task = folder / "start", questions(folder / "q.jsonl")
    table = "\n".join(f"{key} = {json.dumps(value)}" for key, value in task.items())
    (folder / "r.toml").write_text(
        f'name = "r"\ndtype = "float32"\n[model]\nname = "{start}"\ntemplate = {{name = "plain"}}\n'
        f'[tasks.t]\n{table}\n[stages.r1_zero]\nsteps = 5\nprompts_per_step = 8\nevaluate_every = 100\n'
        f'final_split = ""\nsampling = {{n = 8, max_tokens = 8}}\nevaluation = {{k = 2, resamples = 5}}\n'
    )  # fmt: skip
    return load_recipe(str(folder / "r.toml"), overrides)


def real(folder: Path, *overrides: str) -> Path:
    """A run by the loops."""
    save_start(folder / "start")
    run_here(recipe_of(folder, *overrides), folder / "run", "", lambda line: None)
    return folder / "run"


def written(
    folder: Path, steps: int, metrics: Callable[[int], Mapping[str, Any]] = lambda step: {}, *overrides: str,
    rollouts: Iterable[Mapping[str, Any]] = (), evals: Iterable[Mapping[str, Any]] = (), **files: Any,
) -> Path:  # fmt: skip
    """A run whose numbers are made up: healthy ones, with what ``metrics`` says of a step in their place (None: none).

    Args:
        files: further JSON files of the stage, by name.
    """
    recipe = recipe_of(folder, *overrides)
    workspace = Workspace(run=folder / "run", stage="r1_zero", index=1, recipe=recipe, key="k", say=lambda line: None)
    workspace.folder.mkdir(parents=True)
    (workspace.run / "recipe.toml").write_text(as_toml(recipe))
    for step in range(1, steps + 1):
        workspace.log(step, {name: value for name, value in {**HEALTHY, **metrics(step)}.items() if value is not None})
    workspace.append("rollouts", rollouts)
    workspace.append("eval", evals)
    for name, value in files.items():
        workspace.write(f"{name}.json", value)
    return workspace.run


def rollout(step: int, completion: str, **fields: Any) -> dict[str, Any]:
    """A line of ``rollouts.jsonl``."""
    line = {"step": step, "kind": "train", "prompt_id": f"t/{step}", "prompt": "q", "completion": completion}
    return {**line, "tokens": len(completion.split()), "finish": "stop", "reward": 0.0, "parts": {}, **fields}


def found(run: Path, now: float = NOW) -> dict[str, Illness]:
    """What the doctor says, by the name of the illness."""
    listed = illnesses(RunFolder(run), now)
    named = {one.name: one for one in listed}
    assert len(named) == len(listed), [one.name for one in listed]
    return named


def held(run: Path) -> int:
    """The run's lock, taken as ``r1 run`` takes it; close it to let go."""
    import fcntl

    lock = os.open(run / ".lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return lock
