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
        ({1: 2}, {"1": 2}), ({True: 1, None: 2, 1.5: 3}, {"true": 1, "null": 2, "1.5": 3}), ({0.1 + 0.2}, {0.3}),
        ({(0.1 + 0.2, "a"), 2}, {(0.3, "a"), 2}), (1000000007.0, 1000000007), (1 / 3, 0.3333333),
        (123456.78901, 123456.789), (2.0000000001, 2), ([{"a": (1.0,)}], [{"a": [1]}]),
        (1e17 / 3, 33333333333333332), (3.0, 3), (2**0.5 * 2**0.5, 2),
        (123456788.5000001, 123456788.5), (1234567.1249, 1234567.12), (6.6e-34, 6.6000001e-34), (1e-10, 0.0),
        (-6.62607015e-34, -6.626e-34), (1e-6 + 5e-10, 1e-6), (1e14 / 3, 1e14 / 3 + 0.01),
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
        (10**400, 1.0), (1.0, 10**400), (float("inf"), 10**400), ({"1": 1}, {1: 1}), ({1: 1, "1": 1}, {"1": 1}),
        ({2: 1}, {"1": 1}),
        (1000000008.0, 1000000007), (1e18, 1000000100000000000), (999999.5, 1000000), (1000000, 999999.5),
        (1e9, 1e9 + 1),
        ([1000000008.0], [1000000007]), ({0.31}, {0.3}), ({1, 2}, {1, 3}), ({"1"}, {1}), (5e-7, 0.0), (1.00001, 1),
        (2**53, 2**53 + 1), (float(2**53), 2**53 + 1), (10**400 + 0, 10**400 + 1), (2.00001, 2),
        ("abc", ["a", "b", "c"]), (123456788.5, 123456789.5), (1234567.13, 1234567.12), (20000.13, 20000.12),
        (6.6e-34, 1.05e-34), (0.0, 1e-10), (0, 6.6e-34), (1.05e-9, 1e-9), (-6.6e-34, 6.6e-34), (1e13 + 0.5, 1e13 + 1.5),
    ],
)  # fmt: skip
def test_different(given: object, expected: object) -> None:
    assert not same_value(given, expected)


@pytest.mark.parametrize(
    ("given", "expected", "same"),
    [
        ([1, 1], (1, 1), False), ((1, 1), (1, 1), True), ((1, 1), [1, 1], False), ([(1,)], [[1]], False),
        ({1: 2}, {"1": 2}, False), ({1: 2}, {1: 2.0000000001}, True), ({"a": (1, 2)}, {"a": (1, 2)}, True),
        (frozenset({1}), {1}, True), (0.1 + 0.2, 0.3, True), (True, 1, True), ({1: (0.1 + 0.2,)}, {1: (0.3,)}, True),
    ],
)  # fmt: skip
def test_a_test_written_in_python_tells_kinds_apart(given: object, expected: object, same: bool) -> None:
    assert same_value(given, expected, python=True) is same


def test_nesting_has_an_end() -> None:
    given: list[object] = []
    given.append(given)
    assert not same_value(given, given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (b"42 1 3\n", "42 1 3"), (b"42 1 3  \r\n\n\n", "42 1 3\n"), (b"", "\n"), (b"0.3333333", "0.33333334"),
        (b"1e-3", "0.001"), (b" a  b", " a  b"), (b"x 1.0", "x  1.0000001"), ("ü\n".encode(), "ü"), (b"1.0", "1"),
        (b"7.0 8", "7 8"), (b"1e-9", "0.000000001"), (b"-3.0", "-3"), (b"2.5000001", "2.5"), (b"1.5e3", "1500.0"),
        (b"123456789012345.0", "123456789012345"), (b"9" * 5000, "9" * 5000),
        (b"1234567.120001", "1234567.12"), (b"0.00", "0.0"), (b"1.05e-10", "0.000000000105"), (b"-0.0", "0"),
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
        (b"123456789.0\n", "123456788.0\n"), (b"1e9", "1000000007"), (b"999999.5", "1000000"), (b"1e9", "1000000000"),
        (b"12345678.0", "12345679"), (b"7620789436823655.0", "7620789436823655"), (b"1e+18", "1000000100000000000"),
        (b"1 999999.5", "1 1000000"), (b"0x10", "16.0"), (b"1000000", "999999.5"), (b"9" * 5000, "8" + "9" * 4999),
        (b"123456788.5\n", "123456789.5\n"), (b"1234567.12\n", "1234567.89\n"), (b"0", "1e-10"), (b"0.0", "1e-10"),
    ],
)  # fmt: skip
def test_different_output(given: bytes, expected: str) -> None:
    assert not same_output(given, expected)
