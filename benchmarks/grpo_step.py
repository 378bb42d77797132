"""One GRPO step, ours against TRL's GRPOTrainer: 8 prompts x 8 completions x 64 new tokens, beta 0, one inner epoch.

Same model, same prompts' distribution, same token counts (the end token is suppressed on both sides), the same cores.
Each side runs in its own process; the sides alternate ``--rounds`` times and medians are compared.

    python benchmarks/grpo_step.py --model tiny
    python benchmarks/grpo_step.py --model /path/to/SmolLM2-135M-Instruct --dtype bfloat16

Needs ``pip install 'r1kit[bench]'``. ``--flat 0.5`` gives half of the groups equal rewards: they carry no advantage.
``--budget`` bounds our memory: most tokens in a micro-batch. ``--trl-dtype`` and ``--micro`` choose TRL's mode:
``bfloat16`` is autocast over fp32 weights, ``weights`` are bf16 weights and optimiser too (no master weights: not what
one would train with at a small rate, but the fastest it has).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROMPTS, COMPLETIONS, NEW, PROMPT_TOKENS = 8, 8, 64, 32


def rewards(token_ids: list[int], prompt: int, flat: float) -> float:
    """An arbitrary, uneven reward; equal within the first ``flat`` share of a step's groups."""
    return 0.0 if prompt < flat * PROMPTS else (sum(token_ids) * 2654435761 % 97) / 97


def questions(count: int) -> list[str]:
    draw = random.Random(0)
    return [f"What is {draw.randint(10, 99)} + {draw.randint(10, 99)}?" for _ in range(count)]


def make_tiny(folder: Path) -> Path:
    """A random Llama (d 256, 6 layers, 8/4 heads, vocabulary 1,024) and a word-level tokenizer, as a hub folder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = {"<pad>": 0, "<eos>": 1, "<bos>": 2} | {f"t{i}": i for i in range(3, 1024)}
    backend = Tokenizer(models.WordLevel(words, unk_token="t3"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>"
    )
    torch.manual_seed(0)
    shape = {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 6, "head_dim": 32}
    heads = {"num_attention_heads": 8, "num_key_value_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=1024, tie_word_embeddings=True, **shape, **heads))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def prompt_texts(tokenizer: Any, count: int) -> list[str]:
    if tokenizer.chat_template is None:
        draw = random.Random(0)
        return [" ".join(f"t{draw.randint(3, 1000)}" for _ in range(PROMPT_TOKENS)) for _ in range(count)]
    return [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
        for question in questions(count)
    ]


def run_ours(options: argparse.Namespace) -> dict[str, Any]:
    import torch

    from r1kit.loops.rl import minibatches
    from r1kit.loops.settings import RL
    from r1kit.maths.advantage import group_relative
    from r1kit.maths.policy_loss import from_settings
    from r1kit.model.fallback import load_model
    from r1kit.records import Group, Prompt, Sampling
    from r1kit.rollout.local import LocalEngine
    from r1kit.update.local import LearnerSettings, LocalLearner

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    dtype, steps, flat = options.dtype, options.steps, options.flat
    config = RL(prompts_per_step=PROMPTS, sampling=Sampling(n=COMPLETIONS, max_tokens=NEW))
    model, tokenizer = load_model(Path(options.model), torch.float32)
    ids = [tokenizer.encode(text, add_special_tokens=False) for text in prompt_texts(tokenizer, PROMPTS * steps)]
    engine = LocalEngine(model, tokenizer, dtype=getattr(torch, dtype), max_rows=PROMPTS * COMPLETIONS, end_ids=())
    learner = LocalLearner(model, LearnerSettings(dtype=dtype, token_budget=options.budget))
    loss = from_settings(config.loss)
    times: dict[str, list[float]] = {"sample": [], "update": [], "step": []}
    for step in range(steps):
        began = time.perf_counter()
        engine.load_weights(learner.weights(), version=step)
        drawn = engine.generate(ids[step * PROMPTS : (step + 1) * PROMPTS], config.sampling, range(PROMPTS))
        sampled = time.perf_counter()
        groups = [
            Group(prompt=Prompt(id=str(i), task="x", question=""), prompt_ids=tuple(prompt), completions=completions)
            for i, (prompt, completions) in enumerate(zip(ids[step * PROMPTS :], drawn, strict=False))
        ]
        advantages = [
            group_relative(torch.tensor([rewards(list(c.token_ids), i, flat) for c in group.completions]))
            for i, group in enumerate(groups)
        ]
        (batch,) = minibatches(groups, advantages, config, 0)
        learner.update(batch, loss, 1e-6)
        ended = time.perf_counter()
        times["sample"].append(sampled - began)
        times["update"].append(ended - sampled)
        times["step"].append(ended - began)
    return times


def run_trl(options: argparse.Namespace) -> dict[str, Any]:
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    mode, steps, flat = options.trl_dtype or options.dtype, options.steps, options.flat
    tokenizer = AutoTokenizer.from_pretrained(options.model, padding_side="left")
    held = torch.bfloat16 if mode == "weights" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=held)
    times: dict[str, list[float]] = {"sample": [], "update": [], "step": []}

    class Timed(GRPOTrainer):
        def _generate(self, *arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            result = super()._generate(*arguments, **named)
            times["sample"].append(time.perf_counter() - began)
            return result

    class Steps(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            times["step"].append(-time.perf_counter())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            times["step"][-1] += time.perf_counter()

    def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [rewards(list(ids), row // COMPLETIONS % PROMPTS, flat) for row, ids in enumerate(completion_ids)]

    settings = GRPOConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=options.micro,
        gradient_accumulation_steps=PROMPTS * COMPLETIONS // options.micro,
        num_generations=COMPLETIONS,
        max_completion_length=NEW,
        beta=0.0,
        max_steps=steps,
        learning_rate=1e-6,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        bf16=mode == "bfloat16",
        gradient_checkpointing=False,
        generation_kwargs={"min_new_tokens": NEW},
        disable_tqdm=True,
    )
    rows = [{"prompt": text} for text in prompt_texts(tokenizer, PROMPTS * (steps + 2))]
    trainer = Timed(
        model=model,
        args=settings,
        reward_funcs=reward,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[Steps()],
    )
    trainer.train()
    times["update"] = [step - sample for step, sample in zip(times["step"], times["sample"], strict=False)]
    return times


def side(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """One side in a process of its own; its first step is dropped as warm-up."""
    command = [sys.executable, __file__, "--side", name, *sys.argv[1:], "--model", options.model]
    found = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    result: dict[str, Any] = json.loads(found.stdout.strip().splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", help="'tiny' or a hub-format folder")
    parser.add_argument("--dtype", default="bfloat16", choices=["float32", "bfloat16"])
    parser.add_argument("--steps", type=int, default=3, help="steps a round; the first is dropped")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--flat", type=float, default=0.0, help="share of groups without advantage")
    parser.add_argument("--budget", type=int, default=4096, help="tokens of our micro-batch")
    parser.add_argument("--micro", type=int, default=8, help="rows of TRL's micro-batch")
    parser.add_argument("--trl-dtype", choices=["float32", "bfloat16", "weights"], help="TRL's mode; default: --dtype")
    parser.add_argument("--sides", nargs="+", default=["ours", "trl"], choices=["ours", "trl"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--side", choices=["ours", "trl"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", str(options.threads))
    if options.side:
        runner = run_ours if options.side == "ours" else run_trl
        times = runner(options)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({key: values[1:] for key, values in times.items()} | {"peak": peak}))
        return
    with tempfile.TemporaryDirectory() as folder:
        if options.model == "tiny":
            options.model = str(make_tiny(Path(folder)))
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in options.sides}
        for _ in range(options.rounds):
            for name in found:
                found[name].append(side(name, options))
    show(found)


def show(found: dict[str, list[dict[str, Any]]]) -> None:
    """Medians over all rounds, the ratio, and its spread over the rounds."""
    medians = {
        name: {part: statistics.median(t for one in rounds for t in one[part]) for part in ("sample", "update", "step")}
        for name, rounds in found.items()
    }
    peaks = {name: max(one["peak"] for one in rounds) for name, rounds in found.items()}
    print("| | sample s | update s | step s | peak GiB |\n|---|---|---|---|---|")
    for name, row in medians.items():
        print(f"| {name} | {row['sample']:.3f} | {row['update']:.3f} | {row['step']:.3f} | {peaks[name]:.2f} |")
    if len(found) < 2:
        return
    for part in ("sample", "update", "step"):
        pairs = [
            statistics.median(theirs[part]) / statistics.median(ours[part])
            for ours, theirs in zip(found["ours"], found["trl"], strict=True)
        ]
        print(f"TRL / ours, {part}: {statistics.median(pairs):.2f}x (rounds: {min(pairs):.2f} to {max(pairs):.2f})")
    print(f"peak memory, ours / TRL: {peaks['ours'] / peaks['trl']:.2f}x")


if __name__ == "__main__":
    main()
