"""What goes over to other people, machines and terminals: names, marks, places, modes, streams."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from r1kit.checkpoint.folder import replacing
from r1kit.checkpoint.source import resolve_model
from r1kit.checks import check_recipe
from r1kit.cli import app
from r1kit.errors import InputError, MissingError
from r1kit.files import check_writable, strict_lines, write_json
from r1kit.recipe import load_recipe, recipe_name
from r1kit.structure import NotText

ROOT = Path(__file__).resolve().parent.parent


# ---- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["2024-11-05", "1e3", "true", "false", "123", "1_000", "0x10", "3.10", "nan", "inf", "-7", "07:32:00", "1e400",
     "2024-11-05T00:32:00", "org/123", "a b", "'123'", '"123"', "null", "[1", "é→试"],
)  # fmt: skip
def test_what_stands_for_a_name_is_one(name: str) -> None:
    recipe = load_recipe("smollm2-zero", [f"model.name={name}", f"name={name}", "r1_zero.steps=3"])
    assert recipe.model.name == name.strip("'\"")
    assert recipe.name == name.strip("'\"")
    assert recipe.stages["r1_zero"].steps == 3


def test_a_name_in_any_table_is_one() -> None:
    recipe = load_recipe("smollm2", ["cold_start.model=2024", "model.template.suffix=7", "seed=5"])
    assert (recipe.stages["cold_start"].model, recipe.model.template.suffix, recipe.seed) == ("2024", "7", 5)


def test_a_task_by_name_takes_names_too(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("2024,answer\n1 + 1,2\n")
    words = ["tasks", str(tmp_path / "a.csv"), "--set", "columns.prompt=2024", "--set", "limit=1"]
    said = CliRunner().invoke(app, words, catch_exceptions=False).stdout
    assert "1 + 1" in said


@pytest.mark.parametrize("override", ["seed=x", "seed=1.5", "r1_zero.steps=true", "r1_zero.tasks=7", "device=7"])
def test_what_is_no_name_stays_what_it_is(override: str) -> None:
    with pytest.raises(InputError, match=r"expected|allowed"):
        load_recipe("smollm2-zero", [override])


def test_a_recipe_s_own_number_is_still_refused(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("[model]\nname = 123\n[stages.r1_zero]\n")
    with pytest.raises(NotText, match=r"model.name = 123: expected a string"):
        load_recipe(str(tmp_path / "r.toml"))


def test_a_hub_name_beside_a_folder_of_its_owner(tmp_path: Path) -> None:
    """In a process of its own: huggingface_hub reads its settings on import."""
    (tmp_path / "org/model-v1").mkdir(parents=True)
    script = "import sys; from r1kit.checkpoint.source import check_model; check_model(sys.argv[1])"

    def check(name: str, offline: str) -> str:
        told = {"HF_HUB_OFFLINE": offline, "HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", script, name], cwd=tmp_path, env=os.environ | told, capture_output=True, text=True
        )
        return (done.stderr.splitlines() or ["ok"])[-1]

    assert check("org/model", "0") == "ok"
    offline = check("org/model", "1")
    assert "org/model is not in the hub cache" in offline
    assert offline.endswith("Did you mean 'model-v1'?")
    assert "has no config.json" in check("org/model-v1", "1"), "a folder that is there is meant"
    assert "no such file or folder" in check("./org/model", "1"), "said to be a folder"


# ---- marks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_byte_order_mark_is_read_over(tmp_path: Path, ends: str) -> None:
    recipe = (
        '[model]\nname = "x"\n[tasks.mine]\nkind = "jsonl"\npath = "{recipe}/a.jsonl"\n[stages.r1_zero]\nsteps = 3\n'
    )
    (tmp_path / "r.toml").write_bytes(b"\xef\xbb\xbf" + recipe.replace("\n", ends).encode())
    lines = b'\xef\xbb\xbf{"prompt": "1 + 1", "answer": "2"}\n'
    (tmp_path / "a.jsonl").write_bytes(2 * lines.replace(b"\n", ends.encode()))  # put together out of two files
    assert recipe_name(tmp_path / "r.toml") == "r"
    found = load_recipe(str(tmp_path / "r.toml"))
    assert found.stages["r1_zero"].steps == 3
    assert [line.table["answer"] for line in strict_lines(tmp_path / "a.jsonl", "x")] == ["2", "2"]


def test_utf_16_is_told(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('name = "x"\n', encoding="utf-16")
    with pytest.raises(InputError, match=r"not UTF-8 text .* save it as UTF-8"):
        load_recipe(str(tmp_path / "r.toml"))


# ---- places --------------------------------------------------------------------------------------------------------


def call(*words: object) -> BaseException | None:
    return CliRunner().invoke(app, list(map(str, words))).exception


PROGRAM = ("verify", "--task", "countdown", "--answer", "3 * 4")
PLACES: dict[str, tuple[str, ...]] = {
    "plan": ("plan", "nano-zero", "--json"),
    "verify": (*PROGRAM, "--json"),
    "doctor": ("doctor", "--json"),
}


@pytest.mark.parametrize("command", PLACES)
def test_a_folder_that_is_not_there_is_made(command: str, tmp_path: Path) -> None:
    assert call(*PLACES[command], tmp_path / "a/b c/d.json") is None
    assert json.loads((tmp_path / "a/b c/d.json").read_text())
    assert [path.name for path in (tmp_path / "a/b c").iterdir()] == ["d.json"]


@pytest.mark.parametrize("command", PLACES)
@pytest.mark.parametrize("place", ["/dev/null/x", "file/x", ".", "x" * 300])
def test_a_place_that_cannot_be_is_refused_before_the_work(
    command: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    for work in ("r1kit.commands.doctor.examine", "r1kit.recipe.load_recipe", "r1kit.commands.arguments.open_subject"):
        monkeypatch.setattr(work, lambda *_: pytest.fail("worked first"))
    refused = call(*PLACES[command], place)
    assert isinstance(refused, InputError)
    assert str(refused).startswith(f"cannot write {place}: ")


def test_the_home_folder_may_be_said_after_an_equals_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert call(*PROGRAM, "--json=~/new/x.json") is None
    assert (tmp_path / "new/x.json").is_file()


def test_the_root_folder_is_a_folder_too() -> None:
    with pytest.raises(InputError, match="cannot write /: it is a folder; name a file"):
        check_writable(Path("/"))


def test_a_device_a_pipe_and_a_link_are_written_into(tmp_path: Path) -> None:
    for place in (Path("/dev/null"), Path("/dev/stdout")):
        check_writable(place)
    write_json(Path("/dev/null"), {"a": 1})
    assert Path("/dev/null").is_char_device()
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    write_json(tmp_path / "link.json", {"a": 1})
    assert (tmp_path / "link.json").is_symlink()
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE, text=True)
    check_writable(tmp_path / "pipe")
    write_json(tmp_path / "pipe", {"a": 1})
    assert json.loads(reader.communicate(timeout=10)[0]) == json.loads((tmp_path / "real.json").read_text()) == {"a": 1}


# ---- extras --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lacking", "recipe", "override", "told"),
    [
        ("lingua", "nano-zero", "r1_zero.reward.detector=lingua", "pip install 'r1kit[lingua]'"),
        ("lingua", "nano", "rejection_sampling.filters.detector=lingua", "pip install 'r1kit[lingua]'"),
        ("lingua", "nano", "cold_start.refined.detector=lingua", "pip install 'r1kit[lingua]'"),
        ("gguf", "smollm2-zero", "seed=1", "need gguf: pip install 'r1kit[gguf]'"),
        ("accelerate", "smollm2-zero", "seed=1", "need accelerate: pip install 'r1kit[gguf]'"),
        ("gguf", "nano", "reward_models.helpfulness.judge=pypi:x", "need gguf: pip install 'r1kit[gguf]'"),
        ("gguf", "nano", "distill.students.small.model.name=pypi:x", "need gguf: pip install 'r1kit[gguf]'"),
    ],
)
def test_an_extra_that_is_not_here_is_named_before_the_work(
    lacking: str, recipe: str, override: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("R1KIT_CACHE", str(tmp_path))
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == lacking else found(name, *more)
    )
    more = ["reward_models.helpfulness.own_samples=4"] if "judge" in override else []
    with pytest.raises(MissingError) as missing:
        check_recipe(load_recipe(recipe, [override, *more]))
    assert told in str(missing.value)


# ---- modes ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[0o022, 0o002, 0o077])
def mask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder: Path) -> dict[str, set[int]]:
    found = [folder, *folder.rglob("*")]
    return {
        "files": {path.stat().st_mode & 0o777 for path in found if path.is_file()},
        "folders": {path.stat().st_mode & 0o777 for path in found if path.is_dir()},
    }


def test_a_folder_of_weights_has_the_umask_s_mode(mask: int, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    with replacing(tmp_path / "m") as new:
        save_file({"a": torch.zeros(2)}, new / "model.safetensors")
        (new / "below").mkdir(mode=0o700)
        (new / "below/x").touch(mode=0o600)
    assert modes(tmp_path / "m") == {"files": {0o666 & ~mask}, "folders": {0o777 & ~mask}}
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["below", "model.safetensors"]


@pytest.mark.slow
def test_every_file_of_a_run_and_of_its_export_has_it(mask: int, tmp_path: Path) -> None:
    few = ["pretrain.steps=2", "r1_zero.steps=2", "r1_zero.evaluation.limit=2", "r1_zero.final_limit=2", "ranks=1"]
    words = [sys.executable, "-m", "r1kit", "run", "nano-zero", "--out", str(tmp_path / "run")]
    subprocess.run([*words, *(f"--set={text}" for text in few)], cwd=ROOT, check=True, capture_output=True)
    os.chmod(tmp_path / "run/02_r1_zero/checkpoint/model.safetensors", 0o600)  # as an earlier version left it
    assert call("export", f"{tmp_path / 'run'}:r1_zero", "--to", tmp_path / "deep/er/out") is None
    os.chmod(tmp_path / "run/02_r1_zero/checkpoint/model.safetensors", 0o666 & ~mask)
    for folder in ("run", "deep"):
        assert modes(tmp_path / folder) == {"files": {0o666 & ~mask}, "folders": {0o777 & ~mask}}, folder
    assert resolve_model(str(tmp_path / "deep/er/out"))


# ---- terminals -----------------------------------------------------------------------------------------------------


def shell(line: str, **told: str) -> subprocess.CompletedProcess[bytes]:
    """A line of bash in which ``r1`` is the command."""
    r1 = f'r1() {{ "{sys.executable}" -m r1kit "$@"; }}; set -o pipefail; '
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **told}
    return subprocess.run(["bash", "-c", r1 + line], env=environment, capture_output=True, check=False, timeout=300)


LINES = ["r1 recipes", "r1 check nano-zero", "r1 tasks countdown --show 30", "r1 plan nano-zero", "r1 --help"]
STREAMS = {
    "a pipe that nobody reads": "{} | true",
    "a pipe whose reader leaves": "{} | head -n 1 >/dev/null",
    "no output": "{} >&-",
    "no stream at all": "{} <&- >&- 2>&-",
    "a full device": "{} 2>/dev/null >/dev/null",
}


@pytest.mark.parametrize("stream", STREAMS)
def test_a_stream_that_leads_nowhere_ends_no_command(stream: str) -> None:
    done = shell(STREAMS[stream].format(LINES[0]))
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "told",
    [{"PYTHONIOENCODING": "ascii:strict"}, {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}],
)
def test_an_ascii_terminal_is_given_ascii(told: dict[str, str]) -> None:
    done = shell(f"r1 tasks general --show 8; {LINES[0]}; r1 check nowhere→é", **told)
    assert done.returncode == 2
    assert done.stdout.isascii()
    assert done.stderr.isascii()
    assert done.stderr.count(b"\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_every_command_on_every_terminal(line: str, encoding: str) -> None:
    for width in ("20", "3"):
        done = shell(line, PYTHONIOENCODING=f"{encoding}:strict", COLUMNS=width, NO_COLOR="1", TERM="dumb")
        assert done.returncode == 0, done.stderr
        assert b"\x1b" not in done.stdout
        done.stdout.decode(encoding)
    for stream in STREAMS.values():
        done = shell(stream.format(line))
        assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.slow
def test_a_run_goes_on_when_nobody_reads_it_any_more(tmp_path: Path) -> None:
    few = "--set pretrain.steps=2 --set r1_zero.steps=2 --set r1_zero.evaluation.limit=2 --set r1_zero.final_limit=2"
    for ranks in (1, 2):
        run = tmp_path / str(ranks)
        done = shell(f"r1 run nano-zero --ranks {ranks} --out {run} {few} | head -n 1")
        assert (done.returncode, done.stderr) == (0, b"")
        assert (run / "02_r1_zero/result.json").is_file()
        assert (run / "report.html").is_file()


def test_files_are_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    """Every place of ours that opens a text says how it is written."""
    missing = []
    for path in (ROOT / "r1kit").rglob("*.py"):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            opens = any(f".{name}(" in line for name in ("read_text", "write_text"))
            if opens and "encoding=" not in line and "/proc/" not in line:
                missing.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert missing == []
