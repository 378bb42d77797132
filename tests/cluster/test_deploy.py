"""The files of deploy/: each as its own tool sees it, and run where a stand-in of its scheduler can be made."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from kill_resume import lines

from cluster import fake_slurm
from cluster.hosts import Network, on_hosts
from cluster.sittings import CHANGES

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SCRIPTS = sorted(path for path in DEPLOY.iterdir() if path.suffix in (".sh", ".sbatch"))
RAY = re.search(r"^ray==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)


def test_there_are_scripts() -> None:
    assert [path.name for path in SCRIPTS] == ["slurm-ray.sbatch", "slurm-torchrun.sbatch", "torchrun.sh"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_bash_reads_it(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)


@pytest.mark.cluster
def test_shellcheck_finds_nothing() -> None:
    done = subprocess.run([Path(sys.executable).with_name("shellcheck"), *SCRIPTS], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_options_of_a_batch_script_come_before_its_first_command() -> None:
    """SLURM reads no ``#SBATCH`` after one."""
    for script in SCRIPTS[:2]:
        head, _, rest = script.read_text().partition("\nset -euo pipefail\n")
        assert head.count("#SBATCH --") >= 8
        assert "#SBATCH" not in rest


# ---- Ray's cluster file -----------------------------------------------------------------------------------------


@pytest.mark.cluster
def test_ray_accepts_the_cluster_file() -> None:
    from ray.autoscaler._private import util

    table = yaml.safe_load((DEPLOY / "ray-cluster.yaml").read_text())
    util.validate_config(util.prepare_config(table))
    wrong = util.prepare_config({**table, "min_workerz": 1})
    with pytest.raises(Exception, match="min_workerz"):
        util.validate_config(wrong)


# ---- KubeRay ----------------------------------------------------------------------------------------------------

# Kubernetes' own part (volume claim, pods) is checked by Kubernetes' schema. The operator's is in no package, so its
# fields are those of ray.io/v1 written out here.
JOB = {"entrypoint", "submissionMode", "backoffLimit", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished",
       "rayClusterSpec"}  # fmt: skip
GROUP = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / "kuberay.yaml").read_text()))


def groups(job: Mapping[str, Any]) -> list[dict[str, Any]]:
    cluster = job["spec"]["rayClusterSpec"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def test_the_operator_s_fields_are_those_of_its_first_version() -> None:
    claim, job = manifests()
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert set(job["spec"]) == JOB
    cluster = job["spec"]["rayClusterSpec"]
    assert set(cluster) == {"rayVersion", "headGroupSpec", "workerGroupSpecs"}
    assert set(cluster["headGroupSpec"]) == {"rayStartParams", "template"}
    for group in cluster["workerGroupSpecs"]:
        assert set(group) == GROUP
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in groups(job):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        (container,) = group["template"]["spec"]["containers"]
        volumes = {volume["name"]: volume for volume in group["template"]["spec"]["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
        assert volumes["shared"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def test_its_ray_is_the_one_that_is_tested() -> None:
    assert RAY
    assert manifests()[1]["spec"]["rayClusterSpec"]["rayVersion"] == RAY[1]


@pytest.mark.cluster
def test_kubernetes_accepts_the_claim_and_the_pods() -> None:
    from kubernetes_validate import validate

    claim, job = manifests()
    validate(claim, "1.33", strict=True)
    for group in groups(job):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, **group["template"]}
        validate(pod, "1.33", strict=True)
        pod["spec"]["containers"][0]["imagge"] = "x"
        with pytest.raises(Exception, match="imagge"):
            validate(pod, "1.33", strict=True)


# ---- run ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as network:
        network.add("one")
        network.add("two")
        yield network


class Batch:
    """A batch script that runs, as SLURM runs it on the first node."""

    def __init__(self, network: Network, folder: Path, script: str, *more: str) -> None:
        self.run, self.log = folder / "run", folder / "log"
        environment = fake_slurm.install(folder / "bin", list(network.hosts.values()))
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["bash", DEPLOY / script, "nano-zero", self.run, *CHANGES, *more],
                env=environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def reaches(self, count: int) -> None:
        deadline = time.monotonic() + 300
        while lines(self.run / "02_r1_zero/metrics.jsonl") < count:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)


@on_hosts
def test_slurm_with_torchrun_goes_on_after_a_rank_was_killed(network: Network, tmp_path: Path) -> None:
    with Batch(network, tmp_path, "slurm-torchrun.sbatch") as batch:
        batch.reaches(4)
        network.hosts["two"].end_all()
        assert batch.process.wait(300) == 0
    said = batch.log.read_text()
    assert said.count("try 1 of 3 ended; the same command goes on") == 1
    assert "try 2 of 3" not in said
    assert (batch.run / "02_r1_zero/result.json").is_file()
    assert lines(batch.run / "02_r1_zero/metrics.jsonl") == 40


@on_hosts
def test_slurm_makes_a_ray_cluster_of_its_nodes(network: Network, tmp_path: Path) -> None:
    most = (os.cpu_count() or 1) // 2 + 1  # so that a host has room for one
    more = ("ranks=2", "r1_zero.steps=4", f"cluster.rank_needs.cpus={most}")
    with Batch(network, tmp_path, "slurm-ray.sbatch", *(part for each in more for part in ("--set", each))) as batch:
        deadline, there = time.monotonic() + 400, False
        while batch.process.poll() is None:
            assert time.monotonic() < deadline, batch.log.read_text()
            there = there or bool(network.hosts["two"].running("run"))
            time.sleep(0.2)
        assert batch.process.returncode == 0, batch.log.read_text()
    assert there, "no rank ran on the second host"
    assert (batch.run / "02_r1_zero/result.json").is_file()
