"""Texts as a person reads them: maths, code, tags, what nobody trusts; and what an edit changes."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1kit.web.review import desk
from r1kit.web.review.desk import word_diff
from r1kit.web.review.shown import MOST_PIECES, pieces, sections


def short(text: str) -> list[tuple[str, str]]:
    return [(piece["kind"], piece["text"]) for piece in pieces(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("plain", [("text", "plain")]),
        ("so $x^2$ is", [("text", "so "), ("maths", "x^2"), ("text", " is")]),
        ("$$a\n= b$$", [("display", "a\n= b")]),
        (r"\[a\] and \(b\)", [("display", "a"), ("text", " and "), ("maths", "b")]),
        ("costs $5 and $6", [("text", "costs $5 and $6")]),
        ("a $ b $ c", [("text", "a $ b $ c")]),
        ("an open $x", [("text", "an open $x")]),
        ("see `f(x)`.", [("text", "see "), ("inline", "f(x)"), ("text", ".")]),
        ("a\n```py\nx = $1$\n```\nb", [("text", "a\n"), ("code", "x = $1$\n"), ("text", "\nb")]),
        ("~~~~\n~~~\n~~~~", [("code", "~~~\n")]),
        ("```\nnever closed", [("code", "never closed")]),
        ("<script>\x1b[31m\u202e", [("text", "<script>␛[31m⟦RLO⟧")]),
    ],
)
def test_pieces(text: str, found: list[tuple[str, str]]) -> None:
    assert short(text) == found


def test_code_is_words_with_classes_and_never_html() -> None:
    code = '<script>alert("x")</script>\n'
    (piece,) = pieces(f"```html\n{code}```")
    assert "".join(word for _, word in piece["words"]) == code
    assert ("nt", "script") in piece["words"]
    assert pieces("```nosuch\nx\n```")[0]["words"] == [("", "x\n")]


@pytest.mark.parametrize("evil", ["$", "`", "\\(", "$$ ", "```\n", "a `b", "</think>", "\\[ \\]", "~~~ ", "$a", "```a"])
def test_long_lines_lose_nothing_and_are_bounded(evil: str) -> None:
    text = evil * (60_000 // len(evil))
    found = pieces(text)
    assert len(found) <= MOST_PIECES + 1
    assert sum(len(piece["text"]) for piece in found) > 0
    assert sum(map(len, sections(text).values())) > 0


def test_sections_hide_nothing() -> None:
    whole = "<think> a </think> so <answer> 5 </answer>"
    assert sections(whole) == {"thinking": "a", "summary": "so", "answer": "5"}
    assert sections("a </think> so") == {"thinking": "a", "summary": "so"}, "the prompt may have opened the thinking"
    for torn in ("<think> a", "x", whole + " more", whole.replace("</answer>", "")):
        assert sections(torn) == {"rest": torn.strip()}


def test_a_change_is_told_by_words() -> None:
    assert word_diff("the cat sat 大了 on", "the dog sat 小了 on it") == [
        ("same", "the "), ("gone", "cat"), ("new", "dog"), ("same", " sat "), ("gone", "大"), ("new", "小"),
        ("same", "了 on"), ("new", " it"),
    ]  # fmt: skip
    assert word_diff("a b", "a b") == [("same", "a b")]
    assert word_diff("", "a") == [("new", "a")]


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60), st.sampled_from([4, 4_000_000]))
def test_the_pieces_of_a_change_make_both_texts(before: str, after: str, most: int) -> None:
    old, desk.MOST = desk.MOST, most
    try:
        found = word_diff(before, after)
    finally:
        desk.MOST = old
    assert "".join(text for kind, text in found if kind != "new") == before
    assert "".join(text for kind, text in found if kind != "gone") == after


def test_a_long_text_is_compared_by_lines_and_words_within_them() -> None:
    lines = [f"step {number} of many, and so on" for number in range(1000)]
    changed = list(lines)
    changed[3], changed[900] = "step 3 of few, and so on", "gone"
    found = word_diff("\n".join(lines), "\n".join(changed))
    assert [change for change in found if change[0] != "same"][:2] == [("gone", "many"), ("new", "few")]
    assert len(list(chain(found))) < 20
