"""One checkpoint through everything a model goes through here, each number beside `transformers`' own.

python -m tests.model.exercise OUT.json [FAMILY ...]     # all of tiny.py, or those named
python -m tests.model.exercise --table docs/models.json  # the table of docs/models.md
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging

from r1kit.backends.engines import open_local, open_transformers
from r1kit.backends.models import LoadedModel
from r1kit.errors import InputError
from r1kit.maths.policy_loss import policy_loss
from r1kit.model.language_model import LanguageModel
from r1kit.model.load import load_model
from r1kit.model.segments import Segments
from r1kit.records import Sampling
from r1kit.rollout.engine import Engine
from r1kit.text.template import Template
from r1kit.update.learner import Batch, Row
from r1kit.update.local import LearnerSettings, LocalLearner
from r1kit.update.optim import OptimiserSettings
from tests.model import tiny

SHORT, LONG = 12, 400
"""Tokens; the long row goes far beyond every sliding window of the tiny checkpoints."""
FP32, BF16 = torch.float32, torch.bfloat16
LOSS = partial(policy_loss, clip_low=0.2, clip_high=0.28, kl_weight=0.0)


@dataclass(kw_only=True)
class Found:
    """Largest difference of a log-prob, in nats, where nothing else is said."""

    engine: str = ""
    """``local`` (the fast path) or ``transformers``."""
    refused: str = ""
    """The one line a user gets instead."""
    short_fp32: float = 0.0
    long_fp32: float = 0.0
    bf16_ours: dict[str, float] = field(default_factory=dict)
    """Mean distance of our bfloat16 log-probs from `transformers` in float32, at ``short`` and ``long``."""
    bf16_theirs: dict[str, float] = field(default_factory=dict)
    """The same of `transformers`' own bfloat16."""
    packed: float = 0.0
    """Documents, and completions that share a prompt, in one pack, against each sequence alone."""
    sampled: float = 0.0
    """The engine's log-probs while it decodes with its cache, against one full forward."""
    sampled_bf16: float = 0.0
    """The mean of it in bfloat16."""
    learner: float = 0.0
    """The learner's log-probs of the samples, against the engine's."""
    learner_bf16: float = 0.0
    """The mean of it in bfloat16."""
    gradient: float = 0.0
    """Relative distance of the gradient of all weights from autograd over `transformers`' whole logits."""
    exported: float = 0.0
    """The folder written after one step, opened by `transformers`, against the learner."""


def exercise(folder: Path, scratch: Path) -> Found:
    """Everything, for a hub-format folder of a tiny model."""
    found = Found()
    try:
        model, tokenizer = load_model(folder)
    except InputError as error:
        return Found(refused=str(error).replace(str(folder), "FOLDER"))
    loaded = LoadedModel(model=model, tokenizer=tokenizer, template=Template(name="plain"), folder=folder)
    found.engine = loaded.native_engine
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=FP32)
    _positions(folder, model, theirs, found)
    found.packed = _packed(model, theirs)
    batch, sampled = _samples(loaded, FP32)
    found.sampled = _largest(sampled, _alone(theirs, batch))
    rough, drawn = _samples(loaded, BF16)
    found.sampled_bf16 = _mean(drawn, _alone(AutoModelForCausalLM.from_pretrained(folder, dtype=BF16), rough))
    learner = LocalLearner(load_model(folder)[0], LearnerSettings(dtype="bfloat16"))
    found.learner_bf16 = _mean(drawn, learner.logprobs(rough))
    settings = LearnerSettings(head_chunk=32, optimiser=OptimiserSettings(max_grad_norm=0.0))
    learner = LocalLearner(load_model(folder)[0], settings)
    found.learner = _largest(sampled, learner.logprobs(batch))
    found.gradient = _gradient(learner, batch, theirs)
    before = learner.flat.master.clone()
    learner.update(batch, LOSS, 1e-3)
    assert (learner.flat.master != before).float().mean() > 0.5, "a step leaves most weights as they were"
    learner.export(scratch, cast(Any, tokenizer))
    again = AutoModelForCausalLM.from_pretrained(scratch, dtype=FP32)
    assert type(again) is type(theirs)
    found.exported = _largest(_alone(again, batch), learner.logprobs(batch))
    return found


def tokens(length: int, seed: int = 0) -> Tensor:
    """Ordinary tokens of the tiny tokenizer."""
    return torch.randint(5, 400, (length,), generator=torch.Generator().manual_seed(seed + length))


@torch.no_grad()
def ours_of(model: LanguageModel, segments: Segments) -> Tensor:
    """Log-probs [N, V] by hidden states, head, bias and finish."""
    products = torch.nn.functional.linear(model.hidden(segments), model.head, model.head_bias)
    return model.finish(products).float().log_softmax(-1)


@torch.no_grad()
def theirs_of(model: PreTrainedModel, row: Tensor) -> Tensor:
    """Log-probs [N, V] of one row by itself."""
    logits: Tensor = model(input_ids=row[None]).logits[0]
    return logits.float().log_softmax(-1)


def _positions(folder: Path, model: LanguageModel, theirs: PreTrainedModel, found: Found) -> None:
    """Short and long rows in both dtypes; bfloat16 by casting, as the engine and the learner do."""
    rough = AutoModelForCausalLM.from_pretrained(folder, dtype=BF16)
    cast_model = load_model(folder)[0].to(BF16)
    for name, length in (("short", SHORT), ("long", min(LONG, model.config.max_positions))):
        row = tokens(length)
        exact, segments = theirs_of(theirs, row), Segments.pack([row])
        setattr(found, f"{name}_fp32", float((ours_of(model, segments) - exact).abs().max()))
        found.bf16_ours[name] = float((ours_of(cast_model, segments) - exact).abs().mean())
        found.bf16_theirs[name] = float((theirs_of(rough, row) - exact).abs().mean())


def _packed(model: LanguageModel, theirs: PreTrainedModel) -> float:
    """A document, a prompt with three completions, another document; parts reach beyond a window of 16."""
    document, prompt, last = tokens(30), tokens(21), tokens(5)
    answers = [tokens(n, seed=9) for n in (25, 1, 18)]
    packed = ours_of(model, Segments.pack([document, prompt, *answers, last], [-1, -1, 1, 1, 1, -1]))
    alone = [theirs_of(theirs, document), theirs_of(theirs, prompt)]
    alone += [theirs_of(theirs, torch.cat([prompt, answer]))[len(prompt) :] for answer in answers]
    return float((packed - torch.cat([*alone, theirs_of(theirs, last)])).abs().max())


def _samples(loaded: LoadedModel, dtype: torch.dtype) -> tuple[Batch, list[Tensor]]:
    """Prompts of several lengths, completions beyond the window, rows that wait for others; and their log-probs."""
    opener = open_local if loaded.native_engine == "local" else open_transformers
    engine: Engine = opener(loaded, dtype=dtype, max_rows=3)
    prompts = [tokens(n) for n in (3, 20, 9)]
    sampling = Sampling(n=2, max_tokens=24, temperature=1.0, top_p=1.0)
    groups = engine.generate([prompt.tolist() for prompt in prompts], sampling, [1, 2, 3])
    rows, logprobs = [], []
    for index, group in enumerate(groups):
        for place, completion in enumerate(group):
            row = torch.tensor(completion.token_ids)
            rows.append(Row(prompt=index, tokens=row, weight=0.1, advantage=1.0 - 1.5 * place))
            logprobs.append(torch.tensor(completion.logprobs))
    return Batch(prompts=prompts, rows=rows), logprobs


def _alone(model: PreTrainedModel, batch: Batch) -> list[Tensor]:
    """Log-probs of each row's tokens, each sequence by itself."""
    found = []
    for row in batch.rows:
        prompt = batch.prompts[row.prompt]
        whole = theirs_of(model, torch.cat([prompt, row.tokens]))[len(prompt) - 1 : -1]
        found.append(whole.gather(1, row.tokens[:, None])[:, 0])
    return found


def _gradient(learner: LocalLearner, batch: Batch, theirs: PreTrainedModel) -> float:
    """On policy the loss's gradient is that of minus advantage times log-prob."""
    learner.update(batch, LOSS, 0.0)
    model, flat = learner.flat.model, learner.flat
    kept = {name: parameter.data for name, parameter in model.named_parameters()}
    for name, grad in flat.views(flat.grad):
        dict(model.named_parameters())[name].data = grad
    ours = {name: grad.clone() for name, grad in model.hub_weights().items()}
    for name, parameter in model.named_parameters():
        parameter.data = kept[name]
    theirs.zero_grad()
    for row in batch.rows:
        prompt = batch.prompts[row.prompt]
        logits = theirs(input_ids=torch.cat([prompt, row.tokens])[None]).logits[0, len(prompt) - 1 : -1]
        own = logits.log_softmax(-1).gather(1, row.tokens[:, None])
        (own.sum() * -row.weight * row.advantage).backward()
    wanted = _by_expert({name: one.grad for name, one in theirs.named_parameters() if one.grad is not None}, ours)
    pad = theirs.config.get_text_config().pad_token_id
    for grads in (ours, wanted):  # `transformers` does not learn the pad token's embedding, which rows here do sample
        grads[next(name for name in wanted if len(wanted[name]) == len(model.head))][pad] = 0.0
    gap = torch.stack([(ours[name] - grad).norm() for name, grad in wanted.items()]).norm()
    return float(gap / torch.stack([grad.norm() for grad in wanted.values()]).norm())


def _by_expert(grads: dict[str, Tensor], ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """`transformers` holds experts as one tensor; the fast path names them one by one, as the files do."""
    found: dict[str, Tensor] = {}
    for name, grad in grads.items():
        if name in ours:
            found[name] = grad
            continue
        stem, _, kind = name.rpartition(".")
        for index, one in enumerate(grad):
            parts = {"gate_up_proj": ("gate_proj", "up_proj"), "down_proj": ("down_proj",)}[kind]
            found |= {
                f"{stem}.{index}.{part}.weight": piece for part, piece in zip(parts, one.chunk(len(parts)), strict=True)
            }
    return found


def _largest(first: list[Tensor], second: list[Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(first, second, strict=True))


def _mean(first: list[Tensor], second: list[Tensor]) -> float:
    return float((torch.cat(first) - torch.cat(second)).abs().mean())


def table(results: dict[str, dict[str, Any]]) -> str:
    """Markdown, a line a checkpoint."""
    lines = [
        "| checkpoint | model type | runs by | fp32: short, long | bf16: short, long | packed | sampled | learner "
        "| gradient | exported |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, found in sorted(results.items(), key=lambda item: bool(item[1]["refused"])):
        start = f"| {name} | {tiny.FAMILIES[name][0]} |"
        if found["refused"]:
            lines.append(f"{start} refused: {found['refused']} | | | | | | | |")
            continue
        pairs = [f"{found['bf16_ours'][at]:.3f} / {found['bf16_theirs'][at]:.3f}" for at in ("short", "long")]
        rest = (f"{found[what]:.0e}" for what in ("packed", "sampled", "learner", "gradient", "exported"))
        exact = f"{found['short_fp32']:.0e}, {found['long_fp32']:.0e}"
        lines.append(f"{start} {found['engine']} | {exact} | {', '.join(pairs)} | {' | '.join(rest)} |")
    return "\n".join(lines)


def main(out: Path, names: list[str]) -> None:
    """Write what every checkpoint showed, one key a checkpoint."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    results = {}
    for name in names or list(tiny.FAMILIES):
        with tempfile.TemporaryDirectory() as scratch:
            folder = tiny.write(Path(scratch), name)
            results[name] = asdict(exercise(folder, Path(scratch) / "exported"))
            print(name, json.dumps(results[name]), flush=True)
    out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "--table":
        print(table(json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))))
    else:
        main(Path(sys.argv[1]), sys.argv[2:])
