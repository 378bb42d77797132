"""The nano world's tokenizer: one token a word, in the hub's format."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from r1kit.errors import InputError

__all__ = ["CHAT_TEMPLATE", "SPECIAL", "TAGS", "build_tokenizer"]

PAD, BOS, EOS, UNKNOWN = "<pad>", "<bos>", "<eos>", "<unk>"
SPECIAL = (PAD, BOS, EOS, UNKNOWN)
"""Ids 0 to 3. Padding is a token of its own, so that the end token is always trained."""

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
"""Ids 4 to 7: ordinary words, kept when special tokens are skipped in decoding."""

CHAT_TEMPLATE = (
    "{{ '<bos>' }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ ' User: ' + message['content'] }}"
    "{% elif message['role'] == 'assistant' %}{{ ' Assistant: ' + message['content'] + ' <eos>' }}"
    "{% else %}{{ raise_exception('this model knows the roles user and assistant only') }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ ' Assistant:' }}{% endif %}"
)
"""A question alone gives ``<bos> User: use 7 1 5 make 34 Assistant:``."""


def build_tokenizer(words: Sequence[str], chat_template: str = CHAT_TEMPLATE) -> PreTrainedTokenizerFast:
    """A word-level tokenizer over the words, after the special tokens and the tags.

    Text is split at white space and joined again with one space, so text whose known words have one space between
    them comes back exactly. A word that is not known becomes ``<unk>``, so that a chat does not break on it; a corpus
    names all its words beforehand. Encoding adds no token: the chat template writes ``<bos>``, and what packs documents
    puts ``bos_token_id`` and ``eos_token_id`` around each.

    Raises:
        InputError: a word is empty, holds white space or is a special token.
    """
    for word in words:
        if word in SPECIAL or word.split() != [word]:
            raise InputError(f"word {word!r} cannot be a token; words hold no white space and are not {list(SPECIAL)}")
    vocabulary = list(dict.fromkeys((*SPECIAL, *TAGS, *words)))
    backend = Tokenizer(models.WordLevel({word: place for place, word in enumerate(vocabulary)}, unk_token=UNKNOWN))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in SPECIAL])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNKNOWN,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
        chat_template=chat_template,
    )
