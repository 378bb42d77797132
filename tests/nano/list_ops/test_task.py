import ast
import json
from random import Random

import pytest

from r1kit.errors import MissingError
from r1kit.nano.list_ops.problems import ListOpsConfig, draw_problem
from r1kit.nano.list_ops.steps import OPS, Step, evaluate, expression
from r1kit.nano.list_ops.task import ListOps, ListOpsTaskConfig, final_answer, hidden_tests
from r1kit.records import Completion, Group, Prompt
from r1kit.reward.settings import RewardConfig
from r1kit.reward.verifier import Verifier
from r1kit.sandbox import SandboxSettings
from r1kit.structure import plain
from r1kit.tasks import Spec
from r1kit.tasks.code import judge
from tests.nano.list_ops.evaluator import run
from tests.tasks.code.conftest import Counting

CONFIG = ListOpsTaskConfig()
STEPS = (Step("asc"), Step("prepend", 42))
PROMPT = Prompt(
    id="code/asked",
    task="code",
    question="list ascending then prepend 42",
    facts={"steps": [["asc", 0], ["prepend", 42]]},
)


@pytest.mark.parametrize(
    ("answer", "correct", "canonical"),
    [
        ("[ 42 ] + sorted ( xs )", 1, "[42] + sorted(xs)"),
        ("[42]+sorted(xs)", 1, "[42] + sorted(xs)"),
        ("( [ 42 ] ) + sorted ( xs )", 1, "[42] + sorted(xs)"),
        ("sorted ( xs ) + [ 42 ]", 0, "sorted(xs) + [42]"),
        ("[ 42 ] + sorted ( xs", 0, "[ 42 ] + sorted ( xs"),
        ("return [ 42 ] + sorted ( xs )", 0, "return [ 42 ] + sorted ( xs )"),
        ("x = 1", 0, "x = 1"),
        ("xs ; xs", 0, "xs ; xs"),
        ("[ 42 ] + sorted ( ys )", 0, "[42] + sorted(ys)"),
        ("", 0, ""),
    ],
)
def test_grades_by_hand(trusting: list[Counting], answer: str, correct: float, canonical: str) -> None:
    grade = ListOps("code", CONFIG).grade(PROMPT, answer)
    assert (grade.correct, grade.canonical) == (correct, canonical)


def test_the_sandbox_is_opened_for_the_first_program_and_equal_programs_run_once(trusting: list[Counting]) -> None:
    task = ListOps("code", CONFIG)
    assert task.grade(PROMPT, "not Python at all").correct == 0
    assert trusting == []
    for answer in ("[ 42 ] + sorted ( xs )", "[42]+sorted(xs)", "( [42] + sorted(xs) )"):
        assert task.grade(PROMPT, answer).correct == 1
    assert task.diagnose(PROMPT, "<answer> [ 42 ] + sorted ( xs ) </answer>")["answer_right"] == 1
    assert len(trusting) == 1
    assert len(trusting[0].ran) == 1
    assert len(trusting[0].ran[0].calls) == CONFIG.list_ops.hidden_tests
    task.judge.close()
    task.judge.close()
    assert trusting[0].closed == 1


def test_hidden_tests_are_drawn_for_one_prompt_alone_and_expect_by_value() -> None:
    tests = hidden_tests("code/test/3", STEPS, 12)
    assert tests == hidden_tests("code/test/3", STEPS, 12)
    assert tests != hidden_tests("code/test/4", STEPS, 12)
    assert len(tests) == 12
    for test in tests:
        values = ast.literal_eval(test.call.removeprefix("f(").removesuffix(")"))
        assert test.expect == [42, *sorted(values)]
    assert json.dumps(PROMPT.facts)


def test_hidden_tests_tell_a_step_from_what_it_is_mistaken_for() -> None:
    rng, config, caught, total = Random(0), ListOpsConfig(), 0, 0
    for number in range(300):
        steps = draw_problem(rng, config).steps
        tests = hidden_tests(f"code/train/{number}", steps, 12)
        for place, step in enumerate(steps):
            wrong = [Step(op, step.number or 1) for op in OPS[step.op].slips]
            wrong += [Step(step.op, step.number + 1)] if step.number else []
            for other in wrong:
                program = (*steps[:place], other, *steps[place + 1 :])
                if any(
                    evaluate(program, v) != evaluate(steps, v) for v in (rng.choices(range(30), k=9) for _ in range(50))
                ):
                    total += 1
                    caught += any(
                        run(expression(program), ast.literal_eval(test.call[2:-1])) != test.expect for test in tests
                    )
    assert total > 1500
    assert caught / total > 0.99


def test_diagnostics_by_hand(trusting: list[Counting]) -> None:
    task = ListOps("code", CONFIG)
    text = (
        "<think> try 7 3 9 ascending ` sorted ( xs ) [::-1] ` 9 7 3 no wait ascending ` sorted ( xs ) ` 3 7 9 yes "
        "再 prepend 42 ` [ 42 ] + sorted ( xs ) ` 42 3 7 9 对 </think> <answer> [ 42 ] + sorted ( xs ) </answer>"
    )
    found = task.diagnose(PROMPT, text)
    assert found == {
        "block": 1,
        "lint": 1,
        "runs": 1,
        "tests_passed": 1,
        "answer_right": 1,
        "expressions": 3,
        "turned_back": 1,
        "claims_hit": 1,
        "right_when_claims": 1,
    }
    untagged = task.diagnose(PROMPT, "try ascending ` sorted ( xs ) ` answer ` sorted ( xs ) `")
    assert (untagged["block"], untagged["runs"], untagged["answer_right"], untagged["claims_hit"]) == (1, 1, 0, 0)
    assert untagged["tests_passed"] < 1
    broken = task.diagnose(PROMPT, "<answer> sorted ( xs </answer>")
    assert (broken["block"], broken["lint"], broken["runs"]) == (1, 0, 0)
    raises = task.diagnose(PROMPT, "<answer> ys </answer>")
    assert (raises["lint"], raises["runs"], raises["tests_passed"]) == (1, 0, 0)
    assert set(task.diagnose(PROMPT, "try").values()) == {0.0}


def test_a_question_of_the_user_s_own(trusting: list[Counting]) -> None:
    task = ListOps("code", CONFIG)
    prompt = task.asked(" list ascending then  prepend 42 ")
    assert prompt is not None
    assert prompt.question == "list ascending then prepend 42"
    assert prompt.answer == "[ 42 ] + sorted ( xs )"
    assert task.grade(prompt, prompt.answer).correct == 1
    assert task.asked("use 7 1 5 make 34") is None


def test_final_answers() -> None:
    assert final_answer("answer ` xs [: 2 ] `") == "xs [: 2 ]"
    assert final_answer("答 xs") == "xs"
    assert final_answer("<answer> xs </answer> answer ys") == "xs"
    assert final_answer("try xs") is None


def test_without_a_sandbox_nothing_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(settings: SandboxSettings) -> None:
        raise MissingError("bubblewrap is missing")

    monkeypatch.setattr(judge, "open_sandbox", missing)
    with pytest.raises(MissingError, match="bubblewrap is missing"):
        ListOps("code", CONFIG).grade(PROMPT, "[ 42 ] + sorted ( xs )")


def test_the_verifier_judges_programs_behind_the_walls() -> None:
    task = ListOps("code", CONFIG)
    prompts = [task.train(0), *task.held_out("dev", 2)]
    reward = RewardConfig()

    def group(prompt: Prompt) -> Group:
        texts = (
            prompt.answer or "",
            "xs",
            "__import__('os').listdir('/home')",
            "( lambda f : f ( f ) ) ( lambda f : f ( f ) )",
        )
        return Group(
            prompt=prompt,
            prompt_ids=(),
            completions=tuple(
                Completion(
                    token_ids=(), logprobs=(), text=f"<think> try </think> <answer> {text} </answer>", finish="stop"
                )
                for text in texts
            ),
        )

    with Verifier({"code": Spec("code/list_ops", plain(CONFIG))}, {"code": reward}) as verifier:
        scores = verifier.score_groups([group(prompt) for prompt in prompts])
        diagnostics = verifier.diagnose_groups([group(prompt) for prompt in prompts])
    assert [[score.parts["accuracy"] for score in row] for row in scores] == [[1.0, 0.0, 0.0, 0.0]] * 3
    assert {score.status for row in scores for score in row} == {"ok"}
    assert [[each["runs"] for each in row] for row in diagnostics] == [[1.0, 1.0, 0.0, 0.0]] * 3
