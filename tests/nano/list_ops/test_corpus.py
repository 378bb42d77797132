import dataclasses
import statistics
from random import Random

import pytest

from r1kit.errors import InputError
from r1kit.nano.list_ops.corpus import STYLES, ListOpsCorpus, ListOpsCorpusConfig
from r1kit.nano.list_ops.problems import ListOpsConfig, Problem, draw_problem, held_out_problems
from r1kit.nano.list_ops.steps import Step, evaluate, question
from r1kit.nano.list_ops.task import final_answer
from r1kit.nano.words import CHINESE
from tests.nano.list_ops.evaluator import run

PROBLEMS = ListOpsConfig()
CORPUS = ListOpsCorpus(ListOpsCorpusConfig())
BY_HAND = ListOpsCorpusConfig(
    problems=ListOpsConfig(split_seed=3),
    slips=dict.fromkeys(STYLES, 0.0),
    languages=dict.fromkeys(STYLES, (1.0, 0.0, 0.0)),
    tag_share=1.0,
)
INPUTS = [Random(seed).choices(range(10 if seed % 3 else 40), k=seed % 11) for seed in range(24)]

MANY = [Random(seed).choices(range(10 if seed % 3 else 60), k=2 + seed % 8) for seed in range(300)]


def is_right(answer: str, steps: tuple[Step, ...]) -> bool:
    return all(run(answer, values) == evaluate(steps, values) for values in INPUTS)


def test_documents_are_a_pure_function_of_seed_and_index() -> None:
    again = ListOpsCorpus(ListOpsCorpusConfig())
    documents = [CORPUS.document(index) for index in range(300)]
    assert [again.document(index) for index in reversed(range(300))] == documents[::-1]
    assert len(set(documents)) > 280
    other = ListOpsCorpus(ListOpsCorpusConfig(seed=1))
    assert len(set(documents) & {other.document(index) for index in range(300)}) < 10


def equal(answer: str, held: list[Problem]) -> bool:
    """Whether an expression does what a held-out problem asks; most differ on the first few lists."""
    return any(all(run(answer, values) == evaluate(problem.steps, values) for values in MANY) for problem in held)


def test_no_held_out_question_or_function_and_no_unknown_word_in_4k_documents() -> None:
    held = [*held_out_problems(PROBLEMS, "dev"), *held_out_problems(PROBLEMS, "test")]
    ops = {"".join(c for c in question(p.steps, lang) if not c.isdigit()) for p in held for lang in ("en", "zh")}
    known, sheets = set(CORPUS.vocabulary()), 0
    for index in range(4_000):
        document = CORPUS.document(index)
        assert set(document.split()) <= known
        assert " ".join(document.split()) == document
        if not document.startswith("User: "):
            sheets += 1
            continue
        asked, response = document.removeprefix("User: ").split(" Assistant: ")
        assert "".join(c for c in asked if not c.isdigit()) not in ops
        written = [*response.split("`")[1::2], final_answer(response) or ""]
        if index < 400:
            assert not any(equal(code.strip(), held) for code in set(written))
    assert sheets / 4_000 == pytest.approx(0.15, abs=0.02)


def test_every_expression_is_python_and_every_value_and_claim_of_a_trace_is_right() -> None:
    rng, turned = Random(1), 0
    for _ in range(600):
        problem = draw_problem(rng, PROBLEMS)
        response = CORPUS.response(rng, problem, "long")
        assert is_right(final_answer(response) or "", problem.steps)
        parts = response.replace("答", "answer").split("answer")[0].split("`")
        values, step = list(problem.example), 0
        for code, after in zip(parts[1::2], parts[2::2], strict=False):
            said = after.split()
            shown = [int(word) for word in said[: next(i for i, w in enumerate(said) if not w.isdigit())]]
            assert run(code.strip(), problem.example) == shown
            right = shown == problem.steps[step].run(values)
            assert (said[len(shown)] in ("yes", "对")) == right
            assert (said[len(shown)] in ("no", "不")) == (not right)
            values, step = (shown, step + 1) if right else (values, step)
            turned += not right
        assert step == len(problem.steps)
    assert turned > 60


@pytest.mark.parametrize(("style", "right"), [("terse", 0.16), ("short", 0.35), ("few", 0.7), ("long", 1.0)])
def test_right_answers_by_style(style: str, right: float) -> None:
    rng, verdicts = Random(3), []
    for _ in range(600):
        problem = draw_problem(rng, PROBLEMS)
        verdicts.append(is_right(final_answer(CORPUS.response(rng, problem, style)) or "", problem.steps))
    assert statistics.mean(verdicts) == pytest.approx(right, abs=0.06)


@pytest.mark.parametrize("style", STYLES)
def test_tags_and_languages_have_their_shares(style: str) -> None:
    rng, tagged, same, mixed = Random(4), 0, 0, 0
    control = {*CHINESE, "then"}, {*CHINESE.values()}
    for _ in range(1000):
        problem = draw_problem(rng, PROBLEMS)
        response = CORPUS.response(rng, problem, style)
        tagged += response.startswith("<think>") and response.endswith("</answer>")
        words = set(response.split())
        english, chinese = (bool(words & side) for side in control)
        mixed += english and chinese
        same += (chinese and not english) if problem.language == "zh" else (english and not chinese)
    assert tagged / 1000 == pytest.approx(0.35, abs=0.05)
    if style == "long":
        assert mixed / 1000 == pytest.approx(0.6, abs=0.08)
        assert same / 1000 > 0.27


PROBLEM = Problem((Step("desc"), Step("first", 2), Step("append", 30)), "en", (7, 3, 9))


def test_traces_by_hand() -> None:
    corpus = ListOpsCorpus(BY_HAND)
    answer = "sorted ( xs ) [::-1] [: 2 ] + [ 30 ]"
    assert corpus.response(Random(0), PROBLEM, "long") == (
        "<think> try 7 3 9 descending ` sorted ( xs ) [::-1] ` 9 7 3 yes "
        "then first 2 ` sorted ( xs ) [::-1] [: 2 ] ` 9 7 yes "
        f"then append 30 ` {answer} ` 9 7 30 yes </think> <answer> {answer} </answer>"
    )
    assert {corpus.response(Random(seed), PROBLEM, "short") for seed in range(20)} == {
        "<think> try descending ` sorted ( xs ) [::-1] ` </think> <answer> sorted ( xs ) [::-1] </answer>",
        "<think> try descending ` sorted ( xs ) [::-1] ` then first 2 ` sorted ( xs ) [::-1] [: 2 ] ` </think> "
        "<answer> sorted ( xs ) [::-1] [: 2 ] </answer>",
        "<think> try descending ` sorted ( xs ) [::-1] ` then first 2 ` sorted ( xs ) [::-1] [: 2 ] ` "
        f"then append 30 ` {answer} ` </think> <answer> {answer} </answer>",
    }
    assert corpus.response(Random(0), PROBLEM, "terse") == f"<think> </think> <answer> {answer} </answer>"


def test_a_slip_is_seen_and_undone_in_long_and_left_in_few() -> None:
    slips = dataclasses.replace(BY_HAND, slips=dict.fromkeys(STYLES, 0.5))
    for seed in range(24):
        left = ListOpsCorpus(slips).response(Random(seed), PROBLEM, "few")
        turned = ListOpsCorpus(slips).response(Random(seed), PROBLEM, "long")
        assert "wait" not in left
        assert left.count("`") == 6
        assert (" no " in left) == (not is_right(final_answer(left) or "", PROBLEM.steps))
        assert turned.count(" no ") == turned.count(" wait ") == turned.count("`") // 2 - 3


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"shares": {"terse": 1.0}}, "shares has keys"),
        ({"shares": {"terse": 0.5, "short": 0.5, "few": 0.5, "long": 0.5}}, "sum to 1"),
        ({"slips": {"terse": 2.0, "short": 0.0, "few": 0.0, "long": 0.0}}, "slips.terse = 2.0"),
        ({"languages": dict.fromkeys(STYLES, (0.5, 0.5))}, "needs 3 shares"),
        ({"tag_share": -0.1}, "tag_share = -0.1"),
        ({"sheet_share": 1.1}, "sheet_share = 1.1"),
    ],
)
def test_wrong_settings(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        ListOpsCorpusConfig(**wrong)  # type: ignore[arg-type]
