"""What a user may get wrong, typed as a user would: one line, exit code 2 or 3, the run folder untouched."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kill_resume import SETTINGS

from r1kit.recipe import as_toml, load_recipe
from r1kit.workspace import Workspace

R1 = [sys.executable, "-m", "r1kit"]
Typed = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run of nano-zero that stopped in the middle."""
    folder = tmp_path / "run"
    (folder / "01_pretrain/resume").mkdir(parents=True)
    (folder / "recipe.toml").write_text(as_toml(load_recipe("nano-zero", ["ranks=1"])))
    (folder / "manifest.json").write_text("{}")
    (folder / "01_pretrain/metrics.jsonl").write_text('{"step": 1}\n')
    (folder / ".lock").touch()
    return folder


@pytest.fixture
def refused(run_folder: Path, tmp_path: Path) -> Callable[..., str]:
    """Type ``r1 run ...``; its one line. The run folder must be as before, to the byte and the time stamp."""

    def run(*words: str, code: int = 2, out: Path = run_folder, command: list[str] = R1) -> str:
        before = snapshot(run_folder)
        done = subprocess.run(
            [*command, "run", *words, "--out", str(out)], capture_output=True, text=True, cwd=tmp_path, timeout=120
        )
        assert done.returncode == code, done.stderr
        assert done.stdout == ""
        assert done.stderr.startswith("r1: ")
        assert done.stderr.count("\n") == 1
        assert snapshot(run_folder) == before
        return done.stderr

    return run


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in [folder, *folder.rglob("*")]
    }


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nano-zro"], "recipe 'nano-zro' is neither a shipped recipe"),
        (["nano-zero", "--set", "r1_zero.stesp=3"], "stages.r1_zero: unknown key 'stesp'"),
        (["nano-zero", "--set", "modle.num_layers=3"], "no key 'modle'"),
        (["nano-zero", "--set", "r1_zero.steps=many"], "stages.r1_zero.steps = 'many': expected a whole number"),
        (["nano-zero", "--set", "r1_zero.tasks=['countdwn']"], "stage 'r1_zero' uses task 'countdwn'"),
        (["nano-zero", "--set", "tasks.countdown.kind=contdown"], "kind 'contdown' is unknown"),
        (["nano-zero", "--until", "r1_zer"], "stage 'r1_zer' is not in recipe 'nano-zero'"),
        (["nano-zero", "--set", "r1_zero.minibatches=7"], "do not divide into minibatches = 7; choose a divisor"),
        (["nano-zero", "--ranks", "3"], "does not divide over 3 ranks"),
        (["nano-zero", "--ranks=-2"], "ranks = -2: must be at least 1"),
        (["nano-zero", "--set", "r1_zero.evaluate_every=0"], "stages.r1_zero.evaluate_every = 0: must be at least 1"),
        (
            ["nano-zero", "--set", "r1_zero.sampling.temperature=0"],
            "stages.r1_zero.sampling.temperature = 0.0: must be above 0",
        ),
        (["nano-zero", "--set", "r1_zero.optimiser.lr=inf"], "optimiser.lr = inf: must be a finite number"),
        (["nano-zero", "--set", "r1_zero.deadline=nan"], "stages.r1_zero.deadline = nan: must be a finite number"),
        (["nano-zero", "--set", "r1_zero.evaluation.limit=0"], "evaluation's limit = 0: must be at least 1"),
        (["nano-zero", "--set", "model.name=no-such-model"], "model"),
        (
            ["nano-zero", "--set", "model.max_positions=200"],
            "after a prompt of 9 tokens passes model.max_positions = 200",
        ),
        (
            ["nano-zero", "--set", "model.max_positions=9"],
            "has 9 tokens, model.max_positions = 9; raise it to at least 209",
        ),
        (["nano-zero", "--set", "r1_zero.evaluation.max_tokens=248"], "r1_zero.evaluation.max_tokens = 248"),
        (
            [
                "nano-zero",
                "--set",
                "r1_zero.reward={parts = {overlong = 1}, overlong_window = 9, max_tokens = 300}",
            ],
            "reward.max_tokens = 300 is above sampling.max_tokens = 200",
        ),
        (["nano-zero", "--set", "r1_zero.final_limit=0"], "final_limit = 0: must be at least 1"),
        (["nano-zero", "--set", "tasks.countdown.split_seed=1"], "problems that tasks.countdown holds out"),
    ],
)
def test_a_wrong_word(refused: Callable[..., str], words: list[str], line: str) -> None:
    assert line in refused(*words)


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[[str], str]:
    """Write a recipe file; its path."""

    def write(text: str) -> str:
        (tmp_path / "mine.toml").write_text('name = "nano-zero"\nranks = 1\n' + text)
        return str(tmp_path / "mine.toml")

    return write


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("reasoning_rl.start=cold_start", "'cold_start', which leaves samples; it needs a model, as pretrain, r1_"),
        ("reward_models.helpfulness.sampling.max_tokens=0", "helpfulness.sampling.max_tokens = 0: must be at least 1"),
        ("reward_models.helpfulness.sampling.top_p=0", "helpfulness.sampling.top_p = 0.0: must be above 0 and at most"),
        ("cold_start.judge_sampling.temperature=-1", "judge_sampling.temperature = -1.0: must be at least 0"),
        ("distill.rl.sampling.stop=['']", "stages.distill.rl.sampling.stop holds an empty text, which ends nothing"),
        ("all_scenarios_rl.preference_weight=inf", "all_scenarios_rl.preference_weight = inf: must be a finite number"),
        ("reward_models.start=rejection_sampling", "'rejection_sampling', which leaves samples; it needs a model"),
        ("evaluate.stages=['sft', 'reward_models']", "'reward_models', which leaves reward models; it needs a model"),
        (
            "sft.data=r1_zero",
            "'r1_zero', which leaves a model; it needs samples, as cold_start, rejection_sampling",
        ),
        (
            "all_scenarios_rl.reward_models=sft",
            "'sft', which leaves a model; it needs reward models, as reward_models",
        ),
        ("cold_start.source=r1_zerro", "takes in 'r1_zerro'; earlier stages are pretrain, r1_zero. Did you mean 'r1"),
        (
            "rejection_sampling.weights={countdown=0, countdown_hard=0, code=0, helpful=0, safety=0, benign=0}",
            "stages.rejection_sampling.weights sum to nothing; give a domain more than 0",
        ),
        (
            "reward_models.safety.options.unsafe_share=1.0",
            "unsafe_share = 1.0: a safety model needs safe and unsafe responses",
        ),
        ("all_scenarios_rl.routes={}", "routes is empty; name the tasks that reward models judge"),
        ("reward_models.safety.path=labels.jsonl", "needs safe and unsafe responses, but all 2 are safe; add the"),
        ("reward_models.helpfulness.path=pairs.jsonl", "pairs.jsonl:2: no column 'rejected'"),
        ("cold_start.general.path=broken.jsonl", "broken.jsonl:1: not valid JSON"),
    ],
)
def test_a_wrong_word_in_the_chain(refused: Callable[..., str], tmp_path: Path, setting: str, line: str) -> None:
    (tmp_path / "labels.jsonl").write_text('{"prompt": "hi", "response": "hello", "safe": true}\n' * 2)
    pairs = '{"prompt": "hi", "chosen": "a", "rejected": "b"}\n{"prompt": "hi", "chosen": "a"}\n'
    (tmp_path / "pairs.jsonl").write_text(pairs)
    (tmp_path / "broken.jsonl").write_text('{"prompt": "hi", "response": \n')
    assert line in refused("nano", "--ranks", "1", "--set", setting, out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_stage_whose_input_is_not_in_the_recipe(refused: Callable[..., str], recipe: Callable[[str], str]) -> None:
    line = refused(recipe("[tasks.countdown]\n[stages.pretrain]\n[stages.cold_start_sft]\n"))
    assert "stage 'cold_start_sft' takes in 'cold_start'; earlier stages are pretrain" in line


def test_a_student_larger_than_its_teacher_is_a_warning(tmp_path: Path) -> None:
    from r1kit.loops.students import _warn

    said: list[str] = []
    workspace = Workspace(run=tmp_path, stage="distill", index=1, recipe=load_recipe("nano-zero"), say=said.append)
    _warn("big", 2000, 1000, workspace)
    _warn("small", 500, 1000, workspace)
    assert said == ["warning: student 'big' has 2,000 parameters and its teacher 1,000: a student is smaller"]


def test_an_unknown_stage(refused: Callable[..., str], recipe: Callable[[str], str]) -> None:
    line = refused(recipe("[stages.pretrian]\n"))
    assert "stage 'pretrian' is unknown" in line
    assert "Did you mean 'pretrain'?" in line


@pytest.mark.parametrize("name", ["./nowhere", "nowhere.gguf", "runs/x:r1_zero", "a model"])
def test_an_unknown_model(refused: Callable[..., str], recipe: Callable[[str], str], name: str) -> None:
    line = refused(recipe(f'[model]\nname = "{name}"\n[tasks.countdown]\n[stages.r1_zero]\n'))
    assert "no model" in line


def test_a_gguf_that_is_cut_short(refused: Callable[..., str], recipe: Callable[[str], str], tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 290, 30) + b"\x14\0\0\0\0\0\0\0general.archi")
    line = refused(recipe(f'[model]\nname = "{file}"\n[tasks.countdown]\n[stages.r1_zero]\n'))
    assert "model.gguf is damaged or cut short" in line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            '{"prompt": "1 + 1", "answer": 2}\n{"prompt": "2 + 2"}\n',
            "sums.jsonl:2: no 'answer'; a line holds 'prompt' and 'answer'",
        ),
        ('{"prompt": "1 + 1", "answer": 2\n', "sums.jsonl:1: not valid JSON"),
        ("", "sums.jsonl: empty"),
        ('{"prompt": "1 + 1", "answer": 2}\n', "no line "),
    ],
)
def test_a_broken_jsonl_file(
    refused: Callable[..., str], recipe: Callable[[str], str], tmp_path: Path, text: str, line: str
) -> None:
    (tmp_path / "sums.jsonl").write_text(text)
    (tmp_path / "model").mkdir()
    table = f'[model]\nname = "{tmp_path}/model"\n[tasks.sums]\nkind = "jsonl"\npath = "sums.jsonl"\n[stages.r1_zero]\n'
    assert line in refused(recipe(table))


def test_a_folder_of_another_recipe(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(as_toml(load_recipe("nano-zero", ["name=other"])))
    assert "belongs to recipe 'nano-zero', not 'other'; choose another --out" in refused("other.toml", "--ranks", "1")


def test_a_folder_that_is_no_run(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("all I have")
    assert "not empty and not a run folder" in refused("nano-zero", "--ranks", "1", out=tmp_path / "mine")
    assert os.listdir(tmp_path / "mine") == ["thesis.txt"]
    assert "is a file" in refused("nano-zero", "--ranks", "1", out=tmp_path / "mine/thesis.txt")


def test_a_folder_in_use(refused: Callable[..., str], run_folder: Path) -> None:
    with (run_folder / ".lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "is in use by another r1 run" in refused("nano-zero", "--ranks", "1")


def test_no_disk_space_left(refused: Callable[..., str]) -> None:
    full = (
        "import shutil, sys\nfrom collections import namedtuple\n"
        "shutil.disk_usage = lambda path: namedtuple('Usage', 'total used free')(9, 9, 10**6)\n"
        "from r1kit.cli import main\nsys.argv[0] = 'r1'\nmain()\n"
    )
    line = refused("nano-zero", "--ranks", "1", code=3, command=[sys.executable, "-c", full])
    assert "no disk space left" in line


def test_two_runs_at_once_on_one_new_folder(tmp_path: Path) -> None:
    settings = [part for setting in (*SETTINGS, "pretrain.steps=100000") for part in ("--set", setting)]
    words = [*R1, "run", "nano-zero", "--out", str(tmp_path / "run"), "--ranks", "1", *settings]
    runs = [subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) for _ in range(2)]
    try:
        deadline = time.monotonic() + 60
        while all(run.poll() is None for run in runs) and time.monotonic() < deadline:
            time.sleep(0.05)
        ended = [run for run in runs if run.poll() is not None]
        assert [run.returncode for run in ended] == [2]
        said = ended[0].communicate()[1]
        assert said.count("\n") == 1
        assert "is in use by another r1 run" in said
    finally:
        for run in runs:
            run.kill()
            run.wait()
            assert run.stderr is not None
            run.stderr.close()


# ---- a disk that fills while the run is under way -------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, Callable[[str], None]]]:
    """A mounted folder of 40 kB, and a function that makes it larger. Needs root."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=40k", "tmpfs", str(place)]
    if os.geteuid() or not mount or subprocess.run([mount, *options], capture_output=True).returncode:
        pytest.skip("cannot mount a tmpfs here")

    def resize(size: str) -> None:
        subprocess.run([str(mount), "-o", f"remount,size={size}", str(place)], check=True)

    yield place, resize
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_disk_that_fills_up_ends_the_run_with_one_line_and_it_goes_on(
    small_disk: tuple[Path, Callable[[str], None]], ranks: int
) -> None:
    place, resize = small_disk
    begin = "import r1kit.launcher as launcher\nlauncher.MIN_FREE_BYTES = 0\nfrom r1kit.cli import main\nmain()\n"
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    words = ["run", "nano-zero", "--out", str(place / "run"), "--ranks", str(ranks), *settings]
    codes = []
    for size in ("48k", "100k", "180k", "300k", "600k", "2m", "64m"):  # ends in another file each time
        resize(size)
        done = subprocess.run([sys.executable, "-c", begin, *words], capture_output=True, text=True, timeout=300)
        codes.append(done.returncode)
        if done.returncode:
            print(size, done.stderr)
            assert done.returncode == 3, done.stderr
            assert "no disk space left" in done.stderr
            assert done.stderr.count("\n") == 1
    assert codes[0] == 3
    assert codes[-1] == 0
    assert (place / "run/report.html").is_file()
