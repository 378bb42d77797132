"""What a stage costs: 6 N operations a token that is learnt from, 2 N one that is sampled, N the parameter count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from evals.evaluating import Crew

from r1kit.cluster.ranks import Ranks
from r1kit.recipe import load_recipe
from r1kit.records import StageResult
from r1kit.resume import Stateless
from r1kit.workspace import Workspace

NOTHING = {
    "trained_tokens": 0, "sampled_tokens": 0, "judge_tokens": 0, "evaluated_tokens": 0, "read_tokens": 0,
    "training_flops": 0, "evaluation_flops": 0,
}  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return place(tmp_path)


def place(folder: Path) -> Workspace:
    found = Workspace(run=folder, stage="pretrain", index=1, recipe=load_recipe("nano-zero"), key="k", parameters=10)
    found.folder.mkdir(exist_ok=True)
    return found


@pytest.mark.parametrize(
    ("spent", "counted"),
    [
        ({"trained": 3}, {"trained_tokens": 3, "training_flops": 180}),  # 6 x 10 x 3
        ({"sampled": 5}, {"sampled_tokens": 5, "training_flops": 100}),  # 2 x 10 x 5
        ({"evaluated": 7}, {"evaluated_tokens": 7, "evaluation_flops": 140}),  # 2 x 10 x 7
        ({"judged": 4}, {"judge_tokens": 4, "training_flops": 80}),  # 2 x 10 x 4
        ({"judged": 4, "parameters": 1000}, {"judge_tokens": 4, "training_flops": 8000}),  # 2 x 1,000 x 4
        ({"read": 6, "parameters": 0}, {"read_tokens": 6}),
        ({"read": 6, "parameters": 7}, {"read_tokens": 6, "training_flops": 84}),  # 2 x 7 x 6
        ({"read": 6, "parameters": 7, "evaluating": True}, {"read_tokens": 6, "evaluation_flops": 84}),
        ({"trained": 3.0, "sampled": 5.0}, {"trained_tokens": 3, "sampled_tokens": 5, "training_flops": 280}),
    ],
)
def test_operations_by_hand(workspace: Workspace, spent: dict[str, float], counted: dict[str, int]) -> None:
    assert workspace.cost == NOTHING
    workspace.spend(**spent)
    assert workspace.cost == {**NOTHING, **counted}


def test_costs_add_up_and_go_into_the_result(workspace: Workspace) -> None:
    for _ in range(3):
        workspace.spend(trained=2, sampled=1, evaluated=4)
    expected = {
        **NOTHING, "trained_tokens": 6, "sampled_tokens": 3, "evaluated_tokens": 12,
        "training_flops": 3 * (120 + 20), "evaluation_flops": 3 * 80,
    }  # fmt: skip
    assert workspace.cost == expected
    workspace.finish(StageResult(metrics={}))
    assert json.loads((workspace.folder / "result.json").read_text())["cost"] == expected


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


def test_a_step_that_is_done_again_after_a_kill_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resume point after step 1, then a kill in step 3: steps 2 and 3 are done again."""
    due = iter([True, False, False, False, False])

    def sitting(workspace: Workspace, last: int) -> list[int]:
        done = []
        for step in workspace.steps(4, Stateless()):
            workspace.spend(trained=1)
            done.append(step)
            if step == last:
                raise Killed
        return done

    with monkeypatch.context() as patch:
        patch.setattr(Workspace, "_due", lambda self: next(due))
        with pytest.raises(Killed):
            sitting(place(tmp_path), last=2)
    again = place(tmp_path)
    assert sitting(again, last=9) == [1, 2, 3]
    assert (again.cost["trained_tokens"], again.cost["training_flops"]) == (4, 4 * 60)


def test_a_part_s_cost_is_the_stage_s_too_by_the_part_s_own_parameters(workspace: Workspace) -> None:
    """The stage's model has 10 parameters, the part's 4; a part that is done already is counted from its file."""

    def work(inner: Workspace) -> dict[str, Any]:
        inner.parameters = 4
        inner.spend(trained=5)  # 6 x 4 x 5 = 120
        return {}

    workspace.spend(trained=1)  # 60
    assert workspace.part("small", work)["cost"] == {**NOTHING, "trained_tokens": 5, "training_flops": 120}
    assert workspace.cost == {**NOTHING, "trained_tokens": 6, "training_flops": 180}
    again = place(workspace.run)
    again.part("small", work)
    assert again.cost == {**NOTHING, "trained_tokens": 5, "training_flops": 120}


def test_what_reward_models_read_is_added_up_over_ranks(tmp_path: Path) -> None:
    """Two models of 7 and 9 parameters; a rank may have met one of them only: 2 x (7 x 5 + 9 x 6)."""

    def work(ranks: Ranks) -> dict[str, int]:
        mine = place(tmp_path)
        mine.ranks = ranks
        mine.spend_read([{7: 2, 9: 6}, {7: 3}, {}][ranks.rank])
        return mine.cost

    for cost in Crew(3).run(work):
        assert cost == {**NOTHING, "read_tokens": 11, "training_flops": 2 * (35 + 54)}
