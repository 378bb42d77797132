"""A folder is written as a whole or not at all."""

from __future__ import annotations

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
