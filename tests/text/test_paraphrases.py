"""Paraphrases: sets of ten in words that the model has, and texts of one's own."""

from __future__ import annotations

import pytest

from r1kit.errors import InputError
from r1kit.nano.countdown.corpus import vocabulary
from r1kit.nano.countdown.problems import CountdownConfig
from r1kit.text.paraphrases import PLAIN, SETS, paraphrased, paraphrases


def test_sets_of_ten_that_begin_with_the_question_itself() -> None:
    for name, texts in SETS.items():
        assert (len(texts), len(set(texts)), texts[0]) == (10, 10, PLAIN), name
        assert all("{question}" in text for text in texts)


def test_a_set_and_texts_of_ones_own() -> None:
    assert paraphrases(["nano", "so {question}", "now {question}"], "x") == (*SETS["nano"], "now {question}")
    assert paraphrases((), "x") == ()
    assert paraphrased("{question} , {question}", "use 1 2") == "use 1 2 , use 1 2"


@pytest.mark.parametrize(
    ("given", "told"), [("nanno", "stages.x names 'nanno'; allowed are the sets nano, english.*Did you mean 'nano'"),
                        ("solve it", "texts with {question} in them")],
)  # fmt: skip
def test_what_is_neither_is_told(given: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        paraphrases([given], "stages.x")


def test_the_nano_world_has_the_words_of_its_set() -> None:
    said = {word for text in SETS["nano"] for word in text.replace(PLAIN, "").split()}
    assert said <= set(vocabulary(CountdownConfig()))
