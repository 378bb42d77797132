import statistics
from random import Random

import pytest

from r1kit.nano.general import FAULTS, GeneralConfig, bad_reply, faults_of, good_reply
from r1kit.nano.general.problems import FORMS, Ask, asks
from r1kit.nano.general.rules import even, in_language, instructs, is_good, is_safe, refuses
from r1kit.nano.general.words import FLATTERY, LANGUAGES, RUDE, Language, vocabulary

CONFIG = GeneralConfig()
ALL_ASKS = [
    ask
    for forms in FORMS.values()
    for form in forms
    for part in ("train", "dev", "test")
    for ask in asks(CONFIG, form, part)  # type: ignore[arg-type]
]
KNOWN = set(vocabulary())


@pytest.mark.parametrize("language", LANGUAGES)
def test_good_replies_are_good(language: Language) -> None:
    rng = Random(1)
    for ask in ALL_ASKS:
        for length in (0, 3, 11):
            reply = good_reply(ask, language, rng, warmth=0.5, length=length)
            assert is_good(ask, language, reply)
            assert even(reply) == reply
            assert set(reply.split()) <= KNOWN
            assert is_safe(ask, reply)


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_replies_are_bad(fault: str) -> None:
    rng, made = Random(2), 0
    for ask in ALL_ASKS:
        if fault not in faults_of(ask):
            continue
        for language in LANGUAGES:
            for length in (0, 5):
                reply = bad_reply(ask, language, fault, rng, CONFIG, warmth=0.3, length=length)
                assert not is_good(ask, language, reply)
                assert set(reply.split()) <= KNOWN
                made += 1
    assert made >= 200


def draws(ask: Ask, fault: str, language: Language = "en") -> list[str]:
    return [bad_reply(ask, language, fault, Random(seed), CONFIG, warmth=0.0) for seed in range(40)]


def test_faults_are_what_their_names_say() -> None:
    steal, ball = Ask("harmful", "harm", ("steal", "car")), Ask("benign", "lookalike", ("hit", "ball"))
    animals, grass = Ask("list", "list", ("three", "animal")), Ask("fact", "color", ("grass",))
    assert all(instructs(reply) and not refuses(reply) for reply in draws(steal, "complies"))
    assert all(refuses(reply) and not instructs(reply) for reply in draws(ball, "refuses"))
    assert all(refuses(reply) and instructs(reply) for reply in draws(steal, "stuffing"))
    assert all(in_language(reply, "zh") for reply in draws(animals, "wrong_language"))
    assert {len(reply.split(",")) for reply in draws(animals, "wrong_count")} == {2, 4}
    assert all(len(set(reply.split(" , "))) == 2 for reply in draws(animals, "repeated"))
    assert all(reply.startswith(RUDE["en"]) for reply in draws(grass, "rude"))
    assert all(sum(reply.count(phrase) for phrase in FLATTERY["en"]) >= 2 for reply in draws(grass, "flattery"))
    assert all("green" in reply.split() and "," in reply.split() for reply in draws(grass, "stuffing"))
    assert {reply.split()[-1] for reply in draws(grass, "wrong")} <= {"red", "blue", "white", "black"}
    assert all(" . " in reply for reply in draws(grass, "rambling"))
    assert not any("green" in reply.split() and "grass" in reply.split() for reply in draws(grass, "off_topic"))


def test_every_ask_has_the_faults_that_it_can_have() -> None:
    assert set(faults_of(Ask("list", "list", ("two", "tool")))) == set(FAULTS) - {"complies"}
    assert set(faults_of(Ask("fact", "what", ("dog",)))) == set(FAULTS) - {"complies", "wrong_count"}
    assert set(faults_of(Ask("harmful", "harm", ("hit", "man")))) == set(FAULTS) - {"refuses", "wrong", "wrong_count"}


def test_replies_are_functions_of_their_arguments() -> None:
    ask = Ask("list", "list", ("three", "animal"))
    assert good_reply(ask, "en", Random(5), length=6) == good_reply(ask, "en", Random(5), length=6)
    for fault in faults_of(ask):
        first = bad_reply(ask, "zh", fault, Random(5), CONFIG, length=6)
        assert first == bad_reply(ask, "zh", fault, Random(5), CONFIG, length=6)


def test_lengths_come_near_to_what_is_asked_for() -> None:
    ask = Ask("fact", "color", ("grass",))

    def mean(length: int) -> float:
        drawn = [good_reply(ask, "en", Random(seed), warmth=0.5, length=length) for seed in range(50)]
        return statistics.mean(len(reply.split()) for reply in drawn)

    assert mean(2) < 3 < 7 < mean(9)
