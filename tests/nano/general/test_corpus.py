import pytest

from r1kit.errors import InputError
from r1kit.nano.countdown.task import final_answer
from r1kit.nano.general import FAULTS, General, GeneralConfig, GeneralCorpus, GeneralCorpusConfig
from r1kit.nano.general.phrases import questions
from r1kit.nano.general.problems import FORMS, asks
from r1kit.nano.general.rules import is_good
from r1kit.nano.general.words import LANGUAGES, is_chinese

CONFIG = GeneralConfig()
CORPUS = GeneralCorpus(GeneralCorpusConfig())
BY_QUESTION = {
    question: (ask, language)
    for forms in FORMS.values()
    for form in forms
    for ask in asks(CONFIG, form, "train")
    for language in LANGUAGES
    for question in questions(ask, language)
}


def test_documents_are_a_pure_function_of_seed_and_index() -> None:
    again = GeneralCorpus(GeneralCorpusConfig())
    documents = [CORPUS.document(index) for index in range(500)]
    assert [again.document(index) for index in reversed(range(500))] == documents[::-1]
    assert documents != [GeneralCorpus(GeneralCorpusConfig(seed=1)).document(index) for index in range(500)]


def test_nothing_held_out_and_no_unknown_word_in_20k_documents() -> None:
    known = set(CORPUS.vocabulary())
    held = {prompt.question for split in ("dev", "test") for prompt in General("g", CONFIG).held_out(split)}  # type: ignore[arg-type]
    asked: dict[str, int] = {}
    for index in range(20_000):
        document = CORPUS.document(index)
        assert set(document.split()) <= known
        assert " ".join(document.split()) == document
        if document.startswith("User: "):
            question = document.removeprefix("User: ").split(" Assistant: ")[0]
            asked[question] = asked.get(question, 0) + 1
    assert held.isdisjoint(asked)
    assert set(asked) <= set(BY_QUESTION)
    assert sum(asked.values()) / 20_000 == pytest.approx(0.8, abs=0.01)
    assert len(asked) > 0.5 * len(BY_QUESTION)  # six openings of every content


def test_shares_of_good_replies_tags_and_chains() -> None:
    good = tagged = chained = other = asked = 0
    for index in range(8000):
        document = CORPUS.document(index)
        if not document.startswith("User: "):
            continue
        question, response = document.removeprefix("User: ").split(" Assistant: ")
        ask, language = BY_QUESTION[question]
        asked += 1
        tagged += response.startswith("<think>") and response.endswith("</answer>")
        reply = final_answer(response) or response
        good += is_good(ask, language, reply)
        thinking = response.removeprefix("<think> ").split(" </think>" if "</think>" in response else " answer ")[0]
        if ask.form == "greet":
            assert not response.startswith(("user", "用户"))
        elif "user wants" in response or "用户 要" in response:
            chained += 1
            other += is_chinese(thinking.split()[0]) != (language == "zh")
    assert good / asked == pytest.approx(0.7, abs=0.02)
    assert tagged / asked == pytest.approx(0.35, abs=0.02)
    assert chained / asked == pytest.approx(0.6 * 12 / 13, abs=0.02)  # one form of 13 is a greeting
    assert other / chained == pytest.approx(0.15, abs=0.02)


def test_sheets_carry_the_facts_that_are_held_out() -> None:
    sheets = " . ".join(
        GeneralCorpus(GeneralCorpusConfig(knowledge_share=1.0)).document(index) for index in range(3000)
    ).split(" . ")
    assert {"grass is green", "a dog is an animal", "狗 是 动物", "dog is 狗", "狗 是 dog", "草 是 绿"} <= set(sheets)


def test_a_fault_that_is_not_named_never_occurs() -> None:
    corpus = GeneralCorpus(GeneralCorpusConfig(faults={"off_topic": 1.0}, good_share=0.5, warmth=0.0))
    documents = [corpus.document(index) for index in range(3000)]
    assert not any("great" in document or "go away" in document for document in documents)


def test_a_corpus_shows_what_trains_and_nothing_held_out() -> None:
    assert CORPUS.config.shows(asks(CONFIG, "care", "train")[0].key)
    assert not CORPUS.config.shows(asks(CONFIG, "care", "test")[0].key)
    assert not GeneralCorpusConfig(problems=GeneralConfig(kinds=("list",))).shows("self/model")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"good_share": 1.5}, "good_share = 1.5"),
        ({"warmth": -1.0}, "warmth = -1.0"),
        ({"faults": {"rudeness": 1.0}}, "fault 'rudeness' is unknown"),
        ({"faults": {"rude": -1.0}}, "faults.rude = -1.0"),
        ({"faults": {"rude": 1.0}}, "off_topic must be above 0"),
    ],
)
def test_wrong_settings(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        GeneralCorpusConfig(**wrong)  # type: ignore[arg-type]
    assert "rude" in FAULTS
