"""A policy's own samples as preference pairs: drawn once, judged in both orders, kept over a kill, on any ranks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from r1kit.cluster.ranks import Solo
from r1kit.factory import own_pairs as module
from r1kit.factory.pairs import Construction, Judge, PairwiseJudge, rule_judge
from r1kit.factory.preferences import PairData
from r1kit.factory.samplers import Sampler
from r1kit.recipe import parse_recipe
from r1kit.records import Sampling
from r1kit.rollout.scripted import CodePoints, ScriptedEngine
from r1kit.workspace import Workspace

RECIPE = parse_recipe(
    {
        "name": "own",
        "model": {"name": "none"},
        "tasks": {"helpful": {"kind": "general"}},
        "stages": {"reward_models": {"start": "base", "models": ["helpfulness"]}},
    }
)
CONFIG = PairData(own_samples=5, sampling=Sampling(n=2, max_tokens=16), construction=Construction(gap=1.5))


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> list[ScriptedEngine]:
    """Engines that were used. The first response is the longer one on every other prompt; the longer one is better."""
    engines: list[ScriptedEngine] = []
    task = RECIPE.task("helpful")
    places = {task.train(index).question: index for index in range(5)}

    @contextmanager
    def samplers(names: Sequence[str], workspace: Workspace, dtype: str, rows: int) -> Iterator[dict[str, Sampler]]:
        def script(prompt: tuple[int, ...], seed: int, row: int) -> str:
            return "xx" if row == len(prompt) % 2 else "x"

        engines.append(ScriptedEngine(script, CodePoints()))
        (name,) = names
        yield {
            name: Sampler(
                name=name,
                version=0,
                engine=engines[-1],
                encode=lambda question: [1] * (places[question] + 1),
                count=len,
                parameters=100,
            )
        }

    @contextmanager
    def judge(*arguments: Any) -> Iterator[tuple[Judge, int]]:
        yield rule_judge(lambda prompt, text: float(len(text))), 0

    monkeypatch.setattr(module, "open_samplers", samplers)
    monkeypatch.setattr(module, "_judge", judge)
    return engines


def place(folder: Path, ranks: Any = None) -> Workspace:
    workspace = Workspace(run=folder, stage="reward_models", index=1, recipe=RECIPE, ranks=ranks or Solo(), key="k")
    workspace.folder.mkdir(parents=True, exist_ok=True)
    return workspace


def test_the_longer_one_is_chosen_and_nothing_is_sampled_twice(tmp_path: Path, sampled: list[ScriptedEngine]) -> None:
    first = place(tmp_path)
    pairs = module.own_pairs(CONFIG, "base", first)
    assert [(pair.chosen, pair.rejected) for pair in pairs] == [("xx", "x")] * 5
    assert [pair.prompt.id for pair in pairs] == [f"helpful/train/{index}" for index in range(5)]
    kept = json.loads((first.folder / "own_pairs.json").read_text())
    assert {name: count for name, count in kept.items() if name != "pairs"} == {
        "candidates": 5, "no_verdict": 0, "left_out": 0, "close": 0, "kept": 5,
        "sampled_tokens": 5 * (2 + 3), "parameters": 100, "judge_tokens": 0, "judge_parameters": 0,
    }  # fmt: skip
    again = place(tmp_path)
    assert module.own_pairs(CONFIG, "base", again) == pairs
    assert len(sampled) == 1
    assert again.cost == first.cost
    assert first.cost["sampled_tokens"] == 25
    assert first.cost["training_flops"] == 25 * 2 * 100
    (first.folder / "own_pairs.json").write_text('{"candidates": 5, "pa')
    assert module.own_pairs(CONFIG, "base", place(tmp_path)) == pairs, "the same again"
    assert json.loads((first.folder / "own_pairs.json").read_text()) == kept


def test_what_a_judge_writes_is_counted_by_its_own_parameters(
    tmp_path: Path, sampled: list[ScriptedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """5 pairs judged 4 times, each "[[A>B]]" and the end token; the judge has 1,000 parameters, the policy 100."""

    @contextmanager
    def judge(*arguments: Any) -> Iterator[tuple[Judge, int]]:
        yield PairwiseJudge(ScriptedEngine(["[[A>B]]"]), lambda text: [1], Sampling(n=1, max_tokens=20)), 1000

    monkeypatch.setattr(module, "_judge", judge)
    first = place(tmp_path)
    module.own_pairs(CONFIG, "base", first)
    assert first.cost["judge_tokens"] == 5 * 4 * 8
    assert first.cost["training_flops"] == 2 * (100 * 25 + 1000 * 160)
    again = place(tmp_path)
    module.own_pairs(CONFIG, "base", again)
    assert again.cost == first.cost
