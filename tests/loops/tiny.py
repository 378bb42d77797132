"""A tiny fresh model and a task in a file: what a stage can open in a moment."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from r1kit.model.decoder import Decoder, DecoderConfig
from r1kit.model.load import save_model
from r1kit.records import Completion, Group, Prompt
from r1kit.text.tokenizer import build_tokenizer

SHAPE = DecoderConfig(
    vocab_size=12, hidden_size=16, intermediate_size=32, num_layers=2, num_heads=2, num_kv_heads=1, head_dim=8
)
WORDS = ("User:", "Assistant:", "what", "is", *(str(number) for number in range(40)))


def fresh(shape: DecoderConfig) -> Decoder:
    model = Decoder(shape)
    model.initialise(torch.Generator().manual_seed(3))
    return model


def save_start(folder: Path, **shape: object) -> Path:
    """A random model over ``WORDS`` in hub format."""
    tokenizer = build_tokenizer(WORDS)
    settings = {name: getattr(SHAPE, name) for name in SHAPE.__dataclass_fields__}
    settings |= {"vocab_size": len(tokenizer), "max_positions": 64, **shape}
    save_model(folder, fresh(DecoderConfig(**settings)), tokenizer)
    return folder


def questions(path: Path) -> dict[str, object]:
    """A task's table: 40 lines ``what is N``, answered by N."""
    lines = [json.dumps({"prompt": f"what is {number}", "answer": str(number)}) for number in range(40)]
    path.write_text("\n".join(lines) + "\n")
    return {"kind": "jsonl", "path": str(path), "rule": "exact", "dev_share": 0.3, "test_share": 0.3}


def answered(prompt: Prompt, *answers: str) -> Group:
    """Completions in the asked form, which end with these answers."""
    texts = [f"<think> {answer} </think> <answer> {answer} </answer>" for answer in answers]
    completions = [Completion(token_ids=(1, 2), logprobs=(0.0, 0.0), text=text, finish="stop") for text in texts]
    return Group(prompt=prompt, prompt_ids=(1,), completions=tuple(completions))
