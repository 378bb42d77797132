"""Tasks of the user's own: every way to write one, and each mistake told in one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from r1kit.apart import Announce, run_apart
from r1kit.errors import InputError
from r1kit.recipe import load_recipe
from r1kit.records import Completion, Group, Prompt
from r1kit.reward.settings import RewardConfig
from r1kit.reward.verifier import Verifier
from r1kit.tasks import Spec, build, settings
from r1kit.tasks.corpora import CorpusConfig, build_corpus, shown
from r1kit.tasks.trial import Trial, attempt, try_tasks

SUMS = """
class Sums:
    highest: int = 20
    ops: list[str] = ["+"]

    def train(self, index):
        return {"prompt": f"{index % self.highest} + 1 =", "answer": index % self.highest + 1, "left": index}

    def held_out(self, split, limit=None):
        return [(f"{n} + {split} =", str(n)) for n in range(100, 110)]

    def grade(self, prompt, answer):
        print("this goes nowhere")
        return int(answer) == int(prompt.answer)
"""
PAIRS = """
from itertools import count


def pairs(step: int = 1):
    for n in count(0, step):
        yield f"{n} + 1 =", n + 1
"""


@pytest.fixture
def kind(tmp_path: Path) -> Callable[[str, str], str]:
    """A file with this text -> the kind that names something in it."""

    def write(text: str, name: str) -> str:
        path = tmp_path / f"mine_{len([*tmp_path.glob('*.py')])}.py"
        path.write_text(text)
        return f"{path}:{name}"

    return write


# ---- a class -------------------------------------------------------------------------------------------------------


def test_a_class_whose_annotations_are_its_settings(kind: Callable[[str, str], str]) -> None:
    task = build("mine", kind(SUMS, "Sums"), {"highest": 5})
    assert task.train(7) == Prompt(
        id="mine/train/7", task="mine", question="2 + 1 =", answer="3", facts={"left": 7}, cluster=task.train(2).cluster
    )
    held = task.held_out("dev", 3)
    assert [(prompt.id, prompt.answer) for prompt in held] == [(f"mine/dev/{n}", str(100 + n)) for n in range(3)]
    assert (task.grade(held[0], " 100 ").correct, task.grade(held[0], "7").correct) == (1.0, 0.0)
    assert task.offers == frozenset()
    assert task.diagnose(held[0], "x") == {}


def test_none_is_left_out(kind: Callable[[str, str], str]) -> None:
    text = """
def rows():
    for n in range(30):
        yield {"prompt": f"{n} + 1 =", "answer": n + 1, "id": None, "language": None, "cluster": None}
"""
    task = build("mine", kind(text, "rows"), {"language": "de", "test_share": 0.5})
    prompts = task.held_out("test")
    assert len({prompt.id for prompt in prompts}) == len({prompt.cluster for prompt in prompts}) == len(prompts) > 1
    assert {prompt.language for prompt in prompts} == {"de"}


def test_a_class_variable_is_no_setting_and_a_grade_may_use_up_the_facts(kind: Callable[[str, str], str]) -> None:
    text = SUMS.replace("    highest", "    cache: ClassVar[dict] = {}\n    highest").replace(
        "        print", "        prompt.facts['digits'].clear()\n        print"
    )
    task = build("mine", kind(f"from typing import ClassVar\n{text}", "Sums"), {"highest": 5})
    prompt = replace(task.train(7), facts={"digits": [1]})
    assert task.grade(prompt, "3").correct == 1.0
    assert prompt.facts == {"digits": [1]}
    with pytest.raises(InputError, match="cache"):
        build("mine", kind(f"from typing import ClassVar\n{text}", "Sums"), {"cache": {}})


CONFIG = """
from dataclasses import dataclass
from r1kit.tasks.task import Grade
@dataclass(frozen=True)
class Settings:
    word: str = "yes"
class Words:
    Config = Settings
    def __init__(self, name, config): self.name, self.word = name, config.word
    def train(self, index): return self.word, self.name
    def held_out(self, split, limit=None): return [(split, "b")]
    def grade(self, prompt, answer): return Grade(correct=0.5, canonical="c")
    def asked(self, text): return (text, "own") if text.startswith("say") else None
    def good_samples(self, count, seed): return []
"""
ARGUMENTS = """
class Words:
    def __init__(self, name, word="yes", times=2): self.text, self.name = word * times, name
    def train(self, index): return self.text, self.name
    def held_out(self, split, limit=None): return [(split, "b")]
"""
DATACLASS = """
from dataclasses import dataclass
@dataclass
class Words:
    word: str
    times: int = 2
    def train(self, index): return self.word * self.times, "t"
    def held_out(self, split, limit=None): return [(split, "b")]
"""


@pytest.mark.parametrize(
    ("text", "table", "question"),
    [
        (CONFIG, {"word": "no"}, "no"),
        (ARGUMENTS, {"word": "no"}, "nono"),
        (ARGUMENTS, {}, "yesyes"),
        (DATACLASS, {"word": "a"}, "aa"),
    ],
)
def test_settings_in_a_config_in_arguments_and_in_fields(
    kind: Callable[[str, str], str], text: str, table: dict[str, Any], question: str
) -> None:
    assert build("t", kind(text, "Words"), table).train(0).question == question


def test_what_a_class_has_beyond_the_three_methods_is_used(kind: Callable[[str, str], str]) -> None:
    task = build("t", kind(CONFIG, "Words"), {})
    assert task.offers == {"good_samples"}
    assert task.grade(task.train(0), "x").correct == 0.5
    own = task.asked("say it")
    assert own is not None
    assert (own.question, own.task) == ("say it", "t")
    assert task.asked("no") is None


# ---- a function ----------------------------------------------------------------------------------------------------


LEVELS = """
    def train_at(self, index, level):
        return f"{index} + {10**level} =", index + 10**level
"""


def test_a_class_has_levels_where_it_says_so(kind: Callable[[str, str], str]) -> None:
    task = build("sums", kind(SUMS + LEVELS + "\n    levels = 3\n", "Sums"), {})
    assert task.levels == 3
    prompt = task.train_at(5, 2)
    assert (prompt.question, prompt.answer, prompt.id) == ("5 + 100 =", "105", "sums/train/5/2")
    assert build("sums", kind(SUMS, "Sums"), {}).levels == 0
    assert build("sums", kind(SUMS + "\n    levels = 3\n", "Sums"), {}).levels == 0  # nothing gives a prompt at one
    with pytest.raises(InputError, match="it is a number of levels"):
        assert build("sums", kind(SUMS + LEVELS + "\n    levels = 'many'\n", "Sums"), {}).levels


def test_an_answer_may_be_a_number_of_numpy(kind: Callable[[str, str], str]) -> None:
    text = "import numpy as np\n\ndef few():\n    for n in range(40):\n        yield f'{n} + 1 =', np.int64(n + 1)\n"
    prompt = build("mine", kind(text, "few"), {}).train(0)
    assert prompt.answer == str(int(prompt.question.split()[0]) + 1)


def test_any_of_a_list_of_answers_is_right(kind: Callable[[str, str], str]) -> None:
    text = "def few():\n    for n in range(40):\n        yield f'Which star? {n}', ['Sun', 'Sol']\n"
    task = build("mine", kind(text, "few"), {})
    assert task.train(0).answers == ("Sun", "Sol")
    assert [task.grade(task.train(0), answer).correct for answer in ("sol", "the Sun", "Mars")] == [1, 1, 0]


def test_an_endless_function_is_cut_and_split_by_a_hash(kind: Callable[[str, str], str]) -> None:
    reference = kind(PAIRS, "pairs")
    task = build("mine", reference, {"size": 200, "step": 2, "test_share": 0.2})
    parts = [{prompt.question for prompt in task.held_out(split)} for split in ("dev", "test")]  # type: ignore[arg-type]
    parts.append({task.train(index).question for index in range(400)})
    assert sum(map(len, parts)) == len(set.union(*parts)) == 200
    assert "398 + 1 =" in set.union(*parts)
    other = build("mine", reference, {"size": 100, "step": 2, "test_share": 0.2})
    assert {p.question for p in other.held_out("test")} <= parts[1], "more prompts move none to another part"
    prompt = task.train(0)
    assert prompt.answer is not None
    assert task.grade(prompt, f"{prompt.answer}.0").correct == 1.0
    exact = build("mine", reference, {"rule": "exact"})
    assert exact.grade(prompt, f"{prompt.answer}.0").correct == 0.0


def test_without_a_reference_the_task_has_no_accuracy(kind: Callable[[str, str], str]) -> None:
    task = build("mine", kind('def f():\n    return [{"prompt": f"{n}"} for n in range(99)]\n', "f"), {})
    with pytest.raises(InputError, match="no reference answer"):
        task.grade(task.train(0), "1")


# ---- mistakes ------------------------------------------------------------------------------------------------------

BODY = "class T:\n    def train(self, index): {train}\n    def held_out(self, split, limit=None): {held}\n{more}"


def a_class(train: str = 'return "q", "a"', held: str = 'return [("h", "a")]', more: str = "") -> str:
    return BODY.format(train=train, held=held, more=more)


def a_grade(value: str) -> str:
    return a_class(more=f"    def grade(self, prompt, answer): return {value}\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("class T\n", r"mine_0.py:1: SyntaxError"),
        ("import nosuch\n", r"mine_0.py:1: ModuleNotFoundError: No module named 'nosuch'"),
        ("import sys\nsys.exit('no')\n", r"mine_0.py:2: SystemExit: no"),
        ("class TT: pass\n", r"mine_0.py has no 'T'. Did you mean 'TT'"),
        ("T = 3\n", "is no task; write a class, or a function that yields prompts"),
        ("class T:\n    def train(self, index): pass\n", r"T has no held_out; a task has train\(self, index\)"),
        (
            "class T:\n    def train(self): pass\n    def held_out(self, split, limit): pass\n",
            r"write train\(self, index\)",
        ),
        (a_class(train="return {}['x']"), r"mine_0.py:2: KeyError: 'x'"),
        (a_class(train="return 7"), "T.train gave 7; a prompt is a Prompt, a mapping"),
        (a_class(train='return {"answer": 3}'), "keys 'answer'; it needs 'prompt'"),
        (a_class(train='return " ", "a"'), r"question is ' ' \(str\); it must be text"),
        (
            "from r1kit import Prompt\ndef T():\n    yield Prompt(question='q', answer='Sun', also='Sol')\n",
            "also is 'Sol' .str.; it must be a tuple of texts",  # or each letter of it would be right
        ),
        (a_class(held="return []"), r"held_out\('test'\) gave no prompt"),
        (a_class(held="pass"), r"held_out\('test'\) gave None; it gives a list of prompts"),
        (a_class(held="return 5"), r"T.held_out\('test'\) gave 5; it gives a list of prompts"),
        (a_class(held='return [("q", "a")]'), r"held_out\('test'\) holds the training prompt 'q'"),
        ("import random\n" + a_class(train='return str(random.random()), "a"'), "gave two different prompts"),
        (
            "import random\ndef T():\n    while True: yield f'q {random.random()}', 1\n",
            r"T.train\(0\) gave two different prompts",
        ),
        (a_grade("float('nan')"), "T.grade gave nan; a grade is a number from 0"),
        (a_grade("'right'"), r"T.grade gave 'right' \(str\)"),
        (a_grade("None"), "T.grade gave None"),
        (a_grade("2"), "T.grade gave 2"),
        (a_grade("10**400"), "T.grade gave 10+ ?"),
        (a_grade("1 / 0"), r"mine_0.py:4: ZeroDivisionError"),
        ("def T(): return None\n", "T gave None; it yields prompts"),
        ("def T(): yield\n", "T gave None; a prompt is"),
        ("def T(n): yield 'q', n\n", "tasks.mine: n must be set"),
        ("def T():\n    yield 'q', 1\n    raise OSError('gone')\n", r"mine_0.py:3: OSError: gone"),
        ("def T(): return []\n", "yielded no prompt"),
        ("def T(): return [('q', 'a')]\n", "no prompt falls into the test split"),
    ],
)
def test_each_mistake_is_one_line(kind: Callable[[str, str], str], text: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        attempt([Trial("mine", kind(text, "T"), {})], lambda doing, seconds: None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fact", ["float('nan')", "object()", "__import__('numpy').arange(3)"])
def test_a_fact_that_does_not_equal_itself_is_no_mistake(kind: Callable[[str, str], str], fact: str) -> None:
    text = a_class(train=f'return {{"prompt": "q", "answer": "a", "fact": {fact}}}')
    attempt([Trial("mine", kind(text, "T"), {})], lambda doing, seconds: None)


def test_a_rule_that_refuses_its_own_reference_is_told(kind: Callable[[str, str], str]) -> None:
    right = a_class(train='return {"prompt": "3 + 4?", "answer": "7"}')
    strict = right + "    def grade(self, prompt, answer):\n        return answer == prompt.answer + '.'\n"
    told = [line for text in (right, strict) for line in attempt([Trial("mine", kind(text, "T"), {})], lambda *_: None)]
    assert told == [
        "warning: tasks.mine: mine_1.py:T.grade gives '7', the reference of '3 + 4?', 0 and not 1: who answers right "
        "may earn nothing"
    ]


def test_a_setting_that_is_not_there_names_the_nearest(kind: Callable[[str, str], str]) -> None:
    reference = kind(SUMS, "Sums")
    with pytest.raises(InputError, match=r"tasks.mine: unknown key 'highst'; .*Did you mean 'highest'"):
        settings("mine", reference, {"highst": 3})
    with pytest.raises(InputError, match=r"tasks.mine.highest = 'x': expected a whole number"):
        settings("mine", reference, {"highest": "x"})


def hasty(trials: list[Trial], announce: Announce) -> None:
    """``attempt`` with less patience."""
    attempt(trials, lambda doing, seconds: announce(doing, min(seconds, 8.0)))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("while True: pass\n", r"tasks.mine: building mine_0.py:T took more than 8 s and was stopped"),
        pytest.param(
            a_class(train="\n        while True: pass"),
            r"T.train\(0\) took more than 8 s and was stopped",
            marks=pytest.mark.slow,
        ),
        ("import os\nos.kill(os.getpid(), 11)\n", "building mine_0.py:T ended the process: signal SIGSEGV"),
        (a_class(train="import os; os._exit(3)"), r"T.train\(0\) ended the process: exit code 3"),
    ],
)
def test_a_hang_or_a_crash_is_one_line(kind: Callable[[str, str], str], text: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        run_apart(f"{__name__}:hasty", [Trial("mine", kind(text, "T"), {})])
    assert "\n" not in str(caught.value)


def test_only_tasks_of_the_user_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("r1kit.tasks.trial.run_apart", lambda *given: pytest.fail("a process for a task of ours"))
    try_tasks([Trial("countdown", "countdown", {})])


# ---- in the verifier's process ---------------------------------------------------------------------------------------


def test_a_grade_that_raises_or_hangs_costs_its_completion_alone(kind: Callable[[str, str], str]) -> None:
    text = SUMS + "\nclass Slow(Sums):\n    def grade(self, prompt, answer):\n        while answer == 'hang': pass\n"
    spec = Spec(kind(text + "        return super().grade(prompt, answer)\n", "Slow"), {"highest": 5})
    prompt = build("mine", *spec).train(0)
    answers = ("1", "2", "one", "hang", "1")
    completions = tuple(
        Completion(token_ids=(1,), logprobs=(0.0,), text=f"<think> </think> <answer>{each}</answer>", finish="stop")
        for each in answers
    )
    rewards = {"mine": RewardConfig()}
    with Verifier({"mine": spec}, rewards, deadline_seconds=1.0) as verifier:
        (row,) = verifier.score_groups([Group(prompt=prompt, prompt_ids=(1,), completions=completions)])
    assert [score.status for score in row] == ["ok", "ok", "ungradable", "timeout", "ok"]
    assert [score.parts["accuracy"] for score in row] == [1, 0, 0, 0, 1]
    assert "mine_0.py:14: ValueError: invalid literal for int()" in row[2].cause


# ---- a corpus ------------------------------------------------------------------------------------------------------

BOOKS = """
class Books:
    page: int = 3

    def document(self, index):
        return f"page {index % self.page}"

    def vocabulary(self):
        return ["page", *map(str, range(self.page))]
"""


def test_a_corpus_in_a_file_takes_its_share(kind: Callable[[str, str], str]) -> None:
    books = kind(BOOKS, "Books")
    config = CorpusConfig.from_table({"shares": {"countdown": 0.8, books: 0.2}, books: {"page": 2}}, "corpus")
    corpus = build_corpus(config)
    documents = [corpus.document(index) for index in range(2000)]
    assert sum(text.startswith("page") for text in documents) / 2000 == pytest.approx(0.2, abs=0.03)
    assert {"page 0", "page 1"} < set(documents)
    assert corpus.vocabulary()[-3:] == ["page", "0", "1"] or "page" in corpus.vocabulary()
    assert shown(corpus, build("c", "countdown", {})) == 0
    with pytest.raises(InputError, match=r"unknown key 'pages'; .*Did you mean 'page'"):
        CorpusConfig.from_table({"shares": {books: 1}, books: {"pages": 2}}, "corpus")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("class Books:\n    def document(self, index): return ''\n", "Books is no corpus; write a class with document"),
        (BOOKS.replace('f"page', '1 / 0 or f"page'), r"mine_0.py:6: ZeroDivisionError"),
        (BOOKS.replace('return f"page {index % self.page}"', "return 7"), r"document\(0\) gave 7; it must be text"),
    ],
)
def test_a_corpus_that_cannot_be(kind: Callable[[str, str], str], text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        build_corpus(CorpusConfig(shares={kind(text, "Books"): 1.0})).document(0)


# ---- in a recipe -----------------------------------------------------------------------------------------------------


def test_a_recipe_finds_files_beside_it_and_its_resolved_copy_is_the_same(
    kind: Callable[[str, str], str], tmp_path: Path
) -> None:
    name = Path(kind(SUMS + BOOKS, "Sums").partition(":")[0]).name
    (tmp_path / "r.toml").write_text(
        f'[tasks.sums]\nkind = "{{recipe}}/{name}:Sums"\nhighest = 7\n[stages.pretrain.corpus.shares]\n'
        f'"{{recipe}}/{name}:Books" = 1.0\n'
    )
    from r1kit.recipe import as_toml

    recipe = load_recipe(str(tmp_path / "r.toml"))
    assert recipe.task("sums").train(8).question == "1 + 1 ="
    (tmp_path / "copy.toml").write_text(as_toml(recipe))
    copied = load_recipe(str(tmp_path / "copy.toml"))
    assert copied.spec("sums") == recipe.spec("sums")
    assert copied.stages["pretrain"].corpus == recipe.stages["pretrain"].corpus


def test_a_split_that_never_ends_is_told_and_a_limit_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.py").write_text(
        "from itertools import count\n"
        "class T:\n"
        "    def train(self, index): return ('a', 'b')\n"
        "    def held_out(self, split, limit=None): return ((f'{n}?', 'b') for n in count())\n"
    )
    task = build("t", f"{tmp_path}/t.py:T", {})
    assert [prompt.question for prompt in task.held_out("dev", 2)] == ["0?", "1?"]
    monkeypatch.setattr("r1kit.tasks.user.MOST_HELD_OUT", 50)
    with pytest.raises(InputError, match=r"^t\.py:T\.held_out\('dev'\) gave 50 prompts and more; a split has an end$"):
        task.held_out("dev")
