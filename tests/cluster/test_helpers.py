"""What a recipe's [cluster] becomes, and where it cannot be had."""

from __future__ import annotations

import pytest

from r1kit.checks import check_recipe
from r1kit.cluster.helpers import Timing, helper_jobs, refuse_helpers, timing
from r1kit.cluster.settings import Cluster, Needs
from r1kit.errors import InputError
from r1kit.launcher import run_here
from r1kit.recipe import load_recipe


def test_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(
        engines=2, verifiers=1, heartbeat=0.5, lost_after=3.0, wait_minutes=2.0, engine_needs=Needs(gpus=1)
    )
    jobs = helper_jobs(cluster, threads=4, ranks=3)
    assert [job.name for job in jobs] == ["engine 0", "engine 1", "verifier 0"]
    assert [job.command for job in jobs] == [("-m", "r1kit.backends.serve", job.name.split()[0]) for job in jobs]
    assert [job.environment["OMP_NUM_THREADS"] for job in jobs] == ["4", "4", "1"]
    assert [job.environment["LOCAL_RANK"] for job in jobs[:2]] == ["3", "4"]
    assert [job.needs.gpus for job in jobs] == [1, 1, 0]
    shared = helper_jobs(Cluster(engines=2, share_devices=True), threads=1, ranks=3)
    assert [job.environment["LOCAL_RANK"] for job in shared] == ["0", "1"]
    for key, value in jobs[0].environment.items():
        monkeypatch.setenv(key, value)
    assert timing() == Timing(heartbeat=0.5, lost_after=3.0, patience=120.0)
    assert helper_jobs(Cluster(), threads=4, ranks=3) == []


def test_where_nobody_would_start_them() -> None:
    refuse_helpers(Cluster(), "under torchrun")
    with pytest.raises(InputError) as caught:
        refuse_helpers(Cluster(engines=2, verifiers=1), "under torchrun")
    assert str(caught.value) == (
        "cluster.engines = 2 and cluster.verifiers = 1 under torchrun: only `r1 run`, which starts the ranks, starts "
        "them; set 0"
    )


def test_in_a_notebook(tmp_path: object) -> None:
    recipe = load_recipe("nano-zero", ["cluster.engines=1"])
    with pytest.raises(InputError, match=r"cluster.engines = 1 in a notebook"):
        run_here(recipe, tmp_path, "", print)  # type: ignore[arg-type]


def test_servers_that_run_and_engines_to_start() -> None:
    recipe = load_recipe("nano-zero", ["cluster.engines=1", 'engine={kind = "vllm", address = ["http://127.0.0.1:9"]}'])
    with pytest.raises(InputError, match=r"engine.address names servers that run already, and cluster.engines = 1"):
        check_recipe(recipe)
