"""Reflection words."""

from __future__ import annotations

from r1kit.evals.reflection import count_reflection


def test_whole_words_in_any_case() -> None:
    assert count_reflection("Wait, wait! But butter; check unchecked rechecks. wait2") == {
        "wait": 3,
        "but": 1,
        "check": 1,
    }


def test_chinese_words_need_no_spaces() -> None:
    assert count_reflection("嗯等等检查wait一下 等等") == {"等等": 2, "检查": 1, "wait": 1}


def test_nothing() -> None:
    assert count_reflection("try 7 + 1 = 8 yes") == {}
