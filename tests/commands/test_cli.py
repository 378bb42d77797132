"""The command line from outside: start-up, one line for each mistake, exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from r1kit import __version__
from r1kit.cli import app
from r1kit.errors import InputError, R1Error

COMMANDS = (
    *("run", "recipes", "check", "status", "report"),
    *("eval", "tasks", "verify", "export", "chat", "plan", "doctor"),
)


def r1(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "r1kit", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [["--help"], ["check", "nano-zero"], ["plan", "nano-zero"], ["tasks"]])
def test_light_commands_load_no_torch(arguments: list[str]) -> None:
    code = (
        "import sys; from r1kit.cli import app\n"
        "try: app(sys.argv[1:], standalone_mode=False)\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'transformers'} & set(sys.modules), 'torch or transformers was loaded'"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_folder_that_is_gone_is_one_line(tmp_path: Path) -> None:
    """As of a shell that stays in a run folder that another one deletes."""
    there = str(Path(__file__).parents[2])
    code = f"import os, sys; os.chdir({str(tmp_path)!r}); os.rmdir({str(tmp_path)!r}); sys.path[0] = {there!r}\n"
    code += "sys.argv[1:] = ['run', 'nano-zero', '--until', 'pretrain']; from r1kit.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == "r1: the folder that r1 was started in is gone; change to one that is there\n"
    assert done.returncode == 2


def test_version() -> None:
    told = r1("--version")
    assert (told.returncode, told.stdout) == (0, f"r1kit {__version__}\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
def test_output_to_a_full_disk_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "r1kit", "recipes"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert done.stderr.startswith("r1: no disk space left")


def test_help_names_every_command() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    assert [name for name in COMMANDS if f"│ {name} " not in shown] == []


@pytest.mark.parametrize(
    ("key", "said"),
    [("", "--api-key is empty; give a key, or leave it out"), ("ключ", "cannot stand in an HTTP header")],
)
def test_a_key_that_cannot_be_shown_is_refused_before_the_model_is_looked_for(key: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        CliRunner().invoke(app, ["serve", "no/such:model", "--api-key", key], catch_exceptions=False)


def test_alone_it_shows_its_help_and_no_error_line() -> None:
    done = r1()
    assert done.returncode == 2
    assert "Usage: " in done.stdout + done.stderr
    assert "r1: " not in done.stderr


def test_where_a_terminal_knows_no_width_something_is_shown() -> None:
    program = "from r1kit.cli import forgive\nforgive()\nfrom rich.console import Console\nConsole().print('shown')"
    environment = {**os.environ, "COLUMNS": "0"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "shown\n"


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        ("KeyboardInterrupt", 130, "r1: interrupted; run the same command again\n"),
        ("PermissionError(13, 'Permission denied', 'there')", 2, "r1: there: Permission denied; "),
        ("OSError(28, 'No space left on device', 'there')", 3, "r1: no disk space left (there); "),
        ("OSError(24, 'Too many open files')", 3, "r1: too many files are open (while writing); raise `ulimit -n`"),
        ("RuntimeError('Could not determine home directory.')", 2, "r1: no home folder is known for a path with ~; "),
        ("OSError(27, 'File too large', 'there')", 3, "r1: a file grew as large as is allowed (there); raise `ulimit"),
    ],
)
def test_what_the_system_refuses_is_one_line(raised: str, code: int, said: str) -> None:
    program = f"from r1kit.cli import _one_line_errors\nwith _one_line_errors(): raise {raised}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1)
    assert done.stderr.startswith(said)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nonsense"], 2, "No such command 'nonsense'"),
        (["eval", "--nope"], 2, "No such option: --nope"),
        (["eval", "there", "--task", "countdown", "--split", "train"], 2, "'train' is not one of"),
        (
            ["chat", "a long question " * 20],
            2,
            "'a long question a long question a long q'... is too long to name a file",
        ),
        (["verify", "--code", "no-such.py", "--tests", "tests.jsonl"], 2, "no-such.py: No such file or directory"),
    ],
)
def test_a_mistake_is_one_line_and_its_exit_code(arguments: list[str], code: int, said: str) -> None:
    done = r1(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("r1: ")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["eval", "nowhere", "--task", "countdown"], 2, "no model 'nowhere'"),
        (["eval", "nowhere", "--task", "countdwn"], 2, "Did you mean 'countdown'?"),
        (["eval", "nowhere", "--task", "missing.jsonl"], 2, "missing.jsonl: no such file"),
        (["eval", "nowhere", "--task", "countdown", "--recipe", "nano-zer"], 2, "Did you mean 'nano-zero'?"),
        (["eval", "nowhere", "--task", "countdown", "--template", "cat"], 2, "Did you mean 'chat'?"),
        (["eval", "nowhere", "--task", "countdown", "--answer-style", "tags"], 2, "Did you mean 'tag'?"),
        (["eval", "nowhere", "--task", "countdown", "--json", "/dev/null/x"], 2, "cannot write"),
        (["tasks", "reasoning_gym/chainsum"], 2, "Did you mean 'chain_sum'?"),
        (["tasks", "missing.jsonl"], 2, "no such file"),
        (["verify", "--task", "countdown"], 2, "--answer TEXT"),
        (
            ["verify", "--task", "countdown", "--answer", "1", "--prompt-id", "countdown/test/9999"],
            2,
            "such as countdown/test/0",
        ),
        (["verify", "--task", "countdown", "--answer", "1", "--question", "what?"], 2, "no problem of task"),
        (["export", "nowhere", "--to", "/dev/null/x"], 2, "cannot write"),
        (["chat", "nowhere", "--once", "hello"], 2, "no model 'nowhere'"),
        (["plan", "nano-zero", "--gpu", "h10"], 2, "Did you mean 'h100'?"),
    ],
)
def test_input_errors(arguments: list[str], code: int, said: str) -> None:
    error = CliRunner().invoke(app, arguments).exception
    assert isinstance(error, R1Error), error
    assert error.exit_code == code
    assert said in str(error)
    assert "\n" not in str(error)


def test_a_place_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    error = CliRunner().invoke(app, ["export", "nowhere", "--to", str(tmp_path)]).exception
    assert "is there already" in str(error)
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_while_the_command_is_imported_is_one_line(name: str) -> None:
    program = (
        "import os, signal, sys\n"
        "class Sent:\n"
        "    def find_spec(self, module, *more):\n"
        f"        if module == 'r1kit.recipe': os.kill(os.getpid(), signal.{name})\n"
        "sys.meta_path.insert(0, Sent())\n"
        "from r1kit.__main__ import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", program, "recipes"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "r1: interrupted; run the same command again\n")


def test_the_script_begins_as_the_module_does() -> None:
    script = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert 'r1 = "r1kit.__main__:main"' in script


def test_a_folder_whose_name_is_not_utf8_is_refused_at_the_start(tmp_path: Path) -> None:
    for arguments in (["run", "nano-zero", "--out"], ["export", "no/such:stage", "--to"]):
        place = os.fsencode(tmp_path) + b"/of-\xff"
        done = subprocess.run([sys.executable, "-m", "r1kit", *arguments, place], capture_output=True, check=False)
        told = f"r1: {arguments[-1]}: the name {tmp_path}/of-\\xff is not UTF-8, and no tokenizer can be written there"
        assert (done.returncode, done.stderr.decode()) == (2, f"{told}; choose another\n")
        assert os.listdir(os.fsencode(tmp_path)) == []
