"""Answers and chains taken out of completions."""

from __future__ import annotations

import pytest

from r1kit.errors import InputError
from r1kit.reward.extract import extract_answer, thinking


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>x</think> <answer> 7 * 5 - 1 </answer>", "7 * 5 - 1"),
        ("<answer></answer>", ""),
        ("<answer>two\nlines</answer>", "two\nlines"),
        ("no tags 34", None),
        ("<answer>1</answer><answer>2</answer>", None),
        ("<answer>1", None),
        ("</answer>1<answer>", None),
        ("<answer>1</answer></answer>", None),
    ],
)
def test_tag(text: str, answer: str | None) -> None:
    assert extract_answer(text, "tag") == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{12}.", "12"),
        (r"\boxed{1} then \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{3} and \boxed{4", "3"),
        (r"\boxed{\boxed{5}}", "5"),
        ("boxed{1}", None),
        (r"\boxed{ a }", "a"),
        (r"\boxed{7} \boxed{{8} \boxed{ 9", "7"),
        (r"} \boxed{\} \boxed{{8}} \\boxed{", "{8}"),
        ("\\boxed{\\", None),
        (r"so \boxed {7}", "7"),
        (r"so \boxed 7.", "7"),
        (r"so $\boxed 42$", "42"),
        (r"so \fbox{7}", "7"),
        (r"so \boxed7.", "7"),
        (r"so $\boxed5$ and \fbox12", "12"),
        (r"\boxed-3", "-3"),
        (r"so \(\boxed7\).", "7"),
        (r"\[{\boxed 7}\]", "7"),
        (r"\boxed 2^{10}\\ and so on", "2^{10}"),
        (r"\boxed{8}, not \boxedin or \boxed.", "8"),
        (r"so $\boxed\frac{3}{4}$.", r"\frac{3}{4}"),
        (r"so $\boxed\frac34$", r"\frac34"),
        (r"so $\boxed\frac{\sqrt{3}}{2}$", r"\frac{\sqrt{3}}{2}"),
        (r"so \(\boxed\pi\).", r"\pi"),
        (r"so $\boxed \sqrt{2}$", r"\sqrt{2}"),
        (r"\boxed{8} \boxed\quad and \boxed\end{align}", "8"),
        (r"\boxed{1}, so \fbox{2}", "2"),
        (r"<think>It may be \boxed{7}.</think> It is 8.", None),
        (r"<think>It may be \boxed{7}.</think> It is \boxed{8}.", "8"),
        (r"It may be \boxed{7}.</think> It is 8.", None),
        (r"<think>It may be \boxed{7}", None),
    ],
)
def test_boxed(text: str, answer: str | None) -> None:
    assert extract_answer(text, "boxed") == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("3 apples and 4 make 7.", "7"),
        ("it is -12.50 euros", "-12.50"),
        ("1,234,567 people", "1234567"),
        ("8-5=3", "3"),
        ("version v2 of x1", None),
        ("minus −4", "-4"),
        ("none", None),
        ("First 12, then the rope is 18m long.", "18"),
        ("A is 12. The answer is 3/4.", "3/4"),
        ("The answer is \\frac{3}{4}.", "\\frac{3}{4}"),
        ("2 1/4 cups", "2 1/4"),
        ("The answer is 2.5e3", "2.5e3"),
        ("3 \\times 10^{5} in all", "3 \\times 10^{5}"),
        ("it is 2^{10}.", "2^{10}"),
        ("The answer is 1 000 000", "1000000"),
        ("7 000 people", "7000"),
        ("in 2020 300 people", "300"),
        ("答案是18。", "18"),
        ("共18个苹果", "18"),
        ("一共72元，谢谢", "72"),
        ("共１８个", "18"),
        ("at 5pm", "5"),
        ("the 18th", "18"),
        ("at 6PM", "6"),
        ("at 6AM or 7 am", "7"),
        ("at 6p.m.", "6"),
        ("at 6 A.M. sharp", "6"),
        ("the 18TH", "18"),
        ("USD18", "18"),
        ("it costs Rs.18 or Rs19", "19"),
        ("USD1.5M", "1.5 million"),
        ("XUSD18 and v.18", None),
        ("$10k", "10 thousand"),
        ("-$1,500K", "-1500 thousand"),
        ("US$5M", "5 million"),
        ("it is $5m.", "5 million"),
        ("€2bn a year", "2 billion"),
        ("he earns 10k a year", "10 thousand"),
        ("1.5k runs", "1.5 thousand"),
        ("n = 10k, so 10k+1 is 4 and n is 2k", "4"),
        ("5M and 3B", None),
        ("10K", "10"),
        ("y is 3x", None),
        ("$1,234.50.", "1234.50"),
        ("it rose by 25%", "25"),
        ("3½ cups", "3½"),
        ("7 ½ cups", "7 ½"),
        ("一共２．５米", "2.5"),
        ("it costs $1.5 million.", "1.5 million"),
        ("5 dozen eggs", "5 dozen"),
        ("5 millionths", "5"),
        ("一共3.5万元", "3.5万"),
        ("1.234.567 people", "1234567"),
        ("it is 3.14.159", "3.14"),
        ("5'000 people", "5000"),
        ("5'3", "3"),
        ("<think> 12 </think> It is 18.", "18"),
        ("<think> 12 </think> no", None),
    ],
)
def test_last_number(text: str, answer: str | None) -> None:
    assert extract_answer(text, "last_number") == answer


def test_last_line() -> None:
    assert extract_answer("work\n  ANSWER: C \n\n", "last_line") == "ANSWER: C"
    assert extract_answer(" \n", "last_line") is None


def test_an_unknown_style_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"answer style 'boxd' is unknown; .* Did you mean 'boxed'"):
        extract_answer("", "boxd")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "chain"),
    [
        ("<think> a </think> <answer>b</answer>", " a "),
        (" a </think> <answer>b</answer>", " a "),
        ("<think> cut off", " cut off"),
        ("a b <answer>c</answer>", "a b "),
        ("just text", "just text"),
        ("x </think> y <think> z", "x "),
    ],
)
def test_thinking(text: str, chain: str) -> None:
    assert thinking(text) == chain
