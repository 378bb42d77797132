from random import Random

import pytest

from r1kit.nano.list_ops.problems import ListOpsConfig, draw_problem
from r1kit.nano.list_ops.steps import OPS, Step, evaluate, expression, parse_question, question
from tests.nano.list_ops.evaluator import run

SOURCE = (Step("asc"), Step("prepend", 42))


@pytest.mark.parametrize(
    ("steps", "english", "chinese", "code", "values", "made"),
    [
        (
            SOURCE,
            "list ascending then prepend 42",
            "列表 升序 再 开头 42",
            "[ 42 ] + sorted ( xs )",
            [5, 2, 9, 1],
            [42, 1, 2, 5, 9],
        ),
        (
            (Step("desc"), Step("first", 2), Step("append", 30)),
            "list descending then first 2 then append 30",
            "列表 降序 再 前 2 再 末尾 30",
            "sorted ( xs ) [::-1] [: 2 ] + [ 30 ]",
            [5, 2, 9, 1],
            [9, 5, 30],
        ),
        (
            (Step("append", 7), Step("drop", 1), Step("reverse")),
            "list append 7 then drop 1 then reverse",
            "列表 末尾 7 再 去 1 再 倒序",
            "( xs + [ 7 ] ) [ 1 :] [::-1]",
            [3, 2, 9, 1],
            [7, 1, 9, 2],
        ),
        (
            (Step("above", 1), Step("add", 3), Step("last", 2)),
            "list above 1 then add 3 then last 2",
            "列表 大于 1 再 加 3 再 后 2",
            "[ x + 3 for x in [ x for x in xs if x > 1 ] ] [- 2 :]",
            [5, 1, 2, 9],
            [5, 12],
        ),
        (
            (Step("double"), Step("below", 10)),
            "list double then below 10",
            "列表 翻倍 再 小于 10",
            "[ x for x in [ x * 2 for x in xs ] if x < 10 ]",
            [5, 2, 9, 1],
            [4, 2],
        ),
    ],
)
def test_sentence_code_and_value_by_hand(
    steps: tuple[Step, ...], english: str, chinese: str, code: str, values: list[int], made: list[int]
) -> None:
    assert question(steps, "en") == english
    assert question(steps, "zh") == chinese
    assert parse_question(english) == (steps, "en")
    assert parse_question(chinese) == (steps, "zh")
    assert expression(steps) == code
    assert evaluate(steps, values) == run(code, values) == made


def test_every_expression_is_python_that_does_what_the_steps_do() -> None:
    rng, config = Random(0), ListOpsConfig(lengths=(0.3, 0.3, 0.4))
    for _ in range(500):
        steps = draw_problem(rng, config).steps
        code = expression(steps)
        for length in (0, 1, 3, 8):
            values = rng.choices(range(30), k=length)
            assert run(code, values) == evaluate(steps, values)


def test_slips_are_other_ops() -> None:
    for name, op in OPS.items():
        assert op.slips
        assert name not in op.slips
        assert set(op.slips) <= set(OPS)


def test_steps_leave_their_input_alone() -> None:
    for name in OPS:
        values = [3, 1, 2]
        evaluate((Step(name, 2),), values)
        assert values == [3, 1, 2]


@pytest.mark.parametrize(
    "text", ["", "list", "use 1 2 make 3", "list ascending then", "list first", "list first x", "list 升序"]
)
def test_what_is_no_question(text: str) -> None:
    assert parse_question(text) is None
