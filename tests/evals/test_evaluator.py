"""The evaluator: the same evaluation on any number of ranks, by its own settings or by those that are given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from r1kit.cluster.ranks import Ranks
from r1kit.evals.evaluator import Evaluation
from r1kit.evals.settings import EvaluationConfig
from r1kit.records import Group

from .evaluating import Crew, evaluator_of, learned, place, scorer_of


def write(prompt: tuple[int, ...], seed: int, row: int) -> str:
    """Right on the first row of odd prompts; as long as the prompt's number, so that its place can be seen."""
    return ("y" if prompt[0] % 2 == 0 and row == 0 else "n") + "x" * prompt[0]


def judged_on(size: int, folder: Path) -> tuple[list[Evaluation], dict[str, int], dict[str, Any], list[str]]:
    """Five prompts on ``size`` ranks: what each rank has, the cost, the line of eval.jsonl, prompts in rollouts."""

    def work(ranks: Ranks) -> tuple[Evaluation, dict[str, int]]:
        workspace = place(folder, ranks)
        workspace.parameters = 3
        evaluator = evaluator_of(workspace, write, scorer=scorer_of(models=learned("a")))
        return evaluator.evaluate(7)["a"], workspace.cost

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
            evaluator = evaluator_of(place(folder, ranks), lambda prompt, seed, row: str(seed))
            return evaluator.evaluate(0)["a"].groups

        return [int(each.completions[0].text) for each in Crew(size).run(work)[0]]

    alone = drawn(1, tmp_path / "1")
    assert len(set(alone)) == 5
    assert drawn(2, tmp_path / "2") == drawn(3, tmp_path / "3") == alone


def test_split_limit_and_tasks_are_the_config_s_unless_they_are_given(tmp_path: Path) -> None:
    config = EvaluationConfig(k=2, resamples=10, tasks=("b",), split="test", limit=4)
    evaluator = evaluator_of(place(tmp_path), ["y"], tasks=("a", "b"), config=config)
    found = evaluator.evaluate(0)
    assert [group.prompt.id for group in found["b"].groups] == [f"b/test/{i}" for i in range(4)]
    assert list(found) == ["b"]
    assert len(evaluator.evaluate(0, "dev", 2)["b"].groups) == 2
    assert [line["split"] for line in evaluator.workspace.read("eval")] == ["test", "dev"]


def test_an_evaluation_is_drawn_by_its_own_settings(tmp_path: Path) -> None:
    """Stop strings and a length of 0 are the training's; n, temperature and top-p are the evaluation's."""
    config = EvaluationConfig(k=3, temperature=0.6, top_p=0.95, resamples=10)
    evaluator = evaluator_of(place(tmp_path), ["y"], config=config)
    evaluator.evaluate(0)
    (_, sampling, _) = evaluator.engine.calls[0]  # type: ignore[attr-defined]
    assert (sampling.n, sampling.temperature, sampling.top_p, sampling.max_tokens) == (3, 0.6, 0.95, 40)


def test_what_is_given_goes_before_the_evaluator_s_own(tmp_path: Path) -> None:
    """Another config, another template, another log, a label; the evaluator itself stays as it was."""
    evaluator = evaluator_of(place(tmp_path), ["y"], tasks=("a", "b"))
    other = EvaluationConfig(k=3, resamples=10, tasks=("b",), limit=1)
    evaluator.evaluate(4, config=other, render=lambda prompt: [9, 9], log="templates", labels={"template": "plain"})
    (line,) = evaluator.workspace.read("templates")
    assert (line["task"], line["k"], line["problems"], line["template"]) == ("b", 3, 1, "plain")
    assert {line["template"] for line in evaluator.workspace.read("rollouts")} == {"plain"}
    assert evaluator.workspace.read("eval") == []
    assert evaluator.engine.calls[0][0] == ((9, 9),)  # type: ignore[attr-defined]
    evaluator.evaluate(5)
    assert [line["task"] for line in evaluator.workspace.read("eval")] == ["a", "b"]
    assert not any("template" in line for line in evaluator.workspace.read("eval"))
