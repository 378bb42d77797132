"""A user's rewards in the verifier process: every fault injected for real, told as a line of his file."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1kit.errors import InputError, R1Error
from r1kit.records import Completion, Group, Prompt, Score
from r1kit.reward.complaints import Complaints
from r1kit.reward.settings import PAID, RewardConfig
from r1kit.reward.verifier import Verifier

BUILDER = f"{__package__}.fake_tasks:build_task"
FAULT = "my_rewards.py:fault"
MINE = """\
import os, signal, subprocess, sys, time
from beside import half

def fault(prompt, completion):
    what = completion.text.partition("<answer>")[2].partition("</answer>")[0].strip()
    if what == "divide":
        return 1 / 0
    if what == "deep":
        return fault(prompt, completion)
    if what == "my loop":
        while True:
            time.sleep(0.01)
    if what == "nested":
        return half(None)
    if what == "my exit":
        sys.exit(3)
    if what == "interrupt":
        raise KeyboardInterrupt
    if what == "hard exit":
        os._exit(7)
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "fork":
        os.fork()
    if what == "sleeping copy" and os.fork() == 0:
        time.sleep(60)
    if what == "other program":
        os.execv("/bin/sleep", ["sleep", "60"])
    if what == "closed":
        os.closerange(3, 100)
    if what == "my memory":
        return len("x" * (8 << 30))
    if what == "nan":
        return float("nan")
    if what == "nan beside":
        return {"score": 1.0, "x": float("nan")}
    if what == "text":
        return "1.0"
    if what == "my print":
        for _ in range(3000):
            print("noise " * 100)
            print("noise " * 100, file=sys.stderr)
        subprocess.run(["echo", '[0, [9.0, {}, null, "ok", "", []]]'])
    if what == "abstain":
        return None
    if what == "more":
        return {"score": 0.5, "words": 4}
    return half(1.0)

def group(prompts, completions, **columns):
    if any("loop" in text for text in completions):
        while True:
            pass
    if any("divide" in text for text in completions):
        return [1 / 0]
    if any("hard exit" in text for text in completions):
        os._exit(7)
    if any("short" in text for text in completions):
        return [1.0]
    return [float(len(completions))] * len(completions)

def slow_at_first(completion, seen=[]):
    if not seen:
        seen.append(time.sleep(1.0))
    return 1.0

def greedy(prompt, completion, wanted):
    return 0.0

def never(prompt, completion):
    while True:
        pass
"""


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    (folder / "beside.py").write_text("def half(x):\n    return x / 2\n")
    (folder / "my_rewards.py").write_text(MINE)
    return folder / "my_rewards.py"


def verifier(parts: dict[str, float], **settings: object) -> Verifier:
    merged = {"deadline_seconds": 0.5, "builder": BUILDER, **settings}
    return Verifier({"fake": None}, {"fake": RewardConfig(parts=parts)}, **merged)  # type: ignore[arg-type]


def group(*answers: str) -> Group:
    texts = [f"<think>hm</think> <answer>{answer}</answer>" for answer in answers]
    prompt = Prompt(id="fake/train/0", task="fake", question="?", answer="42")
    rows = [Completion(token_ids=(1, 2), logprobs=(0.0, 0.0), text=text, finish="stop") for text in texts]
    return Group(prompt=prompt, prompt_ids=(1,), completions=tuple(rows))


@pytest.fixture(scope="module")
def judge(mine: Path) -> Iterator[Verifier]:
    with verifier({**PAID, f"{mine}:fault": 0.1}) as made:
        yield made


LINE = {name: MINE.splitlines().index(text) + 1 for name, text in {
    "divide": "        return 1 / 0", "exit": "        sys.exit(3)",
    "loop": "            time.sleep(0.01)", "interrupt": "        raise KeyboardInterrupt",
    "memory": '        return len("x" * (8 << 30))',
}.items()}  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "status", "cause"),
    [
        ("divide", "ungradable", f"my_rewards.py:{LINE['divide']}: ZeroDivisionError: division by zero"),
        ("nested", "ungradable", "beside.py:2: TypeError: unsupported operand type(s) for /: 'NoneType' and 'int'"),
        ("my exit", "ungradable", f"my_rewards.py:{LINE['exit']}: SystemExit: 3"),
        ("interrupt", "ungradable", f"my_rewards.py:{LINE['interrupt']}: KeyboardInterrupt"),
        ("my memory", "ungradable", f"my_rewards.py:{LINE['memory']}: MemoryError"),
        ("hard exit", "ungradable", "my_rewards.py:fault: the verifier process ended: exit code 7"),
        ("kill", "ungradable", "my_rewards.py:fault: the verifier process ended: signal SIGKILL"),
        (
            "other program",
            "ungradable",
            "my_rewards.py:fault: the verifier process ended: it closed the verifier's pipe",
        ),
        ("closed", "ungradable", "my_rewards.py:fault: the verifier process ended: exit code 1"),
        ("my loop", "timeout", f"my_rewards.py:{LINE['loop']}: fault took more than 0.5 s and was stopped"),
        ("nan", "ungradable", "my_rewards.py:fault gave nan; a reward is a finite number"),
        (
            "nan beside",
            "ungradable",
            "my_rewards.py:fault gave x = nan; what is beside a reward is finite, or left out",
        ),
        ("text", "ungradable", "my_rewards.py:fault gave str '1.0'; a reward is a number"),
    ],
)
def test_a_fault_costs_its_own_completion_and_is_told_in_a_line(
    judge: Verifier, fault: str, status: str, cause: str
) -> None:
    row, after = judge.score_groups([group("42", fault, "42", "x"), group("42")])
    assert [score.total for score in (*row, *after)] == pytest.approx([1.25, 0.0, 1.25, 0.25, 1.25])
    assert [score.status for score in (*row, *after)] == ["ok", status, "ok", "ok", "ok"]
    assert row[1].cause.startswith(cause)
    assert row[1].parts == {"accuracy": 0.0, "format": 1.0, "language": 1.0}


def test_a_recursion_without_end_is_told(judge: Verifier) -> None:
    (row,) = judge.score_groups([group("deep", "42")])
    assert [score.status for score in row] == ["ungradable", "ok"]
    assert re.match(r"my_rewards\.py:\d+: RecursionError: maximum recursion depth exceeded", row[0].cause)


@pytest.mark.parametrize("harmless", ["my print", "fork", "sleeping copy"])
def test_printing_and_forking_do_no_harm(judge: Verifier, harmless: str, capfd: pytest.CaptureFixture[str]) -> None:
    (row,) = judge.score_groups([group("42", harmless, "42")])
    assert [score.status for score in row] == ["ok"] * 3
    assert [score.parts[FAULT] for score in row] == [0.5] * 3
    assert capfd.readouterr() == ("", "")


def test_abstaining_and_further_numbers(judge: Verifier) -> None:
    (row,) = judge.score_groups([group("42", "abstain", "more")])
    assert row[1].abstained == (FAULT,)
    assert FAULT not in row[1].parts
    assert row[2].parts == {"accuracy": 0.0, "format": 1.0, "language": 1.0, FAULT: 0.5, f"{FAULT}/words": 4.0}
    assert [score.total for score in row] == pytest.approx([1.25, 0.2, 0.25])


def test_several_faults_in_a_row_with_two_workers(mine: Path) -> None:
    answers = ["42", "hard exit", "my loop", "42", "divide", "kill", "42"]
    with verifier({f"{mine}:fault": 1.0}, workers=2) as made:
        rows = made.score_groups([group(*answers), group(*reversed(answers))])
    expected = ["ok", "ungradable", "timeout", "ok", "ungradable", "ungradable", "ok"]
    assert [score.status for score in rows[0]] == expected
    assert [score.status for score in rows[1]] == expected[::-1]


# ---- functions of whole groups ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status", "cause"),
    [
        ("loop", "timeout", ": group took more than 0.5 s and was stopped"),
        ("divide", "ungradable", ": ZeroDivisionError: division by zero"),
        ("hard exit", "ungradable", "my_rewards.py:group: the verifier process ended: exit code 7"),
    ],
)
def test_a_fault_in_a_function_of_the_group_is_paid_once(mine: Path, fault: str, status: str, cause: str) -> None:
    with verifier({**PAID, f"{mine}:group": 0.1}) as made:
        made.score_groups([group("42")])
        began = time.monotonic()
        before, row, after = made.score_groups([group("42", "42"), group("42", fault, *["42"] * 14), group("42")])
        seconds = time.monotonic() - began
    assert {score.status for score in row} == {status}
    assert all(cause in score.cause for score in row)
    assert [score.total for score in row] == [0.0] * 16
    assert [score.total for score in (*before, *after)] == pytest.approx([1.4, 1.4, 1.3])
    assert seconds < 8 * 0.5 + 10


def test_a_completion_lost_beside_it_leaves_the_group_whole(mine: Path) -> None:
    with verifier({f"{mine}:fault": 0.0, f"{mine}:group": 1.0}) as made:
        (row,) = made.score_groups([group("42", "kill", "42", "x")])
    assert [score.status for score in row] == ["ok", "ungradable", "ok", "ok"]
    assert [score.parts.get("my_rewards.py:group") for score in row] == [4.0, None, 4.0, 4.0]


def test_a_list_of_another_length_ends_the_run(mine: Path) -> None:
    with verifier({f"{mine}:group": 1.0}) as made:
        made.score_groups([group("42")])
        with pytest.raises(InputError, match=r"^my_rewards.py:group gave 1 values for 3 completions"):
            made.score_groups([group("42", "short", "x")])


# ---- before the first completion --------------------------------------------------------------------------------


def test_what_is_slow_at_first_is_no_completion_s_fault(mine: Path) -> None:
    with verifier({f"{mine}:slow_at_first": 1.0}) as made:
        assert made.score_groups([group("42")])[0][0].status == "ok"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("greedy", r"^my_rewards.py:greedy asks for 'wanted'; there are answer, language, task, "),
        ("gredy", r"my_rewards.py has no 'gredy'. Did you mean 'greedy'\?$"),
        ("half", r"^my_rewards.py:half is not a reward: write f\(prompt, completion\)"),
    ],
)
def test_a_function_that_cannot_be_used_ends_the_run_in_one_line(mine: Path, name: str, line: str) -> None:
    with verifier({f"{mine}:{name}": 1.0}) as made, pytest.raises(InputError, match=line):
        made.score_groups([group("42")])


def test_a_file_with_a_syntax_error_is_told_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "typo.py").write_text("x = 1\ndef f(completion)\n    return 1.0\n")
    with verifier({f"{tmp_path}/typo.py:f": 1.0}) as made, pytest.raises(InputError, match=r"typo.py:2: SyntaxError: "):
        made.score_groups([group("42")])


@pytest.mark.slow
def test_one_that_never_comes_back_ends_the_run_with_its_name(mine: Path) -> None:
    with (
        verifier({f"{mine}:never": 1.0}, warmup_seconds=6.0) as made,
        pytest.raises(
            R1Error, match=r"^the first call of my_rewards.py:never took more than 6 s .*at my_rewards.py:\d+: never$"
        ),
    ):
        made.score_groups([group("42")])


# ---- what the user sees -----------------------------------------------------------------------------------------


def test_complaints_are_told_once_a_kind_with_a_count() -> None:
    def failed(cause: str, status: str = "ungradable") -> Score:
        return Score(total=0.0, status=status, cause=cause)  # type: ignore[arg-type]

    told = Complaints()
    told.add([failed("my.py:12: KeyError: 'a'"), failed("my.py:12: KeyError: 'b'"), Score(total=1.0)])
    told.add(
        [failed("ValueError: of a task of ours"), failed("the rule took more than 10 s and was stopped", "timeout")]
    )
    assert told.fresh() == ["warning: my.py:12: KeyError: 'a' (seen 2 times so far)"]
    assert told.fresh() == []
    told.add([failed("my.py:f gave nan; a reward is a finite number"), failed("my.py:12: KeyError: 'c'")])
    told.add([failed("my.py:14: f took more than 1 s and was stopped", "timeout")])
    assert told.fresh() == [
        "warning: my.py:f gave nan; a reward is a finite number (seen 1 time so far)",
        "warning: my.py:14: f took more than 1 s and was stopped (seen 1 time so far)",
    ]
    assert told.rest() == ["warning: my.py:12: KeyError: 'a' (seen 3 times in all)"]
    assert told.rest() == []
    told.add([failed("my.py:f gave str 'good'; a reward is a number"), failed("my.py:T.grade gave None; a grade is")])
    assert told.fresh() == [
        "warning: my.py:f gave str 'good'; a reward is a number (seen 1 time so far)",
        "warning: my.py:T.grade gave None; a grade is (seen 1 time so far)",
    ], "not counted with those that gave nan"
