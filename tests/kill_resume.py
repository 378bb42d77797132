"""Kill a run with SIGKILL again and again, resume it with the same command, compare it with an uninterrupted one.

    python tests/kill_resume.py --times 20 --seed 1
    python tests/kill_resume.py --recipe nano --times 2 --kills 10

Every file must be equal bit for bit but for wall-clock fields. Half of the kills come at a random time, half at a
moment picked by what is on disk: pretraining, a resume point or a checkpoint half written, an evaluation, a rollout,
the report. With more than one rank, one kill in two hits a single rank and not the whole run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

WALL_CLOCK = re.compile(r"(^|_)seconds$|^tokens_per_second$|^created$|^at$|^queue$|^peak$")
"""Fields that may differ; ``queue``: how many groups happened to be ready when a step began; ``peak``: memory."""
SETTINGS = (
    "model.hidden_size=32", "model.intermediate_size=64", "model.num_layers=1", "model.num_heads=2",
    "model.num_kv_heads=1",
    "pretrain.steps=30", "pretrain.log_every=3", "pretrain.tokens_per_step=512", "pretrain.evaluation.k=2",
    "pretrain.evaluation.limit=4", "pretrain.sampling.max_tokens=24",
    "r1_zero.steps=8", "r1_zero.prompts_per_step=4", "r1_zero.minibatches=2", "r1_zero.sampling.n=4",
    "r1_zero.sampling.max_tokens=24", "r1_zero.dynamic_sampling=1", "r1_zero.loss.kl_weight=0.01",
    "r1_zero.reference_every=6", "r1_zero.evaluation.k=2", "r1_zero.evaluation.limit=4", "r1_zero.evaluate_every=3",
    "r1_zero.evaluation.resamples=20", "r1_zero.reward.format_partial=true",
)  # fmt: skip
"""Two stages that take a second each and use every part that has a state: Muon, minibatches, a reference, a cursor."""

CHAIN = (
    *(f"model.{key}" for key in (
        "hidden_size=32", "intermediate_size=64", "num_layers=1", "num_heads=2", "num_kv_heads=1"
    )),
    "pretrain.steps=20", "pretrain.tokens_per_step=512", "pretrain.sampling.max_tokens=24", "pretrain.log_every=5",
    *(f"{stage}.{key}" for stage in ("r1_zero", "reasoning_rl", "all_scenarios_rl", "distill.rl") for key in (
        "steps=4", "prompts_per_step=4", "evaluate_every=2", "sampling.n=4", "sampling.max_tokens=24",
        "reward.format_partial=true",
    )),
    "all_scenarios_rl.preference_steps=2",
    "cold_start.routes={r1_zero=8,few_shot=4,direct=4}", "rejection_sampling.prompts=16",
    *(f"{stage}.{key}" for stage in ("cold_start", "rejection_sampling") for key in (
        "prompts_per_step=4", "sampling.n=2", "sampling.max_tokens=24", "general.count=8",
    )),
    *(f"{stage}.{key}" for stage in ("cold_start_sft", "sft") for key in (
        "samples_per_step=8", "sampling.max_tokens=24",
    )),
    "reward_models.batch=16", "reward_models.helpfulness.count=64", "reward_models.helpfulness.own_samples=64",
    "reward_models.safety.count=64",
    "distill.base_steps=6", "distill.sft.samples_per_step=8",
    *(f"distill.students.{name}.model.{key}" for name in ("llama-s", "qwen-s") for key in (
        "hidden_size=16", "intermediate_size=32", "num_layers=1", "num_heads=2", "num_kv_heads=1",
    )),
    "evaluate.sampling.max_tokens=24",
    *(f"{stage}.evaluation.{key}" for stage in (
        "pretrain", "r1_zero", "cold_start_sft", "reasoning_rl", "sft", "all_scenarios_rl", "distill", "distill.rl",
        "evaluate",
    ) for key in ("k=2", "limit=4", "resamples=20")),
)  # fmt: skip
"""The whole chain, every stage a second or two. Nothing that it samples is right, so it learns the general samples."""
FSDP = "+fsdp"
"""Behind a recipe's name: with the learner whose ranks share the weights."""
AHEAD = (*SETTINGS, "cluster.engines=1", "r1_zero.max_lag=2", "r1_zero.record_groups=4")
"""An engine samples ahead of the learner."""
RECIPES = {"nano-zero": SETTINGS, "nano": CHAIN}
RECIPES |= {f"{name}{FSDP}": (*settings, "learner=fsdp") for name, settings in RECIPES.items()} | {"ahead": AHEAD}
EXPERTS = str(Path(__file__).with_name("experts.toml"))
"""A mixture, with experts on their ranks where ``FSDP`` is behind its name."""
RECIPES |= {EXPERTS: (), f"{EXPERTS}{FSDP}": ('learner={kind="fsdp", expert_parallel=2}',)}

Moment = Callable[[Path], bool]


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


MOMENTS: dict[str, Moment] = {
    "pretraining": lambda run: lines(run / "01_pretrain/metrics.jsonl") >= 4,
    "pretraining's resume point half written": lambda run: any((run / "01_pretrain/resume").glob(".*.new")),
    "the base's checkpoint half written": lambda run: (run / "01_pretrain/.checkpoint.new").is_dir(),
    "the base's evaluation": lambda run: (run / "01_pretrain/checkpoint").is_dir(),
    "the first evaluation of RL": lambda run: lines(run / "02_r1_zero/eval.jsonl") == 1,
    "RL": lambda run: lines(run / "02_r1_zero/metrics.jsonl") >= 3,
    "RL's resume point half written": lambda run: any((run / "02_r1_zero/resume").glob(".*.new")),
    "the last evaluation": lambda run: lines(run / "02_r1_zero/metrics.jsonl") >= 8,
    "the policy's checkpoint half written": lambda run: (run / "02_r1_zero/.checkpoint.new").is_dir(),
    "the result half written": lambda run: (run / "02_r1_zero/.result.json.new").is_file(),
    "the report": lambda run: (run / "02_r1_zero/result.json").is_file(),
}


def command(run: Path, ranks: int, recipe: str = "nano-zero") -> list[str]:
    settings = [part for setting in RECIPES[recipe] for part in ("--set", setting)]
    name = "nano-zero" if recipe == "ahead" else recipe.removesuffix(FSDP)
    return [sys.executable, "-m", "r1kit", "run", name, "--out", str(run), "--ranks", str(ranks), *settings]


def start(run: Path, ranks: int, recipe: str = "nano-zero") -> subprocess.Popen[bytes]:
    """One sitting, in a process group of its own; stdout and stderr go to files beside the run."""
    with run.with_suffix(".out").open("ab") as out, run.with_suffix(".err").open("ab") as err:
        return subprocess.Popen(command(run, ranks, recipe), stdout=out, stderr=err, start_new_session=True)


def finish(run: Path, ranks: int, recipe: str = "nano-zero") -> float:
    """Run to the end; the seconds it took."""
    began = time.monotonic()
    process = start(run, ranks, recipe)
    code = process.wait(600)
    if code:
        raise SystemExit(f"the run ended with exit code {code}: {run.with_suffix('.err').read_text()[-2000:]}")
    return time.monotonic() - began


def kill_at(run: Path, ranks: int, moment: Moment | float, single: int | None, recipe: str = "nano-zero") -> str:
    """Start, wait for the moment (or so many seconds), SIGKILL the run or one rank of it; how it ended."""
    process = start(run, ranks, recipe)
    deadline = time.monotonic() + (moment if isinstance(moment, float) else 300.0)
    while process.poll() is None and time.monotonic() < deadline:
        if callable(moment) and moment(run):
            break
        time.sleep(0.0005)
    victims = children(process.pid)
    if process.poll() is None and single is not None and len(victims) == ranks > 1:
        os.kill(victims[single], signal.SIGKILL)
        code = process.wait(30)  # within seconds, by itself
        how = f"rank {single} killed, exit code {code}"
        last = run.with_suffix(".err").read_text().splitlines()[-1:]
        if code not in (0, 1) or (code == 1 and not re.match(rf"r1: (\w+: )?rank {single} ", last[0])):
            raise SystemExit(f"{how}, last line {last}")
    else:
        process.kill()
        process.wait()
        how = "run killed"
    wait_gone(process.pid, victims)
    return how


def children(parent: int) -> list[int]:
    """Its child processes, oldest first."""
    path = Path(f"/proc/{parent}/task/{parent}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def wait_gone(run: int, processes: Sequence[int]) -> None:
    """No process of the run, its verifiers and its ranks' included, may outlive it for long."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        left = [pid for pid in processes if Path(f"/proc/{pid}").exists()] + verifiers([run, *processes])
        if not left:
            return
        time.sleep(0.02)
    raise SystemExit(f"processes of run {run} are left: {left}")


def verifiers(parents: Sequence[int]) -> list[int]:
    """Verifier processes that were started by one of these."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:  # it ended while we looked
            continue
        if b"r1kit.reward.worker" in words and int(words[-2] or 0) in parents:
            found.append(int(path.parent.name))
    return found


# ---- comparing ----------------------------------------------------------------------------------------------------


def contents(run: Path) -> dict[str, Any]:
    """Every file that a run leaves, wall-clock taken out: logs and JSON parsed, the rest as a hash."""
    found: dict[str, Any] = {}
    for path in sorted(path for path in run.rglob("*") if path.is_file()):
        name = str(path.relative_to(run))
        if path.suffix == ".jsonl":
            found[name] = [timeless(json.loads(line)) for line in path.read_text().splitlines()]
        elif path.suffix == ".json" and "checkpoint" not in name:
            found[name] = timeless(json.loads(path.read_text()))
        elif name != "report.html":
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (run / "report.html").is_file()
    return found


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: 0 if WALL_CLOCK.search(key) else timeless(item) for key, item in value.items()}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def differences(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """What differs, one line each; the first differing line of a log."""
    told = [f"{name}: only in one of the runs" for name in sorted(expected.keys() ^ found.keys())]
    for name in sorted(expected.keys() & found.keys()):
        one, other = expected[name], found[name]
        if one != other and isinstance(one, list):
            place = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), -1)
            where = f"{place} in {fields(one[place], other[place])}" if place >= 0 else "the end"
            told.append(f"{name}: {len(one)} and {len(other)} lines, first difference at {where}")
        elif one != other:
            told.append(f"{name}: differs")
    return told


def fields(one: dict[str, Any], other: dict[str, Any]) -> str:
    """Names of those that differ."""
    return ", ".join(sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key)))


def repetition(folder: Path, ranks: int, seed: int, kills: int, expected: dict[str, Any], seconds: float) -> list[str]:
    """Kill a run ``kills`` times, let it end, compare; what was done. Raises SystemExit at a difference."""
    draw = random.Random(seed)
    run, told = folder / f"killed-{ranks}-{seed}", []
    chosen = draw.sample(list(MOMENTS), kills - kills // 2)
    plan: list[tuple[float, str, Moment | float]] = [
        (list(MOMENTS).index(name), name, MOMENTS[name]) for name in chosen
    ]
    for _ in range(kills // 2):
        after = draw.uniform(0.1, 0.95)
        plan.append((after * len(MOMENTS), f"{after * seconds:.1f} s", after * seconds))
    for _, name, moment in sorted(plan, key=lambda item: item[0]):
        single = draw.randrange(ranks) if draw.random() < 0.5 else None
        told.append(f"{name} ({kill_at(run, ranks, moment, single)})")
    finish(run, ranks)
    if found := differences(expected, contents(run)):
        raise SystemExit(f"ranks {ranks}, seed {seed}, killed at {told}:\n" + "\n".join(found) + f"\nkept in {folder}")
    shutil.rmtree(run)
    return told


def chain_repetition(
    folder: Path, ranks: int, seed: int, kills: int, expected: dict[str, Any], seconds: float
) -> list[str]:
    """Kill the whole chain ``kills`` times over one run: in stages drawn at random, at a random moment of each."""
    draw = random.Random(seed)
    run, told = folder / f"killed-chain-{ranks}-{seed}", []
    names = sorted({name.split("/")[0] for name in expected if "/" in name})
    for name in sorted(draw.choices(names, k=kills)):
        single = draw.randrange(ranks) if draw.random() < 0.3 else None
        how = kill_at(run, ranks, within(name, draw.uniform(0.0, 2.0)), single, "nano")
        reached = sorted(path.name for path in run.glob("[0-9]*"))[-1:]
        told.append(f"{''.join(reached)} ({how})")
    finish(run, ranks, "nano")
    if found := differences(expected, contents(run)):
        raise SystemExit(f"ranks {ranks}, seed {seed}, killed at {told}:\n" + "\n".join(found) + f"\nkept in {folder}")
    shutil.rmtree(run)
    return told


def within(stage: str, seconds: float) -> Moment:
    """So many seconds after this sitting was first seen to work on the stage, or at the stage's end."""
    seen: dict[str, float] = {}
    started = time.time()

    def moment(run: Path) -> bool:
        if (run / stage / "result.json").exists():
            return True
        with suppress(FileNotFoundError):  # a file went while we looked
            if not seen and any(path.stat().st_mtime > started for path in (run / stage).rglob("*")):
                seen["at"] = time.monotonic()
        return bool(seen) and time.monotonic() - seen["at"] >= seconds

    return moment


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--ranks", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--recipe", choices=list(RECIPES), default="nano-zero")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kill-resume-"))
    straight = {ranks: finish(folder / f"straight-{ranks}", ranks, given.recipe) for ranks in given.ranks}
    repeat = chain_repetition if given.recipe == "nano" else repetition
    expected = {ranks: contents(folder / f"straight-{ranks}") for ranks in given.ranks}
    for time_ in range(given.times):
        ranks = given.ranks[time_ % len(given.ranks)]
        told = repeat(folder, ranks, given.seed + time_, given.kills, expected[ranks], straight[ranks])
        print(f"{time_ + 1}/{given.times} ranks {ranks}: equal after kills at {'; '.join(told)}", flush=True)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
