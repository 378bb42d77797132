"""Which reward model judges which completion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from r1kit.backends.rewards import open_learned
from r1kit.errors import InputError
from r1kit.records import Completion, Group, Prompt
from r1kit.reward.learned import LearnedReward

ROUTES = {"helpful": "helpfulness", "safety": "safety"}


class Length:
    """Scores by length, so that the order shows; notes what it was asked."""

    def __init__(self, sign: int, parameters: int = 7) -> None:
        self.sign, self.parameters, self.read = sign, parameters, 0
        self.asked: list[tuple[str, str]] = []

    def score(self, questions: Sequence[str], responses: Sequence[str]) -> list[float]:
        self.asked += zip(questions, responses, strict=True)
        self.read += sum(map(len, responses))
        return [float(self.sign * len(response)) for response in responses]


def group(task: str, question: str, *texts: str) -> Group:
    completions = tuple(Completion(token_ids=(1,), logprobs=(0.0,), text=text, finish="stop") for text in texts)
    return Group(prompt=Prompt(id=question, task=task, question=question), prompt_ids=(1,), completions=completions)


def test_each_task_goes_to_its_own_model_and_scores_come_back_in_order() -> None:
    helpful, safe = Length(1), Length(-1)
    learned = LearnedReward({"helpfulness": helpful, "safety": safe}, ROUTES)
    groups = [group("safety", "a", "x", "xxx"), group("helpful", "b", "yy"), group("safety", "c", "", "zz", "z")]
    assert learned.score(groups) == [[-1.0, -3.0], [2.0], [0.0, -2.0, -1.0]]
    assert safe.asked == [("a", "x"), ("a", "xxx"), ("c", ""), ("c", "zz"), ("c", "z")]
    assert helpful.asked == [("b", "yy")]
    assert learned.score([]) == []


def test_what_models_read_is_told_once_by_their_size() -> None:
    models = {"helpfulness": Length(1, 7), "safety": Length(-1, 9), "more": Length(1, 7)}
    learned = LearnedReward(models, {**ROUTES, "more": "more"})
    learned.score([group("safety", "a", "x", "xxx"), group("helpful", "b", "yy"), group("more", "c", "z")])
    assert learned.read() == {7: 2 + 1, 9: 1 + 3}
    assert learned.read() == {7: 0, 9: 0}


def test_it_says_which_tasks_it_judges_and_refuses_a_route_to_nowhere() -> None:
    learned = LearnedReward({"safety": Length(1)}, {"safety": "safety", "harm": "safety"})
    assert [learned.judges(task) for task in ("safety", "harm", "countdown")] == [True, True, False]
    with pytest.raises(InputError, match=r"reward model 'safty'; trained are safety. Did you mean 'safety'\?"):
        LearnedReward({"safety": Length(1)}, {"safety": "safty"})


def test_a_folder_that_is_missing_or_no_reward_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'helpfulness'; trained are none"):
        open_learned({}, ROUTES)
    with pytest.raises(InputError, match=r"is no reward model: it has no r1kit_reward\.json"):
        open_learned({"safety": tmp_path}, {"safety": "safety"})


def test_a_route_to_nowhere_is_told_with_all_that_were_trained_and_opens_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'helpfulnes'; trained are helpfulness, safety. Did you mean 'help"):
        open_learned({"helpfulness": tmp_path, "safety": tmp_path}, {"safety": "safety", "helpful": "helpfulnes"})
