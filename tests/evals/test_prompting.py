"""Asking in other words: by seed, the same for every rank; and what an evaluation says of it, by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from r1kit.evals.prompting import Paraphrasing, sensitivity
from r1kit.records import Prompt


def asking(seed: int, texts: Sequence[str] = ("{question}", "so {question}", "{question} then")) -> Paraphrasing:
    return Paraphrasing(texts=texts, seed=seed, render=lambda prompt: list(prompt.question.encode()))


def test_a_prompt_s_words_follow_from_the_seed_and_its_id_alone() -> None:
    prompts = [Prompt(id=f"t/train/{index}", task="t", question="q") for index in range(600)]
    said = [bytes(asking(1)(prompt)).decode() for prompt in prompts]
    assert [bytes(asking(1)(prompt)).decode() for prompt in reversed(prompts)] == said[::-1]
    assert said != [bytes(asking(2)(prompt)).decode() for prompt in prompts]
    assert set(Counter(said)) == {"q", "so q", "q then"}
    assert all(160 < count < 240 for count in Counter(said).values())


def test_one_text_is_that_text() -> None:
    assert bytes(asking(5, ("so {question}",))(Prompt(id="p", task="t", question="q"))) == b"so q"


def test_sensitivity_by_hand() -> None:
    found = sensitivity({"": 0.8, "a": 0.6, "b": 0.4})
    assert found == pytest.approx(
        {"worst_template": 0.4, "mean_template": 0.6, "template_spread": 0.4, "template_std": (0.08 / 3) ** 0.5}
    )
    assert sensitivity({"": 0.5}) == {
        "worst_template": 0.5, "mean_template": 0.5, "template_spread": 0.0, "template_std": 0.0
    }  # fmt: skip
