"""A curriculum: how often a prompt is taken, what is learnt of it, levels, and that a kill and ranks change nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from r1kit.errors import InputError
from r1kit.loops import curriculum as module
from r1kit.loops.curriculum import Curriculum, Drawing, chance, pass_rate, weight
from r1kit.loops.rollouts import PromptStream
from r1kit.records import Message, Prompt
from r1kit.tasks.task import Task

from .toy import CONFIG, ToyTask, toy

ON = Curriculum(by="pass_rate")


@dataclass(slots=True)
class Few(Task):
    """Ten questions, over and over."""

    name: str = "few"
    count: int = 10
    levels: int = 0  # type: ignore[misc]
    asked: list[tuple[int, int]] = field(default_factory=list)

    def train(self, index: int) -> Prompt:
        return Prompt(id=f"few/train/{index}", task=self.name, question=f"question {index % self.count}")

    def train_at(self, index: int, level: int) -> Prompt:
        self.asked.append((index, level))
        return Prompt(id=f"few/{index}/{level}", task=self.name, question=f"level {level} question {index}")


def scores(right: int, of: int = 8) -> tuple[float, int]:
    """Sum of the accuracies, and how many completions have one."""
    return float(right), of


def drawing(config: Curriculum = ON, kept: dict[str, Any] | None = None, said: list[str] | None = None) -> Drawing:
    return Drawing(config, {} if kept is None else kept, 1, "r1_zero", (said if said is not None else []).append)


def test_pass_rates_and_weights_by_hand() -> None:
    """8 of 8: (8 + 1/2) / 9 = .944, 4 p q = .21; 4 of 8: 1/2, so 1; 0 of 8: .056, .21 again."""
    assert pass_rate(8, 8) == pytest.approx(8.5 / 9)
    assert weight(pass_rate(8, 8), 0.1) == pytest.approx(4 * 8.5 * 0.5 / 81)
    assert weight(pass_rate(0, 8), 0.1) == pytest.approx(weight(pass_rate(8, 8), 0.1))
    assert weight(pass_rate(4, 8), 0.1) == 1
    assert weight(pass_rate(64, 64), 0.1) == 0.1  # 4 * 64.5 * .5 / 65^2 = .031, below the floor


def test_what_is_half_right_comes_more_often_and_nothing_starves(tmp_path: Path) -> None:
    """Questions 0 to 4 are always right, 5 to 8 right in half of the cases, 9 never: of 600 draws by weight 1 (four)
    and about .1 (six) the four get 600 * 4 / (4 + .6) = 522, the others 13 each."""
    workspace, task, chooser = toy(tmp_path).workspace, Few(), drawing()
    stream, right = PromptStream({}, workspace, chooser), [8] * 5 + [4] * 4 + [0]
    drawn: Counter[str] = Counter()
    for step in range(150):
        prompts = [prompt for _, prompt in stream.take({"few": task}, 4)]
        if step >= 30:
            drawn.update(prompt.question for prompt in prompts)
        chooser.learn([(prompt, *scores(right[int(prompt.question[-1])])) for prompt in prompts], {"few": task})
    half = [drawn[f"question {number}"] for number in (5, 6, 7, 8)]
    others = [drawn[f"question {number}"] for number in (0, 1, 2, 3, 4, 9)]
    assert min(half) > 80
    assert 4 <= min(others) <= max(others) < 40
    told = chooser.metrics()
    assert 0.3 < told["passed_over_share"] < 0.8
    assert chooser.metrics() == {"passed_over_share": 0.0}


def test_in_turn_nothing_is_kept_and_nothing_told(tmp_path: Path) -> None:
    kept: dict[str, Any] = {}
    chooser = drawing(Curriculum(), kept)
    stream = PromptStream({}, toy(tmp_path).workspace, chooser)
    prompts = [prompt for _, prompt in stream.take({"few": Few(levels=3)}, 12)]
    first = int(prompts[0].id.rpartition("/")[2])
    assert [prompt.id for prompt in prompts] == [f"few/train/{first + i}" for i in range(12)]
    chooser.learn([(prompts[0], *scores(8))], {"few": Few()})
    assert (kept, chooser.metrics()) == ({}, {})


def test_older_completions_count_half_and_the_oldest_prompts_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 3)
    kept: dict[str, Any] = {}
    chooser, task = drawing(kept=kept), Few()
    for number, right in ((0, 8), (0, 2), (1, 8), (2, 8), (0, 4), (3, 8)):
        chooser.learn([(task.train(number), *scores(right))], {"few": task})
    rates = kept["curriculum rates"]["few"]
    assert len(rates) == 3
    assert [8.0, 8.0] in rates.values()
    assert [0.5 * (0.5 * 8 + 2) + 4, 0.5 * (0.5 * 8 + 8) + 8] in rates.values()  # question 0, seen again before 1 went


def test_what_no_rule_judges_says_nothing() -> None:
    kept: dict[str, Any] = {}
    task = Few()
    drawing(kept=kept).learn([(task.train(0), 0, 0)], {"few": task})
    assert not any(kept.values())


def test_levels_rise_and_fall_by_the_pass_rate_of_the_level_alone() -> None:
    said: list[str] = []
    task, config = Few(levels=3), replace(ON, level_groups=4)
    chooser = drawing(config, said=said)
    levels = []
    for right in (8, 8, 8, 8, 7, 7, 7, 7, 8, 8, 8, 8, 4, 4, 4, 4, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0):
        prompt = chooser.prompt(task, 5)
        levels.append(task.asked[-1][1])
        chooser.learn([(prompt, *scores(right))], {"few": task})
    assert levels == [0] * 4 + [1] * 4 + [2] * 4 + [2] * 4 + [2] * 4 + [1] * 4 + [0] * 4  # there is no level 3, nor -1
    assert chooser.metrics()["levels"] == {"few": 0}
    assert said == [
        "r1_zero: few goes from level 0 to level 1 (pass rate 1.00)",
        "r1_zero: few goes from level 1 to level 2 (pass rate 0.88)",
        "r1_zero: few goes from level 2 to level 1 (pass rate 0.00)",
        "r1_zero: few goes from level 1 to level 0 (pass rate 0.12)",
    ]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"floor": 0.0}, "floor = 0: a prompt that failed once would never come again"),
        ({"decay": 1.5}, "decay = 1.5: must be between 0 and 1"),
        ({"raise_above": 0.2, "lower_below": 0.2}, "lower_below = 0.2 must be below raise_above = 0.2"),
        ({"level_groups": 0}, "level_groups = 0: must be at least 1"),
        ({"floor": float("nan")}, "floor = nan: must be between 0 and 1"),
    ],
)
def test_values_that_could_not_work_are_one_line(change: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=r"stages\.r1_zero\.curriculum") as caught:
        replace(ON, **change).check("r1_zero")
    assert line in str(caught.value)


@pytest.fixture
def few_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ToyTask, "questions", 6)


LONG = replace(CONFIG, steps=12, curriculum=replace(ON, floor=0.05))


def steps_of(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "02_r1_zero/metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if "seconds" not in key} for line in lines]


def test_killed_and_gone_on_with_it_is_bit_for_bit_as_straight(tmp_path: Path, few_questions: None) -> None:
    straight = toy(tmp_path / "straight")
    straight.train(LONG)
    assert any(line["passed_over_share"] > 0 for line in steps_of(tmp_path / "straight"))

    class Killed(BaseException):
        pass

    def stop(step: int, found: Any) -> str:
        if step == 7:
            raise Killed
        return ""

    killed = toy(tmp_path / "killed")
    killed.workspace._save_cost = -1.0
    with pytest.raises(Killed):
        killed.train(LONG, stop)
    again = toy(tmp_path / "killed")
    again.train(LONG)
    assert again.workspace.kept == straight.workspace.kept
    assert torch.equal(again.learner.flat.master, straight.learner.flat.master)

    def timeless(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{key: value for key, value in line.items() if key != "tokens_per_second"} for line in lines]

    assert timeless(steps_of(tmp_path / "killed")) == timeless(steps_of(tmp_path / "straight"))


def test_a_chance_of_a_user_s_own_and_the_floor(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def hard(rate, seen): return 1 - rate if seen > 2 else 0\ndef many(rate, seen): return 7\n"
        "def breaks(rate, seen): return 1 / 0\n"
    )
    hard, many, breaks = (f"{tmp_path}/mine.py:{name}" for name in ("hard", "many", "breaks"))
    assert chance(hard, 0.25, 3.0, 0.1) == 0.75
    assert chance(hard, 0.25, 2.0, 0.1) == 0.1
    assert chance("pass_rate", 0.25, 3.0, 0.1) == 0.75  # 4 * 1/4 * 3/4
    Curriculum(by=hard).check("r1_zero")
    for by, line in (
        (many, "stages.r1_zero.curriculum.by: mine.py:many gave '7'; a chance is a number from 0 to 1"),
        (breaks, "stages.r1_zero.curriculum.by: mine.py:3: ZeroDivisionError: division by zero"),
        ("pass_rat", "stages.r1_zero.curriculum.by: curriculum 'pass_rat' is unknown; known are turn, pass_rate"),
    ):
        with pytest.raises(InputError) as caught:
            Curriculum(by=by).check("r1_zero")
        assert str(caught.value).startswith(line)


@pytest.mark.slow
def test_two_ranks_draw_and_learn_what_one_does(tmp_path: Path, on_ranks: Callable[..., list[Any]]) -> None:
    first, second = on_ranks(2, "loops.ranked:curriculum_toy", str(tmp_path / "two"), replace(LONG, steps=4))
    (alone,) = on_ranks(1, "loops.ranked:curriculum_toy", str(tmp_path / "one"), replace(LONG, steps=4))
    assert first == second == alone


def test_a_question_behind_other_turns_has_a_rate_of_its_own() -> None:
    found = drawing()
    first, second = (
        Prompt(task="few", question="And twice that?", history=(Message(role="user", content=f"Take {n}."),))
        for n in (1, 2)
    )
    found.learn([(first, *scores(8)), (second, *scores(0))], {"few": Few()})
    assert len(found._rates("few")) == 2
