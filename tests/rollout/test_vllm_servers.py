"""A pool of vLLM servers: lost, back, started again unseen, and none at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from rollout.fake_vllm import Fake, Words
from rollout.vllm_site import PROMPTS, SAMPLING, SEEDS, WEIGHTS, Site, hand_over
from safetensors.torch import load_file
from transformers import MixtralConfig, MixtralForCausalLM

from r1kit.backends.models import LoadedModel
from r1kit.backends.vllm_servers import open_servers
from r1kit.cluster.ranks import Solo
from r1kit.cluster.settings import VLLM
from r1kit.errors import R1Error
from r1kit.model.families.fallback import HubModel
from r1kit.model.load import save_model
from r1kit.model.weights import NamedWeights
from r1kit.rollout.pool import Pool
from r1kit.text.template import Template
from r1kit.text.tokenizer import build_tokenizer

# ---- a pool of them ------------------------------------------------------------------------------------------------


class Process:
    """A fake server that can be killed and started again at its port."""

    def __init__(self, slow: float = 0.0) -> None:
        self.slow, self.port = slow, 0
        self.start()
        self.address = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, str(Path(__file__).with_name("fake_vllm.py")), str(self.port), str(self.slow)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        with self.process.stdout as said:  # type: ignore[union-attr]
            self.port = int(said.readline())

    def signal(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def process() -> Iterator[Callable[..., Process]]:
    made: list[Process] = []

    def make(slow: float = 0.0) -> Process:
        made.append(Process(slow))
        return made[-1]

    yield make
    for each in made:
        each.kill()


class Pooled:
    """A pool over servers that holds version 1."""

    def __init__(self, site: Site, addresses: list[str], **more: Any) -> None:
        self.said: list[str] = []
        replicas = [site.replica(address, liveness=1.0) for address in addresses]
        self.pool = Pool(replicas, tell=self.said.append, look_every=0.05, **more)
        self.pool.load_weights(NamedWeights({"a": WEIGHTS["a"]}), 1)

    def ask(self) -> list[Any]:
        return [self.pool.submit(prompt, SAMPLING, seed) for prompt, seed in zip(PROMPTS, SEEDS, strict=True)]


@pytest.fixture
def pooled(site: Site) -> Iterator[Callable[..., Pooled]]:
    made: list[Pooled] = []

    def make(*addresses: str, **more: Any) -> Pooled:
        made.append(Pooled(site, list(addresses), **more))
        return made[-1]

    yield make
    for each in made:
        each.pool.close()


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_server_lost_in_the_middle_costs_no_group(
    pooled: Callable[..., Pooled], process: Callable[..., Process], fake: Fake, number: signal.Signals
) -> None:
    """Killed, or hung with its port open: named, and every prompt is answered once, as if nothing had been."""
    dies, stays = process(slow=1.0), process(slow=0.2)
    made = pooled(dies.address, stays.address)
    answers = made.ask()
    until(lambda: any(answer.done() for answer in answers))
    dies.signal(number)
    rows = [answer.result(timeout=30) for answer in answers]
    alone = pooled(fake.address)
    assert rows == alone.pool.generate(PROMPTS, SAMPLING, SEEDS)
    (told,) = made.said
    assert told.startswith(f"engine at {dies.address} is lost: ")
    assert told.endswith("(5 prompts) is sampled again on the others")


def test_a_server_that_is_back_is_handed_the_newest_weights_first(
    pooled: Callable[..., Pooled], process: Callable[..., Process], fake: Fake
) -> None:
    only = process(slow=0.3)
    made = pooled(only.address)
    answers = made.ask()
    until(lambda: len(made.pool._members[0].out) == len(PROMPTS))
    only.kill()
    until(lambda: made.said)
    only.start()
    rows = [answer.result(timeout=30) for answer in answers]
    assert rows == pooled(fake.address).pool.generate(PROMPTS, SAMPLING, SEEDS)
    assert {row.version for group in rows for row in group} == {1}
    assert made.said[-1] == f"engine at {only.address} is back"


def test_a_server_started_again_unseen_serves_nothing_of_its_own(pooled: Callable[..., Pooled], fake: Fake) -> None:
    """Between two requests, by whatever looks after it: the weights of its start must not write a single row."""
    made = pooled(fake.address)
    before = made.pool.generate(PROMPTS, SAMPLING, SEEDS)
    fake.state.label, fake.state.weights = "default", {}
    assert made.pool.generate(PROMPTS, SAMPLING, SEEDS) == before
    assert "it was started again and has none of this run's weights" in made.said[0]


def test_no_server_for_too_long_ends_the_run(pooled: Callable[..., Pooled], process: Callable[..., Process]) -> None:
    only = process()
    made = pooled(only.address, patience=0.5)
    only.kill()
    with pytest.raises(R1Error, match=r"no engine has served for \d+ s \(engine at .*; run the same command to go on"):
        made.pool.generate(PROMPTS, SAMPLING, SEEDS)


@pytest.mark.slow
def test_ranks_share_a_server(fake: Fake, site: Site, on_ranks: Callable[..., list[Any]]) -> None:
    """Each samples its own prompts, from the weights that rank 0 has handed over."""
    found = on_ranks(2, "rollout.served_ranks:sample", fake.address, str(site.folder), Words(), SAMPLING)
    alone = site.replica(fake.address, run="alone")
    for version in (1, 2):
        hand_over(alone, {"a": torch.full((3,), float(version))}, version)
        for rank in range(2):
            prompts = [([5 + rank], 7), ([9 + rank], 8)]
            assert found[rank][version - 1] == [alone.generate(prompt, SAMPLING, seed) for prompt, seed in prompts]
    labels = [body["new_version"] for path, body in fake.state.asked if path == "/update_weight_version"]
    assert labels[:2] == ["mine.1.unfinished", "mine.2.unfinished"]


def test_servers_are_handed_weights_under_the_hub_s_names(fake: Fake, tmp_path: Path) -> None:
    """`transformers` renames Mixtral's and has a layer's experts in one tensor; vLLM reads what folders hold."""
    torch.manual_seed(0)
    shape = MixtralConfig(
        vocab_size=60, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, num_local_experts=2, max_position_embeddings=64,
    )  # fmt: skip
    model = HubModel(MixtralForCausalLM(shape))
    tokenizer = build_tokenizer(["a"])
    fake.state.told["config"] = model.hub_config().to_dict()
    loaded = LoadedModel(model=model, tokenizer=tokenizer, template=Template(name="plain"))
    settings = VLLM(address=(fake.address,), hand_over="folder", folder=str(tmp_path))
    pool = open_servers(loaded, dtype=torch.float32, settings=settings, ranks=Solo())
    try:
        save_model(tmp_path / "m", model, tokenizer)
        assert fake.state.weights.keys() == load_file(tmp_path / "m/model.safetensors").keys()
        with torch.no_grad():
            model.head.fill_(1.0)
        pool.load_weights(NamedWeights(model.hub_weights()), 1)
        assert fake.state.weights["lm_head.weight"].min() == 1.0
        assert "model.layers.0.block_sparse_moe.experts.1.w2.weight" in fake.state.weights
    finally:
        pool.close()
