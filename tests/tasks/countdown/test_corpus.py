import dataclasses
import statistics
from random import Random

import pytest

from r1kit.errors import InputError
from r1kit.tasks.countdown.corpus import STYLES, CountdownCorpus, CountdownCorpusConfig, vocabulary
from r1kit.tasks.countdown.problems import CountdownConfig, Problem, draw_problem, multisets
from r1kit.tasks.countdown.rules import candidates, canonical, evaluate
from r1kit.tasks.countdown.task import Countdown, final_answer
from r1kit.tasks.countdown.words import CHINESE

PROBLEMS = CountdownConfig()
CORPUS = CountdownCorpus(CountdownCorpusConfig())
PRECISE = CountdownCorpus(
    CountdownCorpusConfig(slips=dict.fromkeys(STYLES, 0.0), filler_share=0.0, fact_share=0.0, systematic_share=0.5)
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
    kinds = {"filler": 0, "facts": 0, "problem": 0}
    for index in range(20_000):
        document = CORPUS.document(index)
        assert set(document.split()) <= known
        assert " ".join(document.split()) == document
        if document.startswith("User:"):
            kinds["problem"] += 1
            assert tuple(sorted(parse(document)[0].numbers)) not in held
        else:
            kinds["facts" if "=" in document else "filler"] += 1
    assert kinds["problem"] / 20_000 == pytest.approx(0.80, abs=0.01)
    assert kinds["facts"] / 20_000 == pytest.approx(0.14, abs=0.01)


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


def test_a_long_trace_by_hand() -> None:
    settings = CountdownCorpusConfig(
        slips=dict.fromkeys(STYLES, 0.0),
        languages=dict.fromkeys(STYLES, (1.0, 0.0, 0.0)),
        systematic_share=1.0,
        check_share=0.0,
        tag_share=1.0,
    )
    response = CountdownCorpus(settings).response(Random(0), Problem((11, 8, 3), 9, "en"), "long")
    plain = [word for word in response.split() if word not in ("hmm", "no")]
    # 11 + 8 = 19 is above 9: only -. 11 - 8 = 3 is below: + first, low or high decides on * (3 + 3 = 6 is low).
    assert " ".join(plain) == (
        "<think> try 11 + 8 = 19 - 3 = 16 high wait 11 - 8 = 3 + 3 = 6 low 3 * 3 = 9 yes </think> "
        "<answer> 11 - 8 * 3 </answer>"
    )


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
    ],
)
def test_wrong_settings(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        CountdownCorpusConfig(**wrong)  # type: ignore[arg-type]
