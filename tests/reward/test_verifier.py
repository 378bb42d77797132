"""Verifier: order, statuses, and faults injected for real."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1kit.errors import InputError, MissingError, R1Error
from r1kit.evals.numbers import match_scores
from r1kit.records import Completion, Group, Prompt, Score
from r1kit.reward.settings import RewardConfig
from r1kit.reward.verifier import Verifier

BUILDER = f"{__package__}.fake_tasks:build_task"


def completion(answer: str, finish: str = "stop") -> Completion:
    text = f"<think>hm</think> <answer>{answer}</answer>"
    return Completion(token_ids=(1, 2, 3), logprobs=(0.0, 0.0, 0.0), text=text, finish=finish)  # type: ignore[arg-type]


def group(*answers: str, task: str = "fake", reference: str | None = "42") -> Group:
    prompt = Prompt(id=f"{task}/dev/0", task=task, question="?", answer=reference)
    return Group(prompt=prompt, prompt_ids=(1,), completions=tuple(completion(answer) for answer in answers))


def verifier(**settings: object) -> Verifier:
    merged = {"deadline_seconds": 1.0, "builder": BUILDER, **settings}
    return Verifier({"fake": None}, {"fake": RewardConfig()}, **merged)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def shared() -> Iterator[Verifier]:
    with verifier() as made:
        yield made


def test_scores_come_in_order_with_parts_and_canonical_answers(shared: Verifier) -> None:
    scores = shared.score_groups([group("42", "A b"), group(), group("7", reference="7")])
    assert [[score.total for score in row] for row in scores] == [[1.2, 0.2], [], [1.2]]
    assert scores[0][1] == Score(total=0.2, parts={"accuracy": 0.0, "format": 1.0, "language": 1.0}, answer="a b")


@pytest.mark.parametrize(
    ("fault", "status", "cause"),
    [
        ("raise", "ungradable", "ValueError: cannot parse"),
        ("recurse", "ungradable", "RecursionError"),
        ("memory", "ungradable", "MemoryError"),
        ("polite exit", "ungradable", "SystemExit: 0"),
        ("exit", "ungradable", "the verifier process ended: exit code 7"),
        ("abort", "ungradable", "the verifier process ended: signal SIGABRT"),
        ("loop", "timeout", "the rule took more than 1 s and was stopped"),
        ("loop in c", "timeout", "the rule took more than 1 s and was stopped"),
    ],
)
def test_a_fault_costs_its_own_sample_alone(shared: Verifier, fault: str, status: str, cause: str) -> None:
    row, after = shared.score_groups([group("42", fault, "42", "x"), group("42")])
    assert [score.total for score in (*row, *after)] == [1.2, 0.0, 1.2, 0.2, 1.2]
    assert [score.status for score in (*row, *after)] == ["ok", status, "ok", "ok", "ok"]
    assert row[1].cause.startswith(cause)
    assert row[1].parts == {"accuracy": 0.0, "format": 1.0, "language": 1.0}
    assert row[1].answer is None


def test_several_faults_in_a_row_with_two_workers() -> None:
    answers = ["42", "exit", "exit", "loop", "42", "raise", "abort", "42"]
    with verifier(workers=2) as judge:
        rows = judge.score_groups([group(*answers), group(*reversed(answers))])
    expected = ["ok", "ungradable", "ungradable", "timeout", "ok", "ungradable", "ungradable", "ok"]
    assert [score.status for score in rows[0]] == expected
    assert [score.status for score in rows[1]] == expected[::-1]


def test_printing_and_huge_answers_do_not_break_the_protocol(shared: Verifier) -> None:
    (row,) = shared.score_groups([group("print", "huge", "42")])
    assert [score.status for score in row] == ["ok"] * 3
    assert [score.answer for score in row] == ["printed", None, "42"]


def test_the_worker_imports_neither_torch_nor_numpy(shared: Verifier) -> None:
    assert shared.score_groups([group("modules")])[0][0].answer == "False"


def test_building_a_task_does_not_count_towards_the_deadline() -> None:
    with Verifier({"fake": "slow"}, {"fake": RewardConfig()}, deadline_seconds=0.3, builder=BUILDER) as judge:
        assert judge.score_groups([group("42")])[0][0].status == "ok"


def test_a_task_that_cannot_be_built_ends_the_run_with_its_cause() -> None:
    with (
        Verifier({"fake": "broken"}, {"fake": RewardConfig()}, builder=BUILDER) as judge,
        pytest.raises(R1Error, match="task 'fake' could not be built in the verifier: ValueError: no such generator"),
    ):
        judge.score_groups([group("42")])


def test_what_a_task_misses_on_this_machine_is_told_as_such() -> None:
    with (
        Verifier({"fake": "missing"}, {"fake": RewardConfig()}, builder=BUILDER) as judge,
        pytest.raises(MissingError, match=r"^bubblewrap is missing; run: apt-get install bubblewrap$"),
    ):
        judge.score_groups([group("42")])


def test_a_worker_killed_between_calls_is_replaced_and_costs_nothing() -> None:
    with verifier() as judge:
        judge.score_groups([group("42")])
        os.kill(judge._workers[0].process.pid, signal.SIGKILL)
        time.sleep(0.05)
        assert judge.score_groups([group("42")])[0][0].status == "ok"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
@pytest.mark.parametrize("times", [1, 2])
def test_a_worker_that_is_struck_costs_nothing_the_first_time(
    number: signal.Signals, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that is out of memory kills what it likes, and the bits of a run do not hang on that."""
    monkeypatch.setenv("STRUCK", f"{tmp_path} {int(number)} {times}")
    with verifier(deadline_seconds=0.7) as judge:
        (row,) = judge.score_groups([group("42", "struck", "42")])
    failed = "timeout" if number == signal.SIGSTOP else "ungradable"
    assert [score.status for score in row] == ["ok", "ok" if times == 1 else failed, "ok"]
    assert len(list(tmp_path.iterdir())) == times


def test_a_worker_that_was_stopped_with_its_parent_is_not_late() -> None:
    script = (
        "from reward.test_verifier import *\nwith verifier() as judge:\n    judge.score_groups([group('42')])\n"
        "    print(judge._workers[0].process.pid, flush=True)\n"
        "    print(judge.score_groups([group('slow')])[0][0].status)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        both = (parent.pid, int(parent.stdout.readline()))
        time.sleep(0.3)
        for pid in both:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(2.5)
        for pid in both:
            os.kill(pid, signal.SIGCONT)
        assert parent.stdout.read() == "ok\n"


def test_diagnostics_come_per_completion_and_are_empty_where_they_fail(shared: Verifier) -> None:
    (row,) = shared.diagnose_groups([group("7", "undiagnosable")])
    assert row == [{"length": float(len("<think>hm</think> <answer>7</answer>"))}, {}]


def test_rewards_of_another_length_are_refused() -> None:
    score = Score(total=1.0)
    match_scores([group("1", "2")], [[score, score]])
    with pytest.raises(R1Error, match="1 rewards were given for the 2 completions of fake/dev/0"):
        match_scores([group("1", "2")], [[score]])
    with pytest.raises(R1Error, match="for 2 groups, but 1 were sampled"):
        match_scores([group("1")], [[score], [score]])


def test_bad_settings_are_input_errors() -> None:
    with pytest.raises(InputError, match="give each task one reward"):
        Verifier({"a": None}, {"b": RewardConfig()})
    with pytest.raises(InputError, match="workers >= 1"):
        verifier(workers=0)
    with verifier() as judge, pytest.raises(InputError, match="names task 'other'"):
        judge.score_groups([group("42", task="other")])


def test_works_in_a_process_with_busy_threads() -> None:
    stop = threading.Event()
    threads = [threading.Thread(target=stop.wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        with verifier() as judge:
            assert judge.score_groups([group("42", "exit")])[0][1].status == "ungradable"
    finally:
        stop.set()


@pytest.mark.parametrize("answer", ["42", "loop in c"])
def test_no_worker_outlives_a_killed_parent(answer: str) -> None:
    script = textwrap.dedent(f"""
        import threading, time
        from {__name__} import group, verifier
        judge = verifier(deadline_seconds=60)
        judge.score_groups([group("42")])
        print(judge._workers[0].process.pid, flush=True)
        judge.score_groups([group({answer!r})])
        time.sleep(60)
    """)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    time.sleep(0.2)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 5
    while _running(worker) and time.monotonic() < until:
        time.sleep(0.02)
    assert not _running(worker)


def _running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_call_that_was_broken_off_does_not_spoil_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with verifier() as judge:
        judge.score_groups([group("42")])
        with monkeypatch.context() as patched:
            patched.setattr("r1kit.reward.process.json.loads", _interrupt)
            with pytest.raises(KeyboardInterrupt):
                judge.score_groups([group("42", "x", "42")])
        assert [score.total for score in judge.score_groups([group("x", "42")])[0]] == [0.2, 1.2]


def _interrupt(line: bytes) -> None:
    raise KeyboardInterrupt


def test_a_verifier_that_answers_out_of_turn_is_refused() -> None:
    with verifier() as judge:
        judge.score_groups([group("42")])
        judge._workers[0].buffer = b'[5, [1.0, {}, null, "ok", ""]]\n'
        with pytest.raises(R1Error, match="answered sample 5 where sample 0 was due"):
            judge.score_groups([group("42")])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_mixture_of_faults_keeps_every_other_sample(workers: int) -> None:
    expected = {"42": "ok", "x": "ok", "huge": "ok", "print": "ok", "raise": "ungradable", "exit": "ungradable"}
    expected |= {"abort": "ungradable", "loop": "timeout", "loop in c": "timeout", "memory": "ungradable"}
    weights = [40, 20, 2, 2, 5, 5, 2, 1, 1, 2]
    rng = random.Random(workers)
    with verifier(workers=workers) as judge:
        for _ in range(5):
            answers = [rng.choices(list(expected), weights, k=rng.randint(0, 9)) for _ in range(12)]
            rows = judge.score_groups([group(*each) for each in answers])
            assert [[score.status for score in row] for row in rows] == [
                [expected[each] for each in row] for row in answers
            ]
            assert [[score.total == 1.2 for score in row] for row in rows] == [
                [each == "42" for each in row] for row in answers
            ]
