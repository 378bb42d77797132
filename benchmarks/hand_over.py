"""Weights to an engine of one's own process on this machine, beside the bare connection.

    python benchmarks/hand_over.py [--rounds 3] [--hidden 576 --layers 30]

Rounds in turn, in one run: the bytes of all tensors over one socket and nothing else; the same through a pool to one
engine and to two (cast, checksums, the copy that rank 0 keeps, the engine's own packing). What counts is the ratio.
"""

from __future__ import annotations

import argparse
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import torch

from r1kit.backends.backend import Backend
from r1kit.backends.opening import open_pool
from r1kit.cluster.beside import Helpers, end
from r1kit.cluster.helpers import helper_jobs
from r1kit.cluster.processes import Here
from r1kit.cluster.ranks import Solo
from r1kit.cluster.settings import Cluster, EngineChoice
from r1kit.cluster.wire import Listener, Wire, dial
from r1kit.contracts import Model
from r1kit.model.families.llama import LlamaShape
from r1kit.model.weights import NamedWeights
from r1kit.rollout.kept import as_bytes
from r1kit.text.template import Template
from r1kit.text.tokenizer import build_tokenizer


@contextmanager
def engines(count: int) -> Iterator[Cluster]:
    """So many helpers, and this process as the rank that finds them."""
    cluster = Cluster(engines=count)
    beside = Helpers(Here(), 0, 60.0, print)
    try:
        jobs = helper_jobs(cluster, 1, 1)
        beside.start(jobs, Here().places(jobs))
        os.environ.update(beside.told(jobs[0]).environment)
        yield cluster
    finally:
        end(beside.processes)
        beside.close()


def bare(weights: NamedWeights) -> float:
    """Seconds that the bytes take over the loopback."""
    key = secrets.token_bytes(16)

    def swallow(wire: Wire, purpose: str) -> None:
        for weight in weights.metadata():
            wire.receive_raw(memoryview(bytearray(torch.Size(weight.shape).numel() * weight.dtype.itemsize)))
        wire.send("all")

    listener = Listener("127.0.0.1", key, swallow)
    wire = dial(("127.0.0.1", listener.port), key, "bytes")
    began = time.perf_counter()
    for _, tensor in weights:
        wire.send_raw(as_bytes(tensor))
    wire.receive()
    taken = time.perf_counter() - began
    wire.close()
    listener.close()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=576)
    parser.add_argument("--layers", type=int, default=30)
    asked = parser.parse_args()
    shape = LlamaShape(
        hidden_size=asked.hidden, intermediate_size=asked.hidden * 8 // 3, num_layers=asked.layers, num_heads=9,
        num_kv_heads=3, max_positions=512,
    )  # fmt: skip
    backend = Backend(device=torch.device("cpu"), template=Template(name="plain"))
    loaded = backend.draw(Model(shape=shape), build_tokenizer(["one", "two"]), seed=1)
    weights = NamedWeights(loaded.model.hub_weights())
    size = sum(tensor.numel() * tensor.element_size() for _, tensor in weights)
    taken: dict[str, list[float]] = {"bare connection": []}
    for count in (1, 2):
        with engines(count) as cluster:
            pool = open_pool(loaded, EngineChoice(), torch.float32, 8, Solo(), cluster, print)
            for version in range(1, asked.rounds + 1):
                taken["bare connection"].append(bare(weights))
                pool.load_weights(weights, version)
                taken.setdefault(f"{count} engine{'s' if count > 1 else ''}", []).append(pool.handed.seconds)
            pool.close()
    base = median(taken["bare connection"])
    print(f"{size / 1e6:.0f} MB of weights, medians of {asked.rounds} rounds")
    for name, seconds in taken.items():
        took = median(seconds)
        print(f"{name:16} {took:6.2f} s  {size / 1e6 / took:6.0f} MB/s  {took / base:4.1f}x")


if __name__ == "__main__":
    main()
