"""One GRPO step, ours against TRL's GRPOTrainer: 8 prompts x 8 completions x 64 new tokens, beta 0, one inner epoch.

Same model, same prompts' distribution, same token counts (the end token is suppressed on both sides), the same cores.
Each side is a process of its own; they take turns step by step, ``--rounds`` times after a step each that warms up, and
one sleeps while the other works. Seconds are CPU seconds of the one process, so that a neighbour on the machine
disturbs them less (``--threads 1``; the clock's are beside them). Ratios are taken within a round; their median is
given with the least and the largest.

    python benchmarks/grpo_step.py --model tiny
    python benchmarks/grpo_step.py --model /path/to/SmolLM2-135M-Instruct --flat 0 0.5

Needs ``pip install 'r1kit[bench]'``. ``--flat 0 0.5`` adds rounds in which half of the groups get equal rewards and so
no advantage.
``--budget`` bounds our memory: most tokens in a micro-batch. ``--trl-dtype`` and ``--micro`` choose TRL's mode:
``bfloat16`` is autocast over fp32 weights, ``weights`` are bf16 weights and optimiser too (no master weights: not what
one would train with at a small rate, but the fastest it has).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
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


def turns() -> Iterator[float]:
    """Each line in asks for a step, with so large a share of flat groups."""
    for line in iter(sys.stdin.readline, ""):
        yield float(line)


def seconds() -> tuple[float, float]:
    """CPU seconds of this process, and what the clock says."""
    return time.process_time(), time.perf_counter()


def took(began: tuple[float, float], sampling: tuple[float, float], sampled: tuple[float, float]) -> None:
    """Answers a turn that ends now, with the peak memory so far in GiB."""
    ended, sample = seconds(), sampled[0] - sampling[0]
    step = ended[0] - began[0]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    found = {"sample": sample, "update": step - sample, "step": step, "wall": ended[1] - began[1], "peak": peak}
    print("took", json.dumps(found), flush=True)


def run_ours(options: argparse.Namespace) -> None:
    import torch

    from r1kit.loops.rl import minibatches
    from r1kit.loops.settings import RL
    from r1kit.maths.advantage import group_relative
    from r1kit.maths.policy_loss import from_settings
    from r1kit.model.load import load_model
    from r1kit.records import Group, Prompt, Sampling
    from r1kit.rollout.local import LocalEngine
    from r1kit.update.local import LearnerSettings, LocalLearner

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    dtype, steps = options.dtype, steps_of(options)
    config = RL(prompts_per_step=PROMPTS, sampling=Sampling(n=COMPLETIONS, max_tokens=NEW))
    model, tokenizer = load_model(Path(options.model), torch.float32)
    ids = [tokenizer.encode(text, add_special_tokens=False) for text in prompt_texts(tokenizer, PROMPTS * steps)]
    engine = LocalEngine(model, tokenizer, dtype=getattr(torch, dtype), max_rows=PROMPTS * COMPLETIONS, end_ids=())
    learner = LocalLearner(model, LearnerSettings(dtype=dtype, token_budget=options.budget))
    loss = from_settings(config.loss)
    for step, flat in enumerate(turns()):
        began = seconds()
        learner.publish(engine, version=step)
        drawn = engine.generate(ids[step * PROMPTS : (step + 1) * PROMPTS], config.sampling, range(PROMPTS))
        sampled = seconds()
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
        took(began, began, sampled)


def run_trl(options: argparse.Namespace) -> None:
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    mode, steps = options.trl_dtype or options.dtype, steps_of(options)
    tokenizer = AutoTokenizer.from_pretrained(options.model, padding_side="left")
    held = torch.bfloat16 if mode == "weights" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=held)
    asked = turns()
    now: dict[str, tuple[float, float]] = {}

    class Timed(GRPOTrainer):
        def _generate(self, *arguments: Any, **named: Any) -> Any:
            now["sampling"] = seconds()
            result = super()._generate(*arguments, **named)
            now["sampled"] = seconds()
            return result

    class Steps(TrainerCallback):
        flat = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.flat = next(asked)
            now["began"] = seconds()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            took(now["began"], now["sampling"], now["sampled"])

    taking = Steps()

    def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [rewards(list(ids), row // COMPLETIONS % PROMPTS, taking.flat) for row, ids in enumerate(completion_ids)]

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
        callbacks=[taking],
    )
    trainer.train()


def steps_of(options: argparse.Namespace) -> int:
    return 1 + options.rounds * len(options.flat)


class Side:
    """One side in a process of its own."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        command = [sys.executable, __file__, "--side", name, *sys.argv[1:], "--model", options.model]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, env=os.environ
        )

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
        self._errors.close()

    def step(self, flat: float) -> dict[str, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(flat, file=self._process.stdin, flush=True)
        for line in self._process.stdout:
            if line.startswith("took "):
                found: dict[str, float] = json.loads(line.removeprefix("took "))
                return found
        self._errors.seek(0)
        raise RuntimeError(self._errors.read().decode(errors="replace")[-3000:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", help="'tiny' or a hub-format folder")
    parser.add_argument("--dtype", default="bfloat16", choices=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--flat", type=float, nargs="+", default=[0.0], help="shares of groups without advantage")
    parser.add_argument("--budget", type=int, default=4096, help="tokens of our micro-batch")
    parser.add_argument("--micro", type=int, default=8, help="rows of TRL's micro-batch")
    parser.add_argument("--trl-dtype", choices=["float32", "bfloat16", "weights"], help="TRL's mode; default: --dtype")
    parser.add_argument("--sides", nargs="+", default=["ours", "trl"], choices=["ours", "trl"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--side", choices=["ours", "trl"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", str(options.threads))
    if options.side:
        {"ours": run_ours, "trl": run_trl}[options.side](options)
        return
    found: dict[float, dict[str, list[dict[str, float]]]] = {
        flat: {name: [] for name in options.sides} for flat in options.flat
    }
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        if options.model == "tiny":
            options.model = str(make_tiny(Path(folder)))
        sides = {name: stack.enter_context(Side(name, options)) for name in options.sides}
        for one in sides.values():
            one.step(options.flat[0])
        for _ in range(options.rounds):
            for flat, rows in found.items():
                for name, one in sides.items():
                    rows[name].append(one.step(flat))
                print(f"flat {flat:g}:", {name: round(row[-1]["step"], 3) for name, row in rows.items()}, flush=True)
    for flat, rows in found.items():
        show(flat, rows)


def show(flat: float, found: dict[str, list[dict[str, float]]]) -> None:
    """Medians over the rounds; ratios within a round, their median and spread."""
    parts = ("sample", "update", "step")
    print(f"\n{flat:.0%} of the groups without advantage")
    print("| | sample s | update s | step s | least to most | wall s | peak GiB |\n|---|---|---|---|---|---|---|")
    peaks = {name: max(row["peak"] for row in rows) for name, rows in found.items()}
    for name, rows in found.items():
        cells = " | ".join(f"{statistics.median(row[part] for row in rows):.3f}" for part in parts)
        steps = [row["step"] for row in rows]
        wall = statistics.median(row["wall"] for row in rows)
        print(f"| {name} | {cells} | {min(steps):.3f} to {max(steps):.3f} | {wall:.3f} | {peaks[name]:.2f} |")
    if len(found) < 2:
        return
    for part in parts:
        ratios = [trl[part] / ours[part] for ours, trl in zip(found["ours"], found["trl"], strict=True)]
        print(f"TRL / ours, {part}: {statistics.median(ratios):.2f}x (rounds: {min(ratios):.2f} to {max(ratios):.2f})")
    print(f"peak memory, ours / TRL: {peaks['ours'] / peaks['trl']:.2f}x")


if __name__ == "__main__":
    main()
