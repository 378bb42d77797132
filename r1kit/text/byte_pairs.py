"""Tokenizers of text: byte pairs found in the text itself, or a model's; and the marks that fill in a middle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from r1kit.checkpoint.hub import open_tokenizer
from r1kit.checkpoint.source import HUB_NAME, resolve_model
from r1kit.errors import InputError, MissingError, first_line
from r1kit.text.tokenizer import TAGS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

__all__ = ["CHATML", "FILL_IN", "byte_pairs", "fill_in_tokens", "named_tokenizer"]

END, PAD = "<|endoftext|>", "<|pad|>"
FILL_IN: tuple[tuple[str, str, str], ...] = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
    ("▁<PRE>", "▁<SUF>", "▁<MID>"),
    ("[PREFIX]", "[SUFFIX]", "[MIDDLE]"),
)
"""What models write before a prefix, a suffix and the middle: Qwen, StarCoder, SantaCoder, DeepSeek, CodeLlama,
Codestral. The first are those of byte pairs."""
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_FILES = ["tokenizer*", "*.model", "vocab*", "merges.txt", "special_tokens_map.json", "config.json", "*.jinja"]


def byte_pairs(
    texts: Iterable[str],
    *,
    vocab_size: int,
    special: Iterable[str] = (),
    split_digits: bool = True,
    chat_template: str = CHATML,
    fill_in: bool = False,
) -> PreTrainedTokenizerFast:
    """Byte-level byte-pair encoding of the texts (1508.07909): any text comes back exactly, and nothing is unknown.

    The same texts give the same tokenizer. Reasoning and answer tags are tokens of their own.

    Args:
        vocab_size: tokens at most, the special ones included.
        special: further tokens that are never split.
        split_digits: a digit is a token.
        chat_template: Jinja text; what it closes a turn with should be a token, as in ChatML.
        fill_in: with the marks that fill in a middle.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    marks = [END, PAD, "<|im_start|>", "<|im_end|>", *(FILL_IN[0] if fill_in else ()), *special]
    backend = Tokenizer(models.BPE())
    split: list[pre_tokenizers.PreTokenizer] = [pre_tokenizers.Digits(individual_digits=True)] if split_digits else []
    backend.pre_tokenizer = pre_tokenizers.Sequence([*split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(TAGS),
        special_tokens=list(dict.fromkeys(marks)),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    backend.add_tokens([AddedToken(tag, normalized=False) for tag in TAGS])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        eos_token=END,
        pad_token=PAD,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
        chat_template=chat_template,
    )


def named_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a model; of one on the hub no weights are fetched.

    Raises:
        InputError: the name or the tokenizer is wrong.
        MissingError: it is not on this machine and cannot be fetched.
    """
    folder = Path(name).expanduser()
    if folder.is_dir() and any((folder / file).is_file() for file in ("tokenizer.json", "tokenizer.model")):
        return open_tokenizer(folder)
    if not HUB_NAME.fullmatch(name) or folder.exists():
        return open_tokenizer(resolve_model(name))
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return open_tokenizer(Path(snapshot_download(name, allow_patterns=_FILES, etag_timeout=10)))
    except RepositoryNotFoundError:
        raise InputError(f"no model {name!r} on the hub, nor a folder of that name here") from None
    except (OSError, ValueError) as error:
        raise MissingError(
            f"the tokenizer of {name} is not in the hub cache and cannot be fetched ({first_line(error)}); name a "
            f"local folder"
        ) from error


def fill_in_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[int, int, int]:
    """Tokens that stand before a prefix, a suffix and the middle.

    Raises:
        InputError: the tokenizer has none.
    """
    known = tokenizer.get_vocab()
    for marks in FILL_IN:
        if all(mark in known for mark in marks):
            prefix, suffix, middle = (known[mark] for mark in marks)
            return prefix, suffix, middle
    tried: Iterator[str] = (" ".join(marks) for marks in FILL_IN)
    raise InputError(
        f"the tokenizer has no tokens that fill in a middle ({'; '.join(tried)}); set fill_in_middle.rate = 0, or take "
        f"byte pairs of the text"
    )
