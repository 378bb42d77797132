"""The texts of single tokens make the text of all, whatever the tokenizer does between them."""

from __future__ import annotations

from random import Random

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from r1kit.text.spelling import Spelling
from r1kit.text.tokenizer import build_tokenizer
from tests.text.byte_fallback import byte_fallback, random_text

TEXT = "So 12 - 5 = 7，对吗？ 🙂🙂 naïve"


def test_words_bring_the_space_before_them_and_the_end_token_its_own_text() -> None:
    tokenizer = build_tokenizer(["try", "12", "is", "7"])
    ids = [*tokenizer.encode("try 12 is 7 </think>"), tokenizer.eos_token_id]
    assert Spelling(tokenizer)(ids, "try 12 is 7 </think>") == ["try", " 12", " is", " 7", " </think>", " <eos>"]
    assert Spelling(tokenizer)([], "") == []


def bytes_only() -> PreTrainedTokenizerFast:
    """Byte pairs without a merge: a token a byte, so that most characters here take several."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator([], trainers.BpeTrainer(initial_alphabet=alphabet, special_tokens=["<eos>"]))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", clean_up_tokenization_spaces=False)


def test_a_character_of_several_tokens_stands_at_its_last() -> None:
    tokenizer = bytes_only()
    ids = tokenizer.encode(TEXT)
    assert len(ids) == len(TEXT.encode())
    found = Spelling(tokenizer)([*ids, tokenizer.eos_token_id], TEXT)
    assert "".join(found) == TEXT + "<eos>"
    assert found[-1] == "<eos>"
    smile = len(TEXT[: TEXT.index("🙂")].encode())
    assert found[smile : smile + 8] == ["", "", "", "🙂"] * 2


def test_characters_whose_bytes_are_decoded_together() -> None:
    tokenizer = byte_fallback()
    rng = Random(1)
    for _ in range(50):
        text = random_text(rng, 24, torn=False)
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert "".join(Spelling(tokenizer)(ids, text)) == text


def test_bytes_that_never_become_a_character() -> None:
    """Cut in the middle of one: a token each, and the text as it was decoded."""
    tokenizer = bytes_only()
    ids = tokenizer.encode("a🙂")[:3]
    found = Spelling(tokenizer)(ids, tokenizer.decode(ids))
    assert (len(found), found[0], "".join(found)) == (3, "a", tokenizer.decode(ids))
