"""Comparison by value: what counts as equal, what must not."""

from __future__ import annotations

import pytest

from r1kit.sandbox.compare import same_output, same_value


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([1, 2], (1, 2)), ((1, [2]), [1, [2]]), (1.0000005, 1.0), (1, 1.0), (0.1 + 0.2, 0.3), (1, True), (True, 1),
        (float("nan"), float("nan")), (float("inf"), float("inf")), ({"a": 1.0000001}, {"a": 1}), (10**400, 10**400),
        ({1: [1.0]}, {1: (1,)}), (frozenset({1}), {1}), (None, None), (b"a", b"a"), (1 + 1e-9j, 1.0), (1e-12, 0.0),
    ],
)  # fmt: skip
def test_equal(given: object, expected: object) -> None:
    assert same_value(given, expected)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1", 1), (1, "1"), ([1], 1), ([1, 2], [2, 1]), ([1], [1, 1]), (1.00001, 1.0), (10**20 + 1, 10**20), (None, 0),
        (None, False), ([], None), ({}, []), ({"a": 1}, {"a": 1, "b": 2}), ({"a": 1, "b": 2}, {"a": 1}), ("a", b"a"),
        (float("nan"), 0.0), (0.0, float("nan")), (float("inf"), -float("inf")), (1e308, float("inf")), ([1], {1}),
        (10**400, 1.0), (1.0, 10**400), (float("inf"), 10**400), ({"1": 1}, {1: 1}), ("abc", ["a", "b", "c"]),
    ],
)  # fmt: skip
def test_different(given: object, expected: object) -> None:
    assert not same_value(given, expected)


def test_nesting_has_an_end() -> None:
    given: list[object] = []
    given.append(given)
    assert not same_value(given, given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (b"42 1 3\n", "42 1 3"), (b"42 1 3  \r\n\n\n", "42 1 3\n"), (b"", "\n"), (b"0.3333333", "0.33333334"),
        (b"1e-3", "0.001"), (b" a  b", " a  b"), (b"x 1.0", "x  1.0000001"), ("ü\n".encode(), "ü"), (b"1.0", "1"),
    ],
)  # fmt: skip
def test_same_output(given: bytes, expected: str) -> None:
    assert same_output(given, expected)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (b"42 1", "42 1 3\n"), (b"42\n1\n", "42\n1\n3\n"), (b"42\n1\n3\n4\n", "42\n1\n3\n"), (b"42\n\n1", "42\n1"),
        (b"", "0"), (b"0.34", "0.33"), (b"\xff", "ÿ"), (b"1", "2"), (b"nan", "nan."), (b"A", "a"), (b"1001", "1000"),
        (b"YES", "YES\nYES"), (b"1_0.0", "10"), (b"inf", "1e999"),
    ],
)  # fmt: skip
def test_different_output(given: bytes, expected: str) -> None:
    assert not same_output(given, expected)
