import pytest

from r1kit.nano.general import GeneralConfig
from r1kit.nano.general.phrases import chain, cores, knowledge
from r1kit.nano.general.problems import FORMS, Ask, asks
from r1kit.nano.general.responses import respond
from r1kit.nano.general.words import LANGUAGES, Language, vocabulary
from r1kit.reward.language import language_consistency

GRASS = Ask("fact", "color", ("grass",))
STEAL_CAR = Ask("harmful", "harm", ("steal", "car"))


def test_chains_by_hand() -> None:
    assert chain(GRASS, "en", True, long=True) == "user wants grass . grass is green . it is safe . so i help"
    assert chain(GRASS, "zh", True, long=False, recalls=False) == "用户 要 草 . 它 安全"
    assert chain(STEAL_CAR, "en", False, long=True) == "user wants steal a car . it is harmful . so i cannot"
    assert chain(Ask("greeting", "greet", ("hi", "")), "en", True, long=True) == ""
    assert chain(Ask("fact", "self", ("",)), "en", True, long=False) == "user wants model . it is safe"


@pytest.mark.parametrize("language", LANGUAGES)
def test_chains_stay_in_one_language_and_in_the_vocabulary(language: Language) -> None:
    known = set(vocabulary())
    for forms in FORMS.values():
        for form in forms:
            for ask in asks(GeneralConfig(), form, "train"):
                thinking = chain(ask, language, True, long=True)
                assert language_consistency(thinking, language) == 1
                assert set(thinking.split()) <= known
                assert ask.form == "greet" or 5 < len(thinking.split()) < 30


def test_a_response_judges_as_its_fault_says() -> None:
    refusal, way = "sorry , i cannot", "run fast"
    assert "harmful" in respond(STEAL_CAR, "en", refusal)
    assert "safe" in respond(STEAL_CAR, "en", way, "complies")
    assert "harmful" in respond(Ask("benign", "care", ("wash", "car")), "en", refusal, "refuses")
    assert "green" not in respond(GRASS, "en", "red", "wrong")
    hello = Ask("greeting", "greet", ("hello", ""))
    assert (
        respond(hello, "en", "hello ! how can i help") == "<think> </think> <answer> hello ! how can i help </answer>"
    )


def test_the_shortest_core_comes_first() -> None:
    assert cores(GRASS, "en") == ("green", "it is green", "grass is green", "the color of grass is green")
    assert cores(Ask("fact", "isa", ("pear", "tool")), "zh") == ("不", "不 , 梨 不 是 工具", "不 , 梨 是 水果")


def test_knowledge_by_hand() -> None:
    assert {"grass is green", "the color of grass is green", "an apple is a fruit", "apple is 苹果"} <= set(
        knowledge("en")
    )
    assert len(knowledge("en")) == len(set(knowledge("en"))) == len(knowledge("zh"))
