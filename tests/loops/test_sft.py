"""What SFT learns of samples: weights, lengths, what is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from r1kit.backends.models import LoadedModel
from r1kit.errors import InputError
from r1kit.loops.settings import SFT
from r1kit.loops.sft import lessons, sample_batches
from r1kit.records import Message, Sample
from r1kit.text.template import Template
from r1kit.text.tokenizer import build_tokenizer

from .tiny import SHAPE, fresh
from .toy import toy


def user(text: str) -> Message:
    return Message(role="user", content=text)


def assistant(text: str) -> Message:
    return Message(role="assistant", content=text)


CHAT = Sample(
    id="chat",
    prompt="3",
    response="4",
    domain="d",
    history=(user("1"), assistant("2")),
)  # <bos> User: 1 Assistant: 2 <eos> User: 3 Assistant: 4 <eos>
ONE = Sample(id="one", prompt="5 5", response="6", domain="d")  # <bos> User: 5 5 Assistant: 6 <eos>


def told(samples: list[Sample], tmp_path: Path, positions: int = 64, **settings: Any) -> tuple[list[Any], list[str]]:
    lines: list[str] = []
    workspace = replace(toy(tmp_path).workspace, say=lines.append)
    tokenizer = build_tokenizer(["User:", "Assistant:", *map(str, range(10))])
    model = fresh(replace(SHAPE, vocab_size=len(tokenizer), max_positions=positions))
    loaded = LoadedModel(model=model, tokenizer=tokenizer, template=Template())
    return lessons(SFT(**settings), samples, loaded, workspace), lines


def test_a_token_of_the_assistant_counts_alike_in_any_sample_and_others_nothing(tmp_path: Path) -> None:
    learnt, lines = told([CHAT, ONE], tmp_path)
    batch = sample_batches(learnt, 2, seed=0)(0)
    rows = sorted(batch.rows, key=lambda row: -len(row.tokens))
    assert [len(row.tokens) for row in rows] == [7, 2]  # 2 <eos> User: 3 Assistant: 4 <eos>, and 6 <eos>
    assert torch.equal(torch.as_tensor(rows[0].weight) * 6, torch.tensor([1.0, 1, 0, 0, 0, 1, 1]))
    assert rows[1].weight == pytest.approx(1 / 6)
    assert lines == []


LONG = "the longest, chat, has 11; "


@pytest.mark.parametrize(
    ("settings", "lengths", "said"),
    [
        ({"too_long": "drop"}, [7], f"1 of 2 samples pass the model's positions, 10 tokens; {LONG}1 are left out"),
        ({"too_long": "cut"}, [10, 7], f"1 of 2 samples pass the model's positions, 10 tokens; {LONG}1 are cut"),
        (
            {"too_long": "cut", "max_tokens": 5},
            [5],
            f"2 of 2 samples pass max_tokens, 5 tokens; {LONG}1 are cut, 1 are left out",
        ),
    ],
)
def test_what_is_too_long_is_counted_cut_or_left_out(
    settings: dict[str, Any], lengths: list[int], said: str, tmp_path: Path
) -> None:
    """Of a chat cut at 5 tokens its first answer is left, of the other sample no answer is."""
    learnt, lines = told([CHAT, ONE], tmp_path, positions=10, **settings)
    assert [len(one.prompt) + len(one.response) for one in learnt] == lengths
    assert lines == [f"r1_zero: {said}"]


def test_what_is_too_long_is_refused_by_default(tmp_path: Path) -> None:
    said = rf"stages.r1_zero: 1 of 2 samples pass the model's positions, 10 tokens; {LONG}set too_long to \"cut\" or"
    with pytest.raises(InputError, match=said):
        told([ONE, CHAT], tmp_path, positions=10)
    with pytest.raises(InputError, match=r"2 of 2 samples pass max_tokens, 3 tokens.*nothing is left to learn from"):
        told([ONE, CHAT], tmp_path, max_tokens=3, too_long="cut")
    assert len(told([ONE, CHAT], tmp_path, positions=11)[0]) == 2
