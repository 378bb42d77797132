"""The mixture that a base is pretrained on: shares, words, and that it shows nothing a task holds out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from r1kit.errors import InputError
from r1kit.nano.countdown import CountdownConfig, CountdownCorpus, CountdownCorpusConfig
from r1kit.nano.general import GeneralConfig
from r1kit.nano.list_ops import ListOpsConfig
from r1kit.tasks import CorpusConfig, build_corpus, build_task
from r1kit.tasks.code.config import CodeConfig
from r1kit.tasks.corpora import shown

SHARES = {"countdown": 5.0, "list_ops": 3.0, "general": 2.0}


def test_one_corpus_alone_is_that_corpus() -> None:
    mixed, alone = build_corpus(CorpusConfig()), CountdownCorpus(CountdownCorpusConfig())
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
        (CountdownConfig(), CountdownConfig(split_seed=1)),
        (GeneralConfig(), GeneralConfig(split_seed=1)),
        (CodeConfig(generator="list_ops"), CodeConfig(generator="list_ops", list_ops=ListOpsConfig(split_seed=1))),
    ],
    ids=["countdown", "general", "list_ops"],
)
def test_held_out_problems_of_other_settings_are_found(task: object, other: object) -> None:
    config = CorpusConfig(shares=SHARES)
    assert shown(config, build_task("t", task), task) == 0  # type: ignore[arg-type]
    assert shown(config, build_task("t", other), other) > 0  # type: ignore[arg-type]


def test_a_harder_countdown_is_held_out_of_the_wide_problems_only_where_asked() -> None:
    hard = CountdownConfig(highest=24, above=12, dev_multisets=30, test_multisets=60)
    assert all(max(prompt.facts["numbers"]) > 12 for prompt in build_task("hard", hard).held_out("test"))
    assert shown(CorpusConfig(), build_task("hard", hard), hard) == 90
    guarded = CorpusConfig(countdown=CountdownCorpusConfig(wide=hard))
    assert shown(guarded, build_task("hard", hard), hard) == 0


@pytest.mark.parametrize(
    ("shares", "message"),
    [({}, "shares is empty"), ({"countdwn": 1.0}, "Did you mean 'countdown'"), ({"general": 0.0}, "must be above 0")],
)
def test_wrong_shares_are_refused(shares: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CorpusConfig(shares=shares)
