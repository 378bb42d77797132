"""Text of a model cannot hide or steer."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from r1kit.web.plain import clip, visible


def test_hidden_characters_are_shown() -> None:
    assert visible("a\x1b[31mred\x00\x7f") == "a␛[31mred␀␡"
    assert visible("1\u202e2\u200b3\u2066") == "1⟦RLO⟧2⟦ZWSP⟧3⟦LRI⟧"
    assert visible("a\r\nb\rc\td\x85\ud800") == "a\nb␍c\td⟦U+0085⟧⟦U+D800⟧"
    assert visible("思考 <script> é") == "思考 <script> é"


def test_clip_says_what_it_left_out() -> None:
    assert clip("abc", 3) == "abc"
    assert clip("x" * 1_000_000, 10) == "xxxxxxxxxx… [999,990 characters more]"


def test_what_the_pages_bring_along_is_unchanged() -> None:
    vendor = files("r1kit.web") / "static" / "vendor"
    listed = [line.split() for line in (vendor / "SHA256SUMS").read_text().splitlines()]
    assert len(listed) == 26
    for expected, name in listed:
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == expected, name
