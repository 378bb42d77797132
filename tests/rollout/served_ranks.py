"""A rank of two that sample from one server; see ``test_vllm_servers``."""

from __future__ import annotations

import torch
from rollout.fake_vllm import CONFIG, END, VOCAB

from r1kit.cluster.ranks import Ranks
from r1kit.model.weights import NamedWeights
from r1kit.records import Completion, Sampling
from r1kit.rollout.pool import Pool
from r1kit.rollout.stopping import Tokenizer
from r1kit.vllm.calls import Calls
from r1kit.vllm.carriers import Folder
from r1kit.vllm.server import VLLMServer


def sample(
    ranks: Ranks, address: str, folder: str, tokenizer: Tokenizer, sampling: Sampling
) -> list[list[tuple[Completion, ...]]]:
    """Two prompts a rank, under version 1 and under version 2; rank 0 alone hands weights over."""
    replica = VLLMServer(
        "engine", Calls(address), Folder(folder) if ranks.rank == 0 else None, tokenizer, run="mine", config=CONFIG,
        positions=64, vocab_size=VOCAB, ends=[END],
    )  # fmt: skip
    pool = Pool([replica], ranks, look_every=0.05)
    found = []
    for version in (1, 2):
        pool.load_weights(NamedWeights({"a": torch.full((3,), float(version))}), version)
        found.append(pool.generate([[5 + ranks.rank], [9 + ranks.rank]], sampling, [7, 8]))
    ranks.gather_objects(None)
    pool.close()
    return found
