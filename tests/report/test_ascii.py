"""A line of a result may not end a run, whatever the terminal takes."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from r1kit.report.draw.ascii import NEAREST, tell


def printed(text: str, encoding: str) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors=NEAREST)
    print(text, file=stream, flush=True)
    return raw.getvalue().decode(encoding)


def test_a_notebook_s_own_stream_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", errors="strict"))
    tell(".47 → .97")
    assert (raw.getvalue(), sys.stdout.errors) == (b".47 -> .97\n", "strict")


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("ascii", ".47 -> .97 x2 ?\n"), ("latin-1", ".47 -> .97 ×2 ?\n"), ("utf-8", ".47 → .97 ×2 试\n")],
)
def test_what_cannot_be_shown_becomes_its_nearest(encoding: str, shown: str) -> None:
    assert printed(".47 → .97 ×2 试", encoding) == shown


def test_half_a_surrogate_pair_of_a_model_does_not_end_utf_8() -> None:
    assert printed("a\ud83d", "utf-8") == "a?\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("command", [["status"], ["report"]])
def test_commands_answer_on_such_a_terminal(
    write_run: Callable[..., Path], tmp_path: Path, encoding: str, command: list[str]
) -> None:
    folder = write_run(tmp_path / "läuft→")
    found = subprocess.run(
        [sys.executable, "-m", "r1kit", *command, str(folder)],
        env={"PYTHONIOENCODING": f"{encoding}:strict", "PATH": "/usr/bin:/bin", "PYTHONUTF8": "1"},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        check=False,
    )
    assert (found.returncode, found.stderr) == (0, b"")
    assert command == ["report"] or b".111 -> .902" in found.stdout


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_the_sentence_after_r1_zero_does_not_end_the_chain(
    write_run: Callable[..., Path], tmp_path: Path, encoding: str
) -> None:
    """The run says the verdict, which has arrows, while later stages still wait."""
    folder = write_run(tmp_path / "run")
    script = (
        "from pathlib import Path; from r1kit import cli; from r1kit.report.shown import so_far; cli.forgive(); "
        f"so_far(Path({str(folder)!r}), 'r1_zero', 'sft')"
    )
    found = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONIOENCODING": f"{encoding}:strict", "PATH": "/usr/bin:/bin"},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        check=False,
    )
    assert (found.returncode, found.stderr) == (0, b"")
    assert b"majority .47 -> .97" in found.stdout
