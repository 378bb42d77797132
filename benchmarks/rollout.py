"""Rollout throughput: our local engine against `transformers` generate, and vLLM where there is one.

Same weights, prompts, completion lengths and sampling (temperature 1, whole vocabulary) on every side; contenders take
turns within one run, after one turn each that warms up. On a CPU with one thread seconds are CPU seconds of the
contender's process, so that a neighbour on the machine disturbs them less; otherwise the clock's. Ratios are taken
within a round; their median is given with the least and the largest. With ``mixed`` lengths rows end at different
lengths (mean half of the longest), forced on every side by one length table.

    OMP_NUM_THREADS=1 python benchmarks/rollout.py --model nano --dtype float32 --rows 64 256
    OMP_NUM_THREADS=1 python benchmarks/rollout.py --model FOLDER --dtype bfloat16 --rows 64 256 1024

``--vllm PYTHON`` names the interpreter of an environment of its own that holds vLLM (``vllm_side.py`` runs there).
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import platform
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import transformers
from torch import Tensor
from transformers import AutoModelForCausalLM, LogitsProcessor, LogitsProcessorList

from r1kit.model.decoder import Decoder, DecoderConfig, hub_config
from r1kit.model.load import load_model
from r1kit.records import Sampling
from r1kit.rollout.local import LocalEngine

END = 1
SHAPES = {
    "nano": DecoderConfig(
        vocab_size=218, hidden_size=96, intermediate_size=256, num_layers=3, num_heads=4, num_kv_heads=4, head_dim=24
    ),
    "tiny": DecoderConfig(
        vocab_size=1024, hidden_size=256, intermediate_size=768, num_layers=6, num_heads=8, num_kv_heads=4, head_dim=32
    ),
    "smollm2-shape": DecoderConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_layers=30,
        num_heads=9,
        num_kv_heads=3,
        head_dim=64,
        rope_theta=100000.0,
        rms_norm_eps=1e-5,
    ),
    "qwen2.5-1.5b-shape": DecoderConfig(
        family="qwen2",
        vocab_size=151936,
        hidden_size=1536,
        intermediate_size=8960,
        num_layers=28,
        num_heads=12,
        num_kv_heads=2,
        head_dim=128,
        rope_theta=1000000.0,
        rms_norm_eps=1e-6,
        qkv_bias=True,
        tie_embeddings=True,
    ),
}


class Numerals:
    """A tokenizer that costs nothing: throughput of the engines, not of a tokenizer."""

    eos_token_id = END

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size

    def decode(
        self, token_ids: list[int], *, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool = False
    ) -> str:
        return ""


class EndAt(LogitsProcessor):
    """Rows end at their length and not before."""

    def __init__(self, lengths: Sequence[int], prompt: int) -> None:
        self._last = torch.tensor(lengths) + prompt - 1

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        scores[:, END] = -torch.inf
        ends = (self._last.to(scores.device) == input_ids.shape[1]).nonzero()[:, 0]
        scores[ends] = -torch.inf
        scores[ends, END] = 0.0
        return scores


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    dtype = getattr(torch, options.dtype)
    if options.model in SHAPES:
        model = Decoder(SHAPES[options.model])
        model.initialise(torch.Generator().manual_seed(0))
    else:
        model, _ = load_model(Path(options.model))
    model.requires_grad_(False)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {platform.machine()}, ", end="")
    print(f"{options.threads} thread(s), {options.model} {options.dtype} on {options.device}, ", end="")
    print(f"prompt {options.prompt}, up to {options.new} new tokens, {options.samples} completions a prompt\n")
    print("| rows | lengths | contender | tokens/s, median | least to most | ours is, median | least to most |")
    print("|---|---|---|---|---|---|---|")
    with contextlib.ExitStack() as stack:
        vllm = stack.enter_context(_Vllm(options)) if options.vllm else None
        for rows in options.rows:
            for spread in options.lengths:
                _compare(model, dtype, rows, spread, options, vllm)


def _compare(
    model: Decoder, dtype: torch.dtype, rows: int, spread: str, options: argparse.Namespace, vllm: _Vllm | None
) -> None:
    draw = random.Random(rows)
    lengths = [options.new if spread == "equal" else draw.randint(1, options.new) for _ in range(rows)]
    prompts = [[draw.randrange(2, 200) for _ in range(options.prompt)] for _ in range(rows // options.samples)]
    contenders: dict[str, Callable[[], int]] = {
        "r1kit local": _ours(model, dtype, prompts, lengths, options),
        "transformers generate": _hub(model, dtype, prompts, lengths, options),
    }
    if vllm is not None:
        contenders["vLLM"] = functools.partial(vllm.run, prompts, lengths)
    alone = options.threads == 1 and options.device == "cpu"
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(options.repeats + 1):
        for name, run in contenders.items():
            start, cpu = time.perf_counter(), time.process_time()
            tokens = run()
            took = time.process_time() - cpu if alone else time.perf_counter() - start
            if alone and name == "vLLM":
                assert vllm is not None
                took = vllm.cpu_seconds
            assert tokens == sum(lengths), (name, tokens, sum(lengths))
            if repeat:
                speeds[name].append(tokens / took)
    for name, values in speeds.items():
        ratios = [ours / theirs for ours, theirs in zip(speeds["r1kit local"], values, strict=True)]
        speed = f"{statistics.median(values):.0f} | {min(values):.0f} to {max(values):.0f}"
        ratio = f" {statistics.median(ratios):.2f}x | {min(ratios):.2f} to {max(ratios):.2f} |"
        print(f"| {rows} | {spread} | {name} | {speed} |{' | |' if name == 'r1kit local' else ratio}", flush=True)


def _ours(
    model: Decoder, dtype: torch.dtype, prompts: list[list[int]], lengths: list[int], options: argparse.Namespace
) -> Callable[[], int]:
    engine = LocalEngine(
        model,
        Numerals(model.config.vocab_size),
        dtype=dtype,
        device=options.device,
        max_rows=options.max_rows or len(lengths),
        end_ids=[],
    )
    sampling = Sampling(n=options.samples, max_tokens=options.new)

    def run() -> int:
        groups = engine.generate(prompts, sampling, range(len(prompts)), limits=lengths)
        return sum(len(completion.token_ids) for group in groups for completion in group)

    return run


def _hub(
    model: Decoder, dtype: torch.dtype, prompts: list[list[int]], lengths: list[int], options: argparse.Namespace
) -> Callable[[], int]:
    hub = AutoModelForCausalLM.from_config(hub_config(model.config), dtype=dtype)
    hub.load_state_dict(model.hub_weights(), strict=False)
    hub.tie_weights()
    hub = hub.to(options.device).eval()
    ids = torch.tensor(prompts, device=options.device).repeat_interleave(options.samples, 0)

    def run() -> int:
        with torch.inference_mode():
            written = hub.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                max_new_tokens=options.new,
                eos_token_id=END,
                pad_token_id=0,
                logits_processor=LogitsProcessorList([EndAt(lengths, ids.shape[1])]),
            )[:, ids.shape[1] :]
        ended = (written == END).int()
        return int((ended.cumsum(1) - ended == 0).sum())

    return run


class _Vllm:
    """vLLM in a process of its own environment; it sleeps while another contender has its turn."""

    cpu_seconds = 0.0
    """Of the last run, in that process."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        command = [options.vllm, str(Path(__file__).with_name("vllm_side.py")), options.model, options.dtype]
        command += [str(options.samples), str(max(options.rows)), str(options.prompt + options.new + 1)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, env=os.environ
        )

    def __enter__(self) -> _Vllm:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
        self._errors.close()

    def run(self, prompts: list[list[int]], lengths: list[int]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"prompts": prompts, "lengths": lengths}), file=self._process.stdin, flush=True)
        for line in self._process.stdout:
            if line.startswith("tokens "):
                _, tokens, cpu = line.split()
                self.cpu_seconds = float(cpu)
                return int(tokens)
        self._errors.seek(0)
        raise RuntimeError(f"vLLM ended:\n{self._errors.read().decode(errors='replace')[-3000:]}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano", help=f"{', '.join(SHAPES)} (random weights) or a hub-format folder")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rows", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--lengths", nargs="+", default=["equal", "mixed"], choices=["equal", "mixed"])
    parser.add_argument("--samples", type=int, default=8, help="completions a prompt")
    parser.add_argument("--prompt", type=int, default=40, help="tokens of a prompt")
    parser.add_argument("--new", type=int, default=64, help="longest completion, tokens")
    parser.add_argument("--max-rows", type=int, default=0, help="rows we hold in flight; 0: all")
    parser.add_argument("--repeats", type=int, default=3, help="rounds, after one that warms up")
    parser.add_argument("--vllm", help="python of an environment with vLLM; needs a hub-format folder as --model")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
