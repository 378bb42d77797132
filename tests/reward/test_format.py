"""The format reward."""

from __future__ import annotations

import pytest

from r1kit.errors import InputError
from r1kit.reward.format import format_reward
from r1kit.text.seen import with_opening

GOOD = "<think> a </think> <answer> b </answer>"
STRICT = "<think>\na\n</think>\n<answer>\nb\n</answer>"


@pytest.mark.parametrize(
    ("text", "reward"),
    [
        (GOOD, 1.0),
        (f"\n {GOOD} \n", 1.0),
        (STRICT, 1.0),
        ("<think></think><answer></answer>", 0.0),
        ("<think>a</think><answer></answer>", 0.0),
        ("<think>a</think><answer> \n </answer>", 0.0),
        ("<think> </think><answer>b</answer>", 0.0),
        (f"ok {GOOD}", 0.0),
        (f"{GOOD} done", 0.0),
        ("<think> a </think> so <answer> b </answer>", 0.0),
        ("<think> a <think> </think> <answer> b </answer>", 0.0),
        ("<answer> b </answer> <think> a </think>", 0.0),
        ("<think> a </answer> <answer> b </think>", 0.0),
        (" a </think> <answer> b </answer>", 0.0),
        ("", 0.0),
    ],
)
def test_think_answer(text: str, reward: float) -> None:
    assert format_reward(text, "stop", "think_answer") == reward
    assert format_reward(text, "length", "think_answer") == 0.0


@pytest.mark.parametrize(
    ("text", "reward"),
    [
        ("<think> try 5 * 5 = 25 - 12 = 13 yes </think> so 5 * 5 - 12 = 13 <answer> 5 * 5 - 12 </answer>", 1.0),
        ("<think> 试 5 * 5 = 25 对 </think> 所以 5 * 5 = 25 <answer> 5 * 5 </answer>", 1.0),
        ("<think> a </think>\n\nTwo\nparagraphs.\n\n<answer> b </answer>\n", 1.0),
        (GOOD, 1.0),
        ("so <think> a </think> so <answer> b </answer>", 0.0),
        ("<think> a </think> so <answer> b </answer> done", 0.0),
        ("<think> a </think> <answer> b </answer> so <answer> b </answer>", 0.0),
        ("<think> a </think> so b", 0.0),
        ("<think> a <answer> b </answer> </think> so b", 0.0),
        ("a </think> so <answer> b </answer>", 0.0),
    ],
)
def test_think_summary_ends_in_the_answer(text: str, reward: float) -> None:
    assert format_reward(text, "stop", "think_summary") == reward
    assert format_reward(text, "length", "think_summary") == 0.0


def test_think_summary_after_a_prefilled_tag() -> None:
    assert format_reward(with_opening(" a </think> so b <answer> b </answer>"), "stop", "think_summary") == 1.0
    assert format_reward("<think> a </think> so b", "length", "think_summary", partial=True) == 0.5


def test_a_prefilled_opening_tag_is_not_written_twice() -> None:
    assert format_reward(with_opening(" a </think> <answer> b </answer>"), "stop", "think_answer") == 1.0
    assert format_reward(with_opening(GOOD), "stop", "think_answer") == 0.0
    assert format_reward(with_opening("a\n</think>\n<answer>\nb\n</answer>"), "stop", "strict") == 1.0
    assert format_reward(with_opening("\na\n</think>\n<answer>\nb\n</answer>"), "stop", "strict") == 1.0


@pytest.mark.parametrize(
    ("text", "reward"), [(STRICT, 1.0), (GOOD, 0.0), (STRICT + "\n", 0.0), (STRICT.replace("\na\n", "\na\n\nb\n"), 1.0)]
)
def test_strict(text: str, reward: float) -> None:
    assert format_reward(text, "stop", "strict") == reward


@pytest.mark.parametrize(
    ("text", "reward"),
    [(GOOD, 1.0), ("<think> a </think> b", 0.5), ("<think> <think> </think>", 0.25), ("plain", 0.0)],
)
def test_partial_pays_a_quarter_a_tag(text: str, reward: float) -> None:
    assert format_reward(text, "length", "think_answer", partial=True) == reward


def test_partial_strict_wants_the_line_breaks() -> None:
    assert format_reward(STRICT, "stop", "strict", partial=True) == 1.0
    assert format_reward("<think>\na</think> <answer>b\n</answer>", "stop", "strict", partial=True) == 0.5


def test_boxed_and_none() -> None:
    assert format_reward(r"so \boxed{1}", "stop", "boxed") == 1.0
    assert format_reward(r"so \boxed{1}", "length", "boxed") == 0.0
    assert format_reward(r"so \boxed{1", "stop", "boxed") == 0.0
    assert format_reward("anything", "length", "none") == 1.0


def test_an_unknown_style_is_an_input_error() -> None:
    with pytest.raises(InputError, match="Did you mean 'strict'"):
        format_reward("", "stop", "strickt")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "reward"),
    [
        (GOOD, 1.0),
        ("</answer> b <answer> </think> a <think>", 0.25),
        ("<answer> b </answer> <think> a </think>", 0.5),
        ("<think> a </think> <think> <answer> b </answer>", 0.75),
        ("<think></think><answer></answer>", 0.0),
        ("<think></think><answer> b </answer>", 0.5),
        ("<think> a", 0.25),
    ],
)
def test_partial_pays_tags_in_their_order(text: str, reward: float) -> None:
    assert format_reward(text, "stop", "think_answer", partial=True) == reward


@pytest.mark.parametrize(
    ("text", "reward"),
    [
        ("so \\boxed{7}", 1.0),
        ("so \\boxed{}", 0.0),
        *(
            (f"so \\boxed{{{blank}}}", 0.0)
            for blank in (
                "~",
                r"\,",
                r"\quad\ ",
                "{}",
                r"\text{ }",
                r"\hspace{1em}",
                r"\phantom{7}",
                "\u200b",
                "\u3164",
            )
        ),
        *(
            (f"so \\boxed{{{said}}}", 1.0)
            for said in (r"\{\}", "0", "-", r"\,7", r"\text{no}", r"\emptyset", "é", "ㅎ")
        ),
        ("<think> \\boxed{7} </think> 8", 0.0),
        ("<think> a </think> \\boxed{7}", 1.0),
        ("<think> \\boxed{7}", 0.0),
    ],
)
def test_boxed_wants_a_box_after_the_thinking(text: str, reward: float) -> None:
    assert format_reward(text, "stop", "boxed") == reward


def test_blank_thinking_has_the_form_where_that_is_set() -> None:
    for text, reward in (("<think> </think> <answer> b </answer>", 1.0), ("<think> </think> <answer> </answer>", 0.0)):
        assert format_reward(text, "stop", "think_answer", blank_thinking=True) == reward
    partial = format_reward(
        "<think></think><answer></answer>", "stop", "think_answer", partial=True, blank_thinking=True
    )
    assert partial == 0.5
