"""A learner's memory, as `r1 plan` reckons it beside its measured peak: full and LoRA, each in a process of its own.

    python benchmarks/memory.py [--sizes 10 30 60] [--tokens 2048] [--dtype float32] [--device cpu]

On a CPU the peak is what the process holds at the most beyond what it held before the model was drawn; on a GPU what
torch's allocator gave out. Two updates of a batch of documents of 256 tokens.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

SHAPES = {
    10: {"hidden_size": 320, "intermediate_size": 864, "num_layers": 6, "num_heads": 5, "num_kv_heads": 5},
    30: {"hidden_size": 512, "intermediate_size": 1376, "num_layers": 8, "num_heads": 8, "num_kv_heads": 8},
    60: {"hidden_size": 640, "intermediate_size": 1728, "num_layers": 10, "num_heads": 10, "num_kv_heads": 10},
}
"""Millions of weights -> a llama of about as many, with 8,192 tokens."""
VOCAB = 8192
KINDS = {
    "full": {},
    "full, checkpointing": {"checkpointing": True},
    "LoRA": {"rank": 8},
    "LoRA, checkpointing": {"rank": 8, "checkpointing": True},
}
LENGTH = 256


def measured(args: argparse.Namespace) -> None:
    """In a process of its own: planned and measured bytes."""
    import torch

    from r1kit.cluster.settings import Whole
    from r1kit.contracts import Model
    from r1kit.maths.policy_loss import supervised_loss
    from r1kit.model.decoder import Decoder
    from r1kit.model.families import fresh_family
    from r1kit.plan.cost import Plan, activation_bytes, learner_bytes, width_of
    from r1kit.plan.devices import DEVICES
    from r1kit.plan.shape import shape_of_fresh
    from r1kit.update.adapted import AdaptedLearner
    from r1kit.update.learner import Batch, Row
    from r1kit.update.local import LearnerSettings, LocalLearner
    from r1kit.update.settings import LoRA, OptimiserSettings

    kind = KINDS[args.kind]
    lora, own = LoRA(rank=kind.get("rank", 0)), Whole(checkpointing=kind.get("checkpointing", False))
    settings = LearnerSettings(dtype=args.dtype, token_budget=args.tokens, lora=lora, own=own)

    def learn(shape: Model, tokens: int) -> None:
        model = fresh_family("llama", "model").fresh(shape.shape, VOCAB if tokens > LENGTH else 64)
        assert isinstance(model, Decoder)
        model.initialise(torch.Generator().manual_seed(0))
        learner = (AdaptedLearner if lora.rank else LocalLearner)(model.to(args.device), settings)
        rows = [Row(prompt=-1, tokens=torch.randint(64, (LENGTH,)), weight=1e-4) for _ in range(tokens // LENGTH)]
        for _ in range(2):
            learner.update(Batch(prompts=[], rows=rows), supervised_loss, 1e-4)

    few = {"hidden_size": 32, "intermediate_size": 64, "num_layers": 1, "num_heads": 2, "num_kv_heads": 2}
    learn(Model.from_table({**few, "max_positions": 2048}, "model"), LENGTH)  # what is loaded at the first use
    before = resident()
    shape = Model.from_table({**SHAPES[args.size], "max_positions": 2048}, "model")
    learn(shape, args.tokens)
    peak = torch.cuda.max_memory_allocated() if args.device == "cuda" else peak_resident() - before
    planned, width = shape_of_fresh(shape, VOCAB), width_of(args.dtype)
    device = DEVICES["h100" if args.device == "cuda" else "cpu"]
    where = Plan(device=device, devices=1, mfu=1, mbu=1, mean_share=1, checkpointing=own.checkpointing)
    reckoned = learner_bytes(OptimiserSettings(), planned, width, where, lora=lora)
    reckoned += activation_bytes(args.tokens, planned, width, where, lora=lora, seen=LENGTH)
    print(json.dumps({"weights": planned.parameters, "planned": reckoned, "measured": peak}))


def resident() -> int:
    """Bytes that the process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak_resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.kind:
        measured(args)
        return
    print(f"{args.tokens} tokens at once, {args.dtype}, {args.device}; MB\n")
    print("| weights | trained | planned | measured | planned / measured |\n|---|---|---|---|---|")
    for size in args.sizes:
        for kind in args.kinds:
            more = ["--size", str(size), "--kind", kind]
            run = subprocess.run([sys.executable, __file__, *sys.argv[1:], *more], stdout=subprocess.PIPE, check=True)
            told = json.loads(run.stdout)
            planned, peak = told["planned"] / 1e6, told["measured"] / 1e6
            print(
                f"| {told['weights'] / 1e6:.1f}M | {kind} | {planned:.0f} | {peak:.0f} | {planned / peak:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
