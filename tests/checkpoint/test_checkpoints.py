"""The models of a run by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1kit.checkpoint.checkpoints import checkpoint_of, checkpoints
from r1kit.errors import InputError


def test_every_name_that_a_recipe_takes_is_found_and_what_was_set_aside_is_not(tmp_path: Path) -> None:
    for folder in ("01_words", "02_rl-easy", "03_RL2", "02_rl-easy.before-1", "notes"):
        (tmp_path / folder / "checkpoint").mkdir(parents=True)
    assert list(checkpoints(tmp_path)) == ["words", "rl-easy", "RL2"]
    assert checkpoint_of(tmp_path, "rl-easy") == tmp_path / "02_rl-easy" / "checkpoint"
    with pytest.raises(InputError, match=r"has no stage 'rl_easy'; .* are words, rl-easy, RL2. Did you mean 'rl-easy'"):
        checkpoint_of(tmp_path, "rl_easy")
