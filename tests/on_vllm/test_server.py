"""A real vLLM server, killed and hung in every way it can be: ``make test-vllm``. Each takes a minute or two."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from r1kit.errors import MissingError
from r1kit.model.weights import NamedWeights
from r1kit.records import Completion, Sampling

pytestmark = pytest.mark.vllm

PROMPTS = [[1, 5, 6, 7 + place] for place in range(8)]
SEEDS = [101 + place for place in range(8)]
SAMPLING = Sampling(n=4, max_tokens=40)
STARTS = 900
"""Seconds that a server may take to start on a machine that has other work."""
MOST = 120
"""Seconds until what is lost must be known and be drawn again; it takes some, but the machine may have other work."""


class Server:
    """``python -m r1kit.vllm.serve`` and all that it starts."""

    def __init__(self, model: Path, log: Path, *more: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.command = [sys.executable, "-m", "r1kit.vllm.serve", str(model), "--port", str(self.port), *more]
        self.log = log
        self.start()

    def start(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, "--max-num-seqs", "64"], stdout=log, stderr=log, env=environment, start_new_session=True
            )

    def wait(self) -> None:
        from r1kit.rollout.replica import ReplicaLost
        from r1kit.vllm.calls import Calls
        from r1kit.vllm.served import look_at

        deadline = time.monotonic() + STARTS
        with closing(Calls(self.address)) as calls:
            while True:
                try:
                    look_at(calls)
                    return
                except ReplicaLost:
                    assert self.process.poll() is None, self.log.read_text()[-9000:]
                    assert time.monotonic() < deadline, self.log.read_text()[-9000:]
                    time.sleep(0.5)

    def processes(self) -> dict[int, str]:
        """Pid -> name of every process of the server."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                name, rest = (folder / "stat").read_text().partition("(")[2].rsplit(")", 1)
            except (OSError, ValueError):
                continue
            state, _, _, session = rest.split()[:4]
            if int(session) == self.process.pid and state != "Z":
                found[int(folder.name)] = name
        return found

    def pid(self, name: str) -> int:
        return next(pid for pid, known in self.processes().items() if known.startswith(name))

    def kill(self) -> None:
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny base, hardly trained, with heads of 32, which vLLM's kernels for CPUs know."""
    folder = tmp_path_factory.mktemp("base")
    words = ["nano-zero", "--out", str(folder), "--ranks", "1", "--until", "pretrain", "--set", "model.hidden_size=128"]
    words += ["--set", "pretrain.steps=20", "--set", 'pretrain.evaluation={k=1,tasks=["countdown"],limit=2}']
    subprocess.run([sys.executable, "-m", "r1kit", "run", *words], check=True, capture_output=True, timeout=600)
    return folder


@pytest.fixture(scope="module")
def model(run_folder: Path) -> Path:
    return run_folder / "01_pretrain" / "checkpoint"


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(model, tmp_path_factory.mktemp("server") / "log")
    try:
        found.wait()
        yield found
    finally:
        found.kill()


class Opened:
    """The engine as a stage opens it, and what it said."""

    def __init__(self, model: Path, **settings: Any) -> None:
        from r1kit.backends.models import read_model
        from r1kit.backends.vllm import open_vllm
        from r1kit.cluster.ranks import Solo
        from r1kit.cluster.settings import VLLM
        from r1kit.rollout.pool import Pool
        from r1kit.text.template import Template

        self.loaded = read_model(str(model), torch.device("cpu"), torch.float32, Template())
        chosen = VLLM(checksums=True, liveness=5.0, **settings)
        engine = open_vllm(self.loaded, dtype=torch.float32, max_rows=64, settings=chosen, ranks=Solo())
        assert isinstance(engine, Pool)
        self.pool = engine
        self.said: list[str] = []
        self.pool._tell = self.said.append

    @property
    def replica(self) -> Any:
        return self.pool._members[0].helper

    @property
    def weights(self) -> dict[str, Tensor]:
        return dict(self.loaded.model.hub_weights())

    def generate(self) -> list[tuple[Completion, ...]]:
        return self.pool.generate(PROMPTS, SAMPLING, SEEDS)

    def ask(self, tokens: int) -> list[Any]:
        """Prompts that sample for a while: nothing ends them but their length."""
        self.replica._ends = ()
        sampling = Sampling(n=16, max_tokens=tokens)
        return [self.pool.submit(prompt, sampling, seed) for prompt, seed in zip(PROMPTS, SEEDS, strict=True)]


@pytest.fixture
def opened(server: Server, model: Path) -> Iterator[Callable[..., Opened]]:
    made: list[Opened] = []

    def make(**settings: Any) -> Opened:
        made.append(Opened(model, address=(server.address,), **settings))
        return made[-1]

    yield make
    for each in made:
        each.pool.close()


def until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + MOST
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def tokens(rows: list[tuple[Completion, ...]]) -> list[list[tuple[int, ...]]]:
    return [[row.token_ids for row in group] for group in rows]


def length(rows: list[tuple[Completion, ...]]) -> int:
    return sum(len(row.token_ids) for group in rows for row in group)


def gap(model: Path, weights: dict[str, Tensor], rows: list[tuple[Completion, ...]]) -> tuple[float, float]:
    """Mean and largest difference between the log-probs of completions and those of transformers in float32."""
    from transformers import AutoModelForCausalLM

    judge = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    judge.load_state_dict(weights, strict=False)
    judge.tie_weights()
    differences = []
    for prompt, group in zip(PROMPTS, rows, strict=True):
        for row in group:
            ids = torch.tensor([[*prompt, *row.token_ids]])
            with torch.no_grad():
                scored = judge(ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
            own = scored.gather(1, torch.tensor(row.token_ids)[:, None])[:, 0]
            differences.append((own - torch.tensor(row.logprobs)).abs())
    found = torch.cat(differences)
    return float(found.mean()), float(found.max())


@pytest.mark.parametrize("way", ["gloo", "folder"])
def test_log_probs_are_the_model_s_before_and_after_an_update(
    opened: Callable[..., Opened], model: Path, tmp_path: Path, way: str
) -> None:
    made = opened(hand_over=way, folder=str(tmp_path))
    first = made.generate()
    mean, most = gap(model, made.weights, first)
    print(
        f"{way}: mean gap {mean:.2g}, largest {most:.2g} over {sum(len(r.token_ids) for g in first for r in g)} tokens"
    )
    assert mean < 1e-4
    assert most < 2e-3
    assert made.generate() == first
    noise = torch.Generator().manual_seed(1)
    new = {name: weight + 0.05 * torch.randn(weight.shape, generator=noise) for name, weight in made.weights.items()}
    made.pool.load_weights(NamedWeights(new), 1)
    second = made.generate()
    assert [[row.token_ids for row in group] for group in second] != [
        [row.token_ids for row in group] for group in first
    ]
    mean, most = gap(model, new, second)
    assert mean < 1e-4
    assert most < 2e-3
    assert {row.version for group in second for row in group} == {1}
    assert made.pool.handed.sent == sum(weight.numel() * 4 for weight in new.values())


def test_a_hand_over_cut_in_the_middle_is_sent_whole_again(opened: Callable[..., Opened]) -> None:
    made = opened()
    before = made.generate()
    replica, stream = made.replica, NamedWeights(made.weights)
    replica.begin(stream.metadata(), 1)
    for name, weight in list(stream)[:9]:
        replica.put(name, weight * 0.5)
    replica._flush()
    replica.abort()
    made.pool.load_weights(stream, 2)
    again = made.generate()
    assert [[(row.token_ids, row.logprobs) for row in group] for group in again] == [
        [(row.token_ids, row.logprobs) for row in group] for group in before
    ]
    assert made.said == []


@pytest.mark.parametrize("name", ["VLLM::Worker", "VLLM::EngineCor"])
def test_a_hung_engine_is_noticed_though_its_port_answers(
    opened: Callable[..., Opened], server: Server, name: str
) -> None:
    """Stopped in the middle of sampling, and let go on: drawn again, the same as if nothing had been."""
    made = opened()
    if not any(known.startswith(name) for known in server.processes().values()):
        pytest.skip(f"vLLM starts no {name} here: its worker is a part of the engine's process")
    expected = [answer.result(MOST) for answer in made.ask(30)]
    answers = made.ask(200)
    time.sleep(0.3)
    os.kill(server.pid(name), signal.SIGSTOP)
    try:
        until(lambda: made.said, "the hung engine was not noticed")
    finally:
        os.kill(server.pid(name), signal.SIGCONT)
    assert made.said[0].startswith(f"engine 1 at {server.address} is lost: no answer to POST /collective_rpc in 5 s")
    assert [len(answer.result(MOST)) for answer in answers] == [16] * 8
    assert made.said[-1] == f"engine 1 at {server.address} is back"
    assert [answer.result(MOST) for answer in made.ask(30)] == expected


def test_an_engine_killed_in_the_middle_of_sampling(opened: Callable[..., Opened], server: Server) -> None:
    """vLLM ends with exit code 0. Named within seconds; started again it is handed the weights before it serves."""
    made = opened()
    noise = torch.Generator().manual_seed(2)
    new = {name: weight + 0.05 * torch.randn(weight.shape, generator=noise) for name, weight in made.weights.items()}
    made.pool.load_weights(NamedWeights(new), 1)
    expected = [answer.result(MOST) for answer in made.ask(30)]
    answers = made.ask(200)
    time.sleep(0.3)
    os.kill(server.pid("VLLM::EngineCor"), signal.SIGKILL)
    until(lambda: made.said, "the killed engine was not noticed")
    assert "(8 prompts) is sampled again as soon as one is back" in made.said[0]
    assert server.process.wait(MOST) == 0
    server.kill()  # what it left
    server.start()
    server.wait()
    rows = [answer.result(STARTS) for answer in answers]
    assert [len(group) for group in rows] == [16] * 8
    assert {len(row.token_ids) for group in rows for row in group} == {200}
    assert {row.version for group in rows for row in group} == {1}
    assert [answer.result(MOST) for answer in made.ask(30)] == expected


def test_a_run_whose_server_is_killed_and_started_again(
    server: Server, model: Path, tmp_path: Path, run_folder: Path
) -> None:
    """``r1 run`` goes on with the newest weights; what it wrote is what it writes when nothing happens."""
    recipe = tmp_path / "served.toml"
    recipe.write_text(
        f'''
name = "served"
dtype = "float32"
engine = {{kind = "vllm", address = "{server.address}", liveness = 5.0}}
[model]
name = "{model}"
[tasks.countdown]
[stages.r1_zero]
steps = 6
prompts_per_step = 6
record_groups = 6
evaluate_every = 6
final_limit = 2
evaluation = {{k = 2, limit = 2}}
sampling = {{n = 4, max_tokens = 40}}
'''
    )

    def start(folder: Path) -> subprocess.Popen[str]:
        words = ["run", str(recipe), "--out", str(folder), "--ranks", "1"]
        return subprocess.Popen([sys.executable, "-m", "r1kit", *words], stderr=subprocess.PIPE, text=True)

    def rollouts(folder: Path) -> list[str]:
        return (folder / "01_r1_zero" / "rollouts.jsonl").read_text().splitlines()

    undisturbed = start(tmp_path / "undisturbed")
    undisturbed.communicate(timeout=STARTS)
    assert undisturbed.returncode == 0
    run = start(tmp_path / "disturbed")
    metrics = tmp_path / "disturbed" / "01_r1_zero" / "metrics.jsonl"
    until(lambda: metrics.is_file() and len(metrics.read_text().splitlines()) >= 2, "no second step")
    server.kill()
    time.sleep(3)
    server.start()
    server.wait()
    told = run.communicate(timeout=STARTS)[1]
    assert run.returncode == 0, told
    assert f"engine 1 at {server.address} is lost" in told
    assert f"engine 1 at {server.address} is back" in told
    lines = [json.loads(line) for line in rollouts(tmp_path / "disturbed")]
    dealt = Counter((line["step"], line["prompt_id"]) for line in lines if line["kind"] == "train")
    assert len(dealt) == 6 * 6
    assert set(dealt.values()) == {4}
    assert {line["version"] for line in lines if line["kind"] == "train"} == set(range(6))
    assert rollouts(tmp_path / "disturbed") == rollouts(tmp_path / "undisturbed")


def test_a_killed_server_leaves_nothing_behind(server: Server) -> None:
    """vLLM alone leaves its engine and workers, with their memory."""
    assert any(known.startswith("VLLM::") for known in server.processes().values())
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    until(lambda: not server.processes(), f"left: {server.processes()}")


def test_a_server_started_otherwise_is_refused(model: Path, tmp_path: Path) -> None:
    """vLLM's own command, as its manual has it: said before anything loads, with how to start one."""
    from r1kit.vllm.served import look

    plain = Server.__new__(Server)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        plain.port = probe.getsockname()[1]
    plain.address, plain.log = f"http://127.0.0.1:{plain.port}", tmp_path / "log"
    own = ["--model", str(model), "--host", "127.0.0.1", "--port", str(plain.port), "--enforce-eager"]
    own += ["--kv-cache-memory-bytes", str(2**28)]  # else it wants nearly all memory, and does not start beside others
    plain.command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *own]
    plain.start()
    try:
        with pytest.raises(MissingError, match="VLLM_SERVER_DEV_MODE=1 is not set"):
            plain.wait()
        with pytest.raises(MissingError, match=r"start it by: python -m r1kit\.vllm\.serve MODEL"):
            look([plain.address])
    finally:
        plain.kill()
