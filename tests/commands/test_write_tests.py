"""``r1 write-tests``: by rules and by a model, what is written and said, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from r1kit.cli import app
from r1kit.commands.arguments import Opened
from r1kit.errors import InputError, MissingError, R1Error
from r1kit.rollout.scripted import CodePoints, ScriptedEngine
from r1kit.tasks import build
from r1kit.tasks.code.written_by import KINDS

needs_walls = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")

BIGGEST = {
    "id": "biggest",
    "prompt": "Give the largest number of a list, 0 for an empty one.",
    "entry": "biggest",
    "solutions": [
        "def biggest(xs):\n    return max(xs, default=0)",
        "biggest = lambda xs: sorted(xs)[-1] if xs else 0",
    ],
    "wrong": ["def biggest(xs):\n    return xs[-1] if xs else 0", "def biggest(xs):\n    return max(xs)"],
    "language": "en",
}
SUM = {
    "prompt": "Print the sum of the numbers.",
    "solutions": ["print(sum(map(int, input().split())))"],
    "wrong": ["a, b = map(int, input().split())\nprint(a + b)", "print(6)"],
}


def write_tests(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["write-tests", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def file_of(folder: Path, *lines: object) -> Path:
    path = folder / "problems.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def grades(form: Any, path: Path, programs: list[str], place: int = 0) -> list[float]:
    """As training judges them, by the file alone."""
    task = build("t", f"code/{form}", {"path": str(path), "test_path": str(path)})
    prompt = task.held_out("test")[place]
    try:
        return [task.grade(prompt, program).correct for program in programs]
    finally:
        task.judge.close()  # type: ignore[union-attr]


Script = Callable[[str], str]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Script], ScriptedEngine]:
    """What --model opens from then on: a script from the text that is asked to the reply."""

    def answer(script: Script, positions: int = 4000) -> ScriptedEngine:
        engine = ScriptedEngine(lambda prompt, seed, row: script(CodePoints().decode(list(prompt))))
        engine.close = lambda: None  # type: ignore[method-assign]  # a later command opens a model of its own
        opened = Opened(engine=engine, encode=CodePoints().encode, positions=positions, folder=tmp_path)
        monkeypatch.setattr("r1kit.commands.arguments.open_model", lambda subject, rows: opened)
        monkeypatch.setattr("r1kit.checkpoint.source.check_model", lambda name: None)
        return engine

    return answer


def kind_of(asked: str) -> int:
    return next((place for place, kind in enumerate(KINDS) if kind in asked), len(KINDS))


def fenced(program: str) -> str:
    return f"<think>so</think>\n```python\n{program}\n```"


@needs_walls
def test_list_ops_by_rules(tmp_path: Path) -> None:
    told = write_tests("code/list_ops", "--to", tmp_path / "a.jsonl", "--limit", 3, "--cache", tmp_path / "kept")
    assert "no model: fixed rules for lists of numbers stand in for one (seed 0)\n" in told
    assert "a.jsonl: 3 of 3 problems (0 left out without a kept test); 48 tests written, " in told
    assert f"r1 tasks code/mbpp/{tmp_path}/a.jsonl shows them" in told
    lines = lines_of(tmp_path / "a.jsonl")
    for place, line in enumerate(lines):
        made = line["provenance"]
        assert made["writer"] == "rules (no model), seed 0"
        assert made["written"] == 16 == made["kept"] + made["no_wrong_fails"] + made["unusable"]
        assert len(line["test_list"]) == made["kept"] == len(made["origins"]) == len(made["exposes"])
        assert made["caught"] == made["wrong"] > 0
        right, planted = line["code"], "def f(xs):\n    return [*xs, 4711]"
        assert grades("mbpp", tmp_path / "a.jsonl", [right, planted], place) == [1.0, 0.0]
    assert len(list((tmp_path / "kept" / "rules").iterdir())) == 3
    first = (tmp_path / "a.jsonl").read_bytes()
    write_tests("code/list_ops", "--to", tmp_path / "a.jsonl", "--limit", 3, "--cache", tmp_path / "kept")
    assert (tmp_path / "a.jsonl").read_bytes() == first
    shown = CliRunner().invoke(app, ["tasks", f"code/mbpp/{tmp_path / 'a.jsonl'}", "--show", "1"]).output
    assert lines[0]["text"] in shown


@needs_walls
def test_functions_by_a_model(tmp_path: Path, model: Callable[[Script], ScriptedEngine]) -> None:
    inputs = ["[[3, 9, 2]]", "[[1, 5]]", "[[-1, -2]]", "[[]]", "7", "[[3, 9, 2]]", "[['a', 1]]"]

    def script(asked: str) -> str:
        if "one assert a line" in asked:
            return fenced("assert biggest([4, 1]) == 4\nassert biggest([40, 2]) == 2")
        return fenced(f"print({inputs[kind_of(asked)]})") if "largest" in asked else "I cannot."

    engine = model(script)
    other = {**BIGGEST, "id": "other", "prompt": "Another.", "cluster": "c"}
    problems = file_of(tmp_path, BIGGEST, "", other)
    command_line = (problems, "--to", tmp_path / "a.jsonl", "--model", "scripted", "--cache", tmp_path / "kept")
    told = write_tests(*command_line)
    assert "1/2" in told
    assert (
        "a.jsonl: 1 of 2 problems (0 left out without a kept test, 1 with a single one, which mbpp shows); 11 tests "
        "written, 4 kept, 3 dropped by a trusted solution, 1 because no wrong one fails, 2 unusable (no input, "
        "or the same as another); "
        "they catch 2 of 2 wrong programs"
    ) in " ".join(told.split())
    (line,) = lines_of(tmp_path / "a.jsonl")
    made = {
        "writer": "model scripted, seed 0", "written": 9, "kept": 4, "trusted_fails": 2, "no_wrong_fails": 1,
        "unusable": 2, "together": 0, "caught": 2, "wrong": 2,
    }  # fmt: skip
    assert line == {
        "task_id": "biggest", "text": BIGGEST["prompt"], "code": BIGGEST["solutions"][0], "language": "en",
        "test_list": [
            "assert biggest([]) == 0", "assert biggest([4, 1]) == 4", "assert biggest([3, 9, 2]) == 9",
            "assert biggest([-1, -2]) == -1",
        ],
        "provenance": {**made, "origins": line["provenance"]["origins"], "exposes": [1, 1, 1, 1]},
    }  # fmt: skip
    origins = [origin.split()[0] for origin in line["provenance"]["origins"]]
    assert origins == ["generator", "check", "generator", "generator"]
    assert grades("mbpp", tmp_path / "a.jsonl", [*BIGGEST["solutions"], *BIGGEST["wrong"]]) == [1.0, 1.0, 0.0, 0.0]
    assert len(engine.calls) == 2
    write_tests(*command_line)
    assert len(engine.calls) == 2, "both problems come from the cache"
    write_tests(*command_line, "--samples", 2)
    assert len(engine.calls) == 4, "another sampling is another writer"


@needs_walls
def test_programs_that_print_by_a_model(tmp_path: Path, model: Callable[[Script], ScriptedEngine]) -> None:
    engine = model(lambda asked: fenced(["print(1, 2, 3)", "print(4, 2)", "print(5)"][min(kind_of(asked), 2)]))
    hard = {**SUM, "prompt": "Print the number.", "wrong": ["print(5)"]}
    told = write_tests(file_of(tmp_path, SUM, hard), "--to", tmp_path / "a.jsonl", "--model", "scripted", "--limit", 1)
    assert "a.jsonl: 1 of 1 problems" in told
    assert f"r1 tasks code/stdio/{tmp_path}/a.jsonl shows them" in told
    (line,) = lines_of(tmp_path / "a.jsonl")
    assert line["tests"] == [{"stdin": "5\n", "stdout": "5\n"}, {"stdin": "1 2 3\n", "stdout": "6\n"}]
    assert line["provenance"]["exposes"] == [2, 1]
    assert (line["id"], line["answer"]) == ("1", SUM["solutions"][0])
    assert len(engine.calls[0][0]) == len(KINDS)
    assert grades("stdio", tmp_path / "a.jsonl", [*SUM["solutions"], *SUM["wrong"]]) == [1.0, 0.0, 0.0]


@needs_walls
def test_what_a_right_program_cannot_answer_in_one_verdict_goes(
    tmp_path: Path, model: Callable[[Script], ScriptedEngine]
) -> None:
    """Each value is less than the sandbox lets through, all of them are more."""
    model(lambda asked: fenced(f"print([{[1, 2, 300_000, 300_001, 300_002, 300_003, 300_004, 5][kind_of(asked)]}])"))
    long = {"entry": "f", "prompt": "n times a", "solutions": ["def f(n):\n    return 'a' * n"]}
    problems = file_of(tmp_path, {**long, "wrong": ["def f(n):\n    return 'a' * (n + 1)"]})
    told = write_tests(problems, "--to", tmp_path / "a.jsonl", "--model", "scripted")
    (line,) = lines_of(tmp_path / "a.jsonl")
    made = line["provenance"]
    assert "because right programs fail them all together" in told
    assert (made["written"], made["kept"], made["together"]) == (8, 6, 2)
    assert line["test_list"][0] == "assert f(1) == 'a'"
    assert grades("mbpp", tmp_path / "a.jsonl", [long["solutions"][0], "def f(n):\n    return 'a'"]) == [1.0, 0.0]


@needs_walls
def test_nothing_is_written_where_nothing_is_kept(tmp_path: Path, model: Callable[[Script], ScriptedEngine]) -> None:
    model(lambda asked: "I cannot.")
    with pytest.raises(R1Error, match="of 1 problems 1 left out without a kept test") as failed:
        write_tests(file_of(tmp_path, BIGGEST), "--to", tmp_path / "a.jsonl", "--model", "scripted")
    assert failed.value.exit_code == 1
    assert not (tmp_path / "a.jsonl").exists()


def changed(**changes: object) -> dict[str, object]:
    return {key: value for key, value in {**BIGGEST, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"prompt": ', "not valid JSON"),
        ("[]", "expected a JSON object"),
        (changed(solutions=None), "no 'solutions'; a line holds 'prompt', 'solutions'"),
        (changed(wrong=[]), "'wrong' is empty"),
        (changed(wrong="def biggest(): pass"), "'wrong' must be a list of strings"),
        (changed(wrong=["def biggest("]), "wrong[0] is not Python"),
        (changed(solutions=["def bigest(xs):\n    return 0"]), "solutions[0] does not define 'biggest'"),
        (changed(entry=None, entry_point="biggest"), "unknown key 'entry_point'"),
        (changed(entry="x.y"), "'entry' must be the name of a function"),
        (changed(prompt="\udc00"), "half a surrogate pair"),
        (BIGGEST, "id 'biggest' is taken by"),
        (SUM, "go into files of their own"),
    ],
)
def test_a_broken_line_is_told_in_one_line(
    tmp_path: Path, line: object, said: str, model: Callable[[Script], ScriptedEngine]
) -> None:
    model(lambda asked: "")
    problems = file_of(tmp_path, BIGGEST, line)
    with pytest.raises(InputError) as refused:
        write_tests(problems, "--to", tmp_path / "a.jsonl", "--model", "scripted")
    assert str(refused.value).startswith(f"{problems}:2: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "rules write tests for code/list_ops alone; name who writes them: --model MODEL"),
        (("--model", "nowhere"), "nowhere"),
        (("--model", "x", "--to", "problems.jsonl"), "is the file of problems itself"),
        (("--model", "x", "--cache", "problems.jsonl"), "name a folder"),
        (("--model", "x", "--to", "/dev/null/folder.jsonl"), "cannot write"),
    ],
)
def test_options_are_looked_at_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file_of(tmp_path, BIGGEST)
    with pytest.raises(InputError, match=said):
        write_tests("problems.jsonl", "--to", "a.jsonl", *more)
    assert [path.name for path in tmp_path.iterdir()] == ["problems.jsonl"]


def test_a_name_that_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a JSONL file or code/list_ops\. Did you mean 'code/list_ops'"):
        write_tests("code/listops", "--to", tmp_path / "a.jsonl")


@needs_walls
def test_a_model_without_room_is_told_before_it_is_asked(tmp_path: Path, run_folder: Path) -> None:
    model = f"{run_folder}:r1_zero"
    with pytest.raises(InputError, match=r"problems.jsonl:1: .* of the model's 256 positions, which leaves no room"):
        write_tests(file_of(tmp_path, BIGGEST), "--to", tmp_path / "a.jsonl", "--model", model, "--max-tokens", 250)


def test_without_walls_it_refuses_and_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match="sudo apt-get install bubblewrap"):
        write_tests("code/list_ops", "--to", tmp_path / "a.jsonl", "--limit", 1)
    assert list(tmp_path.iterdir()) == []
