"""Every reference equals itself however it is spelled, and no longer once a digit, a sign or a variable is another."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from r1kit.answers.grade import canonical, equal
from r1kit.answers.reading import read

from .table import CASE_PAIRS, PAIRS

REFERENCES = sorted({pair["reference"] for pair in PAIRS} | {case["reference"] for case in CASE_PAIRS})
SAME: dict[str, Callable[[str], str]] = {
    "dfrac": lambda text: text.replace("\\frac", "\\dfrac"),
    "tight": lambda text: re.sub(r"(?<![A-Za-z\\\d]) +(?![A-Za-z\d])|(?<=[-+=,(<>]) +| +(?=[-+=),<>])", "", text),
    "wide": lambda text: re.sub(
        r"\s*((?<!\de)\+|=|(?<![\d\\]),|(?<!\\),(?!\d)|(?<!\de)(?<=[\w)}])-)\s*", r" \1 ", text
    ),
    "left right": lambda text: text.replace("(", "\\left(").replace(")", "\\right)"),
    "thin spaces": lambda text: re.sub(r"(?<!e\+)(?<=[+=])(?=\S)", r"\\, ", text),
    "boxed": lambda text: f"\\boxed{{{text}}}",
    "dollars": lambda text: text if "$" in text else f"${text}$",
    "brackets": lambda text: text if "$" in text else f"\\({text}\\)",
    "bold": lambda text: f"**{text}**",
    "stop": lambda text: text + ".",
    "chinese stop": lambda text: text + "。",
    "lines": lambda text: f"\n {text}\n",
    "prose": lambda text: f"The answer is {text}.",
}


@pytest.mark.parametrize("way", SAME)
def test_a_reference_equals_itself_in_another_spelling(way: str) -> None:
    spelled = [(reference, SAME[way](reference)) for reference in REFERENCES]
    assert [pair for pair in spelled if not equal(*pair)] == []


@pytest.mark.parametrize("way", ["dfrac", "wide", "boxed", "dollars", "stop"])
def test_it_stays_one_vote(way: str) -> None:
    split = [reference for reference in REFERENCES if canonical(reference) != canonical(SAME[way](reference))]
    assert split == []


def digits(text: str) -> Iterator[str]:
    """The text with one digit another."""
    for found in re.finditer(r"\d", text):
        yield f"{text[: found.start()]}{(int(found[0]) + 1) % 10}{text[found.end() :]}"


def signs(text: str) -> Iterator[str]:
    """The text with its first sign turned."""
    reading = read(text)
    if reading.kind == "formula" and not reading.name and canonical(text) != "0":
        yield text.strip()[1:] if text.strip().startswith("-") else f"-{text}"


def variables(text: str) -> Iterator[str]:
    """The text without one of its letters, or with it in the other case."""
    reading = read(text)
    if (
        reading.kind == "formula"
        and not reading.name
        and reading.node is not None
        and not re.search(r"text|rm|\de|_\{1[1-6]|\+ *C\W*$", text)  # a constant of integration may be c
    ):
        for found in re.finditer(r"(?<![A-Za-z\\])[a-zA-Z](?![A-Za-z])", text):
            yield text[: found.start()] + text[found.end() :]
            yield text[: found.start()] + found[0].swapcase() + text[found.end() :]


@pytest.mark.parametrize("change", [digits, signs, variables])
def test_a_small_change_makes_it_wrong(change: Callable[[str], Iterator[str]]) -> None:
    changed = [(reference, other) for reference in REFERENCES for other in change(reference)]
    assert len(changed) > 40
    assert [pair for pair in changed if equal(*pair)] == []
