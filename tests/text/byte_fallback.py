"""A tokenizer that falls back to bytes, as Llama 2's, Mistral's and Gemma's do, and random texts that make it."""

from __future__ import annotations

from functools import cache
from random import Random

from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

__all__ = ["byte_fallback", "random_text"]

PIECES = (
    "a", "b c", "so", "x.", " ", "\n", "\n\n", "好", "等等", "。", "漢字仮名", "é", "👍", "👍️", "👨‍👩‍👧", "𝒳",
    "�",
)  # fmt: skip
"""Of one to four bytes a character; the last is U+FFFD as a text's own."""


@cache
def byte_fallback(*, strips: bool = False) -> PreTrainedTokenizerFast:
    """Letters, two merges and one character beyond them; all else is a token a byte, line ends too. 2 is ``</s>``.

    ``strips``: a text's first space is no part of it, as Llama's decoder has it.
    """
    letters = ["▁", *"abcdefghijklmnopqrstuvwxyz.", "等", "so", "▁so"]
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *letters]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={name: place for place, name in enumerate(names)}, merges=[("s", "o"), ("▁", "so")],
            unk_token="<unk>", byte_fallback=True, fuse_unk=True,
        )
    )  # fmt: skip
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*steps, *[decoders.Strip(" ", 1, 0)] * strips])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", bos_token="<s>", unk_token="<unk>",
        clean_up_tokenization_spaces=False,
    )  # fmt: skip


def random_text(rng: Random, pieces: int, *, torn: bool = True) -> str:
    """``torn``: whether U+FFFD may be in it."""
    return "".join(rng.choice(PIECES if torn else PIECES[:-1]) for _ in range(pieces))
