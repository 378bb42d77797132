"""Filters on texts made by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from r1kit.errors import InputError
from r1kit.factory.filters import (
    FilterConfig,
    check_filters,
    failed_filter,
    filter_names,
    longest_paragraph,
    repeated_lines,
    words_in,
)
from r1kit.factory.filters import repeated_share as share

OFF = FilterConfig(repetition=0, lines=0)


def wrapped(chain: str) -> str:
    return f"<think> {chain} </think> so <answer> 1 </answer>"


def test_repeated_share_counts_ngrams_that_were_there_before() -> None:
    """a b a b a: bigrams ab ba ab ba, 2 different of 4."""
    assert share(["a", "b", "a", "b", "a"], 2) == 0.5
    assert share(["a", "b", "c", "d"], 2) == 0.0
    assert share(["a"], 2) == 0.0
    assert share(["a"] * 101, 1) == pytest.approx(100 / 101)


def test_signs_of_a_script_without_spaces_are_words() -> None:
    """A loop without spaces was one word, so nothing in it could be there before."""
    loop = "我们再算一次，结果不对。" * 30
    assert share(words_in(loop), 8) > 0.9
    assert failed_filter(FilterConfig(), wrapped(loop), "zh", 9) == "repetition"
    assert failed_filter(FilterConfig(paragraph=100), wrapped(loop[:24] + loop[24:36] * 9), "zh", 9) == "paragraph"
    assert words_in("试 12 - 5 = 7 小了 or so") == ["试", "12", "-", "5", "=", "7", "小了", "or", "so"]
    assert words_in("ab 我们再算12次 cd") == ["ab", "我", "们", "再", "算", "12", "次", "cd"]


def test_repeated_lines_leave_blank_ones_out() -> None:
    assert repeated_lines("a\n\nb\n a \n\na") == 0.5
    assert repeated_lines("") == 0.0


def test_a_paragraph_ends_at_a_blank_line() -> None:
    assert longest_paragraph("a b\nc d\n\ne f g\n") == 4
    assert longest_paragraph("") == 0


@pytest.mark.parametrize(
    ("config", "chain", "language", "name"),
    [
        (FilterConfig(language=1.0), "try 5 * 5 = 25 yes", "en", ""),
        (FilterConfig(language=1.0), "try 5 * 5 = 25 对", "en", "language"),
        (FilterConfig(language=0.5), "try 5 * 5 = 25 对", "en", ""),
        (FilterConfig(language=0.9), "try 5 * 5 = 25 yes", "zh", "language"),
        (FilterConfig(language=1.0), "5 * 5 = 25", "zh", ""),
        (FilterConfig(code=False), "so\n```python\nx = 1\n```", "en", "code"),
        (FilterConfig(), "so\n```python\nx = 1\n```", "en", ""),
        (FilterConfig(paragraph=3), "a b c\n\nd e", "en", ""),
        (FilterConfig(paragraph=3), "a b\nc d\n\ne", "en", "paragraph"),
        (FilterConfig(repetition=0.5, repetition_n=3), "wait no " * 9, "en", "repetition"),
        (FilterConfig(repetition=0.5, repetition_n=3), "one two three four five six", "en", ""),
        (FilterConfig(lines=0.4, repetition=0), "a\na\nb", "en", ""),
        (FilterConfig(lines=0.3, repetition=0), "a\na\nb", "en", "lines"),
        (FilterConfig(tokens=7), "a", "en", ""),
        (FilterConfig(tokens=6), "a", "en", "length"),
    ],
)
def test_one_filter_at_a_time(config: FilterConfig, chain: str, language: str, name: str) -> None:
    assert failed_filter(config, wrapped(chain), language, tokens=7) == name


@pytest.mark.parametrize(
    ("summary", "name"),
    [
        ("so 84 = ( 12 - 5 ) * 12", ""),
        ("所以 84 = ( 12 - 5 ) * 12", ""),
        ("so 85 = ( 12 - 5 ) * 12", "true_summary"),
        ("so ( 12 - 5 ) * 12 = 85", "true_summary"),
        ("so it is ( 12 - 5 ) * 12", ""),  # states none
        ("so f = sorted ( x )", ""),
        ("", ""),
    ],
)
def test_an_untrue_summary_is_left_out(summary: str, name: str) -> None:
    response = f"<think> 12 - 5 = 8 </think> {summary} <answer> ( 12 - 5 ) * 12 </answer>"
    assert failed_filter(FilterConfig(true_summary=True), response, "en", tokens=7) == name
    assert failed_filter(FilterConfig(), response, "en", tokens=7) == ""


def test_only_the_chain_is_looked_at() -> None:
    assert failed_filter(FilterConfig(language=1.0, code=False), "<think> ok </think> 所以 ```x```", "en", 1) == ""


def test_what_is_off_is_not_applied() -> None:
    assert filter_names(OFF) == []
    assert filter_names(FilterConfig(tokens=1, code=False, paragraph=1, language=0.1)) == [
        "length",
        "code",
        "paragraph",
        "repetition",
        "lines",
        "language",
    ]


def test_thresholds_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match=r"language = 1.5; allowed is 0..1"):
        FilterConfig(language=1.5)
    with pytest.raises(InputError, match="paragraph = -1"):
        FilterConfig(paragraph=-1)


def test_filters_of_a_user_s_own_come_last_under_their_short_name(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def asked(response, question, note=''): return question in response\n"
        "def brief(chain, tokens): return tokens < 5 and '<think>' not in chain\n"
        "def needs(answer): return True\n"
        "def forgets(response, **more): response.strip()\n"
    )
    config = FilterConfig(own=(f"{tmp_path}/mine.py:asked", f"{tmp_path}/mine.py:brief"))
    assert filter_names(config)[-3:] == ["lines", "mine.py:asked", "mine.py:brief"]
    assert failed_filter(config, wrapped("try 2 + 3"), "en", 4, "2 + 3") == ""
    assert failed_filter(config, wrapped("try 2 + 3"), "en", 4, "2 + 4") == "mine.py:asked"
    assert failed_filter(config, wrapped("try 2 + 3"), "en", 5, "2 + 3") == "mine.py:brief"
    assert failed_filter(config, wrapped("a\na\na\na"), "en", 4, "2 + 4") == "lines"
    check_filters(config, "stages.x.filters")
    said = "stages.x.filters.own: mine.py:needs asks for 'answer'; a filter may ask for response, chain, question, "
    with pytest.raises(InputError, match=re.escape(said)):
        check_filters(FilterConfig(own=(f"{tmp_path}/mine.py:needs",)), "stages.x.filters")
    config = FilterConfig(own=(f"{tmp_path}/mine.py:forgets",))
    check_filters(config, "stages.x.filters")
    with pytest.raises(
        InputError, match=r"^mine\.py:forgets gave None; a filter gives true, which keeps the response, or"
    ):
        failed_filter(config, wrapped("try 2 + 3"), "en", 4, "2 + 3")
