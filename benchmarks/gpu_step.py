"""One GRPO step on a GPU: rollout and update of a random model, in bf16: SmolLM2-135M's shape, or another.

    python benchmarks/gpu_step.py --steps 8x8x64 64x16x256 --budget 4096 32768
    python benchmarks/gpu_step.py --shape qwen2.5-1.5b-shape --steps 16x16x1000 --budget 16384 --repeats 1

A step is PROMPTS x COMPLETIONS x NEW tokens, prompts of 40 tokens, no end token; every group carries an advantage.
Medians of ``--repeats`` after one that warms up. Peak memory is the update's, over what the engine and learner hold.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from rollout import SHAPES, Numerals

from r1kit.maths.policy_loss import policy_loss
from r1kit.model.decoder import Decoder
from r1kit.records import Completion, Sampling
from r1kit.rollout.local import LocalEngine
from r1kit.update.learner import Batch, Row
from r1kit.update.local import LearnerSettings, LocalLearner

PROMPT = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="smollm2-shape", choices=list(SHAPES))
    parser.add_argument("--steps", nargs="+", default=["8x8x64", "64x16x256"])
    parser.add_argument("--budget", type=int, nargs="+", default=[4096, 32768], help="tokens of a micro-batch")
    parser.add_argument("--chunk", type=int, default=1024, help="rows of logits at a time")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    model = Decoder(SHAPES[given.shape])
    model.initialise(torch.Generator().manual_seed(0))
    model.to("cuda")
    print(f"{given.shape}, torch {torch.__version__}, {torch.cuda.get_device_name()}")
    print("| step | budget | rollout s | rollout tokens/s | update s | update tokens/s | update GiB |")
    print("|---|---|---|---|---|---|---|")
    for step in given.steps:
        prompts, n, new = map(int, step.split("x"))
        batch, rollout = sample(model, prompts, n, new, given)
        for budget in given.budget:
            settings = LearnerSettings(dtype="bfloat16", token_budget=budget, head_chunk=given.chunk)
            learner = LocalLearner(model, settings)
            held = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            update = median(partial(learner.update, batch, policy_loss, 1e-6), given.repeats)
            peak = (torch.cuda.max_memory_allocated() - held) / 2**30
            tokens = prompts * n * new
            print(
                f"| {step} | {budget} | {rollout:.3f} | {tokens / rollout:.0f} | {update:.3f} | {tokens / update:.0f} "
                f"| {peak:.1f} |",
                flush=True,
            )


def sample(model: Decoder, prompts: int, n: int, new: int, given: argparse.Namespace) -> tuple[Batch, float]:
    """A batch of one rollout, and the seconds of one."""
    g = torch.Generator().manual_seed(0)
    questions = torch.randint(2, model.config.vocab_size, (prompts, PROMPT), generator=g)
    engine = LocalEngine(
        model, Numerals(model.config.vocab_size), dtype=torch.bfloat16, device="cuda", max_rows=1024, end_ids=[]
    )
    groups: list[list[tuple[Completion, ...]]] = []

    def generate() -> None:
        groups.append(engine.generate(questions.tolist(), Sampling(n=n, max_tokens=new), range(prompts)))

    seconds = median(generate, given.repeats)
    rows = [
        Row(
            prompt=index,
            tokens=torch.tensor(completion.token_ids),
            weight=1 / (prompts * n * new),
            advantage=float(torch.randn((), generator=g)),
            sampler_logprobs=torch.tensor(completion.logprobs),
        )
        for index, group in enumerate(groups[-1])
        for completion in group
    ]
    engine.close()
    return Batch(prompts=list(questions), rows=rows), seconds


def median(run: Callable[[], object], repeats: int) -> float:
    """Wall seconds; learner and engine both end by reading a number back, so the device is done."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


if __name__ == "__main__":
    main()
