"""Language consistency, counted by hand."""

from __future__ import annotations

import importlib.util

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.errors import InputError, MissingError
from r1kit.reward.language import check_detector, check_told, language_consistency, words_by_script


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


@pytest.mark.parametrize(
    ("chain", "target", "high"),
    [
        ("We add both sides.", "fr", False),
        ("我们把两边相加，得到总和。", "ja", False),
        ("We add both sides.", "en", True),
        ("Nous ajoutons les deux côtés.", "fr", True),
        ("Nous ajoutons les deux côtés.", "en", False),
        ("Wir addieren beide Seiten.", "de", True),
        ("Wir addieren beide Seiten.", "en", False),
        ("We add both sides.", "de", False),
        ("We add both sides.", "vi", False),
        ("We add both sides.", "pl", False),
        ("Somamos os dois lados.", "es", False),
        ("Sumamos ambos lados de la ecuación.", "es", True),
        ("Sumamos ambos lados de la ecuación y el número.", "pt", False),
        ("Sommiamo entrambi i lati.", "it", True),
        ("両辺を足して、合計を求めます。", "ja", True),
        ("両辺を足して、合計を求めます。", "zh", False),
        ("我们把两边相加，得到总和。", "zh", True),
        ("我们把两边相加", "ko", False),
        ("我们", "ja", True),
        ("Мы складываем обе стороны и получаем сумму.", "ru", True),
        ("Мы складываем обе стороны и сумму.", "uk", False),
        ("Ми додаємо обидві сторони і отримуємо суму.", "ru", False),
        ("Compute sum modulo result then continue", "fr", False),
        ("در این مسئله ما هر دو عدد را جمع می کنیم", "ar", False),
        ("در این مسئله ما هر دو عدد را جمع می کنیم", "fa", True),
        ("We add both sides.", "sw", False),
        ("We tellen beide zijden op.", "en", False),
        ("no no wait no", "en", True),
        ("donc la réponse", "en", False),
        ("Let a v be as in e: a, v, i.", "en", True),
        ("Compute both.", "fr", False),
        ("Multiply numerator times denominator", "es", False),
        ("12 + 7 = 19", "fr", True),
    ],
)
def test_languages_of_one_script_are_told_apart(chain: str, target: str, high: bool) -> None:
    assert language_consistency(chain, target) == (1.0 if high else 0.0)


def test_a_mixed_chain_counts_its_lines() -> None:
    mixed = "x donne 3\nWe add the sides\nNous avons 4"  # 2 words that tell nothing, 4 English ones, 2 French ones
    assert language_consistency(mixed, "fr") == 0.25, "what tells nothing goes with the whole, which is English"
    assert language_consistency(mixed, "en") == 0.75


def test_a_language_that_cannot_be_told_is_said() -> None:
    check_told(["en", "fr", "zh"], "stages.x.reward")
    with pytest.raises(InputError, match=r"^stages.x.reward pays .* cannot tell 'sw' .* detector = \"lingua\""):
        check_told(["en", "sw"], "stages.x.reward")


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
