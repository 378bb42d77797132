"""Language consistency, counted by hand."""

from __future__ import annotations

import importlib.util

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.errors import MissingError
from r1kit.reward.language import check_detector, language_consistency, words_by_script


@pytest.mark.parametrize(
    ("chain", "target", "share"),
    [
        ("try 7 + 1 = 8 low wait", "en", 1.0),
        ("try 7 + 1 = 8 low wait", "zh", 0.0),
        ("try 7 试 8 no 不", "en", 0.5),
        ("试 等等 no", "zh", 3 / 4),  # three Han characters, one word
        ("7 * 5 - 1 = 34", "en", 1.0),
        ("", "zh", 1.0),
        ("so x = y + z and done", "en", 1.0),  # single letters are variables
        ("所以 x = y", "zh", 1.0),
        (r"因此 $\text{speed} = 3$ 和 \(abc\)", "zh", 1.0),
        ("看 `return value` ```python\nprint(word)\n``` 好", "zh", 1.0),
        ("见 https://example.com/page 好 <think>", "zh", 1.0),
        ("это ответ yes", "ru", 2 / 3),
        ("答えは yes です", "ja", 5 / 6),
        ("정답 은 yes", "ko", 2 / 3),
        ("x1 step2 alpha", "zh", 0.0),  # names with digits are left out, alpha stays
        ("don't stop", "en", 1.0),
    ],
)
def test_by_hand(chain: str, target: str, share: float) -> None:
    assert language_consistency(chain, target) == pytest.approx(share)


def test_script_alone_does_not_tell_french_from_english() -> None:
    assert language_consistency("donc la réponse", "en") == 1.0


def test_a_cut_code_block_is_left_out_to_the_end() -> None:
    assert words_by_script("好 ```python\nfor word in words") == {"han": 1}


@given(st.text(max_size=200), st.sampled_from(["en", "zh", "ru", "ja"]))
def test_a_share_lies_between_0_and_1(text: str, target: str) -> None:
    assert 0.0 <= language_consistency(text, target) <= 1.0


@pytest.mark.skipif(importlib.util.find_spec("lingua") is not None, reason="lingua is installed")
def test_a_missing_detector_says_what_to_install() -> None:
    with pytest.raises(MissingError, match=r"pip install 'r1kit\[lingua\]'"):
        check_detector("lingua")
    check_detector("script")
