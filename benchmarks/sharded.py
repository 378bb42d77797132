"""The sharded learner (``learner = "fsdp"``) against plain ranks: seconds of an update, and the memory of a rank.

    python benchmarks/sharded.py --ranks 2 --rounds 5
    python benchmarks/sharded.py --memory --ranks 4
    python benchmarks/sharded.py --experts 256 --expert-parallel 2           # experts on their ranks / gathered
    python benchmarks/sharded.py --memory --experts 256 --expert-parallel 2

The model has the shape of SmolLM2-135M (``--layers`` for a lower one) and weights from a seed; each rank is a process
with one thread over gloo. Without ``--memory`` both learners live side by side and update in turn on the same batch;
ratios are taken within a round, of wall time and, which a busy machine disturbs less, of the CPU time of all ranks,
gloo's threads counted. With it one learner is opened and each rank's resident memory at its peak over two updates is
told; run it once for each number of ranks.

``--experts``: instead a small model of so many experts a layer, 8 of them a token; the sharded learner with experts on
their ranks (``--expert-parallel``) then takes turns with the one that gathers them.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from r1kit.cluster.ranks import Ranks, join
from r1kit.cluster.settings import FSDP
from r1kit.maths.policy_loss import policy_loss
from r1kit.model.decoder import Decoder, DecoderConfig
from r1kit.model.layout import DrawnWeights
from r1kit.update.learner import Batch, Learner, Row
from r1kit.update.local import LearnerSettings, LocalLearner
from r1kit.update.settings import OptimiserSettings
from r1kit.update.sharded import ShardedLearner

SHAPE = DecoderConfig(
    vocab_size=49152, hidden_size=576, intermediate_size=1536, num_layers=30, num_heads=9, num_kv_heads=3, head_dim=64
)

MIXED = replace(
    SHAPE, family="qwen3_moe", vocab_size=4096, hidden_size=256, intermediate_size=128, num_layers=6, num_heads=4,
    num_kv_heads=4, qk_norm=True, experts_per_token=8, tie_embeddings=False,
)  # fmt: skip


def batch_of(given: argparse.Namespace) -> Batch:
    """``--prompts`` groups of 8 completions; the same on every rank."""
    g, vocabulary = torch.Generator().manual_seed(0), (MIXED if given.experts else SHAPE).vocab_size
    prompts = [torch.randint(0, vocabulary, (given.prompt_tokens,), generator=g) for _ in range(given.prompts)]
    rows = [
        Row(
            prompt=prompt,
            tokens=torch.randint(0, vocabulary, (given.tokens,), generator=g),
            weight=1 / (8 * given.prompts * given.tokens),
            advantage=float(torch.randn((), generator=g)),
        )
        for prompt in range(given.prompts)
        for _ in range(8)
    ]
    return Batch(prompts=prompts, rows=rows)


def opened(given: argparse.Namespace, ranks: Ranks, kind: str) -> Learner:
    optimiser = OptimiserSettings(kind=given.optimiser, muon_dtype="float32")
    apart = given.expert_parallel if kind == "experts apart" else 1
    own = FSDP(checkpointing=given.checkpointing, expert_parallel=apart)
    settings = LearnerSettings(dtype=given.dtype, token_budget=given.budget, optimiser=optimiser, own=own)
    shape = replace(MIXED, experts=given.experts) if given.experts else replace(SHAPE, num_layers=given.layers)
    if kind == "local":
        model = Decoder(shape)
        model.initialise(torch.Generator().manual_seed(0))
        return LocalLearner(model, settings, ranks)
    with torch.device("meta"):
        model = Decoder(shape)
    return ShardedLearner(model, settings, ranks, DrawnWeights(model, 0), torch.device("cpu"))


def timed(given: argparse.Namespace, ranks: Ranks) -> None:
    base, tried = ("fsdp", "experts apart") if given.experts else ("local", "fsdp")
    learners = {kind: opened(given, ranks, kind) for kind in (base, tried)}
    batch = batch_of(given)
    times: dict[str, list[tuple[float, float]]] = {kind: [] for kind in learners}
    for number in range(given.rounds + 1):
        for kind, learner in learners.items():
            ranks.gather_objects(None)
            wall, cpu = time.perf_counter(), time.process_time()
            learner.update(batch, policy_loss, 1e-6)
            cpu = sum(ranks.gather_objects(time.process_time() - cpu))
            if number:  # the first of each allocates
                times[kind].append((cpu, time.perf_counter() - wall))
            if ranks.rank == 0:
                print(f"{kind}: CPU {cpu:.2f} s, wall {time.perf_counter() - wall:.2f} s", flush=True)
    if ranks.rank == 0:
        for index, what in enumerate(("CPU seconds of all ranks", "wall seconds")):
            plain, other = ([pair[index] for pair in times[kind]] for kind in (base, tried))
            ratios = [b / a for a, b in zip(plain, other, strict=True)]
            medians = f"{base} {statistics.median(plain):.2f}, {tried} {statistics.median(other):.2f}"
            rounds = ", ".join(f"{ratio:.3f}" for ratio in ratios)
            print(f"{what}: {medians}; {tried} / {base} {statistics.median(ratios):.3f} ({rounds})", flush=True)


def measured(given: argparse.Namespace, ranks: Ranks) -> None:
    before = status("VmRSS")
    learner = opened(given, ranks, "experts apart" if given.expert_parallel > 1 else given.kind)
    opening, resting = status("VmHWM"), status("VmRSS")
    batch = batch_of(given)
    for _ in range(2):
        learner.update(batch, policy_loss, 1e-6)
    found = ranks.gather_objects((before, opening, resting, status("VmHWM")))
    if ranks.rank == 0:
        print(f"{given.kind}, {ranks.size} ranks, GiB a rank: interpreter, peak while opening, open, peak with updates")
        for rank, numbers in enumerate(found):
            print(f"  rank {rank}: " + "  ".join(f"{number:.2f}" for number in numbers))


def status(key: str) -> float:
    """GiB, as Linux says of this process."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 2**20 for line in lines if line.startswith(f"{key}:"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--kind", choices=["local", "fsdp"], default="fsdp", help="with --memory")
    parser.add_argument("--experts", type=int, default=0, help="of a layer; 0: a dense model")
    parser.add_argument("--expert-parallel", type=int, default=1)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--optimiser", choices=["adamw", "muon"], default="adamw")
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--prompt-tokens", type=int, default=40)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--budget", type=int, default=2048)
    given = parser.parse_args()
    if "RANK" in os.environ:
        torch.set_num_threads(1)
        ranks = join()
        (measured if given.memory else timed)(given, ranks)
        ranks.close()
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1]), "OMP_NUM_THREADS": "1"}
    shared |= {"WORLD_SIZE": str(given.ranks), "GLOO_SOCKET_IFNAME": "lo"}
    started = [
        subprocess.Popen([sys.executable, *sys.argv], env={**os.environ, **shared, "RANK": str(rank)})
        for rank in range(given.ranks)
    ]
    try:
        sys.exit(max(process.wait() for process in started))
    finally:
        for process in started:
            process.kill()


if __name__ == "__main__":
    main()
