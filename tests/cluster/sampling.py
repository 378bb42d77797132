"""A learner's host: a pool over servers on other hosts, weights by gloo; says what happens, a line each.

``python sampling.py ADDRESS ...``: what the pool says, and ``round N: K groups``, until it is killed.
"""

from __future__ import annotations

import sys

import torch
from rollout.fake_vllm import CONFIG, END, VOCAB, Words

from r1kit.model.weights import NamedWeights
from r1kit.records import Sampling
from r1kit.rollout.pool import Pool
from r1kit.vllm.calls import Calls
from r1kit.vllm.carriers import Group
from r1kit.vllm.server import VLLMServer


def say(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    replicas = []
    for address in sys.argv[1:]:
        calls = Calls(address)
        carrier = Group(calls.own_host, 20.0)
        replicas.append(
            VLLMServer(
                address, calls, carrier, Words(), run="mine", config=CONFIG, positions=64, vocab_size=VOCAB, ends=[END],
                timeout=60.0, liveness=4.0,
            )
        )  # fmt: skip
    pool = Pool(replicas, tell=say, look_every=0.2)
    pool.load_weights(NamedWeights({"a": torch.arange(8.0), "b": torch.ones(3, dtype=torch.bfloat16)}), 0)
    sampling, rounds = Sampling(n=2, max_tokens=8), 0
    while True:
        rounds += 1
        groups = pool.generate([[2 + place] for place in range(6)], sampling, range(6))
        assert all(len(group) == 2 and all(row.token_ids for row in group) for group in groups)
        say(f"round {rounds}: {len(groups)} groups")


if __name__ == "__main__":
    main()
