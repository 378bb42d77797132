"""The nano world's forms, by hand."""

from __future__ import annotations

import json
from random import Random

import pytest

from r1kit.answers.structured import NotJson, read_json
from r1kit.errors import InputError
from r1kit.nano.forms.corpus import FAULTS, FormsCorpus, FormsCorpusConfig, spelled
from r1kit.nano.forms.problems import FormsConfig, Problem, answer_of, pairs, question, schema_of
from r1kit.nano.forms.task import Forms
from r1kit.tasks.corpora import shown

PROBLEM = Problem((7, 5), ("sum", "even", "order", "larger", "product"))


def test_a_problem_by_hand() -> None:
    assert question(PROBLEM) == "fill sum even order larger product of 7 5"
    assert answer_of(PROBLEM) == {"sum": 12, "even": True, "order": "falling", "larger": 7, "product": 35}
    assert answer_of(Problem((3, 3), ("order",))) == {"order": "level"}
    assert schema_of(("even",)) == {
        "type": "object", "properties": {"even": {"type": "boolean"}}, "required": ["even"],
        "additionalProperties": False,
    }  # fmt: skip


def test_every_fault_is_one() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    values = {"sum": 12, "even": True}
    assert spelled(Random(0), values, "") == '{ "sum" : 12 , "even" : true }'
    for fault in FAULTS:
        text = spelled(Random(0), values, fault)
        try:
            value = read_json(text)
        except NotJson:
            continue
        assert fault in ("missing", "extra", "quoted"), text
        assert not jsonschema.Draft202012Validator(schema_of(("sum", "even"))).is_valid(value)


def test_no_pair_is_in_two_parts_and_the_corpus_asks_of_none_that_is_held_out() -> None:
    config = FormsConfig()
    parts = [{tuple(sorted(pair)) for pair in pairs(config, part)} for part in ("train", "dev", "test")]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 45
    corpus, task = FormsCorpus(FormsCorpusConfig()), Forms("forms", config)
    assert shown(corpus, task) == 0
    words = set(corpus.vocabulary())
    asked = set()
    for index in range(2000):
        document = corpus.document(index).split()
        assert set(document) <= words
        if "of" in document:
            at = document.index("of")
            asked.add(" ".join(sorted(document[at + 1 : at + 3], key=int)))
    assert asked.isdisjoint({prompt.cluster for split in ("dev", "test") for prompt in task.held_out(split)})


def test_prompts_are_a_function_of_their_place_and_their_own_answer_is_right() -> None:
    pytest.importorskip("jsonschema")
    task = Forms("forms", FormsConfig())
    assert task.train(5) == Forms("forms", FormsConfig()).train(5)
    for prompt in (*map(task.train, range(50)), *task.held_out("test", 20)):
        assert prompt.answer is not None
        assert task.grade(prompt, prompt.answer).correct == 1
        assert task.grade(prompt, json.dumps({**json.loads(prompt.answer), "more": 1})).correct == 0


def test_settings_out_of_range() -> None:
    with pytest.raises(InputError, match="highest = 1"):
        FormsConfig(highest=1)
    with pytest.raises(InputError, match="slip = 2"):
        FormsCorpusConfig(slip=2.0)
