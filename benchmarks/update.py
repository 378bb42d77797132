"""One policy update, ours against the dense padded one that trainers make of a `transformers` model.

    python benchmarks/update.py FOLDER --dtype bfloat16 --repeats 5

FOLDER is a hub-format model. Both sides take the same weights, prompts and completions, and end with the same fused
AdamW; they alternate, and medians are compared. The dense side repeats the prompt for every completion, pads to the
longest row, computes logits of the completion tokens whole, in fp32 weights under autocast, ``--micro`` rows at a time
(TRL's defaults but for gradient checkpointing, which would slow it further). Seconds are CPU seconds of the one
thread, so that a neighbour on the machine disturbs them less; ``wall`` is beside them.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from r1kit.maths.policy_loss import policy_loss
from r1kit.model.decoder import Decoder, hub_config
from r1kit.model.load import load_model
from r1kit.update.learner import Batch, Row
from r1kit.update.local import LearnerSettings, LocalLearner


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--completions", type=int, default=8)
    parser.add_argument("--prompt-tokens", type=int, default=40)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--ragged", action="store_true", help="completions of 1/4 to all of --tokens")
    parser.add_argument("--flat", type=float, default=0.0, help="share of groups without advantage")
    parser.add_argument("--micro", type=int, default=8, help="rows in a dense micro-batch")
    parser.add_argument("--budget", type=int, default=4096, help="our token budget")
    parser.add_argument("--chunk", type=int, default=1024, help="our head chunk")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--ours-only", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    decoder, _ = load_model(given.folder)
    batch = make_batch(given, decoder.config.vocab_size)
    settings = LearnerSettings(dtype=given.dtype, token_budget=given.budget, head_chunk=given.chunk)
    sides: dict[str, Callable[[], object]] = {}
    if not given.ours_only:
        sides["dense"] = dense_update(decoder, batch, given.dtype, given.micro)
    learner = LocalLearner(copy.deepcopy(decoder), settings)
    sides["ours"] = lambda: learner.update(batch, policy_loss, 1e-6)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    peaks = []
    for repeat in range(given.repeats + 1):
        peaks.append(peak(given.dtype))
        for name, update in sides.items():
            wall, cpu = time.perf_counter(), time.process_time()
            update()
            if repeat:  # the first of each allocates
                times[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    report(times, decoder, batch, given.dtype, max(peaks))


def make_batch(given: argparse.Namespace, vocabulary: int) -> Batch:
    g = torch.Generator().manual_seed(0)
    shortest = given.tokens // 4 if given.ragged else given.tokens
    rows = []
    for prompt in range(given.prompts):
        flat = prompt < given.flat * given.prompts
        for _ in range(given.completions):
            n = int(torch.randint(shortest, given.tokens + 1, (), generator=g))
            tokens = torch.randint(0, vocabulary, (n,), generator=g)
            advantage = 0.0 if flat else float(torch.randn((), generator=g))
            rows.append(Row(prompt=prompt, tokens=tokens, weight=1 / 4096, advantage=advantage))
    prompts = [torch.randint(0, vocabulary, (given.prompt_tokens,), generator=g) for _ in range(given.prompts)]
    return Batch(prompts=prompts, rows=rows)


def dense_update(decoder: Decoder, batch: Batch, dtype: str, micro: int) -> Callable[[], None]:
    """Forward, loss, backward, clip and AdamW over padded rows."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(hub_config(decoder.config)).float()
    model.load_state_dict(decoder.hub_weights(), strict=False)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
    longest = max(len(row.tokens) for row in batch.rows)

    def update() -> None:
        for at in range(0, len(batch.rows), micro):
            dense_loss(model, batch, range(at, min(at + micro, len(batch.rows))), longest, dtype).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()

    return update


def dense_loss(model: torch.nn.Module, batch: Batch, rows: range, longest: int, dtype: str) -> Tensor:
    chosen = [batch.rows[row] for row in rows]
    completions = torch.stack([torch.nn.functional.pad(row.tokens, (0, longest - len(row.tokens))) for row in chosen])
    mask = torch.stack([torch.arange(longest) < len(row.tokens) for row in chosen])
    prompts = torch.stack([batch.prompts[row.prompt] for row in chosen])
    attention = torch.cat([torch.ones_like(prompts), mask.long()], dim=1)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
        ids = torch.cat([prompts, completions], dim=1)
        logits = model(input_ids=ids, attention_mask=attention, logits_to_keep=longest + 1).logits[:, :-1]
    logprobs = logits.float().log_softmax(-1)
    with torch.no_grad():
        (logprobs.exp() * logprobs).sum(-1)  # the entropy, which every trainer logs
    own = logprobs.gather(2, completions[..., None])[..., 0]
    ratio = (own - own.detach()).exp()
    advantage = torch.tensor([row.advantage for row in chosen])[:, None]
    surrogate = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
    return -(surrogate * mask).sum() / 4096


def report(
    times: dict[str, list[tuple[float, float]]], decoder: Decoder, batch: Batch, dtype: str, matmul: float
) -> None:
    size = sum(p.numel() for p in decoder.parameters())
    tokens = sum(len(row.tokens) for row in batch.rows)
    flops = executed(decoder, batch)
    print(f"{len(batch.rows)} rows, {tokens} completion tokens, {size / 1e6:.1f} M weights, {dtype}")
    print(f"GEMM peak here {matmul / 1e9:.0f} GFLOP/s; ours executes {flops / 1e12:.2f} TFLOP in weight matrices")
    print("| | CPU s | least to most | wall s | completion tok/s | share of peak | least to most |")
    print("|---|---|---|---|---|---|---|")
    for name, taken in times.items():
        cpus, walls = zip(*taken, strict=True)
        cpu, wall = statistics.median(cpus), statistics.median(walls)
        shares = [flops / seconds / matmul for seconds in cpus]
        share = f"{statistics.median(shares):.0%} | {min(shares):.0%} to {max(shares):.0%}" if name == "ours" else " | "
        row = f"| {name} | {cpu:.3f} | {min(cpus):.3f} to {max(cpus):.3f} | {wall:.3f} | {tokens / cpu:.0f} "
        print(f"{row}| {share} |")
    if "dense" in times:
        ratios = [d[0] / o[0] for d, o in zip(times["dense"], times["ours"], strict=True)]
        print(f"dense / ours: median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")


def executed(decoder: Decoder, batch: Batch) -> float:
    """FLOPs of our update in products with weights, forward and backward; attention is left out.

    Layers see each prompt once and each completion but for its last token, the head every completion token; groups
    without an advantage are not computed.
    """
    rows = [row for row in batch.rows if row.advantage]
    seen = sum(len(batch.prompts[prompt]) for prompt in {row.prompt for row in rows})
    seen += sum(len(row.tokens) - 1 for row in rows)
    layers = sum(p.numel() for p in decoder.blocks.parameters() if p.dim() > 1)
    return 6.0 * (layers * seen + decoder.head.numel() * sum(len(row.tokens) for row in rows))


def peak(dtype: str, n: int = 2048) -> float:
    """FLOP/s of a square product, best of five."""
    a, b = torch.randn(2, n, n).to(getattr(torch, dtype)).unbind()
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        a @ b
        best = min(best, time.process_time() - start)
    return 2 * n**3 / best


if __name__ == "__main__":
    main()
