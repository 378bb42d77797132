"""DeepSeek-V3's shape beside a dense model of equal active size: CPU milliseconds a token, sampling and learning.

    OMP_NUM_THREADS=1 python benchmarks/experts.py --dtype float32 --rounds 5

Random models of width 256, 6 layers and 8 heads, whose feed-forward is 704 wide for a token: in one piece, in 3 experts
of 32 and a shared one, or in 10 of 256 and one. They take turns, so that what else the machine does falls on all; the
first round, which allocates, is dropped. The ratio to the dense model is taken within a round; medians, and the least
and the largest ratio.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import torch
from families import timed

from r1kit.backends.models import multiplied_parameters
from r1kit.maths.policy_loss import policy_loss
from r1kit.model.families import family
from r1kit.model.families.deepseek_v3 import DeepseekShape
from r1kit.model.families.llama import LlamaShape
from r1kit.records import Sampling
from r1kit.rollout.local import LocalEngine
from r1kit.text.tokenizer import build_tokenizer
from r1kit.update.learner import Batch, Row
from r1kit.update.local import LearnerSettings, LocalLearner

VOCABULARY = 8192
LATENT = {
    "hidden_size": 256, "intermediate_size": 704, "num_layers": 6, "num_heads": 8, "q_lora_rank": 128,
    "kv_lora_rank": 64, "qk_nope_head_dim": 24, "qk_rope_head_dim": 16, "v_head_dim": 32, "tie_embeddings": False,
}  # fmt: skip
SHAPES: dict[str, tuple[str, Any]] = {
    "dense (llama)": (
        "llama",
        LlamaShape(
            hidden_size=256, intermediate_size=704, num_layers=6, num_heads=8, num_kv_heads=8, tie_embeddings=False
        ),
    ),
    "32 experts, 3 and 1 shared": (
        "deepseek_v3",
        DeepseekShape(**LATENT, n_routed_experts=32, num_experts_per_tok=3, moe_intermediate_size=176),
    ),
    "256 experts, 10 and 1 shared": (
        "deepseek_v3",
        DeepseekShape(**LATENT, n_routed_experts=256, num_experts_per_tok=10, moe_intermediate_size=64),
    ),
}
PROMPTS, COMPLETIONS, PROMPT, TOKENS = 8, 8, 40, 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    sides = {name: side(*shape, given.dtype) for name, shape in SHAPES.items()}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for turn in range(given.rounds + 1):
        for name, (_, sample, update) in sides.items():
            spent = (timed(sample), timed(update))
            if turn:
                seconds[name].append(spent)
    print("| model | parameters, a token | sample ms a token | to dense | learn ms a token | to dense |")
    print("|---|---|---|---|---|---|")
    for name, (size, *_) in sides.items():
        cells = []
        for what in (0, 1):
            own = [spent[what] for spent in seconds[name]]
            ratios = [a / b[what] for a, b in zip(own, seconds["dense (llama)"], strict=True)]
            cells.append(f"{1e3 * statistics.median(own) / (PROMPTS * COMPLETIONS * TOKENS):.3f}")
            cells.append(f"**{statistics.median(ratios):.2f}x** ({min(ratios):.2f} to {max(ratios):.2f})")
        print(f"| {name} | {size} | {' | '.join(cells)} |")


def side(name: str, shape: Any, dtype: str) -> tuple[str, Callable[[], Any], Callable[[], Any]]:
    """Sizes of a fresh model, and what samples and what learns with it."""
    model: Any = family(name).fresh(shape, VOCABULARY)
    model.initialise(torch.Generator().manual_seed(0))
    whole = sum(weight.numel() for weight in model.parameters())
    tokenizer: Any = build_tokenizer([str(number) for number in range(100)])
    engine = LocalEngine(model, tokenizer, dtype=getattr(torch, dtype), end_ids=[])
    generator = torch.Generator().manual_seed(0)
    prompts = [torch.randint(2, VOCABULARY, (PROMPT,), generator=generator) for _ in range(PROMPTS)]
    rows = [
        Row(
            prompt=prompt,
            tokens=torch.randint(2, VOCABULARY, (TOKENS,), generator=generator),
            weight=1 / 4096,
            advantage=float(torch.randn((), generator=generator)),
        )
        for prompt in range(PROMPTS)
        for _ in range(COMPLETIONS)
    ]
    active = multiplied_parameters(model)
    learner, batch = LocalLearner(model, LearnerSettings(dtype=dtype)), Batch(prompts=prompts, rows=rows)  # type: ignore[arg-type]
    sampling, asked = Sampling(n=COMPLETIONS, max_tokens=TOKENS), [prompt.tolist() for prompt in prompts]
    return (
        f"{whole / 1e6:.1f}M, {active / 1e6:.1f}M",
        lambda: engine.generate(asked, sampling, list(range(PROMPTS))),
        lambda: learner.update(batch, policy_loss, 1e-6),
    )


if __name__ == "__main__":
    main()
