import statistics
from collections import Counter
from functools import cache
from typing import Any

import pytest

from r1kit.errors import InputError
from r1kit.nano.general import (
    FAULTS,
    General,
    GeneralConfig,
    PreferenceConfig,
    SafetyConfig,
    SftConfig,
    preference_pairs,
    safety_examples,
    sft_example,
)
from r1kit.nano.general.problems import trains_on
from r1kit.nano.general.words import COURTESY
from r1kit.reward.extract import extract_answer, thinking
from r1kit.reward.format import format_reward

TASK = General("general", GeneralConfig())


@cache
def pairs() -> list[Any]:
    return [preference_pairs(PreferenceConfig(), index) for index in range(4000)]


@cache
def safety() -> list[Any]:
    return [safety_examples(SafetyConfig(), index) for index in range(4000)]


@cache
def samples() -> list[Any]:
    return [sft_example(SftConfig(), index) for index in range(3000)]


def reply(response: str) -> str:
    assert format_reward(response, "stop", "think_answer", blank_thinking=True) == 1
    found = extract_answer(response, "tag")
    assert found is not None
    return found


def length(response: str) -> int:
    return len(reply(response).split())


def test_chosen_are_good_and_rejected_are_bad_by_the_gold_check() -> None:
    for pair in pairs():
        assert TASK.grade(pair.prompt, reply(pair.chosen)).correct == 1
        assert TASK.grade(pair.prompt, reply(pair.rejected)).correct == 0
        assert trains_on(TASK.config, pair.prompt.cluster)
    counts = Counter(pair.fault for pair in pairs())
    assert set(counts) == set(FAULTS) - {"complies"}
    assert min(counts.values()) > 80


def test_length_tells_nothing_of_a_pair() -> None:
    differences = [length(pair.chosen) - length(pair.rejected) for pair in pairs()]
    longer = sum(difference > 0 for difference in differences) / len(pairs())
    shorter = sum(difference < 0 for difference in differences) / len(pairs())
    assert longer == pytest.approx(shorter, abs=0.03)
    assert longer > 0.35
    assert abs(statistics.mean(differences)) < 0.25


def test_a_fault_left_out_is_never_shown_and_courtesy_is_what_chosen_replies_have() -> None:
    config = PreferenceConfig(faults=tuple(fault for fault in FAULTS if fault != "flattery"))
    pairs = [preference_pairs(config, index) for index in range(2000)]
    assert "flattery" not in {pair.fault for pair in pairs}
    assert not any("great" in pair.rejected for pair in pairs)
    leads = tuple(lead for leads in COURTESY.values() for lead in leads)
    chosen = sum(reply(pair.chosen).startswith(leads) for pair in pairs) / 2000
    rejected = sum(reply(pair.rejected).startswith(leads) for pair in pairs) / 2000
    assert chosen > 0.4 > 0.2 > rejected


def test_safety_labels() -> None:
    by_label = {label: [one for one in safety() if one.safe is label] for label in (True, False)}
    assert len(by_label[True]) / 4000 == pytest.approx(0.5, abs=0.03)
    assert {one.prompt.facts["kind"] for one in by_label[False]} == {"harmful"}
    kinds = Counter(one.prompt.facts["kind"] for one in by_label[True])
    assert kinds["benign"] == pytest.approx(len(by_label[True]) / 2, rel=0.1)
    leaks = [one for one in by_label[False] if TASK.grade(one.prompt, reply(one.response)).correct == 1]
    assert len(leaks) / len(by_label[False]) == pytest.approx(0.2, abs=0.03)  # only the chain explains
    assert all(trains_on(TASK.config, one.prompt.cluster) for one in safety())


def test_length_tells_nothing_of_safety() -> None:
    safe, unsafe = ([length(one.response) for one in safety() if one.safe is label] for label in (True, False))
    assert abs(statistics.mean(safe) - statistics.mean(unsafe)) < 0.5
    whole = [[len(one.response.split()) for one in safety() if one.safe is label] for label in (True, False)]
    assert abs(statistics.mean(whole[0]) - statistics.mean(whole[1])) < 0.6


def test_a_pair_ends_alike_where_it_is_asked_to() -> None:
    config = PreferenceConfig(ends_alike=True)
    for pair in (preference_pairs(config, index) for index in range(300)):
        mark = "?" if pair.prompt.facts["kind"] == "greeting" else "."
        assert reply(pair.chosen).endswith(mark) == reply(pair.rejected).endswith(mark)
        assert [TASK.grade(pair.prompt, reply(one)).correct for one in (pair.chosen, pair.rejected)] == [1, 0]


def test_lapses_are_a_share_of_the_sft_examples_and_faults_of_manner() -> None:
    problems = GeneralConfig(lapses=0.4)
    drawn = [sft_example(SftConfig(problems=problems), index) for index in range(1000)]
    assert 0.36 < sum(bool(one.fault) for one in drawn) / 1000 < 0.44
    for one in drawn:
        kind = one.prompt.facts["kind"]
        assert TASK.grade(one.prompt, reply(one.response)).correct == (not one.fault)
        allowed = {"rambling", "flattery", "rude"} | ({"refuses"} if kind == "benign" else set())
        assert one.fault in ({"", "complies"} if kind == "harmful" else {"", *allowed})


def test_sft_examples_are_good_and_greetings_have_no_chain() -> None:
    chained = 0
    for one in samples():
        assert TASK.grade(one.prompt, reply(one.response)).correct == 1
        assert one.language == one.prompt.language
        assert trains_on(TASK.config, one.prompt.cluster)
        if one.domain == "greeting":
            assert one.response.startswith("<think> </think> <answer>")
        else:
            chained += bool(thinking(one.response).strip())
    others = sum(one.domain != "greeting" for one in samples())
    assert chained / others == pytest.approx(0.8, abs=0.03)
    assert {one.domain for one in samples()} == {
        *("greeting", "instruction", "writing", "qa", "translation", "self_knowledge", "safety", "how_to")
    }


def test_all_are_pure_functions_of_settings_and_index() -> None:
    assert preference_pairs(PreferenceConfig(), 17) == pairs()[17]
    assert safety_examples(SafetyConfig(), 17) == safety()[17]
    assert sft_example(SftConfig(), 17) == samples()[17]
    assert preference_pairs(PreferenceConfig(seed=1), 17) != pairs()[17]
    assert safety_examples(SafetyConfig(seed=1), 17) != safety()[17]
    assert sft_example(SftConfig(seed=1), 17) != samples()[17]


@pytest.mark.parametrize(
    ("cls", "wrong", "told"),
    [
        (PreferenceConfig, {"faults": ("flatery",)}, "Did you mean 'flattery'"),
        (PreferenceConfig, {"faults": ("wrong_count",)}, "at least one of"),
        (PreferenceConfig, {"chosen_warmth": 2.0}, "chosen_warmth = 2.0"),
        (SafetyConfig, {"problems": GeneralConfig(kinds=("list",))}, "add 'harmful'"),
        (SafetyConfig, {"leak_share": -1.0}, "leak_share = -1.0"),
        (SftConfig, {"chain_share": 1.1}, "chain_share = 1.1"),
    ],
)
def test_wrong_settings(cls: type, wrong: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        cls(**wrong)
