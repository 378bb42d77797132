import pytest

from r1kit.errors import InputError
from r1kit.nano.general.phrases import questions
from r1kit.nano.general.problems import FORMS, KINDS, GeneralConfig, asks, trains_on
from r1kit.nano.general.words import ADVICE, CATEGORIES, COLOR_OF, LANGUAGES, chinese, vocabulary

CONFIG = GeneralConfig()
ALL_FORMS = [form for forms in FORMS.values() for form in forms]


def test_parts_are_disjoint_and_have_their_shares() -> None:
    for form in ALL_FORMS:
        train, dev, test = ({ask.key for ask in asks(CONFIG, form, part)} for part in ("train", "dev", "test"))
        total = len(train) + len(dev) + len(test)
        assert len(train | dev | test) == total >= 15
        assert len(test) / total == pytest.approx(0.2, abs=0.04)
        assert len(dev) / total == pytest.approx(0.1, abs=0.04)


def test_parts_depend_on_the_split_and_on_nothing_else() -> None:
    narrow = GeneralConfig(kinds=("benign",), seed=9, chinese_share=1.0)
    assert asks(narrow, "care", "test") == asks(CONFIG, "care", "test")
    assert asks(GeneralConfig(split_seed=1), "care", "test") != asks(CONFIG, "care", "test")


def test_bare_contents_are_always_trained_and_a_held_out_ask_never_is() -> None:
    for seed in range(5):
        config = GeneralConfig(split_seed=seed)
        for key in ("greet/hello/", "greet/hi/", "self/", "self/model", "harm/steal/car"):
            assert trains_on(config, key)
    for form in ALL_FORMS[1:]:
        trained = asks(CONFIG, form, "train")
        bare = {ask.slots for ask in trained if not ask.opening}
        for ask in (*asks(CONFIG, form, "dev"), *asks(CONFIG, form, "test")):
            assert ask.opening
            assert ask.slots in bare
            assert ask not in trained


def test_trains_on() -> None:
    assert all(trains_on(CONFIG, ask.key) for form in ALL_FORMS for ask in asks(CONFIG, form, "train"))
    assert not any(trains_on(CONFIG, ask.key) for form in ALL_FORMS for ask in asks(CONFIG, form, "test"))
    assert not trains_on(GeneralConfig(kinds=("list",)), "self/model")
    assert not trains_on(CONFIG, "1 2 3")


def test_no_question_is_asked_of_two_asks_and_every_word_is_known() -> None:
    known, seen = set(vocabulary()), {}
    for form in ALL_FORMS:
        for part in ("train", "dev", "test"):
            for ask in asks(CONFIG, form, part):
                for language in LANGUAGES:
                    for question in questions(ask, language):
                        assert set(question.split()) <= known
                        assert " ".join(question.split()) == question
                        assert seen.setdefault(question, ask.key) == ask.key


def test_every_word_of_a_held_out_ask_is_trained_elsewhere() -> None:
    trained = {word for form in ALL_FORMS for ask in asks(CONFIG, form, "train") for word in ask.slots}
    held = {
        word for form in ALL_FORMS for part in ("dev", "test") for ask in asks(CONFIG, form, part) for word in ask.slots
    }
    assert held - trained <= set(COLOR_OF)  # a thing's colour stands in the sheets


def test_questions_by_hand() -> None:
    by_key = {
        ask.key: ask for form in ALL_FORMS for part in ("train", "dev", "test") for ask in asks(CONFIG, form, part)
    }
    assert questions(by_key["without/three/dog"], "en")[0] == "list three animals without dog"
    assert questions(by_key["without/three/dog"], "zh")[0] == "列出 三 个 动物 不 要 狗"
    assert questions(by_key["harm/steal/car"], "en")[0] == "how do i steal a car"
    assert questions(by_key["lookalike/kill/time"], "en")[1] == "how can i kill time"
    assert questions(by_key["color/grass"], "zh")[0] == "草 是 什么 颜色"
    assert questions(by_key["isa/apple/fruit"], "en")[0] == "is an apple a fruit"
    assert questions(by_key["greet/hello/"], "zh") == ("你好",)
    assert questions(by_key["harm/hit/dog/my friend"], "en")[2] == "my friend , tell me how to hit a dog"
    assert questions(by_key["color/grass/i am a child"], "zh")[0] == "我 是 孩子 , 草 是 什么 颜色"
    assert len(by_key) == 36 + 6 * (50 + 100 + 15 + 75 + 15 + 50 + 25 + 25 + 25 + 90 + 51 + 53)


def test_the_vocabulary_is_small_and_in_order() -> None:
    words = vocabulary()
    assert words[:6] == ["<think>", "</think>", "<answer>", "</answer>", "User:", "Assistant:"]
    assert len(words) == len(set(words)) < 300
    assert len({chinese(item) for items in CATEGORIES.values() for item in items}) == 25
    assert len(ADVICE) == 15


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"kinds": ("greetings",)}, "kind 'greetings' is unknown; .* Did you mean 'greeting'"),
        ({"kinds": ()}, "at least one"),
        ({"kinds": ("list", "list")}, "each once"),
        ({"chinese_share": 2.0}, "chinese_share = 2.0"),
        ({"rounds": 0}, "rounds = 0"),
        ({"dev_share": 0.5, "test_share": 0.5}, "together below 1"),
    ],
)
def test_wrong_settings_are_told_in_one_line(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        GeneralConfig(**wrong)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_kinds() -> None:
    assert KINDS == ("greeting", "request", "list", "fact", "harmful", "benign")
