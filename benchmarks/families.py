"""The decoder against `transformers` behind the same engine and learner interfaces, family by family, at equal shape.

    python benchmarks/families.py --dtype bfloat16 --rounds 5 [FAMILY ...]

Both sides read one random checkpoint of each family, sample the same number of tokens from the same prompts (the end
token stops nobody) and learn from the same completions. They alternate; a first round, which allocates, is dropped.
Seconds are CPU seconds; the ratio is taken within a round, and the median over the rounds is given with the least and
the largest.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging

from r1kit.checkpoint.hub import read_config
from r1kit.maths.policy_loss import policy_loss
from r1kit.model.families import family, unsupported
from r1kit.model.families.fallback import HubModel
from r1kit.records import Sampling
from r1kit.rollout.hub import HubEngine
from r1kit.rollout.local import LocalEngine
from r1kit.text.tokenizer import build_tokenizer
from r1kit.update.learner import Batch, Row
from r1kit.update.local import LearnerSettings, LocalLearner

SHAPE = {
    "vocab_size": 8192, "hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 6, "num_attention_heads": 8,
    "num_key_value_heads": 4, "max_position_embeddings": 1024, "bos_token_id": None, "eos_token_id": 1,
    "pad_token_id": 0,
}  # fmt: skip
SLIDING = {"sliding_window": 64, "layer_types": (["sliding_attention"] * 2 + ["full_attention"]) * 2}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen3": {"head_dim": 32},
    "mistral": {"sliding_window": 64},
    "gemma3_text": {"head_dim": 32, "query_pre_attn_scalar": 32, **SLIDING},
    "qwen3_moe": {"head_dim": 32, "num_experts": 16, "num_experts_per_tok": 4, "moe_intermediate_size": 176},
    "phi3": {"sliding_window": None},
    "olmo2": {},
    "olmo3": SLIDING,
    "smollm3": {},
}
"""Settings over ``SHAPE``; experts have a quarter of the feed-forward each, four a token."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", default=list(FAMILIES), metavar="FAMILY")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--completions", type=int, default=4)
    parser.add_argument("--prompt-tokens", type=int, default=40)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    print("| family | sample s: decoder | transformers | ratio | update s: decoder | transformers | ratio |")
    print("|---|---|---|---|---|---|---|")
    for name in given.families:
        with tempfile.TemporaryDirectory() as folder:
            torch.manual_seed(0)
            model = AutoModelForCausalLM.from_config(AutoConfig.for_model(name, **(SHAPE | FAMILIES[name])))
            model.save_pretrained(folder)
            print(f"| {name} | {' | '.join(compare(Path(folder), given))} |", flush=True)


def compare(folder: Path, given: argparse.Namespace) -> list[str]:
    """Cells of a family's line."""
    config = read_config(folder)
    assert not unsupported(config), unsupported(config)
    sides = [side(folder, name, given) for name in (config.model_type, "transformers")]
    seconds: list[list[tuple[float, float]]] = [[], []]
    for turn in range(given.rounds + 1):
        for place, (sample, update) in enumerate(sides):
            spent = (timed(sample), timed(update))
            if turn:
                seconds[place].append(spent)
    cells = []
    for what in (0, 1):
        ours, theirs = ([spent[what] for spent in one] for one in seconds)
        ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
        cells += [f"{statistics.median(ours):.2f}", f"{statistics.median(theirs):.2f}"]
        cells.append(f"**{statistics.median(ratios):.2f}x** ({min(ratios):.2f} to {max(ratios):.2f})")
    return cells


def side(folder: Path, name: str, given: argparse.Namespace) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """What samples and what updates, for a checkpoint opened by a family of that name."""
    dtype = getattr(torch, given.dtype)
    model = family(name).load(folder, read_config(folder), torch.float32)
    kind: Any = HubEngine if isinstance(model, HubModel) else LocalEngine
    tokenizer = build_tokenizer([str(number) for number in range(100)])
    engine = kind(model, tokenizer, dtype=dtype, max_rows=256, end_ids=[])
    generator = torch.Generator().manual_seed(0)
    vocabulary = SHAPE["vocab_size"]
    prompts = [torch.randint(2, cast(int, vocabulary), (given.prompt_tokens,), generator=generator)] * given.prompts
    prompts = [torch.roll(prompt, place) for place, prompt in enumerate(prompts)]
    rows = [
        Row(
            prompt=prompt,
            tokens=torch.randint(2, cast(int, vocabulary), (given.tokens,), generator=generator),
            weight=1 / 2048,
            advantage=float(torch.randn((), generator=generator)),
        )
        for prompt in range(given.prompts)
        for _ in range(given.completions)
    ]
    sampling = Sampling(n=given.completions, max_tokens=given.tokens, temperature=1.0, top_p=1.0)
    learner = LocalLearner(model, LearnerSettings(dtype=given.dtype))
    batch = Batch(prompts=prompts, rows=rows)
    asked = [prompt.tolist() for prompt in prompts]
    return (
        lambda: engine.generate(asked, sampling, list(range(given.prompts))),
        lambda: learner.update(batch, policy_loss, 1e-6),
    )


def timed(run: Callable[[], Any]) -> float:
    """CPU seconds."""
    start = time.process_time()
    run()
    return time.process_time() - start


if __name__ == "__main__":
    main()
