"""The Brier score by hand, and which prefixes of chains it is taken over."""

from __future__ import annotations

import pytest

from r1kit.records import Completion, Group, Prompt, Score
from r1kit.rollout.scripted import CodePoints
from r1kit.search.calibrate import brier, calibration, examples_of_chains
from r1kit.search.steps import Cutter, Steps


def test_the_brier_score_by_hand() -> None:
    """(.1^2 + .6^2 + .5^2) / 3 = (.01 + .36 + .25) / 3."""
    assert brier([0.9, 0.6, 0.5], [1.0, 0.0, 1.0]) == pytest.approx(0.62 / 3)
    assert brier([0.5, 0.5], [1.0, 0.0]) == 0.25
    assert brier([1.0, 0.0], [1.0, 0.0]) == 0.0


class Told:
    """A value model that gives each prefix of one chain .8 and of the other .3."""

    def of_rows(self, rows: list[tuple[int, ...]]) -> list[float]:
        return [0.8 if row[1] == ord("a") else 0.3 for row in rows]


def test_prefixes_at_the_ends_of_steps() -> None:
    """``a.b`` is right: prefixes ``a.`` and ``a.b``; ``c.`` is wrong: one. (.2^2 * 2 + .3^2) / 3; whole chains
    (.04 + .09) / 2; two of three right: 2/9."""
    texts, right = ("a.b", "c."), (1.0, 0.0)
    done = tuple(
        Completion(token_ids=tuple(map(ord, text)), logprobs=(0.0,) * len(text), text=text, finish="stop")
        for text in texts
    )
    group = Group(prompt=Prompt(question="?"), prompt_ids=(7,), completions=done)
    scores = [Score(total=0.0, parts={"accuracy": one}) for one in right]
    examples = examples_of_chains([group], [scores], Cutter(CodePoints(), Steps(marks=(".",))))
    assert [(row, label, whole) for (row, label), whole in examples] == [
        ((7, *map(ord, "a.")), 1.0, False), ((7, *map(ord, "a.b")), 1.0, True), ((7, *map(ord, "c.")), 0.0, True),
    ]  # fmt: skip
    found = calibration(Told(), examples)  # type: ignore[arg-type]
    assert found["brier"] == pytest.approx(0.17 / 3)
    assert found["brier_whole"] == pytest.approx(0.13 / 2)
    assert found["brier_base"] == pytest.approx(2 / 9)
    assert found["calibration_error"] == pytest.approx((2 * 0.2 + 0.3) / 3)
