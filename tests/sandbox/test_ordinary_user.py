"""Root runs the attack corpus once more as an ordinary user, without any right that root has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="these tests themselves already run as an ordinary user")


def as_user(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "USER": "ordinary", "PYTHONDONTWRITEBYTECODE": "1"}
    launcher = [sys.executable, str(HERE / "as_user.py")]
    return subprocess.run(
        [*launcher, *command], capture_output=True, text=True, timeout=900, env=environment, cwd=HERE.parent.parent
    )


@pytest.mark.slow
def test_the_corpus_passes(tmp_path: Path) -> None:
    pytest_options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "-rs"]
    done = as_user(sys.executable, "-m", "pytest", *pytest_options, str(HERE / "test_attacks.py"), folder=tmp_path)
    if "Operation not permitted" in done.stderr:
        pytest.skip(f"this root may not become another user here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout.splitlines()[-1], done.stdout[-1000:]


def test_doctor_finds_every_wall(tmp_path: Path) -> None:
    program = (
        "import os, platform; from r1kit.sandbox import *; from r1kit.sandbox.walls import prove_walls;"
        "box = open_sandbox(SandboxSettings()); walls = prove_walls(box, platform.machine()); box.close();"
        "print(os.getuid(), all(walls.values()), len(walls))"
    )
    done = as_user(sys.executable, "-c", program, folder=tmp_path)
    if "Operation not permitted" in done.stderr:
        pytest.skip(f"this root may not become another user here: {done.stderr.strip()}")
    user, held, walls = done.stdout.split()
    assert (user, held) == ("12345", "True")
    assert int(walls) >= 13
