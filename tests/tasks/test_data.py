"""Tasks of rows in any layout: what they ask, what they accept, how they are split; and the rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from r1kit.checks import check_recipe
from r1kit.errors import InputError
from r1kit.recipe import load_recipe
from r1kit.records import Message, Prompt
from r1kit.tasks import build
from r1kit.tasks.data import Data
from r1kit.tasks.rules import chosen_letter, grade_by

SUMS = [{"question": f"{n} + 1?", "answer": f"{n} and one.\n#### {n + 1}"} for n in range(200)]
CHOICE = {"question": "Which is a bird?", "choices": ["cow", "hen", "pig", "eel"], "answer": 1}


def write(path: Path, rows: list[Mapping[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def data(path: Path, rows: list[Mapping[str, Any]], **settings: Any) -> Data:
    """The task of these rows, all of them its test split."""
    file = write(path / "rows.jsonl", rows)
    task = build("t", "data", {"path": file, "test_path": file, **settings})
    assert isinstance(task, Data)
    return task


def test_parts_are_disjoint_whole_and_the_same_in_any_order(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", SUMS)
    task = build("sums", "data", {"path": file, "dev_share": 0.1, "test_share": 0.2})
    dev, test = task.held_out("dev"), task.held_out("test")
    train = [task.train(index) for index in range(200 - len(dev) - len(test))]
    assert len({prompt.id for prompt in (*train, *dev, *test)}) == 200
    turned = build("sums", "data", {"path": write(tmp_path / "b.jsonl", SUMS[::-1]), "test_share": 0.2})
    assert {prompt.id for prompt in turned.held_out("test")} == {prompt.id for prompt in test}
    assert {prompt.id: prompt.answer for prompt in test}[test[0].id] == test[0].answer


def test_streaming_gives_the_same_prompts(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", SUMS)
    held, streamed = (build("sums", "data", {"path": file, "streaming": way}) for way in (False, True))
    assert [held.train(index) for index in range(400)] == [streamed.train(index) for index in range(400)]
    assert held.held_out("test") == streamed.held_out("test")


def test_what_asks_the_same_is_read_once_and_told(tmp_path: Path) -> None:
    rows = [{"prompt": "1 + 1", "answer": 2}, {"prompt": "1  + 1 ", "answer": 2}, {"prompt": "1 + 1", "answer": 3}]
    task = data(tmp_path, [*rows, {"prompt": "2 + 2", "answer": 4}])
    assert [prompt.answer for prompt in task.held_out("test")] == ["2", "4"]
    assert task.about()[0] == f"2 problems from {tmp_path}/rows.jsonl; 2 asked again and left out"
    assert list(task.doubts()) == [f"asked before with another answer: {tmp_path}/rows.jsonl:3"]


def test_problems_with_one_id_are_told_apart(tmp_path: Path) -> None:
    rows = [{"id": name, "prompt": f"1 + {each}", "answer": each + 1} for each, name in enumerate("aab")]
    task = data(tmp_path, rows, columns={"id": "id"})
    first, second, third = (prompt.id for prompt in task.held_out("test"))
    assert (first, third) == ("t/a", "t/b")
    assert second.startswith("t/a/")
    assert list(task.doubts()) == [
        f"an id that an earlier problem has, now followed by a hash of the question: {tmp_path}/rows.jsonl:2"
    ]


def test_a_chat_keeps_its_system_prompt_and_its_earlier_turns(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]
    asked = {"role": "user", "content": "1 + 1?"}
    rows = [
        {"prompt": [{"role": "system", "content": "Be brief."}, *turns, asked], "answer": "2"},
        {"prompt": [asked], "answer": "2"},
    ]
    first, second = data(tmp_path, rows).held_out("test")  # the same question, asked after something else
    assert first.question == second.question == "1 + 1?"
    assert [turn.role for turn in first.history or ()] == ["system", "user", "assistant"]
    assert second.history is None
    one = data(tmp_path, [{"problem": "1 + 1?", "answer": "2", "system_prompt": "Be brief."}]).held_out("test")[0]
    assert one.history == (Message(role="system", content="Be brief."),)
    dropped = data(tmp_path, rows, history="drop")
    assert [prompt.history for prompt in dropped.held_out("test")] == [None]  # the two ask the same then


def test_a_test_source_of_its_own_leaves_train(tmp_path: Path) -> None:
    file, test = write(tmp_path / "a.jsonl", SUMS), write(tmp_path / "b.jsonl", SUMS[:5])
    task = build("sums", "data", {"path": file, "test_path": test, "dev_share": 0})
    assert [prompt.answer for prompt in task.held_out("test")] == ["1", "2", "3", "4", "5"]
    assert {task.train(index).answer for index in range(195)} == {str(n + 1) for n in range(5, 200)}
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder / "train.jsonl", SUMS)
    write(folder / "test.jsonl", SUMS[:5])
    same = build("sums", "data", {"path": str(folder), "test_split": "test", "dev_share": 0})
    assert same.held_out("test") == task.held_out("test")
    assert same.train(0) == task.train(0)


def test_prompts_without_an_answer(tmp_path: Path) -> None:
    rows = [{"prompt": "Tell a joke."}]
    with pytest.raises(InputError, match=r"no column for the answer .*the row has 'prompt'"):
        data(tmp_path, rows)
    task = data(tmp_path, rows, rule="none")
    assert task.held_out("test")[0].answer is None
    with pytest.raises(InputError, match="no reference answers"):
        task.grade(task.held_out("test")[0], "x")


def test_facts_and_language(tmp_path: Path) -> None:
    row = {
        "problem": "1 + 1?", "answer": 2, "level": 3, "lang": "French", "noise": "x" * 3000, "rate": float("nan"),
        "extra_info": '{"index": 7}',
    }  # fmt: skip
    prompt = data(tmp_path, [row]).held_out("test")[0]
    assert prompt.language == "fr"
    assert prompt.facts == {"level": 3, "rate": None, "extra_info": '{"index": 7}'}
    chosen = data(tmp_path, [row], facts=["noise", "extra_info.index"]).held_out("test")[0]
    assert chosen.facts == {"noise": "x" * 3000, "extra_info.index": 7}
    assert data(tmp_path, [{"prompt": "x", "answer": 1}], language="zh").languages == ("zh",)


# ---- the rules -----------------------------------------------------------------------------------------------------


def test_the_layout_says_the_rule(tmp_path: Path) -> None:
    assert data(tmp_path, [CHOICE]).rule == "choice"
    assert data(tmp_path, [{"nums": [44, 19, 35], "target": 98}]).rule == "countdown"
    assert data(tmp_path, SUMS[:3]).rule == "math"
    words = data(tmp_path, [{"prompt": "when", "answer": "The 2010s!"}], rule="words")
    given = ("2010s", "the 2010's.", "2010", "")
    assert [words.grade(words.held_out("test")[0], answer).correct for answer in given] == [1, 1, 0, 0]
    exact = data(tmp_path, [{"prompt": "half", "answer": "1/2"}], rule="exact")
    assert [exact.grade(exact.held_out("test")[0], answer).correct for answer in ("1/2", "0.5")] == [1, 0]


@pytest.mark.parametrize("rule", ["math", "exact", "words"])
def test_any_of_several_answers_is_right_and_right_ones_are_one_vote(tmp_path: Path, rule: str) -> None:
    rows = [{"question": "Which star?", "answer": ["Sun", "Sol"]}, {"question": "Which?", "answer": ["Sun", "Mars"]}]
    task = data(tmp_path, rows, rule=rule)
    prompt = task.held_out("test")[0]
    assert (prompt.answer, prompt.also, prompt.reference) == ("Sun", ("Sol",), "Sun; also: Sol")
    grades = [task.grade(prompt, answer) for answer in ("sun", "Sol.", "Mars")]
    assert [grade.correct for grade in grades] == [1, 1, 0]
    assert grades[0].canonical == grades[1].canonical != grades[2].canonical
    assert "answer: answer, any of them" in task.about()


def test_questions_with_several_answers_that_ask_the_same_or_have_numbers_alone_are_told(tmp_path: Path) -> None:
    rows = [{"question": "a", "answer": ["x", "y"]}, {"question": "a", "answer": ["x"]}]
    rows += [{"question": "b", "answer": ["1", "2"]}, {"question": "c", "answer": ["NaN", "y"]}]
    assert list(data(tmp_path, rows).doubts()) == [
        f"asked before with another answer: {tmp_path}/rows.jsonl:2",
        "1 of 4 reference answers can be met by any one of several numbers (where all are asked for, write them as one "
        f"text, '1, 2'): {tmp_path}/rows.jsonl:3: 1, 2",
    ]
    with pytest.raises(InputError, match="met by no answer"):
        data(tmp_path, [{"question": "a", "answer": ["NaN", "null"]}]).check()


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"), ("b", "B"), ("(B)", "B"), ("B.", "B"), ("B) hen", "B"), ("b: Hen.", "B"), ("\\boxed{B}", "B"),
        ("\\text{B}", "B"), ("**B**", "B"), ("$B$", "B"), ("The answer is (B).", "B"), ("Answer: B", "B"),
        ("hen", "B"), ("Hen.", "B"), ("\\boxed{\\text{hen}}", "B"), ("the correct answer is hen", "B"),
        ("A", "A"), ("B. cow", None), ("A or B", None), ("Bird", None), ("", None), ("AB", None), ("not B", None),
        ("A. B. C. D.", None), ("(A) or (B)", None), ("A. cow, B. hen", None), ("A: B", None), ("a. b. c.", None),
        ("The answer is (A) or (B).", None), ("A) or b)", None), ("B: A or C", None), ("Z", None), ("E", None),
        ("Z. hen", None), ("B. A hen lays eggs", "B"), ("B. I think so", "B"), ("B: as B says", "B"),
        ("B。", "B"), ("B、hen", "B"), ("Ｂ", "B"), ("（B）", "B"), ("选B", "B"), ("答案：B。", "B"), ("故选B", "B"),
        ("正确答案是B", "B"), ("B、C", None), ("B，C", None), ("选B或C", None), ("选BC", None), ("不选B", None),
        ("answer", None),
        ("B. It isn't a cow", "B"), ("b) because it lays", "B"), ("B. (X and Y are none)", "B"), ("D. eel", "D"),
    ],
)  # fmt: skip
def test_letters_of_choices(answer: str, letter: str | None) -> None:
    choices = ["cow", "hen", "pig", "eel"]
    assert chosen_letter(answer, choices) == letter
    prompt = Prompt(question="x", answer="B", facts={"choices": choices})
    assert grade_by("choice", prompt, answer).correct == (letter == "B")
    both = grade_by(
        "choice", replace(prompt, answer="A", also=("B",)), answer
    )  # either is right, and they are one vote
    assert (both.correct, both.canonical == "A") == (letter in ("A", "B"), letter in ("A", "B"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("44 + 19 + 35", 98), ("(44 + 19) + 35 = 98", 98), ("\\boxed{35+44+19}", 98), ("44 × 19 − 35", 801),
        ("$(44 - 19) \\cdot 35$", 875), ("35 / (44 - 19)", Fraction(7, 5)), ("-(19 - 44) + 35", 60),
        ("(44 - 35) * 19", 171),
        ("44 + 54", None), ("44 + 19", None), ("44 + 19 + 35 + 0", None), ("98", None), ("44 ** 19 + 35", None),
        ("44 + 19 + 35 = 99", None), ("44 // 19 + 35", None), ("__import__('os')", None), ("44 / (19 - 19) + 35", None),
        ("(" * 200 + "44+19+35" + ")" * 200, None), ("", None), ("44 19 35", None), ("4419 + 35", None),
    ],
)  # fmt: skip
def test_countdown_expressions(text: str, value: int | Fraction | None) -> None:
    prompt = Prompt(question="x", facts={"numbers": [44, 19, 35], "target": value or 98})
    grade = grade_by("countdown", prompt, text)
    assert grade.correct == (value is not None)
    assert grade.canonical == (" ".join(text.split()) if value is None else str(value))


def test_countdown_pays_what_makes_the_target(tmp_path: Path) -> None:
    task = data(tmp_path, [{"nums": [44, 19, 35], "target": 98}])
    prompt = task.held_out("test")[0]
    assert prompt.question.startswith("Make 98 from the numbers 44, 19, 35")
    assert [task.grade(prompt, answer).correct for answer in ("44+19+35", "44+19-35", "98", "+")] == [1, 0, 0, 0]
    votes = {task.grade(prompt, answer).canonical for answer in ("44+19+35", "35 + 44 + 19", "(19+35)+44")}
    assert votes == {"98"}
    with pytest.raises(InputError, match=r"rows.jsonl:1: a Countdown problem has whole numbers"):
        data(tmp_path, [{"nums": [44, "x"], "target": 98}]).check()


# ---- in a recipe ---------------------------------------------------------------------------------------------------


def test_a_recipe_names_columns_and_a_test_split(tmp_path: Path) -> None:
    rows = [{"q": f"{n} + 1?", "meta": {"gold": n + 1}} for n in range(60)]
    (tmp_path / "rows").mkdir()
    write(tmp_path / "rows" / "train.jsonl", rows[:50])
    write(tmp_path / "rows" / "test.jsonl", rows[50:])
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        "[model]\nhidden_size = 32\nintermediate_size = 64\nnum_layers = 1\nnum_heads = 2\nnum_kv_heads = 2\n"
        '[tasks.sums]\nkind = "data"\npath = "{recipe}/rows"\ntest_split = "test"\n'
        'columns = {prompt = "q", answer = "meta.gold"}\n'
        "[tasks.countdown]\n"
        "[stages.pretrain]\ncorpus = {shares = {countdown = 1.0}}\nsteps = 2\n"
        '[stages.r1_zero]\ntasks = ["sums"]\nsteps = 1\n'
    )
    found = load_recipe(str(recipe))
    check_recipe(found)
    assert [prompt.answer for prompt in found.task("sums").held_out("test", 2)] == ["51", "52"]
    with pytest.raises(InputError, match=r"no column 'meta.golf': meta has 'gold'"):
        check_recipe(load_recipe(str(recipe), ['tasks.sums.columns.answer="meta.golf"']))
    with pytest.raises(InputError, match=r"unknown key 'colums'.*Did you mean 'columns'"):
        load_recipe(str(recipe), ['tasks.sums.colums={answer="x"}'])


def test_a_template_of_one_question_is_told_of_a_system_prompt(tmp_path: Path) -> None:
    write(tmp_path / "rows.jsonl", [{"prompt": f"{n} + 1?", "answer": n + 1, "system": "Be brief."} for n in range(60)])
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        "[model]\nhidden_size = 32\nintermediate_size = 64\nnum_layers = 1\nnum_heads = 2\nnum_kv_heads = 2\n"
        'max_positions = 400\ntemplate = {name = "r1_zero"}\n'
        '[tasks.sums]\nkind = "data"\npath = "{recipe}/rows.jsonl"\n[tasks.countdown]\n'
        "[stages.pretrain]\ncorpus = {shares = {countdown = 1.0}}\nsteps = 2\n"
        '[stages.r1_zero]\ntasks = ["sums"]\nsteps = 1\n'
    )
    with pytest.raises(InputError, match=r"stages.pretrain: prompt sums/\w+ has a system prompt .*history = \"drop\""):
        check_recipe(load_recipe(str(recipe)))
    check_recipe(load_recipe(str(recipe), ['tasks.sums.history="drop"']))
    check_recipe(load_recipe(str(recipe), ['model.template.name="chat"']))


def talk(number: int, last: str = "And twice that?") -> Mapping[str, Any]:
    turns = [{"role": "user", "content": f"Take {number}."}, {"role": "assistant", "content": "Yes."}]
    return {"messages": [*turns, {"role": "user", "content": last}], "answer": str(2 * number)}


def test_conversations_that_end_alike_are_problems_of_their_own(tmp_path: Path) -> None:
    """They fell into one part, as one cluster; those beside a test source were dropped."""
    file = write(tmp_path / "a.jsonl", [talk(number) for number in range(200)])
    task = build("t", "data", {"path": file, "dev_share": 0.1, "test_share": 0.2})
    dev, test = task.held_out("dev"), task.held_out("test")
    assert 10 < len(dev) < 30 < len(test) < 50
    assert len({prompt.cluster for prompt in (*dev, *test)}) == len(dev) + len(test)
    trained = {task.train(index).id for index in range(200 - len(dev) - len(test))}
    assert len(trained) == 200 - len(dev) - len(test)
    assert trained.isdisjoint(prompt.id for prompt in (*dev, *test))
    tests = write(tmp_path / "b.jsonl", [talk(number) for number in range(5)])
    task = build("t", "data", {"path": file, "test_path": tests, "dev_share": 0})
    assert len({task.train(index).id for index in range(195)}) == 195


def test_a_system_prompt_makes_another_problem_where_it_holds_what_is_asked_about(tmp_path: Path) -> None:
    """Else all of these were one problem, in one part; what is asked alone there is held out behind any."""
    rows = [{"system": f"{n} + 1", "question": "Solve it.", "answer": str(n + 1)} for n in range(200)]
    file = write(tmp_path / "a.jsonl", rows)
    one = build("t", "data", {"path": file})
    with pytest.raises(InputError, match=r"no row falls into the dev split; 200 rows are 1 different problem; raise"):
        one.held_out("dev")
    assert list(one.doubts()) == [
        "a question with another answer behind another system prompt, one problem with it (system_asks = true "
        f"makes two): {file}:2, {file}:3, {file}:4; 196 more"
    ]
    task = build("t", "data", {"path": file, "system_asks": True, "dev_share": 0.1, "test_share": 0.2})
    parts = [task.held_out("dev"), task.held_out("test")]
    parts.append([task.train(index) for index in range(200 - len(parts[0]) - len(parts[1]))])
    assert len({prompt.cluster for part in parts for prompt in part}) == 200
    assert (10 < len(parts[0]) < 30 < len(parts[1]) < 50, list(task.doubts())) == (True, [])
    ways = [{**row, "system": "Be brief."} for row in SUMS[:50]] + [{**row, "system": "Think."} for row in SUMS[:50]]
    asked = build("t", "data", {"path": write(tmp_path / "b.jsonl", ways), "dev_share": 0.1, "test_share": 0.2})
    held = {prompt.question for split in ("dev", "test") for prompt in asked.held_out(split)}  # type: ignore[arg-type]
    assert held
    assert held.isdisjoint(asked.train(index).question for index in range(100 - 2 * len(held)))
    assert list(asked.doubts()) == []


@pytest.mark.parametrize("alone_is_tested", [True, False])
def test_a_question_asked_alone_is_the_same_behind_any_turns(tmp_path: Path, alone_is_tested: bool) -> None:
    alone = {"messages": [{"role": "user", "content": "1 + 1?"}], "answer": "2"}
    after, other = talk(3, "1 + 1?"), talk(4, "2 + 2?")
    tested, trained = (alone, after) if alone_is_tested else (after, alone)
    file = write(tmp_path / "a.jsonl", [trained, other])
    tests = write(tmp_path / "b.jsonl", [tested])
    task = build("t", "data", {"path": file, "test_path": tests, "dev_share": 0})
    assert {task.train(index).question for index in range(4)} == {"2 + 2?"}
