"""Judged as a careful reader would, pair by pair; and quickly, whatever is asked."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1kit.answers.grade import canonical, equal, vote
from r1kit.answers.reference import doubt_about

from .table import CASE_PAIRS, CASES, PAIRS

VOTES = [case for case in CASES if case["kind"] == "majority vote"]


def test_the_table_is_large_and_even() -> None:
    assert len(PAIRS) >= 450
    share = sum(pair["right"] for pair in PAIRS) / len(PAIRS)
    assert 0.45 < share < 0.55
    assert min(Counter(pair["kind"] for pair in PAIRS).values()) >= 4
    assert len({(pair["reference"], pair["answer"]) for pair in PAIRS}) == len(PAIRS)


def test_the_table() -> None:
    """All of them: none paid wrongly and none missed."""
    wrong = [pair for pair in PAIRS if equal(pair["reference"], pair["answer"]) is not pair["right"]]
    assert [pair for pair in wrong if not pair["right"]] == [], "paid wrongly"
    assert wrong == [], "right called wrong"


@pytest.mark.parametrize("case", CASE_PAIRS, ids=lambda case: case["id"])
def test_cases(case: dict[str, Any]) -> None:
    assert equal(case["reference"], case["answer"]) is case["right"]


@pytest.mark.parametrize("case", VOTES, ids=lambda case: case["id"])
def test_votes(case: dict[str, Any]) -> None:
    """A group: how many classes its answers fall into. A pair: whether it is one class with the reference."""
    reference = case["reference"]
    answers = case["answer"] if isinstance(case["answer"], list) else [reference, case["answer"]]
    classes = {vote(reference, answer, equal(reference, answer)) for answer in answers}
    alone = set(map(canonical, answers))
    assert len(classes) == len(alone) == (case["right"] if isinstance(case["answer"], list) else 2 - case["right"])


def test_outcomes_and_values_in_words_are_votes_of_their_own() -> None:
    assert len({vote("HHH", answer, False) for answer in ("HHT", "HTH", "THH")}) == 3
    assert canonical(r"\log_2 8") == canonical("3")
    assert canonical("e^{-1000}") != canonical("e^{-2000}")
    assert canonical("1+e^{-500}") != canonical("1")


def test_a_wrong_answer_is_never_one_vote_with_a_right_one() -> None:
    forms = [vote("7", answer, equal("7", answer)) for answer in ("7", "x = 7", "6 + 1", "8", "8.0", "9 - 1")]
    assert forms[0] == forms[1] == "7"
    assert forms[2] != "7"
    assert forms[3] == forms[4] == forms[5] == "8"


HOSTILE = [
    "5 " + "abc " * 240 + "!", "5 " + "a" * 900 + "!", "5 " + "米" * 900 + "!", "1 cm " * 190, "\\text{m}" * 110 + "!",
    "The slope 2.25 means that it costs more for each mile beyond the first " * 14, "\\sin" * 190 + " x",
    "\\sqrt" * 180 + "2",
    "2^" * 480 + "2", "\\sin " * 90 + "9^{9^9}", "(x+9^{9^9})" * 60, "\\frac" * 150 + "1", "-" .join(["\\ln 2"] * 140),
    "9^{9^9}", "9**9**9**9", "10^{10^{10}}", "2^{2^{2^{2^{2^2}}}}", "(10^{5000})!", "99999999!", "1e999999999",
    "\\binom{10^9}{5000000}", "\\sum_{i=1}^{10^{12}} i", "\\prod_{n=1}^{10^9} n^{n}", "(" * 400, "{" * 400,
    "\\frac{" * 160, "\\frac{1}{" * 30 + "2" + "}" * 30, "\\sqrt{" * 38 + "2" + "}" * 38, "\\boxed{" * 140,
    "9" * 999, "x" * 999, "+".join(["x^{99}"] * 140), "(a+b+c+d)^{999}", "(x+1)^{9999}", "e^{e^{e^{e^{e}}}}",
    "\\sin(10^{4000})", "1,2," * 240, "\\pm" * 300, "1 \\pm 2 \\pm 3, " * 50, "|" * 500, "\\text{a}" * 120,
    "and " * 249, "\\begin{pmatrix}" * 60, "\\begin{pmatrix}" + "&".join("1" * 200) + "\\end{pmatrix}", "a_{" * 300,
    "$" * 999, "\\(" * 400, "7 " * 499, "1/" * 499 + "1", "0.1\\overline{3}" * 60, "the answer is " * 70,
    "is is is is " * 80, "\x00" * 50, "\ud800", "= " * 490, "-" * 999, "(1,2)," * 160, "\\{" * 400, "x<" * 480,
    "2^{-9999999}", "\\sqrt[99999999]{2}", "0^0", "0^{-1}", "1/0", "\\log_1 5", "\\log 0", "\\ln(-1)",
    "\\tan(\\pi/2)", "\\frac{0}{0}", "\\lfloor 10^{4000} \\rfloor", "f(f(f(f(x))))",
    "{" * 400 + "1" + "}" * 400, "(" * 400 + "1" + ")" * 400, "|x" * 300, "\\sum_{i=1}^{1999}\\sum_{j=1}^{1999} i^j",
    "*" * 10_000, "_" * 60_000, "is " * 5_000, "\\det A = 5", "\\lfloor i \\rfloor", "\\max(i, 2)", "i \\approx 5",
    "A" * 900 + "!", "He has " * 140, "a " * 480 + "has 7", "It takes 7" + " to" * 300, "# " * 490, "-> " * 330,
    "1,000, " * 140, "5 (" + "a " * 480 + ")", "5 " + "N\\cdot " * 140, "5\\mathrm{" + "N m " * 200 + "}", "一千" * 499,
    "分之" * 490, "٣分之٣", "有" * 999, "(-\\infty,2)," * 80, ")U(" * 330, "x\\ne 1, " * 110 + "x",
    "7 apples + " * 90 + "7 apples", "C - Paris " * 99, "'" * 999, "PhP 5", "40% of" + " the" * 240, "5k" * 490,
    "10^{400} \\approx 5", "\\int \\binom{99999999}{4999999} dx", "\\int " + "x!" * 40,
    "\\int_0^1 " + "x^2" * 30 + " dx", "\\int " + "\\sin " * 30 + "x dx", "\\int " + "x^" * 14 + "x dx",
]  # fmt: skip


PIECES = [
    *"{}()[]^_+-*/=<>|!.,;:&%$~ 0127xnkie", "\\", "\\frac", "\\sqrt", "\\text{", "cm", " dollars", "\\sin",
    "\\int_0^1 ",    "\\sum_{k=1}^{", "\\lim_{x\\to 0}", "\\begin{pmatrix}", "\\end{pmatrix}", "\\cup",
    "\\setminus", "\\in\\mathbb{Z}", "\\left", "\\right",    "\\boxed{", "**", "½", "²", "°", "答案是", "个",
    "1e999", "1,000", "C_5^2", "十二", "分之", "k", " only", " & ", "-> ", "0x", "^\\circ", "\\pm", "\\approx", "(A)",
    "<answer>",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=40), st.lists(st.sampled_from(PIECES), max_size=6))
@settings(max_examples=150, deadline=None)
def test_whatever_is_written_has_a_verdict(answer: list[str], reference: list[str]) -> None:
    one, other = "".join(reference), "".join(answer)
    assert equal(one, other) in (True, False)
    assert equal(other, other) is bool(other.strip())
    assert isinstance(vote(one, other, False), str)
    assert isinstance(doubt_about(other), str)


@pytest.mark.parametrize("text", ["\\gcd(10^{99999999},7)", "x^{" * 60 + "x" + "}" * 60, "9^{9^{9^9}}"])
def test_an_integral_of_anything_ends(text: str) -> None:
    assert not equal("\\int_0^1 x\\,dx", f"\\int_0^1 {text} dx")


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:20].encode("unicode_escape").decode())
def test_nothing_hangs_and_nothing_raises(text: str) -> None:
    """Bounded before it is computed; unbounded, the powers among them take longer than the test run is let."""
    for reference in ("7", "\\sqrt{2}", "x^2+1", "1, 2", "a @ b", "\\int_0^1 x\\,dx", text):
        assert equal(reference, text) is (reference == text and bool(text.strip()))
        assert isinstance(canonical(text), str)
    assert isinstance(doubt_about(text), str)


@pytest.mark.parametrize(
    ("reference", "answer", "right"),
    [
        ("$7 \\ln s+C$", "The answer is $7 \\ln s+C$.", True),  # no Canadian dollar
        ("$y_{2}=x e^{-x}$", "$y_{3}=x e^{-x}$", False),
        ("y = 2x", "f(x) = 2x", True),
        ("C\\$5", "5", True),
    ],
)
def test_found_on_references_of_data_sets(reference: str, answer: str, right: bool) -> None:
    assert equal(reference, answer) is right


@pytest.mark.parametrize(
    ("reference", "answer", "right"),
    [
        ("1,000, 2,000", "1000, 2000", True),
        ("1,000, 2,000", "1000, 200", False),
        (r"13\!,440", "13440", True),
        (r"13\!,\!440", "13440", True),
        (r"13\!,440", "1344", False),
        (r"1\text{,}234, 5", "1234, 5", True),
        ("100,200, 300", "100, 200, 300", True),  # one of them alone may be a list without spaces
    ],
)
def test_commas_in_lists_of_large_numbers(reference: str, answer: str, right: bool) -> None:
    assert equal(reference, answer) is right


@pytest.mark.parametrize(
    ("reference", "answer", "right"),
    [
        (r"\lfloor \log_5 125\rfloor", "3", True),
        (r"\lfloor \log_5 125\rfloor", "2", False),
        (r"\lceil \log_3 243\rceil", "5", True),
        (r"\lceil \log_3 243\rceil", "6", False),
        (r"\lceil \log_3 244\rceil", "6", True),
        (r"\lfloor \sqrt{2}^2\rfloor", "2", True),
        (r"\lfloor 3-e^{-400}\rfloor", "2", True),
    ],
)
def test_floors_of_what_is_whole_but_for_its_last_digits(reference: str, answer: str, right: bool) -> None:
    assert equal(reference, answer) is right


@pytest.mark.parametrize(
    ("reference", "answer", "right"),
    [
        (r"\mathrm{CH_3COOH}", "CH3COOH", True),
        (r"\mathrm{CH_3COOH}", "CH_3CHO", False),
        (r"\mathrm{Na}^+", "Na⁺", True),
        (r"\mathrm{Na}^+", "K⁺", False),
        (r"\mathrm{SO_4^{2-}}", "SO₄²⁻", True),
        (r"\mathrm{SO_4^{2-}}", "SO₃²⁻", False),
        (r"\mathrm{SO_4^{2-}}", "SO₄²⁺", False),
        (r"\int \log_{25} x dx", r"\int \log_2 5 x dx", False),
        (r"\int x^{12} dx", r"\int x^{1}2 dx", False),
    ],
)
def test_chemical_formulas(reference: str, answer: str, right: bool) -> None:
    assert equal(reference, answer) is right
