"""Models and engines that the tests of vLLM share, and the log-probs that a learner gives the same tokens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from r1kit.model.decoder import Decoder, DecoderConfig
from r1kit.model.language_model import LanguageModel
from r1kit.model.weights import NamedWeights
from r1kit.records import Completion, Group, Prompt, Sampling
from r1kit.rollout.scripted import CodePoints
from r1kit.update.local import LearnerSettings, LocalLearner
from r1kit.vllm.engine import VLLMEngine

VOCAB, END = 96, 1
PROMPTS = [[5, 6, 7], [8, 9, 10, 11, 12], [3], [40, 41, 42, 43]]
SEEDS = [101, 102, 103, 104]
SAMPLING = Sampling(n=4, max_tokens=24)


def decoder(seed: int, **changes: Any) -> Decoder:
    """A tiny Llama of heads that vLLM can compute on a CPU, with norms that do something; its head is tied."""
    shape: dict[str, Any] = {
        "vocab_size": VOCAB, "hidden_size": 64, "intermediate_size": 96, "num_layers": 2, "num_heads": 2,
        "num_kv_heads": 1, "head_dim": 32, "max_positions": 512,
    }  # fmt: skip
    model = Decoder(DecoderConfig(**(shape | changes)))
    draws = torch.Generator().manual_seed(seed)
    model.initialise(draws)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 1:
                weight.add_(torch.randn(weight.shape, generator=draws) * 0.2)
        model.head.mul_(2.5)
    return model.requires_grad_(False)


def engine_of(model: LanguageModel, **options: Any) -> VLLMEngine:
    """Of its present weights."""
    return VLLMEngine(
        model.hub_config(), weights(model), CodePoints(), positions=model.config.max_positions, vocab_size=VOCAB,
        published=model.published, **({"max_rows": 8, "cache_gb": 0.1, "checksums": True, "end_ids": [END]} | options),
    )  # fmt: skip


def weights(model: LanguageModel) -> NamedWeights:
    return NamedWeights(model.hub_weights())


def learner_of(model: LanguageModel, temperature: float = 1.0) -> LocalLearner:
    return LocalLearner(model, LearnerSettings(temperature=temperature))


def groups_of(found: Sequence[tuple[Completion, ...]], prompts: Sequence[Sequence[int]] = PROMPTS) -> list[Group]:
    """As a step has them."""
    return [
        Group(prompt=Prompt(id=f"p{place}", task="t", question="q"), prompt_ids=tuple(prompt), completions=completions)
        for place, (prompt, completions) in enumerate(zip(prompts, found, strict=True))
    ]


def r1_run(recipe: str, folder: Path, settings: Mapping[str, Any], ranks: int = 1) -> tuple[int, str]:
    """Exit code and all output of a run; nothing of it is left behind."""
    command = [sys.executable, "-m", "r1kit", "run", recipe, "--out", str(folder), "--ranks", str(ranks)]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    with subprocess.Popen(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            told, _ = process.communicate(timeout=1800)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, told


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """R1-Zero's metrics."""
    text = next(folder.glob("*_r1_zero/metrics.jsonl")).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
