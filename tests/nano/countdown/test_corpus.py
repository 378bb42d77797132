import dataclasses
import statistics
from random import Random

import pytest

from r1kit.errors import InputError
from r1kit.nano.countdown.corpus import STYLES, CountdownCorpus, CountdownCorpusConfig, vocabulary
from r1kit.nano.countdown.problems import CountdownConfig, Problem, draw_problem, multisets
from r1kit.nano.countdown.rules import candidates, canonical, evaluate
from r1kit.nano.countdown.task import Countdown, final_answer
from r1kit.nano.words import CHINESE

PROBLEMS = CountdownConfig()
CORPUS = CountdownCorpus(CountdownCorpusConfig())
PRECISE = CountdownCorpus(
    CountdownCorpusConfig(
        slips=dict.fromkeys(STYLES, 0.0), filler_share=0.0, fact_share=0.0, comparison_share=0.0, systematic_share=0.5
    )
)
BY_HAND = CountdownCorpusConfig(
    slips=dict.fromkeys(STYLES, 0.0),
    languages=dict.fromkeys(STYLES, (1.0, 0.0, 0.0)),
    systematic_share=1.0,
    check_share=0.0,
    tag_share=1.0,
)


def parse(document: str) -> tuple[Problem, str]:
    """The problem and the response of a problem document."""
    words = document.split()
    assert words[0] == "User:"
    assert words[7] == "Assistant:"
    language = {"use": "en", "用": "zh"}[words[1]]
    return Problem(tuple(map(int, words[2:5])), int(words[6]), language), " ".join(words[8:])  # type: ignore[arg-type]


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
    kinds = {"filler": 0, "facts": 0, "comparisons": 0, "problem": 0, "wide": 0}
    for index in range(20_000):
        document = CORPUS.document(index)
        assert set(document.split()) <= known
        assert " ".join(document.split()) == document
        if document.startswith("User:"):
            kinds["problem"] += 1
            numbers = tuple(sorted(parse(document)[0].numbers))
            assert numbers not in held
            assert CORPUS.config.shows(numbers)
            kinds["wide"] += numbers[-1] > PROBLEMS.highest
        elif "=" in document:
            kinds["facts"] += 1
        else:
            kinds["comparisons" if document.split()[0] in ("make", "得") else "filler"] += 1
    assert kinds["problem"] / 20_000 == pytest.approx(0.75, abs=0.01)
    assert kinds["wide"] / kinds["problem"] == pytest.approx(0.30, abs=0.015)
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
        for candidate in candidates(multiset, PROBLEMS.rules):
            problem = Problem(multiset, candidate.value, "en")
            answer = final_answer(PRECISE.response(Random(0), problem, "long")) or ""
            assert evaluate(answer, multiset, PROBLEMS.rules) == candidate.value


@pytest.mark.parametrize(("style", "right"), [("terse", 0.09), ("short", 0.14), ("few", 0.45), ("long", 0.99)])
def test_right_answers_by_style(style: str, right: float) -> None:
    rng, verdicts = Random(3), []
    for _ in range(3000):
        problem = draw_problem(rng, PROBLEMS)
        answer = final_answer(CORPUS.response(rng, problem, style)) or ""
        assert canonical(answer) == answer
        verdicts.append(evaluate(answer, problem.numbers, PROBLEMS.rules) == problem.target)
    assert statistics.mean(verdicts) == pytest.approx(right, abs=0.025)


@pytest.mark.parametrize("style", STYLES)
def test_tags_and_languages_have_their_shares(style: str) -> None:
    rng, tagged, same, mixed = Random(4), 0, 0, 0
    for _ in range(3000):
        problem = draw_problem(rng, PROBLEMS)
        response = CORPUS.response(rng, problem, style)
        tagged += response.startswith("<think>") and response.endswith("</answer>")
        words = set(response.split())
        english, chinese = bool(words & set(CHINESE)), bool(words & set(CHINESE.values()))
        mixed += english and chinese
        same += (chinese and not english) if problem.language == "zh" else (english and not chinese)
    assert tagged / 3000 == pytest.approx(0.35, abs=0.03)
    if style == "long":  # enough words that a mixed document shows it
        assert mixed / 3000 == pytest.approx(0.6, abs=0.08)
        assert same / 3000 > 0.27


def plain(config: CountdownCorpusConfig, seed: int, target: int) -> str:
    """A long response to 11 8 3 without the words that only vary the style."""
    response = CountdownCorpus(config).response(Random(seed), Problem((11, 8, 3), target, "en"), "long")
    return " ".join(word for word in response.split() if word not in ("hmm", "no"))


def test_a_long_trace_by_hand() -> None:
    # 11 + 8 = 19 is above 9: only -. 11 - 8 = 3 is below: + first, low or high decides on * (3 + 3 = 6 is low).
    assert plain(dataclasses.replace(BY_HAND, rotated_share=0.0), 0, 9) == (
        "<think> try 11 + 8 = 19 - 3 = 16 high wait 11 - 8 = 3 + 3 = 6 low 3 * 3 = 9 yes </think> "
        "<answer> 11 - 8 * 3 </answer>"
    )


def test_a_long_trace_that_goes_round_by_hand() -> None:
    # In order: 11 + 8, 11 - 8, 11 * 8, 11 + 3, 11 - 3, 11 * 3, 8 + 3, 8 - 3, 8 * 3. It begins at 11 - 3, the fifth, and
    # after the last comes the first. 8 is below 9 but 8 + 8 = 16 above it, so * is not tried; likewise 5 + 11.
    assert plain(BY_HAND, 0, 9) == (
        "<think> try 11 - 3 = 8 + 8 = 16 high wait 11 * 3 = 33 - 8 = 25 high wait 8 + 3 = 11 - 11 = 0 low "
        "wait 8 - 3 = 5 + 11 = 16 high wait 8 * 3 = 24 - 11 = 13 high wait 11 + 8 = 19 - 3 = 16 high "
        "wait 11 - 8 = 3 + 3 = 6 low 3 * 3 = 9 yes </think> <answer> 11 - 8 * 3 </answer>"
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
    assert {"0", "99", "use", "用", "="} <= set(words)
    assert "100" not in words


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"problems": CountdownConfig(numbers=4)}, "written for 3 numbers"),
        ({"shares": {"terse": 1.0}}, "needed are exactly"),
        ({"shares": {"terse": 0.5, "short": 0.5, "few": 0.5, "long": 0.5}}, "sum to 1"),
        ({"slips": {"terse": 2.0, "short": 0.0, "few": 0.0, "long": 0.0}}, "slips.terse = 2.0"),
        ({"filler_share": 0.9}, "filler_share"),
        ({"tag_share": -0.1}, "tag_share = -0.1"),
        ({"wide_share": 1.1}, "wide_share = 1.1"),
        ({"problems": CountdownConfig(highest=60)}, "numbers up to 2 \\* highest = 120, above limit = 99"),
    ],
)
def test_wrong_settings(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        CountdownCorpusConfig(**wrong)  # type: ignore[arg-type]
