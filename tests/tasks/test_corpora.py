"""The mixture that a base is pretrained on: shares, words, and that it shows nothing a task holds out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from r1kit.errors import InputError
from r1kit.nano.countdown import Countdown, CountdownConfig, CountdownCorpus, CountdownCorpusConfig
from r1kit.nano.general import General, GeneralConfig
from r1kit.nano.list_ops import ListOpsConfig
from r1kit.nano.list_ops.task import ListOps, ListOpsTaskConfig
from r1kit.structure import plain, structure
from r1kit.tasks.corpora import CorpusConfig, build_corpus, shown
from r1kit.tasks.task import Task

COUNTDOWN = CorpusConfig(shares={"countdown": 1.0})
SHARES = {"countdown": 5.0, "list_ops": 3.0, "general": 2.0}


def test_one_corpus_alone_is_that_corpus() -> None:
    mixed, alone = build_corpus(COUNTDOWN), CountdownCorpus(CountdownCorpusConfig())
    assert [mixed.document(i) for i in range(50)] == [alone.document(i) for i in range(50)]
    assert mixed.vocabulary() == alone.vocabulary()


def test_documents_come_by_their_shares_and_know_all_words() -> None:
    config = CorpusConfig(shares=SHARES)
    corpus, words = build_corpus(config), set(build_corpus(config).vocabulary())
    parts = {name: build_corpus(replace(config, shares={name: 1.0})) for name in SHARES}
    drawn = [(index, corpus.document(index)) for index in range(3000)]
    source = Counter(next(name for name in SHARES if parts[name].document(i) == text) for i, text in drawn)
    assert source["countdown"] / 3000 == pytest.approx(0.5, abs=0.03)
    assert source["general"] / 3000 == pytest.approx(0.2, abs=0.03)
    assert {word for _, text in drawn for word in text.split()} <= words


@pytest.mark.parametrize(
    ("task", "other"),
    [
        (Countdown("t", CountdownConfig()), Countdown("t", CountdownConfig(split_seed=1))),
        (General("t", GeneralConfig()), General("t", GeneralConfig(split_seed=1))),
        (ListOps("t", ListOpsTaskConfig()), ListOps("t", ListOpsTaskConfig(list_ops=ListOpsConfig(split_seed=1)))),
    ],
    ids=["countdown", "general", "list_ops"],
)
def test_held_out_problems_of_other_settings_are_found(task: Task, other: Task) -> None:
    corpus = build_corpus(CorpusConfig(shares=SHARES))
    assert shown(corpus, task) == 0
    assert shown(corpus, other) > 0


def test_a_harder_countdown_is_held_out_of_the_wide_problems_only_where_asked() -> None:
    hard = CountdownConfig(highest=24, above=12, dev_multisets=30, test_multisets=60)
    task = Countdown("hard", hard)
    assert all(max(prompt.facts["numbers"]) > 12 for prompt in task.held_out("test"))
    assert shown(build_corpus(COUNTDOWN), task) == 90
    guarded = replace(COUNTDOWN, settings={"countdown": CountdownCorpusConfig(wide=hard)})
    assert shown(build_corpus(guarded), task) == 0


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({}, "shares names no corpus"),
        ({"countdwn": 1.0}, "Did you mean 'countdown'"),
        ({"general": 0.0}, "must be above 0"),
    ],
)
def test_wrong_shares_are_refused(shares: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_corpus(CorpusConfig(shares=shares))


def test_settings_stand_under_the_corpus_s_name_and_are_read_back() -> None:
    table = {"shares": {"countdown": 0.5}, "countdown": {"check_share": 0.1, "wide": {"highest": 24, "above": 12}}}
    config = structure(CorpusConfig, table, "corpus")
    assert config.settings["countdown"].check_share == 0.1
    assert config.settings["countdown"].wide.highest == 24
    assert structure(CorpusConfig, plain(config), "corpus") == config
    with pytest.raises(InputError, match=r"corpus: unknown key 'count'; known keys are .*Did you mean 'countdown'"):
        structure(CorpusConfig, {"count": {}}, "corpus")
    with pytest.raises(InputError, match=r"corpus.countdown: unknown key 'chek_share'.*Did you mean 'check_share'"):
        structure(CorpusConfig, {"countdown": {"chek_share": 1}}, "corpus")
