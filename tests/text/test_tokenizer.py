from pathlib import Path

import pytest
from transformers import AutoTokenizer

from r1kit.errors import InputError
from r1kit.nano.countdown import Countdown, CountdownConfig
from r1kit.tasks.corpora import CorpusConfig, build_corpus
from r1kit.text.tokenizer import build_tokenizer

CORPUS = build_corpus(CorpusConfig(shares={"countdown": 1.0}))
TOKENIZER = build_tokenizer(CORPUS.vocabulary())
QUESTION = [{"role": "user", "content": "use 7 1 5 make 34"}]


def test_ids_by_hand() -> None:
    assert TOKENIZER.convert_tokens_to_ids(["<pad>", "<bos>", "<eos>", "<unk>", "<think>", "</think>"]) == list(
        range(6)
    )
    assert len(TOKENIZER) == 4 + len(CORPUS.vocabulary())  # the tags are in the vocabulary
    assert TOKENIZER.pad_token_id == 0 != TOKENIZER.eos_token_id == 2
    assert TOKENIZER.bos_token_id == 1
    small = build_tokenizer(["b", "a", "b"])
    assert small.encode("a b a") == [9, 8, 9]


def test_the_chat_template() -> None:
    text = TOKENIZER.apply_chat_template(QUESTION, add_generation_prompt=True, tokenize=False)
    assert text == "<bos> User: use 7 1 5 make 34 Assistant:"
    ids = TOKENIZER.apply_chat_template(QUESTION, add_generation_prompt=True)["input_ids"]
    assert ids == TOKENIZER.encode(text)
    assert ids.count(TOKENIZER.bos_token_id) == 1
    turns = [*QUESTION, {"role": "assistant", "content": "answer 7 * 5 - 1"}]
    whole = TOKENIZER.apply_chat_template(turns, tokenize=False)
    assert whole == "<bos> User: use 7 1 5 make 34 Assistant: answer 7 * 5 - 1 <eos>"


def test_the_saved_folder_opens_and_every_document_comes_back(tmp_path: Path) -> None:
    TOKENIZER.save_pretrained(tmp_path)
    opened = AutoTokenizer.from_pretrained(tmp_path)
    documents = [CORPUS.document(index) for index in range(3000)]
    for tokenizer in (TOKENIZER, opened):
        batch = tokenizer(documents)["input_ids"]
        assert [tokenizer.decode(ids) for ids in batch] == documents
        assert all(tokenizer.unk_token_id not in ids for ids in batch)
        assert [len(ids) for ids in batch] == [len(document.split()) for document in documents]
    assert opened.get_vocab() == TOKENIZER.get_vocab()
    assert opened.pad_token_id == 0
    assert opened.apply_chat_template(QUESTION, tokenize=False) == TOKENIZER.apply_chat_template(
        QUESTION, tokenize=False
    )


def test_it_knows_every_prompt_of_the_task() -> None:
    task = Countdown("numbers", CountdownConfig())
    for prompt in (*task.held_out("test"), *task.held_out("dev"), *map(task.train, range(200))):
        assert TOKENIZER.unk_token_id not in TOKENIZER.encode(prompt.question)


def test_tags_survive_and_special_tokens_do_not() -> None:
    ids = TOKENIZER.encode("<bos> <think> 7 + 1 </think> <answer> 8 </answer> <eos>")
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == "<think> 7 + 1 </think> <answer> 8 </answer>"
    assert TOKENIZER.encode("") == []


def test_unknown_words_become_unk() -> None:
    assert TOKENIZER.encode("use 7 dragons") == [*TOKENIZER.encode("use 7"), TOKENIZER.unk_token_id]
    assert TOKENIZER.encode("100") == [TOKENIZER.unk_token_id]


@pytest.mark.parametrize("word", ["", "two words", "<eos>", " a"])
def test_words_that_cannot_be_tokens(word: str) -> None:
    with pytest.raises(InputError, match="cannot be a token"):
        build_tokenizer(["a", word])
