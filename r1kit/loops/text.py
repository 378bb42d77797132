"""Text to pretrain on: read, tokenised and laid down once in the run's folder, then mapped into memory.

``RUN/tokens/KEY`` holds the tokens, where each document begins, and the tokenizer; the key is of what the text and the
settings are. A kill leaves the folder whole or not there.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from r1kit.checkpoint.folder import replacing
from r1kit.checkpoint.hub import open_tokenizer
from r1kit.data.layouts import Examples, read_examples
from r1kit.errors import InputError
from r1kit.factory.decontaminate import EvaluationPrompts, evaluation_prompts
from r1kit.loops.packing import Ints, Marks, Pieces, pieces_of
from r1kit.recipe import fingerprint
from r1kit.text.byte_pairs import CHATML, byte_pairs, fill_in_tokens, named_tokenizer
from r1kit.workspace import Workspace

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from r1kit.loops.pretraining_settings import Pretrain, TokenizerSettings

__all__ = ["Text", "pieces", "text_of"]

AT_ONCE = 512
"""Documents that are tokenised side by side."""


@dataclass(frozen=True, slots=True)
class Text:
    """Tokenised documents on disk."""

    tokenizer: PreTrainedTokenizerBase
    ids: npt.NDArray[np.generic]
    """[N], mapped: all documents one after the other, each with its end token."""
    starts: Ints
    """[D + 1], where each document begins, and N."""


def text_of(config: Pretrain, workspace: Workspace) -> Text:
    """The stage's text as tokens; the writer lays it down unless it is there, the other ranks wait.

    Raises:
        InputError: a row without text, no text at all; a tokenizer without an end token.
        MissingError: a package, a tokenizer or the network is needed that is not here.
    """
    examples = read_examples(config.data, "text", config.read)
    held = (
        evaluation_prompts(workspace.recipe.built(workspace.recipe.tasks), config.decontaminate)
        if config.decontaminate and workspace.recipe.tasks
        else None
    )
    named = _tokenizer(config.tokenizer) if config.tokenizer.name else None
    key = fingerprint(
        examples.rows.digest, config.read, config.tokenizer, bool(config.fill_in_middle.rate),
        _content(named) or config.tokenizer.template(),
        sorted(map(list, held.grams | held.short)) if held else None,
    )  # fmt: skip
    folder = workspace.run / "tokens" / key
    if workspace.is_writer and not folder.is_dir():
        folder.parent.mkdir(exist_ok=True)
        tokenizer = named or _byte_pairs(config, examples)
        with replacing(folder) as new:
            _lay_down(new, tokenizer, examples, held)
    workspace.ranks.broadcast_object(None)
    counts = json.loads((folder / "counts.json").read_text(encoding="utf-8"))
    for line in _told(counts, config):
        workspace.say(f"{workspace.stage}: {line}")
    starts = np.load(folder / "starts.npy")
    ids = np.memmap(folder / "tokens.bin", dtype=counts["dtype"], mode="r", shape=(int(starts[-1]),))
    return Text(open_tokenizer(folder), ids, starts)


def pieces(config: Pretrain, text: Text, context: int, seed: int) -> Pieces:
    """The text's documents as pieces of at most ``context`` tokens, in an order that the seed decides."""
    fill = config.fill_in_middle
    around = tuple(id for id in (text.tokenizer.bos_token_id, text.tokenizer.eos_token_id) if id is not None)
    marks = Marks(*fill_in_tokens(text.tokenizer), fill.rate, fill.spm, around) if fill.rate else None
    begins, lengths = pieces_of(text.starts, context - 3 * (marks is not None))
    if not len(begins):
        raise InputError(f"{config.data}: no document of two tokens to learn from")
    return Pieces(text.ids, begins, lengths, seed, marks)


def _told(counts: dict[str, Any], config: Pretrain) -> Iterator[str]:
    tokens = counts["tokens"]
    times = config.steps * config.tokens_per_step / tokens
    yield f"{tokens:,} tokens in {counts['documents']:,} documents of {config.data}, each learnt {times:.3g} times"
    if counts["overlapping"]:
        words = f"{config.decontaminate} words with a held-out problem"
        yield f"left out: {counts['overlapping']:,} documents that share {words}"
    if counts["skipped"]:
        yield str(counts["skipped"])


# ---- tokenizers ---------------------------------------------------------------------------------------------------


def _tokenizer(settings: TokenizerSettings) -> PreTrainedTokenizerBase:
    tokenizer = named_tokenizer(settings.name)
    if settings.chat_template:
        tokenizer.chat_template = settings.template()
    if tokenizer.eos_token_id is None:
        raise InputError(f"the tokenizer of {settings.name} has no end token to part documents with; take another")
    return tokenizer


def _byte_pairs(config: Pretrain, examples: Examples) -> PreTrainedTokenizerBase:
    settings = config.tokenizer
    return byte_pairs(
        _first(examples, settings.trained_on),
        vocab_size=settings.vocab_size,
        special=settings.special,
        split_digits=settings.split_digits,
        chat_template=settings.template() or CHATML,
        fill_in=config.fill_in_middle.rate > 0,
    )


def _content(tokenizer: PreTrainedTokenizerBase | None) -> str:
    if tokenizer is None:
        return ""
    inside = tokenizer.backend_tokenizer.to_str() if tokenizer.is_fast else ""
    return fingerprint(inside, sorted(tokenizer.get_vocab().items()), tokenizer.chat_template, tokenizer.eos_token)


def _first(examples: Examples, characters: int) -> Iterator[str]:
    """Texts, until so many characters have been given."""
    for example in examples:
        yield example.text[:characters]
        characters -= len(example.text)
        if characters <= 0:
            return


# ---- laying down --------------------------------------------------------------------------------------------------


def _lay_down(
    folder: Path, tokenizer: PreTrainedTokenizerBase, examples: Examples, held: EvaluationPrompts | None
) -> None:
    """Tokens, starts, counts and the tokenizer, into a folder that takes its place when all is written."""
    dtype = np.uint16 if len(tokenizer) <= 1 << 16 else np.uint32
    starts, counts = array("q", [0]), {"documents": 0, "overlapping": 0}
    begin = [tokenizer.bos_token_id] if tokenizer.encode("")[:1] == [tokenizer.bos_token_id] else []
    end = [tokenizer.eos_token_id]
    with (folder / "tokens.bin").open("wb") as stream:
        for texts in _batches(_documents(examples, str(tokenizer.eos_token), held, counts)):
            for ids in tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]:
                np.asarray([*begin, *ids, *end], dtype=dtype).tofile(stream)
                starts.append(starts[-1] + len(begin) + len(ids) + 1)
    if len(starts) == 1:
        raise InputError(f"{examples.rows.where}: no text to learn from")
    np.save(folder / "starts.npy", np.frombuffer(starts, dtype=np.int64))
    written = {**counts, "tokens": starts[-1], "dtype": np.dtype(dtype).name, "skipped": str(examples.rows.skipped)}
    (folder / "counts.json").write_text(json.dumps(written), encoding="utf-8")
    tokenizer.save_pretrained(folder)


def _documents(examples: Examples, end: str, held: EvaluationPrompts | None, counts: dict[str, int]) -> Iterator[str]:
    """Texts that are not blank; one that has the end token spelled out in it is several."""
    for example in examples:
        if held is not None and held.overlaps(example.text):
            counts["overlapping"] += 1
            continue
        for part in example.text.split(end):
            if part.strip():
                counts["documents"] += 1
                yield part


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    left = iter(texts)
    while batch := list(islice(left, AT_ONCE)):
        yield batch
