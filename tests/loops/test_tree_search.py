"""Rounds of search and training on a tiny random model: what they leave, and that a kill changes nothing of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_metrics import explained

from loops.tiny import save_start
from r1kit.checks import check_stages
from r1kit.cluster.ranks import Solo
from r1kit.errors import InputError
from r1kit.factory.samples import read_samples
from r1kit.loops.mcts_settings import MCTS
from r1kit.loops.value_model import later_value
from r1kit.pipeline import run, write_manifest
from r1kit.recipe import Recipe, parse_recipe
from r1kit.seeds import SEED_STRIDE
from r1kit.update.local import LocalLearner
from r1kit.update.reward import RewardLearner

TASK = '''
class Even:
    """Right is what has an even number of words."""

    reads = "completion"

    def train(self, index):
        return {"prompt": f"what is {index % 20}", "id": f"train/{index % 5}"}  # as in a small file

    def held_out(self, split, limit=None):
        return [{"prompt": f"what is {number}"} for number in range(30, 34)]

    def grade(self, prompt, completion):
        return len(completion.split()) % 2 == 0
'''


def recipe_of(tmp_path: Path, **settings: Any) -> Recipe:
    (tmp_path / "even.py").write_text(TASK)
    search = {
        "steps": {"marks": ["1", "2"], "most": 3}, "simulations": 12, "children": 3, "at_once": 2, "depth": 5,
        "max_tokens": 12,
    }  # fmt: skip
    stage = {
        "kind": "mcts", "start": "base", "rounds": 2, "prompts": 6, "search": search, "sampling": {"max_tokens": 12},
        "actor": {"samples_per_step": 2}, "value": {"prompts": 4, "chains": 2, "batch": 4},
        "evaluation": {"k": 2, "split": "test", "resamples": 10}, "reward": {"answer_style": "last_line"},
    }  # fmt: skip
    return parse_recipe(
        {
            "name": "tiny",
            "ranks": 1,
            "dtype": "float32",
            "model": {"name": str(tmp_path / "start"), "template": {"name": "plain"}},
            "tasks": {"even": {"kind": f"{tmp_path}/even.py:Even"}},
            "stages": {"mcts": {**stage, **settings}},
        }
    )


def done(recipe: Recipe, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    write_manifest(recipe, folder)
    run(recipe, folder, Solo(), say=lambda line: None)
    return folder / "01_mcts"


def untimed(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def dying(method: Callable[..., Any], calls: int) -> Callable[..., Any]:
    """The method, which on its so manyth call does not come back."""
    left = [calls]

    def call(*arguments: Any, **more: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return method(*arguments, **more)

    return call


def test_values_that_are_torn_are_one_line(tmp_path: Path) -> None:
    for text in ("[[1, 2], 0.5]\n[[1, 2", "[]\n", "\0\0\n"):
        (tmp_path / "values.jsonl").write_text(text)
        with pytest.raises(InputError, match=r"values\.jsonl is damaged; copy the run folder again, or delete"):
            later_value(MCTS(), tmp_path, "", None)  # type: ignore[arg-type]


@pytest.mark.slow
def test_rounds_and_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_start(tmp_path / "start")
    recipe = recipe_of(tmp_path)
    whole = done(recipe, tmp_path / "whole")
    lines = untimed(whole / "metrics.jsonl")
    assert [line["step"] for line in lines] == [0, 1, 2]
    known = explained("### Tree search") - {"seconds"} | {"step"}
    assert set(lines[0]) <= known
    assert set(lines[1]) == known
    assert [line["step"] for line in untimed(whole / "eval.jsonl")] == [0, 1, 2]
    samples = read_samples(whole / "round-1" / "search" / "samples.jsonl")
    assert len(samples) == lines[1]["samples"] > 0
    assert all(len(sample.response.split()) % 2 == 0 for sample in samples)
    values = [json.loads(line) for line in (whole / "round-1/search/values.jsonl").read_text().splitlines()]
    assert {0.0 <= value <= 1.0 for _, value in values} == {True}
    assert json.loads((whole / "result.json").read_text())["checkpoint"] == "01_mcts/round-2/actor/checkpoint"
    assert (whole / "round-2/value/checkpoint/r1kit_reward.json").is_file()

    for owner, calls in ((RewardLearner, 2), (RewardLearner, 3), (LocalLearner, 1), (LocalLearner, 2)):
        with monkeypatch.context() as patched:
            patched.setattr(owner, "update", dying(owner.update, calls))
            with pytest.raises(KeyboardInterrupt):
                done(recipe, tmp_path / "killed")
    killed = done(recipe, tmp_path / "killed")
    for name in ("metrics.jsonl", "eval.jsonl"):
        assert untimed(killed / name) == untimed(whole / name)
    for name in ("actor/checkpoint/model.safetensors", "value/checkpoint/model.safetensors", "search/samples.jsonl"):
        assert (killed / "round-2" / name).read_bytes() == (whole / "round-2" / name).read_bytes()


def test_each_seed_searches_prompts_of_its_own_and_the_control_learns_whole_chains(tmp_path: Path) -> None:
    save_start(tmp_path / "start")
    recipe = replace(recipe_of(tmp_path, rounds=1, learns="whole_chains"), seed=2)
    folder = done(recipe, tmp_path / "run") / "round-1" / "search"
    samples = read_samples(folder / "samples.jsonl")
    assert {sample.provenance["route"] for sample in samples} == {"whole_chain"}
    assert all(len(sample.response.split()) % 2 == 0 for sample in samples)
    assert len({sample.id for sample in samples}) == len(samples) > 0
    assert (folder / "values.jsonl").stat().st_size > 0  # the trees' all the same
    first = 2 * SEED_STRIDE + 4  # behind the value model's four
    assert {sample.prompt for sample in samples} <= {f"what is {number % 20}" for number in range(first, first + 6)}
    for name, kept, told in (("samples", 0, "missing"), ("values", 1, r"cut short \(\d+ of \d+ bytes\)")):
        (tmp_path / "run/01_mcts/result.json").unlink(missing_ok=True)
        path = folder / f"{name}.jsonl"
        whole = path.read_bytes()
        path.unlink()
        if kept:
            path.write_bytes(b"".join(whole.splitlines(keepends=True)[:kept]))
        with pytest.raises(InputError, match=rf"{name}.jsonl is {told}; copy the run folder again, or delete .*search"):
            done(recipe, tmp_path / "run")
        path.write_bytes(whole)
    assert (done(recipe, tmp_path / "run") / "result.json").is_file()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rounds": 0}, r"stages.mcts.rounds = 0: must be at least 1"),
        ({"value": {"optimiser": {"kind": "muon"}}}, r"value models take adamw only"),
        ({"actor": {"epochs": 0.0}}, r"actor.epochs must be above 0"),
        ({"sampling": {"temperature": 0.0}}, r"stages.mcts.sampling.temperature = 0.0: must be above 0"),
    ],
)
def test_what_cannot_work_is_said_before_anything_loads(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        check_stages(recipe_of(tmp_path, **settings))


def test_a_search_setting_that_cannot_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"search.steps.most must be at least 1"):
        recipe_of(tmp_path, search={"steps": {"marks": ["x"], "most": 0}})
