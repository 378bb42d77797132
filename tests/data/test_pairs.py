"""A better and a worse response, as data sets have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from r1kit.errors import InputError
from tests.data.rows import ASSISTANT, USER, read


@pytest.mark.parametrize(("strength", "chosen"), [(-3, "a"), (2, "b"), (0, None)])
def test_pairs_whose_better_one_is_told_by_a_sign(tmp_path: Path, strength: int, chosen: str | None) -> None:
    row = {"context": [USER], "response1": "a", "response2": "b", "overall_preference": strength}
    if chosen is None:
        with pytest.raises(InputError, match="neither is better"):
            read(tmp_path, row, "pairs")
    else:
        example = read(tmp_path, row, "pairs")[1]
        assert (example.question, example.chosen) == (USER["content"], chosen)
        assert {example.chosen, example.rejected} == {"a", "b"}


def arena(a: str, b: str, winner: str) -> dict[str, Any]:
    """Conversations of a letter a turn."""
    by = [USER, ASSISTANT] * 2
    first, second = ([{**one, "content": text} for one, text in zip(by, each, strict=False)] for each in (a, b))
    return {"conversation_a": first, "conversation_b": second, "winner": winner}


def lmsys(prompt: list[str], a: list[str], b: list[str], won: tuple[int, int]) -> dict[str, Any]:
    texts = {"prompt": json.dumps(prompt), "response_a": json.dumps(a), "response_b": json.dumps(b)}
    return {**texts, "winner_model_a": won[0], "winner_model_b": won[1], "winner_tie": int(won == (0, 0))}


RANKED = [{"answer": text, "model": "m", "rank": rank} for text, rank in (("w", 3.0), ("b", 1.0), ("m", 2.0))]

SCORED = [{"response": text, "overall_score": score} for text, score in (("m", 3.0), ("b", 8.5), ("w", 1.0))]


@pytest.mark.parametrize(
    ("name", "row", "chosen"),
    [
        ("UltraFeedback", {"instruction": "q", "models": ["m"], "completions": SCORED}, "b"),
        ("UltraFeedback", {"instruction": "q", "completions": SCORED[:1] * 2}, "no two responses of which one is"),
        ("UltraFeedback", {"instruction": "q", "completions": [{}]}, "no two responses of which one is better"),
        ("Nectar", {"prompt": "\n\nHuman: q\n\nAssistant: ", "answers": RANKED, "num_responses": 3}, "b"),
        ("Stack Exchange", {"qid": 1, "question": "q", "answers": [
            {"answer_id": 5, "text": "w", "pm_score": 0}, {"answer_id": 6, "text": "b", "pm_score": 2}]}, "b"),
        ("Chatbot Arena", arena("qw", "qb", "model_b"), "b"),
        ("Chatbot Arena", arena("qb", "qw", "model_a"), "b"),
        ("Chatbot Arena", arena("qb", "qw", "tie"), "'winner' is \"tie\": neither is better"),
        ("Chatbot Arena", arena("qxrb", "qyrw", "model_a"), "'rejected' answers another conversation"),
        ("LMSYS", lmsys(["q"], ["b"], ["w"], (1, 0)), "b"),
        ("LMSYS", lmsys(["q"], ["b"], ["w"], (0, 0)), "neither is better"),
        ("LMSYS", lmsys(["q", "r"], ["x", "b"], ["y", "w"], (1, 0)), "'response_a' has 2 turns"),
        ("JudgeBench", {"question": "q", "response_A": "b", "response_B": "w", "label": "A>B"}, "b"),
        ("JudgeBench", {"question": "q", "response_A": "b", "response_B": "w", "label": "A=B"}, "neither is better"),
        ("WebGPT", {"question": {"full_text": "q"}, "answer_0": "w", "answer_1": "b", "score_0": 0, "score_1": 1}, "b"),
        ("preference pairs", {"instruction": "q", "chosen": "b", "rejected": "w", "completions": SCORED[::-1]}, "b"),
        ("preference pairs", {"instruction": "q", "chosen_response": "b", "rejected_response": "w"}, "b"),
    ],
)  # fmt: skip
def test_pairs_of_more_data_sets(tmp_path: Path, name: str, row: dict[str, Any], chosen: str) -> None:
    """Of several responses the best and the worst; where none is better, or they stand behind other turns, no pair."""
    if chosen != "b":
        with pytest.raises(InputError, match=chosen):
            read(tmp_path, row, "pairs")
        return
    examples, example = read(tmp_path, row)
    assert (examples.layout.wanted, examples.layout.name) == ("pairs", name)
    assert (example.question, example.chosen, example.rejected) == ("q", "b", "w")


@pytest.mark.parametrize(
    ("row", "chosen"),
    [
        ({"history": "q", "human_ref_A": "a", "human_ref_B": "b", "labels": 1, "score_A": 9}, "a"),
        ({"history": "q", "human_ref_A": "a", "human_ref_B": "b", "labels": 0}, "b"),
        ({"prompt": "q", "response_0": "a", "response_1": "b", "better_response_id": 0, "safer_response_id": 1}, "a"),
        ({"prompt": "q", "response_0": "a", "response_1": "b", "better_response_id": 1, "safer_response_id": 1}, "b"),
    ],
)
def test_pairs_whose_better_one_is_told_by_a_number(tmp_path: Path, row: dict[str, Any], chosen: str) -> None:
    """SHP says 1 where A is preferred, PKU-SafeRLHF which of 0 and 1 is more helpful."""
    example = read(tmp_path, row, "pairs")[1]
    assert (example.question, example.chosen, example.rejected) == ("q", chosen, "b" if chosen == "a" else "a")


PAIR = {"chosen": "Yes.", "rejected": "No."}

BOTH = {key: [USER, {"role": "assistant", "content": text}] for key, text in PAIR.items()}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": USER["content"], **PAIR},
        {"system": "Be brief.", "question": USER["content"], **PAIR},
        {"prompt": [USER], **{key: turns[1:] for key, turns in BOTH.items()}},
        {"prompt": USER["content"], **BOTH},
        BOTH,
        {key: f"\n\nHuman: {USER['content']}\n\nAssistant: {text}" for key, text in PAIR.items()},
        {"prompt": f"\n\nHuman: {USER['content']}\n\nAssistant:", "response": "Maybe.", **PAIR},
        {"conversations": [USER], **{key: turns[1:] for key, turns in BOTH.items()}},
        {
            "conversations": [USER],
            **{key: {"from": "gpt", "value": text} for key, text in PAIR.items()},
        },  # LLaMA-Factory
        {"prompt": [USER], **{key: turns[1] for key, turns in BOTH.items()}},
    ],
)
def test_pairs(tmp_path: Path, row: dict[str, Any]) -> None:
    example = read(tmp_path, row, "pairs")[1]
    assert (example.question, example.chosen, example.rejected) == (USER["content"], "Yes.", "No.")
    assert [turn.content for turn in example.before] == (["Be brief."] if "system" in row else [])
