"""The judge: what reward models add to a rule's reward, and the same evaluation on any number of ranks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from r1kit.cluster.ranks import Ranks
from r1kit.evals.evaluate import EvaluationConfig
from r1kit.loops.judge import Judged
from r1kit.records import Completion, Group, Prompt

from .judging import Crew, Rules, judge_of, learned, place


def group(task: str, *texts: str) -> Group:
    completions = tuple(Completion(token_ids=(1,), logprobs=(0.0,), text=text, finish="stop") for text in texts)
    return Group(prompt=Prompt(id=task, task=task, question="0"), prompt_ids=(1,), completions=completions)


def test_a_reward_model_s_score_times_its_weight_is_added_and_kept_as_a_part(tmp_path: Path) -> None:
    """``helpful``: right earns nothing, form .25; "yes" is 3 characters, so .3 of the model, weighed .5."""
    judge = judge_of(
        place(tmp_path), [""], verifier=Rules({"helpful": 0.0}), learned=learned("helpful"), learned_weight=0.5
    )
    scores = judge.score([group("maths", "yes", "no"), group("helpful", "yes", "n"), group("maths", "y")])
    totals = [[score.total for score in row] for row in scores]
    assert totals[0] == [1.25, 0.25]
    assert totals[1] == pytest.approx([0.25 + 0.5 * 0.3, 0.25 + 0.5 * 0.1])
    assert totals[2] == [1.25]
    assert scores[1][0].parts == {"accuracy": 1.0, "format": 1.0, "preference": 0.3}, "the model's own, not weighed"
    assert [set(score.parts) for score in (*scores[0], *scores[2])] == [{"accuracy", "format"}] * 3
    assert scores[1][0].answer == "yes"
    assert judge.workspace.cost["read_tokens"] == 4
    assert judge.workspace.cost["training_flops"] == 2 * 7 * 4, "what it read, scoring rollouts"


def test_without_reward_models_the_rule_alone_counts(tmp_path: Path) -> None:
    scores = judge_of(place(tmp_path), [""]).score([group("helpful", "yes")])
    assert (scores[0][0].total, "preference" in scores[0][0].parts) == (1.25, False)
    assert judge_of(place(tmp_path), [""], learned=learned("helpful")).score([]) == []


def write(prompt: tuple[int, ...], seed: int, row: int) -> str:
    """Right on the first row of odd prompts; as long as the prompt's number, so that its place can be seen."""
    return ("y" if prompt[0] % 2 == 0 and row == 0 else "n") + "x" * prompt[0]


def judged_on(size: int, folder: Path) -> tuple[list[Judged], dict[str, int], dict[str, Any], list[str]]:
    """Five prompts on ``size`` ranks: what each rank has, the cost, the line of eval.jsonl, prompts in rollouts."""

    def work(ranks: Ranks) -> tuple[Judged, dict[str, int]]:
        workspace = place(folder, ranks)
        workspace.parameters = 3
        judge = judge_of(workspace, write, learned=learned("a"))
        return judge.evaluate(7)["a"], workspace.cost

    done = Crew(size).run(work)
    costs = [cost for _, cost in done]
    assert costs == [costs[0]] * size
    (line,) = [json.loads(text) for text in (folder / "01_evaluate/eval.jsonl").read_text().splitlines()]
    lines = (folder / "01_evaluate/rollouts.jsonl").read_text().splitlines()
    return [judged for judged, _ in done], costs[0], line, [json.loads(text)["prompt_id"] for text in lines]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_gathered_groups_are_in_the_order_of_the_prompts_and_count_once(tmp_path: Path, size: int) -> None:
    judged, cost, line, recorded = judged_on(size, tmp_path)
    for each in judged:
        assert [group.prompt.id for group in each.groups] == [f"a/dev/{i}" for i in range(5)]
        assert [group.completions[0].text for group in each.groups] == ["nx", "yxx", "nxxx", "yxxxx", "nxxxxx"]
        assert [row[0].parts["accuracy"] for row in each.scores] == [0, 1, 0, 1, 0]
        assert [row[1]["tries"] for row in each.diagnostics] == [2, 3, 4, 5, 6]
        assert each.model_reward == pytest.approx(0.4)  # characters / 10: .2, .3, .4, .5, .6, both rows alike
    # tokens are the characters and the end token: two rows of 3, 4, 5, 6 and 7; a policy of 3 parameters wrote them,
    # a reward model of 7 read the characters, 2 operations a token and parameter
    assert cost["evaluated_tokens"] == 2 * (3 + 4 + 5 + 6 + 7)
    assert cost["read_tokens"] == 2 * (2 + 3 + 4 + 5 + 6)
    assert cost["evaluation_flops"] == 50 * 2 * 3 + 40 * 2 * 7
    assert (cost["sampled_tokens"], cost["training_flops"]) == (0, 0)
    assert (line["step"], line["split"], line["per_problem"]) == (7, "dev", [0, 0.5, 0, 0.5, 0])
    assert line["model_reward"] == pytest.approx(0.4)
    assert recorded == [f"a/dev/{i}" for i in range(5) for _ in range(2)]


def test_ranks_draw_what_one_rank_draws(tmp_path: Path) -> None:
    """A prompt's seed is its own, whichever rank samples it."""

    def drawn(size: int, folder: Path) -> list[int]:
        def work(ranks: Ranks) -> list[Group]:
            judge = judge_of(place(folder, ranks), lambda prompt, seed, row: str(seed))
            return judge.evaluate(0)["a"].groups

        return [int(each.completions[0].text) for each in Crew(size).run(work)[0]]

    alone = drawn(1, tmp_path / "1")
    assert len(set(alone)) == 5
    assert drawn(2, tmp_path / "2") == drawn(3, tmp_path / "3") == alone


def test_split_limit_and_tasks_are_the_config_s_unless_they_are_given(tmp_path: Path) -> None:
    config = EvaluationConfig(k=2, resamples=10, tasks=("b",), split="test", limit=4)
    judge = judge_of(place(tmp_path), ["y"], tasks=("a", "b"), config=config)
    found = judge.evaluate(0)
    assert [group.prompt.id for group in found["b"].groups] == [f"b/test/{i}" for i in range(4)]
    assert list(found) == ["b"]
    assert len(judge.evaluate(0, "dev", 2)["b"].groups) == 2
    assert [line["split"] for line in judge.workspace.read("eval")] == ["test", "dev"]


def test_an_evaluation_is_drawn_by_its_own_settings(tmp_path: Path) -> None:
    """Stop strings and a length of 0 are the training's; n, temperature and top-p are the evaluation's."""
    config = EvaluationConfig(k=3, temperature=0.6, top_p=0.95, resamples=10)
    judge = judge_of(place(tmp_path), ["y"], config=config)
    judge.evaluate(0)
    (_, sampling, _) = judge.engine.calls[0]  # type: ignore[attr-defined]
    assert (sampling.n, sampling.temperature, sampling.top_p, sampling.max_tokens) == (3, 0.6, 0.95, 40)
