"""A folder is written as a whole or not at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from r1kit.checkpoint.folder import replacing
from r1kit.errors import InputError


def test_a_failed_write_leaves_the_old_folder(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    with replacing(folder) as new:
        (new / "a").write_text("old")
    with pytest.raises(InputError, match="No space left"), replacing(folder) as new:  # noqa: PT012
        (new / "a").write_text("half")
        raise OSError(28, "No space left on device")
    with pytest.raises(KeyboardInterrupt), replacing(folder) as new:
        raise KeyboardInterrupt
    assert [(entry.name, (entry / "a").read_text()) for entry in tmp_path.iterdir()] == [("m", "old")]


def test_a_write_killed_between_its_renames_is_taken_back(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    for name, text in ((".m.old", "old"), (".m.new", "new")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(text)
    with pytest.raises(KeyboardInterrupt), replacing(folder) as new:  # noqa: PT012
        assert (folder / "a").read_text() == "old"
        assert list(new.iterdir()) == []
        raise KeyboardInterrupt
    with replacing(folder) as new:
        (new / "b").write_text("newer")
    assert [entry.name for entry in tmp_path.iterdir()] == ["m"]
    assert [entry.name for entry in folder.iterdir()] == ["b"]


def test_a_copy_of_a_folder_that_is_read_only_is_given_the_usual_modes(tmp_path: Path) -> None:
    source, below, copy = tmp_path / "source", tmp_path / "source" / "below", tmp_path / "copy"
    below.mkdir(parents=True)
    (below / "file").write_text("text")
    for folder in (below, source):
        folder.chmod(0o555)
    program = (
        "import shutil, sys; from pathlib import Path; from r1kit.checkpoint.folder import give_usual_modes\n"
        "source, copy = map(Path, sys.argv[1:])\n"
        "shutil.copytree(source, copy, copy_function=shutil.copyfile); give_usual_modes(copy)"
    )
    command = [sys.executable, "-c", program, str(source), str(copy)]
    if os.geteuid() == 0:  # root may write anywhere, unless it gives that up
        command = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", *command]
    if shutil.which(command[0]) is None:
        pytest.skip("setpriv is not here")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert os.access(copy / "below" / "file", os.W_OK)
    assert copy.stat().st_mode & 0o700 == 0o700
