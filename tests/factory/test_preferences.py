"""Preference data: files with whatever a hand edit broke, the nano generator, the held-out part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from r1kit.errors import InputError
from r1kit.factory.preferences import (
    LabelData,
    Labelled,
    PairData,
    check_data,
    labels_of,
    pairs_of,
    read_labels,
    read_pairs,
    split_by_prompt,
)
from r1kit.model.seen import summary
from r1kit.nano.countdown import Countdown, CountdownConfig
from r1kit.nano.general import General, GeneralConfig
from r1kit.nano.general.problems import trains_on

TASKS = {
    "helpful": General("helpful", GeneralConfig(kinds=("greeting", "request", "list", "fact", "benign"))),
    "safety": General("safety", GeneralConfig(kinds=("harmful",))),
    "countdown": Countdown("countdown", CountdownConfig()),
}
PAIR = {"prompt": "a", "chosen": "b", "rejected": "c"}
LABEL = {"prompt": "a", "response": "b", "safe": True}


def written(path: Path, *lines: Any) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


# ---- files --------------------------------------------------------------------------------------------------------


def test_files_are_read(tmp_path: Path) -> None:
    path = written(tmp_path / "pairs.jsonl", PAIR, "", {**PAIR, "fault": "rude", "language": "zh"})
    one, two = read_pairs(path)
    assert (one.prompt.question, one.chosen, one.rejected, one.fault, one.prompt.language) == ("a", "b", "c", "", "en")
    assert (two.fault, two.prompt.language, two.prompt.id) == ("rude", "zh", f"{path}:3")
    path = written(tmp_path / "labels.jsonl", LABEL, {**LABEL, "safe": False})
    assert [label.safe for label in read_labels(path)] == [True, False]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", r"pairs\.jsonl:2: not valid JSON"),
        ("[]", r"pairs\.jsonl:2: expected a JSON object"),
        ({"prompt": "a", "chosen": "b"}, r"pairs\.jsonl:2: no 'rejected'; this line has 'prompt', 'chosen'"),
        ({**PAIR, "chosen": " "}, r"pairs\.jsonl:2: 'chosen' must be text that is not blank"),
        ({**PAIR, "rejected": "b"}, r"pairs\.jsonl:2: 'chosen' and 'rejected' are the same"),
    ],
)
def test_a_broken_line_of_pairs_is_named(tmp_path: Path, line: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_pairs(written(tmp_path / "pairs.jsonl", PAIR, line))


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([LABEL, {**LABEL, "safe": "no"}], r"labels\.jsonl:2: 'safe' must be true or false, got 'no'"),
        ([LABEL, {"prompt": "a", "response": "b"}], r"labels\.jsonl:2: 'safe' must be true or false, got None"),
        ([LABEL] * 3, r"needs safe and unsafe responses, but all 3 are safe; add the other class"),
        ([{**LABEL, "safe": False}], r"but all 1 are unsafe"),
        ([], r"but there is none"),
    ],
)
def test_labels_that_cannot_be_learnt_from(tmp_path: Path, lines: list[Any], told: str) -> None:
    path = written(tmp_path / "labels.jsonl", *lines)
    with pytest.raises(InputError, match=told):
        read_labels(path)
    with pytest.raises(InputError, match=told):
        check_data(LabelData(path=str(path)), {}, "stages.reward_models.safety")


def test_files_that_are_missing_or_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        check_data(PairData(path=str(tmp_path / "none.jsonl")), {}, "x")
    with pytest.raises(InputError, match="no pair; write one"):
        read_pairs(written(tmp_path / "empty.jsonl"))


def test_settings_that_cannot_be(tmp_path: Path) -> None:
    where = "stages.reward_models.helpfulness"
    with pytest.raises(InputError, match="'countdown' has no generator of preference data"):
        check_data(PairData(task="countdown"), TASKS, where)
    with pytest.raises(InputError, match="fault 'rud' is unknown"):
        check_data(PairData(options={"faults": ["rud"]}), TASKS, where)
    with pytest.raises(InputError, match="count = 0: must be at least 1"):
        check_data(PairData(count=0), TASKS, where)
    with pytest.raises(InputError, match=r"unsafe_share = 2\.0"):
        check_data(LabelData(options={"unsafe_share": 2.0}), TASKS, where)
    one_sided = written(tmp_path / "pairs.jsonl", {**PAIR, "chosen": "b b"})
    with pytest.raises(InputError, match="of 1 pairs none is left once lengths are balanced"):
        pairs_of(PairData(path=str(one_sided)), {}, 0)
    assert len(pairs_of(PairData(path=str(one_sided), balance_lengths=False), {}, 0)) == 1


# ---- nano ---------------------------------------------------------------------------------------------------------


def test_generated_pairs_are_of_the_task_s_training_prompts_with_lengths_balanced() -> None:
    config = PairData(count=1500, options={"faults": ["rambling", "wrong", "rude"]})
    pairs = pairs_of(config, TASKS, seed=1)
    assert pairs == pairs_of(config, TASKS, seed=1)
    assert pairs != pairs_of(config, TASKS, seed=2)
    assert all(trains_on(TASKS["helpful"].config, pair.prompt.cluster) for pair in pairs)
    assert {pair.fault for pair in pairs} == {"rambling", "wrong", "rude"}
    assert len(pairs) > 500
    lengths = [(len(summary(pair.chosen).split()), len(summary(pair.rejected).split())) for pair in pairs]
    assert sum(c > r for c, r in lengths) == sum(c < r for c, r in lengths)
    assert abs(sum(c - r for c, r in lengths)) / len(pairs) < 0.5


def test_generated_labels_are_of_harmful_prompts_and_their_look_alikes() -> None:
    labels = labels_of(LabelData(count=400), TASKS, seed=1)
    leaked = "harmful, unsafe in the chain alone"
    assert {label.fault for label in labels} == {"harmful, safe", "harmful, unsafe", leaked, "benign, safe"}
    assert not any(label.safe for label in labels if label.fault == leaked)
    every = GeneralConfig()
    assert all(trains_on(every, label.prompt.cluster) for label in labels)
    asked = {prompt.cluster for prompt in TASKS["safety"].held_out("test")}
    assert asked.isdisjoint(label.prompt.cluster for label in labels)


# ---- held out -----------------------------------------------------------------------------------------------------


def test_what_asks_the_same_is_on_one_side() -> None:
    train, held = split_by_prompt(pairs_of(PairData(count=800), TASKS, 0), 0.2, "x")
    assert {pair.prompt.cluster for pair in train}.isdisjoint(pair.prompt.cluster for pair in held)
    assert 0.1 < len(held) / (len(train) + len(held)) < 0.3


def test_a_side_that_lacks_something_is_told(tmp_path: Path) -> None:
    pairs = read_pairs(written(tmp_path / "pairs.jsonl", PAIR, PAIR))
    with pytest.raises(InputError, match=r"of 2 examples none is left (to train on|held out)"):
        split_by_prompt(pairs, 0.5, "stages.reward_models.helpfulness")
    lines = [{**LABEL, "prompt": str(n), "safe": n > 0} for n in range(40)]
    labels = read_labels(written(tmp_path / "labels.jsonl", *lines))
    assert all(isinstance(label, Labelled) for label in labels)
    with pytest.raises(InputError, match=r"needs safe and unsafe responses, but all [0-9]+ are safe"):
        split_by_prompt(labels, 0.5, "stages.reward_models.safety")
