"""Completions cut into steps."""

from __future__ import annotations

from random import Random

import pytest

from r1kit.errors import InputError
from r1kit.records import Sampling
from r1kit.rollout.scripted import CodePoints
from r1kit.rollout.stopping import Stopping, text_of
from r1kit.search.steps import Cutter, Steps
from tests.text.byte_fallback import byte_fallback, random_text


class Words:
    """A token is a word; a decoder that puts spaces between."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def decode(self, token_ids: list[int], **_: bool) -> str:
        return " ".join(self.words[token] for token in token_ids)


class Bytes:
    """A token is a byte, so that one character may be several."""

    def decode(self, token_ids: list[int], **_: bool) -> str:
        return bytes(token_ids).decode(errors="replace")


def test_a_step_ends_after_the_token_that_completes_a_mark() -> None:
    cutter = Cutter(Words("try", "high", "wait", "low", "so"), Steps(marks=("wait", "so")))
    assert cutter.ends([0, 1, 2, 0, 3, 2, 2, 4, 1]) == (3, 6, 7, 8, 9)
    assert cutter.ends([0, 1]) == (2,)
    assert cutter.ends([2]) == (1,)
    assert cutter.ends([]) == ()


def test_a_mark_over_several_tokens_and_over_pieces_of_characters() -> None:
    text = list("a 等等 b".encode())
    assert Cutter(Bytes(), Steps(marks=("等等",))).ends(text) == (8, 10)
    words = Words("a", "wait", "then")
    assert Cutter(words, Steps(marks=("wait then",))).ends([0, 1, 2, 0, 1, 0, 2]) == (3, 7)
    assert Cutter(words, Steps(marks=("a ",))).ends([0, 1, 0, 2]) == (2, 4)  # the decoder's own space


@pytest.mark.parametrize("strips", [False, True])
def test_a_mark_behind_characters_of_byte_tokens(strips: bool) -> None:
    rng, tokenizer, marks = Random(1), byte_fallback(strips=strips), ("\n\n", "。", "so 等")
    for _ in range(60):
        tokens = tokenizer.encode(random_text(rng, rng.randint(1, 25)), add_special_tokens=False)
        expected, begin = [], 0
        for end in range(1, len(tokens) + 1):
            text = text_of(tokenizer, tokens[begin:end])
            if end == len(tokens) or any(mark in text for mark in marks):
                expected.append(end)
                begin = end
        assert Cutter(tokenizer, Steps(marks=marks)).ends(tokens) == tuple(expected)


def test_a_step_that_begins_inside_a_character_ends_at_its_mark() -> None:
    tokenizer = byte_fallback()
    tokens = tokenizer.encode("好好\n\n好\n", add_special_tokens=False)
    assert Cutter(tokenizer, Steps(marks=("\n\n",), most=5)).ends(tokens) == (5, 8, 12)
    assert Cutter(tokenizer, Steps(marks=("\n",), most=5)).ends(tokens) == (5, 7, 8, 12)


def test_a_mark_is_not_completed_by_what_an_earlier_step_began() -> None:
    assert Cutter(CodePoints(), Steps(marks=("aa",))).ends([ord(c) for c in "aaaa"]) == (2, 4)


def test_most_tokens_of_a_step() -> None:
    assert Cutter(CodePoints(), Steps(marks=(), most=3)).ends([ord(c) for c in "abcdefg"]) == (3, 6, 7)
    assert Cutter(CodePoints(), Steps(marks=(".",), most=3)).ends([ord(c) for c in "ab.cdefg"]) == (3, 6, 8)


def test_as_an_engine_cuts_that_stops_at_the_marks() -> None:
    """A search samples a step at a time: each is a completion with the marks as stop strings."""
    rng, tokenizer = Random(0), CodePoints()
    for _ in range(200):
        text = "".join(rng.choice("ab.\n等") for _ in range(rng.randint(1, 30)))
        tokens, marks = [ord(c) for c in text], (".", "\n\n", "等等")
        stopping = Stopping(tokenizer, Sampling(stop=marks, max_tokens=len(tokens)), (0,))
        expected, begin = [], 0
        while begin < len(tokens):
            begin += stopping.length(tokens[begin:], 0, len(tokens) - begin) or 0
            expected.append(begin)
        assert Cutter(tokenizer, Steps(marks=marks)).ends(tokens) == tuple(expected)


@pytest.mark.parametrize("settings", [{"marks": ()}, {"most": -1}, {"marks": ("",)}])
def test_what_cuts_nothing_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match="steps"):
        Steps(**settings)  # type: ignore[arg-type]
