"""The local engine, with and without CUDA graphs, and vLLM in turns on one GPU: tokens a second, gap, hand-over, sleep.

    python benchmarks/gpu_engines.py --shape qwen2.5-1.5b-shape --steps 16x16x300 16x16x1000

A random model in bf16, drawn from at temperature 1; a step is PROMPTS x COMPLETIONS x NEW tokens, prompts of 40
tokens, no end token. Medians of ``--repeats`` after one that warms up. The gap is the mean difference between an
engine's log-probs and the learner's over the last completions of the first prompt, in nats a token.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from rollout import SHAPES, Numerals

from r1kit.loops.gap import engine_gaps, read_by
from r1kit.model.decoder import Decoder
from r1kit.model.weights import NamedWeights
from r1kit.records import Completion, Group, Prompt, Sampling
from r1kit.rollout.decode import CachedDecoder
from r1kit.rollout.engine import Engine
from r1kit.rollout.local import LocalEngine
from r1kit.update.local import LearnerSettings, LocalLearner
from r1kit.vllm.engine import VLLMEngine

PROMPT, POSITIONS = 40, 2048


class WithoutGraphs(LocalEngine):
    """Every step is launched kernel by kernel."""

    cached = CachedDecoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="qwen2.5-1.5b-shape", choices=list(SHAPES))
    parser.add_argument("--steps", nargs="+", default=["16x16x300"])
    parser.add_argument("--rows", type=int, default=256, help="in flight")
    parser.add_argument("--eager", action="store_true", help="vLLM compiles nothing and captures no graph")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    model = Decoder(SHAPES[given.shape])
    model.initialise(torch.Generator().manual_seed(0))
    model.to("cuda")
    tokenizer, size = Numerals(model.config.vocab_size), model.config.vocab_size
    began = time.perf_counter()
    vllm = VLLMEngine(
        model.hub_config(), NamedWeights(model.hub_weights()), tokenizer, positions=POSITIONS, vocab_size=size,
        dtype=torch.bfloat16, device="cuda", max_rows=given.rows, end_ids=[], memory_share=0.4,
        enforce_eager=given.eager,
    )  # fmt: skip
    print(f"{given.shape}, torch {torch.__version__}, {torch.cuda.get_device_name()}, ", end="")
    print(f"{given.rows} rows in flight; vLLM was ready after {time.perf_counter() - began:.0f} s\n")
    local, launched = (
        kind(model, tokenizer, dtype=torch.bfloat16, device="cuda", max_rows=given.rows, end_ids=[])
        for kind in (LocalEngine, WithoutGraphs)
    )
    learner = LocalLearner(model, LearnerSettings(dtype="bfloat16"))
    engines: dict[str, Engine] = {"local": local, "without graphs": launched, "vLLM": vllm}
    print("| step | engine | tokens/s, median | least to most | to the local engine | gap |\n|---|---|---|---|---|---|")
    for step in given.steps:
        _compare(engines, learner, step, size, given.repeats)
    _hand_over(vllm, model)
    vllm.close()


def _compare(engines: dict[str, Engine], learner: LocalLearner, step: str, size: int, repeats: int) -> None:
    prompts, n, new = map(int, step.split("x"))
    questions = torch.randint(2, size, (prompts, PROMPT), generator=torch.Generator().manual_seed(0)).tolist()
    sampling = Sampling(n=n, max_tokens=new)
    took: dict[str, list[float]] = {name: [] for name in engines}
    last: dict[str, tuple[Completion, ...]] = {}
    for repeat in range(repeats + 1):
        for name, engine in engines.items():
            seeds = range(repeat * prompts, (repeat + 1) * prompts)
            began = time.perf_counter()
            last[name] = engine.generate(questions, sampling, list(seeds))[0]
            took[name].append(time.perf_counter() - began)
    for name, seconds in took.items():
        ratio = statistics.median(own / one for own, one in zip(took["local"][1:], seconds[1:], strict=True))
        rates = sorted(prompts * n * new / one for one in seconds[1:])
        asked = Prompt(id="p", task="t", question="q")
        groups = [Group(prompt=asked, prompt_ids=tuple(questions[0]), completions=last[name])]
        gap = engine_gaps(groups, read_by(learner, groups))[0]
        told = f"{statistics.median(rates):.0f} | {rates[0]:.0f} to {rates[-1]:.0f} | {ratio:.2f}"
        print(f"| {step} | {name} | {told} | {gap:.4f} |", flush=True)


def _hand_over(vllm: VLLMEngine, model: Decoder) -> None:
    """Of every weight, awake; then to sleep and back."""

    def load() -> None:
        vllm.load_weights(NamedWeights(model.hub_weights()), version=1)

    load()
    handed = _seconds([load] * 3)
    held = torch.cuda.mem_get_info()[0]
    slept = _seconds([vllm.release])
    freed = (torch.cuda.mem_get_info()[0] - held) / 2**30
    woke = _seconds([vllm.resume])
    again = _seconds([load])
    print(f"\nhand-over {handed:.3f} s, asleep after {slept:.3f} s ({freed:.1f} GiB given back), ", end="")
    print(f"awake after {woke:.3f} s, the hand-over after it {again:.3f} s")


def _seconds(calls: Sequence[Callable[[], object]]) -> float:
    found = []
    for call in calls:
        began = time.perf_counter()
        call()
        torch.cuda.synchronize()
        found.append(time.perf_counter() - began)
    return statistics.median(found)


if __name__ == "__main__":
    main()
