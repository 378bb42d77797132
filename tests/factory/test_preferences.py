"""Preference data: files with whatever a hand edit broke, the nano generator, the held-out part."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from r1kit.data.settings import Reading
from r1kit.errors import InputError
from r1kit.factory.preferences import (
    LabelData,
    Labelled,
    PairData,
    check_data,
    labels_of,
    pairs_of,
    split_by_prompt,
)
from r1kit.factory.sources import labels_from, pairs_from
from r1kit.nano.countdown import Countdown, CountdownConfig
from r1kit.nano.general import General, GeneralConfig
from r1kit.nano.general.problems import trains_on
from r1kit.tasks import build
from r1kit.text.seen import summary

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
    one, two = pairs_from(str(path), Reading())
    assert (one.prompt.question, one.chosen, one.rejected, one.fault, one.prompt.language) == ("a", "b", "c", "", "en")
    assert (two.fault, two.prompt.language, two.prompt.id) == ("rude", "zh", f"{path}:3")
    path = written(tmp_path / "labels.jsonl", LABEL, {**LABEL, "safe": False})
    assert [label.safe for label in labels_from(str(path), Reading())] == [True, False]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", r"pairs\.jsonl:2: not valid JSON"),
        ("[]", r"pairs\.jsonl:2: expected a JSON object"),
        ({"prompt": "a", "chosen": "b"}, r"pairs\.jsonl:2: no column 'rejected'"),
        ({**PAIR, "chosen": " "}, r"pairs\.jsonl:2: 'chosen' must be text"),
        ({**PAIR, "rejected": "b"}, r"pairs\.jsonl:2: 'chosen' and 'rejected' are the same"),
    ],
)
def test_a_broken_line_of_pairs_is_named(tmp_path: Path, line: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        pairs_from(str(written(tmp_path / "pairs.jsonl", PAIR, line)), Reading())


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([LABEL, {**LABEL, "safe": "maybe"}], r'labels\.jsonl:2: \'safe\' must be true or false, got "maybe"'),
        ([LABEL, {"prompt": "a", "response": "b"}], r"labels\.jsonl:2: no column 'safe'"),
        ([LABEL] * 3, r"needs safe and unsafe responses, but all 3 are safe; add the other class"),
        ([{**LABEL, "safe": False}], r"but all 1 are unsafe"),
        ([], r"labels.jsonl: no rows"),
    ],
)
def test_labels_that_cannot_be_learnt_from(tmp_path: Path, lines: list[Any], told: str) -> None:
    path = written(tmp_path / "labels.jsonl", *lines)
    with pytest.raises(InputError, match=told):
        labels_of(LabelData(path=str(path)), {}, 0)
    with pytest.raises(InputError, match=told):
        check_data(LabelData(path=str(path)), {}, "stages.reward_models.safety")


def test_files_that_are_missing_or_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        check_data(PairData(path=str(tmp_path / "none.jsonl")), {}, "x")
    with pytest.raises(InputError, match="no rows"):
        pairs_from(str(written(tmp_path / "empty.jsonl")), Reading())


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
    own = PairData(path=str(one_sided), own_samples=4)
    with pytest.raises(InputError, match=r"own_samples asks .*\.task = 'helpful', which is none of the recipe's tasks"):
        check_data(own, {}, where)
    prompts = str(written(tmp_path / "prompts.jsonl", {"prompt": "a"}))
    tasks = {"helpful": build("helpful", "data", {"path": prompts, "rule": "none"})}
    with pytest.raises(InputError, match=r"'helpful', which has no reference answers, by which one beats another"):
        check_data(own, tasks, where)
    check_data(replace(own, judge="some/model"), tasks, where)
    with pytest.raises(InputError, match=r"x\.helpfulness: of 1 pairs none is left once lengths are balanced"):
        check_data(replace(own, own_samples=0), {}, "x.helpfulness")
    check_data(replace(own, own_samples=0, balance_lengths=False), {}, "x.helpfulness")
    with pytest.raises(InputError, match="of 1 pairs none is left once lengths are balanced"):
        pairs_of(PairData(path=str(one_sided)), {}, 0)
    assert len(pairs_of(PairData(path=str(one_sided), balance_lengths=False), {}, 0)) == 1


def turns(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(texts)]


def test_pairs_as_chats_and_labels_in_other_words(tmp_path: Path) -> None:
    """A chat as the prompt, whole chats as the responses, a transcript: the same pair."""
    said = turns("hi", "hello", "more")
    forms: list[dict[str, Any]] = [
        {"prompt": said, "chosen": "yes", "rejected": "no"},
        {"prompt": said, "chosen": [turns("", "yes")[1]], "rejected": [turns("", "no")[1]]},
        {"chosen": turns("hi", "hello", "more", "yes"), "rejected": turns("hi", "hello", "more", "no")},
        {
            "chosen": "\n\nHuman: hi\n\nAssistant: hello\n\nHuman: more\n\nAssistant: yes",
            "rejected": "\n\nHuman: hi\n\nAssistant: hello\n\nHuman: more\n\nAssistant: no",
        },
    ]
    for form in forms:
        (pair,) = pairs_from(str(written(tmp_path / "pairs.jsonl", form)), Reading())
        assert (pair.prompt.question, pair.chosen.strip(), pair.rejected.strip()) == ("more", "yes", "no")
        assert [message.content for message in pair.prompt.history or ()] == ["hi", "hello"]
        assert pair.prompt.cluster == "hi"
    for yes, no in ((True, False), (1, 0), ("safe", "unsafe")):
        lines = [{"prompt": "a", "response": "b", "label": label} for label in (yes, no)]
        labels = labels_from(str(written(tmp_path / "labels.jsonl", *lines)), Reading())
        assert [label.safe for label in labels] == [True, False]
    tool = {"prompt": [*said[:2], {"role": "tool", "content": "4"}, said[2]], "chosen": "y", "rejected": "n"}
    with pytest.raises(InputError, match=r"pairs.jsonl:1: a turn of a tool; chats with tool calls cannot be learnt"):
        pairs_from(str(written(tmp_path / "pairs.jsonl", tool)), Reading())
    lines = [PAIR, {**PAIR, "rejected": "b"}, {**PAIR, "chosen": 3}]
    told: list[str] = []
    pairs = pairs_from(str(written(tmp_path / "pairs.jsonl", *lines)), Reading(bad_lines="skip"), told.append)
    assert [pair.chosen for pair in pairs] == ["b", "3"]
    assert told[0].startswith("1 bad line skipped: ")


def test_one_conversation_is_on_one_side_however_far_it_went(tmp_path: Path) -> None:
    lines = []
    for n in range(60):
        lines += [{"prompt": f"Question {n}?", "chosen": "b", "rejected": "c"}]
        lines += [{"prompt": turns(f"question  {n}?", "b", "go on"), "chosen": "d", "rejected": "e"}]
    pairs = pairs_from(str(written(tmp_path / "a.jsonl", *lines[::2])), Reading())
    pairs += pairs_from(str(written(tmp_path / "b.jsonl", *lines[1::2])), Reading())
    train, held = split_by_prompt(pairs, 0.3, "x")
    sides = [{(pair.prompt.cluster or pair.prompt.question).split()[1] for pair in side} for side in (train, held)]
    assert sides[0].isdisjoint(sides[1])
    assert len(sides[0]) + len(sides[1]) == 60
    assert len(train) == 2 * len(sides[0])


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
    pairs = pairs_from(str(written(tmp_path / "pairs.jsonl", PAIR, PAIR)), Reading())
    with pytest.raises(InputError, match=r"of 2 examples none is left (to train on|held out)"):
        split_by_prompt(pairs, 0.5, "stages.reward_models.helpfulness")
    lines = [{**LABEL, "prompt": str(n), "safe": n > 0} for n in range(40)]
    labels = labels_from(str(written(tmp_path / "labels.jsonl", *lines)), Reading())
    assert all(isinstance(label, Labelled) for label in labels)
    with pytest.raises(InputError, match=r"needs safe and unsafe responses, but all [0-9]+ are safe"):
        split_by_prompt(labels, 0.5, "stages.reward_models.safety")
