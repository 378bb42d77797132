"""How ranks share a machine's cores with their helpers."""

from __future__ import annotations

import pytest

from r1kit.cluster import cores as module
from r1kit.cluster.ranks import Solo


@pytest.mark.parametrize(
    ("cores", "ranks", "left"),
    [(16, 1, 15), (16, 8, 1), (16, 4, 3), (2, 2, 1), (1, 1, 1), (2, 4, 1)],
)
def test_a_rank_keeps_one_core_and_its_helpers_get_the_rest(
    monkeypatch: pytest.MonkeyPatch, cores: int, ranks: int, left: int
) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    monkeypatch.setattr(module, "cores", lambda: cores)
    assert module.cores_left(Solo(size=ranks)) == left


def test_ranks_of_other_hosts_take_no_cores_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cores", lambda: 16)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert module.cores_left(Solo(size=8)) == 7
