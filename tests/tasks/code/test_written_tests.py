import json
from pathlib import Path

import pytest

from r1kit.errors import InputError
from r1kit.nano.list_ops.task import ListOps, ListOpsTaskConfig
from r1kit.nano.list_ops.untested import RuleWriter, list_ops_subject
from r1kit.records import Sampling
from r1kit.rollout.scripted import CodePoints, ScriptedEngine
from r1kit.sandbox import CallTest, SandboxSettings, StdinTest, open_sandbox
from r1kit.tasks.code.written_by import KINDS, EngineWriter, asking, read_drafts
from r1kit.tasks.code.written_tests import Draft, Subject, cached_tests, write_tests
from tests.tasks.code.conftest import Counting, Trusting

BIGGEST = Subject(
    id="biggest",
    question="Give the largest number of a list, 0 for an empty one.",
    entry="biggest",
    trusted=("def biggest(xs):\n    return max(xs, default=0)", "def biggest(xs):\n    return sorted([0, *xs])[-1]"),
    wrong=("def biggest(xs):\n    return xs[-1] if xs else 0", "def biggest(xs):\n    return max(xs)"),
)
DRAFTS = [
    Draft(generator="print([[3, 9, 2]])"),  # the first wrong one says 2
    Draft(generator="print([[1, 5]])"),  # nothing is told apart
    Draft(generator="print([[-1, -2]])"),  # the trusted ones disagree: -1 and 0
    Draft(generator="print([[]])"),  # the second wrong one raises
    Draft(generator="print([['a', 1]])"),  # the trusted ones raise
    Draft(generator="print('hello')"),
    Draft(generator="print(7)"),
    Draft(generator="raise ValueError"),
    Draft(generator="print([[3, 9, 2]])  # again"),
    Draft(check=CallTest("biggest([4, 1])", 4)),
    Draft(check=CallTest("biggest([4, 2])", 2)),  # the writer is wrong
]


class Fixed:
    name = "fixed"

    def __init__(self, drafts: list[Draft]) -> None:
        self.made, self.asked = drafts, 0

    def drafts(self, subject: Subject) -> list[Draft]:
        self.asked += 1
        return self.made


@pytest.fixture
def sandbox():  # type: ignore[no-untyped-def]
    opened = open_sandbox(SandboxSettings())
    yield opened
    opened.close()


def test_what_is_kept_and_why_the_others_are_not_by_hand(sandbox) -> None:  # type: ignore[no-untyped-def]
    written = write_tests(BIGGEST, Fixed(DRAFTS), sandbox)
    assert written.tests == (
        CallTest("biggest([3, 9, 2])", 9),
        CallTest("biggest([])", 0),
        CallTest("biggest([4, 1])", 4),
    )
    assert written.exposes == (1, 1, 1)
    assert [origin.split()[0] for origin in written.origins] == ["generator", "generator", "check"]
    assert written.drafts == 11
    assert written.writer == "fixed"
    assert written.dropped == {
        "a trusted solution fails it": 2,
        "a trusted solution gives no plain value": 1,
        "no wrong solution fails it": 1,
        "the generator gave no input (error)": 1,
        "the generator printed no list of arguments": 2,
        "the same input as another": 1,
    }


def test_programs_that_print_by_hand(sandbox) -> None:  # type: ignore[no-untyped-def]
    subject = Subject(
        id="sum",
        question="Print the sum.",
        trusted=("print(sum(map(int, input().split())))",),
        wrong=("a, b = map(int, input().split())\nprint(a + b)",),
    )
    drafts = [Draft(generator="print(1, 2, 3)"), Draft(generator="print(1, 2)"), Draft(check=CallTest("f(1)", 2))]
    written = write_tests(subject, Fixed(drafts), sandbox)
    assert written.tests == (StdinTest("1 2 3\n", "6\n"),)
    assert written.dropped == {"a check of a call, but programs print": 1, "no wrong solution fails it": 1}


def test_a_model_is_asked_for_every_kind_and_for_checks(sandbox) -> None:  # type: ignore[no-untyped-def]
    def script(prompt: tuple[int, ...], seed: int, row: int) -> str:
        asked = CodePoints().decode(list(prompt))
        if "one assert a line" in asked:
            return "Here:\n```python\n# checks\nassert biggest([8, 6]) == 8\nassert biggest(\n```"
        if "one element repeated" in asked:
            return "I cannot."
        kind = next(place for place, kind in enumerate(KINDS) if kind in asked)
        return f"```python\nprint([[{kind + 1}, 0]])\n```"

    engine = ScriptedEngine(script)
    sampling = Sampling(n=1, max_tokens=200)
    writer = EngineWriter(engine=engine, encode=CodePoints().encode, model="scripted", sampling=sampling)
    written = write_tests(BIGGEST, writer, sandbox)
    assert written.writer == "model scripted, seed 0"
    assert len(engine.calls[0][0]) == len(KINDS) + 1
    assert len(set(engine.calls[0][2])) == len(KINDS) + 1
    assert written.tests[-1] == CallTest("biggest([8, 6])", 8)
    assert len(written.tests) == len(KINDS)  # all kinds but one, and one check
    assert written.drafts == len(KINDS)


def test_replies_that_propose_nothing() -> None:
    assert read_drafts("no code") == []
    block = "```python\nassert f(1) == {}\n```"
    for begins in ("<think>\n", "", "[THINK]"):
        closes = "[/THINK]" if "[" in begins else "</think>"
        written = read_drafts(f"{begins}say {block.format(3)}{closes}\n{block.format(2)}")
        assert written == [Draft(check=CallTest("f(1)", 2, python=True))]
        assert read_drafts(f"{begins}say {block.format(3)}{closes} I do not know") == []
    assert read_drafts(f"<think>say {block.format(3)}") == []
    assert read_drafts("```js\nx\n```") == []
    assert read_drafts("```python\nassert f(1) == 2\n```") == [Draft(check=CallTest("f(1)", 2, python=True))]
    assert read_drafts("```python\nimport x\nassert f(1) == 2\n```") == [
        Draft(generator="import x\nassert f(1) == 2\n")
    ]
    assert "as one Python list" in asking(BIGGEST, KINDS[0])


def test_the_nano_stand_in_says_that_it_is_one_and_tells_near_misses_apart() -> None:
    task = ListOps("code", ListOpsTaskConfig())
    for prompt in task.held_out("test", 8):
        subject = list_ops_subject(prompt)
        written = write_tests(subject, RuleWriter(), Trusting())
        assert written.writer == "rules (no model), seed 0"
        assert len(written.tests) >= 4
        space: dict[str, object] = {}
        exec(subject.trusted[0], space)
        for test in written.tests:
            assert isinstance(test, CallTest)
            assert eval(test.call, space) == test.expect
        for program in subject.wrong:
            exec(program, space)
            assert any(isinstance(test, CallTest) and eval(test.call, space) != test.expect for test in written.tests)


def test_the_cache_asks_once_and_gives_back_the_same(tmp_path: Path) -> None:
    sandbox, checks = Counting(Trusting()), Fixed([Draft(check=CallTest("biggest([9, 3])", 9))])
    first = cached_tests(tmp_path / "tests", BIGGEST, checks, sandbox)
    assert first == cached_tests(tmp_path / "tests", BIGGEST, checks, sandbox)
    assert first.tests == (CallTest("biggest([9, 3])", 9),)
    assert checks.asked == 1
    (file,) = (tmp_path / "tests").iterdir()
    assert json.loads(file.read_text())["id"] == "biggest"
    file.write_text("{}")
    with pytest.raises(InputError, match="not a file of written tests"):
        cached_tests(tmp_path / "tests", BIGGEST, checks, sandbox)


def test_a_subject_needs_right_and_wrong_solutions() -> None:
    with pytest.raises(InputError, match="need a trusted solution and one that is known to be wrong"):
        Subject(id="x", question="", trusted=("pass",), wrong=())
