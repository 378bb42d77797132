"""Llama checkpoints that say, token by token, what their script says: the next token depends on the last one alone.

Attention and feed-forward write nothing, the embedding is one-hot and the head a table of followers, so that the chain
after any prompt is known, and greedy and sampled decoding give the same text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

__all__ = ["CASES", "CHAT", "THINKS", "WORDS", "Case", "tokenizer", "write"]

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
THINKS = CHAT.replace("<|im_start|>assistant\n{% endif %}", "<|im_start|>assistant\n<think>\n{% endif %}")
SPECIAL = ["<|pad|>", "<|bos|>", "<|eos|>", "<|im_start|>", "<|im_end|>", "<|end|>"]
"""Ids 0 to 5."""
WORDS = (
    "<think>", "</think>", "<answer>", "</answer>", " plan", " 41", " so", " blah", " hmm", "\n\n", "</ans", "wer",
    ">\n\nand", " next", " stop", " here", " END",
)  # fmt: skip
"""Each is one token."""
POSITIONS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    say: tuple[str, ...]
    """Tokens after the prompt; the last one goes round for ever."""
    start: str = "\n"
    """Last token of the prompt."""
    template: str | None = CHAT
    eos: str | None = "<|im_end|>"
    bos: str | None = None
    pad: str | None = "<|pad|>"
    in_generation: Any = "tokenizer"
    """``eos_token_id`` of generation_config.json; ``tokenizer``: what the tokenizer says, ``absent``: no such key."""
    in_config: Any = "tokenizer"
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of generation_config.json."""


GOOD = ("<think>", " plan", "</think>", "<answer>", " 41", "</answer>")
ON = (*GOOD, "<|end|>", " blah", " hmm", " blah")
"""Ends with token 5 and then goes on."""
CASES: dict[str, Case] = {
    "plain": Case(say=(*GOOD, "<|im_end|>")),
    "two_ends": Case(say=ON, eos="<|eos|>", in_generation=[2, 5], in_config=[2, 5]),
    "two_ends_config_only": Case(say=ON, eos="<|eos|>", in_generation="absent", in_config=[2, 5]),
    "end_of_generation_only": Case(say=ON, eos="<|eos|>", in_generation=5),
    "end_of_config_number": Case(say=ON, eos="<|eos|>", in_generation="absent", in_config=5),
    "three_places": Case(say=ON, eos="<|eos|>", in_generation=[3], in_config=[5]),
    "no_named_end": Case(say=ON, eos=None, in_generation=None, in_config=[5]),
    "out_of_range": Case(say=ON, eos="<|eos|>", in_generation=[2, 5, 99999, -1], in_config=None),
    "turn_ends_otherwise": Case(say=(*GOOD, "<|im_end|>"), eos="<|eos|>"),
    "thinks": Case(say=(" plan", "</think>", "<answer>", " 41", "</answer>", "<|im_end|>"), template=THINKS),
    "never_closes": Case(say=(" plan", " so", " 41", "<|im_end|>"), template=THINKS),
    "stop_split": Case(say=(" so", "</ans", "wer", ">\n\nand", " next", "<|im_end|>")),
    "no_end": Case(say=(" blah", " hmm", " blah")),
    "no_eos": Case(say=(*GOOD, " blah", " hmm", " blah"), eos=None),
    "no_pad": Case(say=(*GOOD, "<|im_end|>"), pad=None),
    "pad_is_eos": Case(say=(*GOOD, "<|im_end|>"), pad="<|im_end|>"),
    "nothing_special": Case(say=(*GOOD, " blah", " hmm", " blah"), eos=None, pad=None),
    "bos_twice": Case(say=(*GOOD, "<|im_end|>"), bos="<|bos|>", template="{{ bos_token }}" + CHAT),
    "no_template": Case(say=(*GOOD, "<|im_end|>"), template=None, start=":"),
    "end_at_once": Case(say=("<|im_end|>",)),
    "unsavable": Case(say=(*GOOD, "<|im_end|>"), more={"do_sample": False, "temperature": 0.6, "top_p": 0.9}),
}


def tokenizer(
    *, eos: str | None = "<|im_end|>", bos: str | None = None, pad: str | None = "<|pad|>",
    template: str | None = CHAT, words: tuple[str, ...] = WORDS,
) -> PreTrainedTokenizerFast:  # fmt: skip
    """Byte-level, 400 tokens or fewer and the words."""
    backend = Tokenizer.from_str(_backend())
    backend.add_tokens([AddedToken(word, normalized=False) for word in words])
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=eos, bos_token=bos, pad_token=pad, clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip
    made.chat_template = template
    return made


@cache
def _backend() -> str:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(
        ["State the final answer to the following arithmetic problem: 12 + 34 - 5 ="] * 4,
        trainers.BpeTrainer(vocab_size=340, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False),
    )
    return str(backend.to_str())


def write(out: Path, case: Case | str, size: int = 384) -> Path:
    """The checkpoint's folder, in ``out``; ``size`` is vocabulary and hidden size."""
    name, case = (case, CASES[case]) if isinstance(case, str) else ("scripted", case)
    tok = tokenizer(eos=case.eos, bos=case.bos, pad=case.pad, template=case.template)
    assert len(tok) <= size
    chain = [_one(tok, word) for word in (case.start, *case.say)]
    config = LlamaConfig(
        vocab_size=size, hidden_size=size, intermediate_size=8, num_hidden_layers=1, num_attention_heads=8,
        num_key_value_heads=8, max_position_embeddings=POSITIONS, tie_word_embeddings=False, bos_token_id=None,
        eos_token_id=tok.eos_token_id, pad_token_id=tok.pad_token_id,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            weight.fill_(1.0 if "norm" in key else 0.0)
        model.model.embed_tokens.weight.copy_(torch.eye(size))
        follower = dict(pairwise(chain))
        for token in range(size):  # whatever the script does not know goes on with its first word
            model.lm_head.weight[follower.get(token, chain[1]), token] = 1.0
    folder = out / name
    model.save_pretrained(folder)
    tok.save_pretrained(folder)
    _put(folder / "config.json", case.in_config, {})
    _put(folder / "generation_config.json", case.in_generation, case.more)
    return folder


def _one(tok: PreTrainedTokenizerFast, word: str) -> int:
    ids = tok.encode(word, add_special_tokens=False)
    assert len(ids) == 1, (word, ids)
    return int(ids[0])


def _put(file: Path, ends: Any, more: Mapping[str, Any]) -> None:
    table = json.loads(file.read_text(encoding="utf-8")) | dict(more)
    if ends == "absent":
        table.pop("eos_token_id", None)
    elif ends != "tokenizer":
        table["eos_token_id"] = ends
    file.write_text(json.dumps(table), encoding="utf-8")
