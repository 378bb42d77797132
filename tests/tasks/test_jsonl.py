import json
from collections import Counter
from pathlib import Path

import pytest

from r1kit.errors import InputError
from r1kit.records import Prompt
from r1kit.seeds import training_index
from r1kit.tasks.jsonl import Jsonl, JsonlConfig


def write(path: Path, *lines: object) -> str:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return str(path)


def numbered(count: int) -> list[dict[str, object]]:
    return [{"prompt": f"What is {number} + 1?", "answer": number + 1} for number in range(count)]


def test_parts_are_disjoint_whole_and_stable(tmp_path: Path) -> None:
    path = write(tmp_path / "sums.jsonl", *numbered(400))
    task = Jsonl("sums", JsonlConfig(path=path, dev_share=0.1, test_share=0.2))
    dev, test = task.held_out("dev"), task.held_out("test")
    train = [task.train(index) for index in range(400 - len(dev) - len(test))]
    assert len({prompt.question for prompt in (*train, *dev, *test)}) == 400
    assert len(dev) == pytest.approx(40, abs=18)
    assert len(test) == pytest.approx(80, abs=24)
    reversed_path = write(tmp_path / "reversed.jsonl", *numbered(400)[::-1])
    again = Jsonl("sums", JsonlConfig(path=reversed_path, dev_share=0.1, test_share=0.2))
    assert {prompt.question for prompt in again.held_out("test")} == {prompt.question for prompt in test}


def test_each_pass_shows_every_line_once_in_an_order_of_its_own(tmp_path: Path) -> None:
    task = Jsonl("sums", JsonlConfig(path=write(tmp_path / "f.jsonl", *numbered(30)), dev_share=0, test_share=0))
    passes = [[task.train(index).id for index in range(start, start + 30)] for start in (0, 30)]
    assert all(len(set(one)) == 30 for one in passes)
    assert passes[0] != passes[1]
    assert task.train(3).id == passes[0][3]


def test_any_of_a_list_of_answers_is_right(tmp_path: Path) -> None:
    path = write(tmp_path / "f.jsonl", {"prompt": "Which star?", "answer": ["Sun", "Sol"]})
    task = Jsonl("stars", JsonlConfig(path=path, test_path=path))
    prompt = task.held_out("test")[0]
    assert [task.grade(prompt, answer).correct for answer in ("the sun", "Sol", "Sun, Sol")] == [1, 1, 0]


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_every_seed_of_a_run_begins_with_a_whole_pass(seed: int, tmp_path: Path) -> None:
    task = Jsonl("sums", JsonlConfig(path=write(tmp_path / "f.jsonl", *numbered(30)), dev_share=0, test_share=0))
    passes = [[task.train(training_index(seed, start + place)).id for place in range(30)] for start in (0, 30)]
    assert [len(set(one)) for one in passes] == [30, 30]
    assert (passes[0] == [task.train(place).id for place in range(30)]) is (seed == 0)


def test_known_keys_and_facts(tmp_path: Path) -> None:
    line = {"prompt": "2 + 2 = ?", "answer": 4, "id": "a1", "language": "fr", "cluster": "c", "level": 3, "tags": ["x"]}
    task = Jsonl("one", JsonlConfig(path=write(tmp_path / "f.jsonl", line, ""), dev_share=0, test_share=0))
    assert task.train(0) == Prompt(
        id="a1",
        task="one",
        question="2 + 2 = ?",
        answer="4",
        language="fr",
        cluster="c",
        facts={"level": 3, "tags": ["x"]},
    )


def test_equal_questions_and_clusters_stay_together(tmp_path: Path) -> None:
    lines = [{"prompt": f"Q{number}", "answer": 1, "cluster": f"c{number % 40}"} for number in range(200)]
    lines += [{"prompt": f"q{number} ", "answer": 1, "cluster": f"d{number}"} for number in range(200)]
    task = Jsonl("x", JsonlConfig(path=write(tmp_path / "f.jsonl", *lines), dev_share=0.2, test_share=0.3))
    parts = {"dev": task.held_out("dev"), "test": task.held_out("test"), "train": [task.train(i) for i in range(400)]}
    for keys in (lambda prompt: prompt.question.strip().casefold(), lambda prompt: prompt.cluster):
        seen = Counter(key for prompts in parts.values() for key in {keys(prompt) for prompt in prompts})
        assert max(seen.values()) == 1


def test_a_test_file_is_the_test_split_and_leaves_train(tmp_path: Path) -> None:
    path = write(tmp_path / "train.jsonl", *numbered(50))
    tests = write(tmp_path / "test.jsonl", *numbered(5))
    task = Jsonl("sums", JsonlConfig(path=path, test_path=tests, dev_share=0))
    assert [prompt.answer for prompt in task.held_out("test")] == ["1", "2", "3", "4", "5"]
    assert {task.train(index).answer for index in range(45)} == {str(number) for number in range(6, 51)}
    with pytest.raises(InputError, match="no line falls into the dev split"):
        task.held_out("dev")


def test_both_rules(tmp_path: Path) -> None:
    path = write(tmp_path / "f.jsonl", {"prompt": "half of 1", "answer": "\\frac{1}{2}"})
    maths = Jsonl("x", JsonlConfig(path=path, dev_share=0, test_share=0))
    exact = Jsonl("x", JsonlConfig(path=path, rule="exact", dev_share=0, test_share=0))
    prompt = maths.train(0)
    assert maths.grade(prompt, "0.5").correct == 1
    assert maths.grade(prompt, "0.5").canonical == maths.grade(prompt, "$\\frac12$").canonical == "1/2"
    assert exact.grade(prompt, "0.5").correct == 0
    assert exact.grade(prompt, " $\\frac{1}{2}$. ").correct == 1


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["", " "], "f.jsonl: empty"),
        ([{"prompt": "a", "answer": 1}, {"prompt": "b"}], "f.jsonl:2: no 'answer'.*this one has 'prompt'"),
        ([{"question": "a", "answer": 1}], "f.jsonl:1: no 'prompt'"),
        (['{"prompt": "a", "answer": 1', ""], "f.jsonl:1: not valid JSON"),
        (["", "[1, 2]"], "f.jsonl:2: expected a JSON object"),
        ([{"prompt": "a", "answer": None}], "f.jsonl:1: no 'answer'"),
        ([{"prompt": " ", "answer": 1}], "f.jsonl:1: 'prompt' must be text"),
        ([{"prompt": "a", "answer": True}], "f.jsonl:1: 'answer' must be text or a number, got true"),
        ([{"prompt": "a", "answer": [1] * 99}], "f.jsonl:1: 'answer' must be"),
        (
            [{"prompt": "a", "answer": 1, "id": "i"}, {"prompt": "b", "answer": 1, "id": "i"}],
            "f.jsonl:2: id 'i' is taken",
        ),
    ],
)
def test_broken_files_are_told_with_their_line(tmp_path: Path, lines: list[object], told: str) -> None:
    path = write(tmp_path / "f.jsonl", *lines)
    with pytest.raises(InputError, match=told) as caught:
        Jsonl("x", JsonlConfig(path=path))
    assert "\n" not in str(caught.value)


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.jsonl: no such file"):
        Jsonl("x", JsonlConfig(path=str(tmp_path / "none.jsonl")))
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not readable as UTF-8"):
        Jsonl("x", JsonlConfig(path=str(tmp_path / "bytes.jsonl")))
    with pytest.raises(InputError, match="Is a directory; name a file of JSON lines"):
        Jsonl("x", JsonlConfig(path=str(tmp_path)))
    with pytest.raises(InputError, match="path is empty"):
        JsonlConfig(path="")
    with pytest.raises(InputError, match="no line is left to train on"):
        Jsonl("x", JsonlConfig(path=write(tmp_path / "one.jsonl", *numbered(1)), dev_share=0, test_share=0.9999999))


def test_another_layout_names_the_kind_that_reads_it(tmp_path: Path) -> None:
    path = write(tmp_path / "f.jsonl", {"question": "1 + 1?", "answer": "1 + 1\n#### 2"})
    with pytest.raises(InputError, match=r"'question', 'answer'; kind = \"data\" reads this layout, GSM8K$"):
        Jsonl("x", JsonlConfig(path=path))
