import dataclasses
import statistics
from random import Random

import pytest

from r1kit.errors import InputError
from r1kit.nano.countdown.corpus import CountdownCorpus, vocabulary
from r1kit.nano.countdown.corpus_settings import CountdownCorpusConfig
from r1kit.nano.countdown.problems import CountdownConfig, Problem, draw_problem, multisets, targets
from r1kit.nano.countdown.rules import evaluate
from r1kit.nano.countdown.task import Countdown, final_answer
from r1kit.nano.styles import STYLES
from r1kit.nano.words import CHINESE, FILLER, KOREAN

PROBLEMS = CountdownConfig()
CORPUS = CountdownCorpus(CountdownCorpusConfig())
PRECISE = CountdownCorpus(
    CountdownCorpusConfig(
        slips=dict.fromkeys(STYLES, 0.0),
        filler_share=0.0,
        fact_share=0.0,
        comparison_share=0.0,
        systematic_share=0.5,
        double_share=0.0,
    )
)
BY_HAND = CountdownCorpusConfig(
    slips=dict.fromkeys(STYLES, 0.0),
    languages=dict.fromkeys(STYLES, (1.0, 0.0, 0.0)),
    systematic_share=1.0,
    check_share=0.0,
)


def parse(turn: str) -> tuple[Problem, str]:
    """The problem and the response of a turn of a problem document."""
    words = turn.split()
    assert words[0] == "User:"
    assert words[7] == "Assistant:"
    language = {"use": "en", "用": "zh"}[words[1]]
    return Problem(tuple(map(int, words[2:5])), int(words[6]), language), " ".join(words[8:])  # type: ignore[arg-type]


def turns_of(document: str) -> list[str]:
    """The turns of a problem document."""
    begun = ["User:" + turn for turn in document.split("User:")[1:]]
    assert document.startswith("examples User:" if len(begun) == 2 else "User:")
    return [turn.strip() for turn in begun]


def test_documents_are_a_pure_function_of_seed_and_index() -> None:
    again = CountdownCorpus(CountdownCorpusConfig())
    documents = [CORPUS.document(index) for index in range(500)]
    assert [again.document(index) for index in reversed(range(500))] == documents[::-1]
    assert len(set(documents)) > 480
    other = CountdownCorpus(CountdownCorpusConfig(seed=1))
    assert not set(documents) & {other.document(index) for index in range(500) if "Assistant" in documents[index]}


def test_no_held_out_multiset_and_no_unknown_word_in_20k_documents() -> None:
    held = set(multisets(PROBLEMS, "dev")) | set(multisets(PROBLEMS, "test"))
    known = set(CORPUS.vocabulary())
    kinds = {"filler": 0, "facts": 0, "comparisons": 0, "problem": 0, "double": 0, "turn": 0, "wide": 0}
    for index in range(20_000):
        document = CORPUS.document(index)
        assert set(document.split()) <= known
        assert " ".join(document.split()) == document
        if "User:" in document:
            kinds["problem"] += 1
            kinds["double"] += len(turns := turns_of(document)) == 2
            for turn in turns:
                numbers = tuple(sorted(parse(turn)[0].numbers))
                assert numbers not in held
                assert CORPUS.config.shows(numbers)
                kinds["wide"] += numbers[-1] > PROBLEMS.highest
                kinds["turn"] += 1
        elif "=" in document:
            kinds["facts"] += 1
        else:
            kinds["comparisons" if document.split()[0] in ("make", "得") else "filler"] += 1
    assert kinds["problem"] / 20_000 == pytest.approx(0.75, abs=0.01)
    assert kinds["double"] / kinds["problem"] == pytest.approx(0.10, abs=0.01)
    assert kinds["wide"] / kinds["turn"] == pytest.approx(0.30, abs=0.015)
    assert kinds["facts"] / 20_000 == pytest.approx(0.14, abs=0.01)
    assert kinds["comparisons"] / 20_000 == pytest.approx(0.05, abs=0.01)


def test_a_corpus_shows_what_it_draws_and_nothing_held_out() -> None:
    held = {*multisets(PROBLEMS, "dev"), *multisets(PROBLEMS, "test")}
    narrow = CountdownCorpusConfig(wide_share=0.0)
    assert not any(CORPUS.config.shows(multiset) for multiset in held)
    assert CORPUS.config.shows((1, 2, 24))  # wide: one number above 12, none above 24
    assert not CORPUS.config.shows((1, 2, 25))
    assert not narrow.shows((1, 2, 24))
    assert not narrow.shows((1, 2))
    shown = {multiset for multiset in multisets(PROBLEMS, "train") if narrow.shows(multiset)}
    assert {tuple(sorted(draw_problem(Random(seed), PROBLEMS).numbers)) for seed in range(300)} <= shown


def test_two_problems_are_worked_in_one_style_in_tags_or_not() -> None:
    corpus = CountdownCorpus(
        CountdownCorpusConfig(double_share=1.0, filler_share=0.0, fact_share=0.0, comparison_share=0.0)
    )
    tagged = 0
    for index in range(300):
        first, second = (parse(turn)[1] for turn in turns_of(corpus.document(index)))
        terse = [all(word not in turn for word in ("try", "试")) for turn in (first, second)]
        assert terse[0] == terse[1]
        assert ("<answer>" in first) == ("<answer>" in second)
        tagged += "<answer>" in first
    assert tagged / 300 == pytest.approx(0.35, abs=0.08)


def test_without_slips_every_step_and_every_claim_is_right() -> None:
    task = Countdown("numbers", PROBLEMS)
    for index in range(3000):
        problem, response = parse(PRECISE.document(index))
        assert evaluate(final_answer(response) or "", problem.numbers, PROBLEMS.rules) is not None
        prompt = dataclasses.replace(task.train(0), facts={"numbers": problem.numbers, "target": problem.target})
        found = task.diagnose(prompt, response)
        assert found["arithmetic_right"] in (1.0,) or found["tries"] == 0
        assert found["false_hit"] != 1.0
        assert found["right_when_claims"] != 0.0
        assert found["tries"] == found["distinct_tries"] <= 9


def test_without_slips_the_long_search_misses_no_solution() -> None:
    for multiset in multisets(PROBLEMS, "train")[::3]:
        for target in targets(PROBLEMS, multiset):
            answer = final_answer(PRECISE.response(Random(0), Problem(multiset, target, "en"), "long", True)) or ""
            assert evaluate(answer, multiset, PROBLEMS.rules) == target


@pytest.mark.parametrize(("style", "right"), [("terse", 0.09), ("short", 0.14), ("few", 0.45), ("long", 0.99)])
def test_right_answers_by_style(style: str, right: float) -> None:
    rng, verdicts = Random(3), []
    for _ in range(3000):
        problem = draw_problem(rng, PROBLEMS)
        answer = final_answer(CORPUS.response(rng, problem, style, rng.random() < 0.5)) or ""
        verdicts.append(evaluate(answer, problem.numbers, PROBLEMS.rules) == problem.target)
    assert statistics.mean(verdicts) == pytest.approx(right, abs=0.025)


@pytest.mark.parametrize("style", STYLES)
def test_languages_have_their_shares(style: str) -> None:
    rng, same, mixed = Random(4), 0, 0
    for _ in range(3000):
        problem = draw_problem(rng, PROBLEMS)
        response = CORPUS.response(rng, problem, style, False)
        words = set(response.split())
        english, chinese = bool(words & set(CHINESE)), bool(words & set(CHINESE.values()))
        mixed += english and chinese
        same += (chinese and not english) if problem.language == "zh" else (english and not chinese)
    if style == "long":  # enough words that a mixed document shows it
        assert mixed / 3000 == pytest.approx(0.6, abs=0.08)
        assert same / 3000 > 0.27


def plain(config: CountdownCorpusConfig, seed: int, target: int) -> str:
    """A long response to 11 8 3 without the words that only vary the style."""
    response = CountdownCorpus(config).response(Random(seed), Problem((11, 8, 3), target, "en"), "long", True)
    return " ".join(word for word in response.split() if word not in ("hmm", "no"))


def test_a_long_trace_by_hand() -> None:
    # 11 + 8 = 19 is above 9: only -. 11 - 8 = 3 is below: + first, low or high decides on * (3 + 3 = 6 is low).
    assert plain(dataclasses.replace(BY_HAND, rotated_share=0.0), 0, 9) == (
        "<think> try 11 + 8 = 19 , 19 - 3 = 16 high wait 11 - 8 = 3 , 3 + 3 = 6 low 3 * 3 = 9 yes </think> "
        "<answer> ( 11 - 8 ) * 3 </answer>"
    )


def test_a_long_trace_that_goes_round_by_hand() -> None:
    # In order: 11 + 8, 11 - 8, 11 * 8, 11 + 3, 11 - 3, 11 * 3, 8 + 3, 8 - 3, 8 * 3. It begins at 11 - 3, the fifth, and
    # after the last comes the first. 8 is below 9 but 8 + 8 = 16 above it, so * is not tried; likewise 5 + 11.
    assert plain(BY_HAND, 11, 9) == (
        "<think> try 11 - 3 = 8 , 8 + 8 = 16 high wait 11 * 3 = 33 , 33 - 8 = 25 high wait 8 + 3 = 11 , 11 - 11 = 0 "
        "low wait 8 - 3 = 5 , 5 + 11 = 16 high wait 8 * 3 = 24 , 24 - 11 = 13 high wait 11 + 8 = 19 , 19 - 3 = 16 high "
        "wait 11 - 8 = 3 , 3 + 3 = 6 low 3 * 3 = 9 yes </think> <answer> ( 11 - 8 ) * 3 </answer>"
    )


def test_a_number_minus_a_product_is_tried_below_the_number() -> None:
    config = dataclasses.replace(BY_HAND, rotated_share=0.0)
    response = CountdownCorpus(config).response(Random(0), Problem((3, 2, 12), 6, "en"), "long", False)
    # 3 + 2 = 5 is below 6: 5 + 12 = 17 is high. 3 - 2 = 1: 1 + 12 = 13 is high, and so, after 1, is 1 * 12 = 12.
    assert " ".join(word for word in response.split() if word not in ("hmm", "no")) == (
        "try 3 + 2 = 5 , 5 + 12 = 17 high wait 3 - 2 = 1 , 1 + 12 = 13 high 1 * 12 = 12 high "
        "wait 3 * 2 = 6 , 12 - 6 = 6 yes answer 12 - 3 * 2"
    )


def test_in_order_documents_begin_anywhere_and_every_pair_has_a_next_one() -> None:
    order = ["11 + 8", "11 - 8", "11 * 8", "11 + 3", "11 - 3", "11 * 3", "8 + 3", "8 - 3", "8 * 3"]
    after, begun = dict(zip(order, [*order[1:], order[0]], strict=True)), set()
    for seed in range(200):
        words = plain(BY_HAND, seed, 99).split()  # no pair makes 99: all nine are tried
        tried = [" ".join(words[i + 1 : i + 4]) for i, word in enumerate(words) if word in ("try", "wait")]
        assert sorted(tried) == sorted(order)
        assert [after[pair] for pair in tried[:-1]] == tried[1:]
        begun.add(tried[0])
    assert begun == set(order)


def test_comparison_sheets_judge_rightly() -> None:
    corpus = CountdownCorpus(CountdownCorpusConfig(filler_share=0.0, fact_share=0.0, comparison_share=1.0))
    for index in range(300):
        (_, target, _), judged = (words := corpus.document(index).split())[:3], words[3:]
        for value, verdict in zip(judged[::2], judged[1::2], strict=True):
            difference = int(value) - int(target)
            expected = "yes" if difference == 0 else "low" if difference < 0 else "high"
            assert verdict in (expected, CHINESE[expected])


def test_vocabulary_is_in_order_and_without_repeats() -> None:
    words = vocabulary(PROBLEMS)
    assert len(words) == len(set(words))
    assert words[:6] == ["<think>", "</think>", "<answer>", "</answer>", "User:", "Assistant:"]
    assert {"0", "99", "use", "用", "=", "(", ")", ","} <= set(words)
    assert "100" not in words


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"problems": CountdownConfig(numbers=4)}, "written for 3 numbers"),
        ({"problems": CountdownConfig(divide="exact")}, "without division"),
        ({"problems": CountdownConfig(question="{numbers} {target}")}, "cannot be set"),
        ({"double_share": 1.5}, "double_share = 1.5"),
        ({"shares": {"terse": 1.0}}, "needed are exactly"),
        ({"shares": {"terse": 0.5, "short": 0.5, "few": 0.5, "long": 0.5}}, "sum to 1"),
        ({"slips": {"terse": 2.0, "short": 0.0, "few": 0.0, "long": 0.0}}, "slips.terse = 2.0"),
        ({"filler_share": 0.9}, "filler_share"),
        ({"worded_share": 2.0}, "worded_share = 2.0"),
        ({"tag_share": -0.1}, "tag_share = -0.1"),
        ({"wide_share": 1.1}, "wide_share = 1.1"),
        ({"problems": CountdownConfig(highest=60)}, "numbers up to 2 \\* highest = 120, above limit = 99"),
    ],
)
def test_wrong_settings(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        CountdownCorpusConfig(**wrong)  # type: ignore[arg-type]


def test_questions_stand_among_other_words() -> None:
    settings = {"filler_share": 0.0, "fact_share": 0.0, "comparison_share": 0.0, "double_share": 0.0}
    corpus = CountdownCorpus(CountdownCorpusConfig(worded_share=0.25, **settings))  # type: ignore[arg-type]
    counts = {"plain": 0, "before": 0, "after": 0}
    lengths = set()
    for index in range(2000):
        asked = corpus.document(index).partition(" Assistant:")[0].split()[1:]
        start = next(place for place, word in enumerate(asked) if word in ("use", "用"))
        before, question, after = asked[:start], asked[start : start + 6], asked[start + 6 :]
        assert [word.isdigit() for word in question] == [False, True, True, True, False, True]
        assert {*before, *after} <= set(FILLER)
        assert not (before and after)
        counts["before" if before else "after" if after else "plain"] += 1
        lengths.add(len(before) + len(after))
    assert counts["before"] / 2000 == pytest.approx(0.125, abs=0.02)
    assert counts["after"] / 2000 == pytest.approx(0.125, abs=0.02)
    assert lengths == set(range(13))


# ---- a language outside the two -------------------------------------------------------------------------------------


def test_korean_documents_have_their_shares_and_the_others_stay() -> None:
    config = CountdownCorpusConfig(problems=CountdownConfig(korean_share=0.1), double_share=0.0)
    corpus, plain_one = CountdownCorpus(config), CountdownCorpus(CountdownCorpusConfig(double_share=0.0))
    words, korean, alone, english = set(corpus.vocabulary()), 0, 0, 0
    for index in range(6000):
        document = corpus.document(index)
        assert set(document.split()) <= words
        if "User: 사용" not in document:
            assert document == plain_one.document(index)
            assert not set(document.split()) & set(KOREAN.values())
            continue
        said = set(document.partition("Assistant:")[2].split())
        assert not said & set(CHINESE.values())
        if said & {"try", "시도"}:
            korean += 1
            alone += not said & set(CHINESE)
            english += not said & set(KOREAN.values())
    assert korean > 150
    assert alone / korean == pytest.approx(0.3, abs=0.12)  # of short documents some that mix show one language
    assert english / korean == pytest.approx(0.45, abs=0.12)


def test_thirteen_words_more() -> None:
    assert set(vocabulary(CountdownConfig(korean_share=0.1))) - set(vocabulary(CountdownConfig())) == set(
        KOREAN.values()
    )
    assert KOREAN.keys() == CHINESE.keys()


def test_a_korean_trace_by_hand() -> None:
    corpus = CountdownCorpus(dataclasses.replace(BY_HAND, korean=(1.0, 0.0, 0.0)))
    said = corpus.response(Random(1), Problem((11, 8, 3), 22, "ko"), "long", True).split()
    assert {word for word in said if word in CHINESE or word in CHINESE.values()} == set()
    assert "맞아" in said


def test_wrong_korean_shares() -> None:
    with pytest.raises(InputError, match="korean needs 3 shares"):
        CountdownCorpusConfig(korean=(1.0, 0.0))
    with pytest.raises(InputError, match="must be at least 0 and sum to 1"):
        CountdownCorpusConfig(korean=(1.0, 0.5, 0.0))
