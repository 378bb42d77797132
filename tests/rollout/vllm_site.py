"""Replicas of a vLLM server that is none, and what tests of them share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from rollout.fake_vllm import CONFIG, END, VOCAB, Words
from torch import Tensor

from r1kit.model.weights import NamedWeights
from r1kit.records import Sampling
from r1kit.vllm.calls import Calls
from r1kit.vllm.carriers import Carrier, Folder
from r1kit.vllm.server import VLLMServer

SAMPLING = Sampling(n=3, max_tokens=12)
PROMPTS = [[5 + place, 7, 9] for place in range(10)]
SEEDS = [101 + place for place in range(10)]
WEIGHTS = {"a": torch.arange(6.0).view(2, 3), "c": torch.tensor(2.5)}


class Site:
    """Replicas of servers, closed at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[Any] = []

    def replica(self, address: str, *, leads: bool = True, carrier: Carrier | None = None, **more: Any) -> VLLMServer:
        settings = {"run": "mine", "config": CONFIG, "positions": 64, "vocab_size": VOCAB, "ends": [END], **more}
        carries = (carrier or Folder(str(self.folder))) if leads else None
        made = VLLMServer(f"engine at {address}", Calls(address), carries, Words(), **settings)
        self.made.append(made)
        return made

    def close(self) -> None:
        for each in self.made:
            each.close()


def hand_over(replica: VLLMServer, weights: dict[str, Tensor], version: int) -> int:
    stream = NamedWeights(weights)
    replica.begin(stream.metadata(), version)
    sent = sum(replica.put(name, tensor) for name, tensor in stream)
    replica.finish(version)
    replica.expect(version)
    return sent
