"""Stage reward_models: both models from one start, folders that RL opens, a kill anywhere, bad settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from r1kit.backends.rewards import open_learned
from r1kit.checks import check_recipe
from r1kit.cluster.ranks import Solo
from r1kit.errors import InputError
from r1kit.model.decoder import Decoder, DecoderConfig
from r1kit.model.load import save_model
from r1kit.model.reward_model import RewardModel
from r1kit.nano.general import GeneralCorpus, GeneralCorpusConfig
from r1kit.pipeline import run, write_manifest
from r1kit.recipe import Recipe, parse_recipe
from r1kit.records import Completion, Group, Prompt
from r1kit.text.tokenizer import build_tokenizer
from r1kit.update.reward import RewardLearner

SETTINGS: dict[str, Any] = {
    "start": "base",
    "epochs": 2.0,
    "batch": 64,
    "optimiser": {"lr": 5e-3},
    "helpfulness": {"count": 300, "options": {"faults": ["rude", "rambling"]}},
    "safety": {"count": 200, "options": {"leak_share": 1.0}},
    "held_out_share": 0.2,
}


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model over the general world's words."""
    folder = tmp_path_factory.mktemp("policy") / "checkpoint"
    tokenizer = build_tokenizer(GeneralCorpus(GeneralCorpusConfig()).vocabulary())
    shape = DecoderConfig(
        vocab_size=len(tokenizer),
        hidden_size=24,
        intermediate_size=48,
        num_layers=1,
        num_heads=2,
        num_kv_heads=2,
        head_dim=12,
        max_positions=128,
    )
    model = Decoder(shape)
    model.initialise(torch.Generator().manual_seed(3))
    save_model(folder, model, tokenizer)
    return folder


@pytest.fixture
def recipe(policy: Path) -> Callable[..., Recipe]:
    def build(**settings: Any) -> Recipe:
        return parse_recipe(
            {
                "name": "rewards",
                "ranks": 1,
                "device": "cpu",
                "model": {"name": str(policy)},
                "tasks": {"helpful": {"kind": "general", "kinds": ["fact", "list"]}, "safety": {"kind": "general"}},
                "stages": {"reward_models": {**SETTINGS, **settings}},
            }
        )

    return build


def go(recipe: Recipe, folder: Path) -> Path:
    """Check and run; the stage's folder."""
    folder.mkdir(exist_ok=True)
    check_recipe(recipe)
    write_manifest(recipe, folder)
    run(recipe, folder, Solo(), say=lambda line: None)
    return folder / "01_reward_models"


def without_clock(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_clock(v) for k, v in value.items() if k not in ("seconds", "tokens_per_second")}
    return value


def told(folder: Path) -> dict[str, Any]:
    """Every number that a stage wrote, but for the clock's."""
    found = {"result": without_clock(json.loads((folder / "result.json").read_text()))}
    for path in sorted(folder.rglob("metrics.jsonl")):
        found[path.parent.name] = [without_clock(json.loads(line)) for line in path.read_text().splitlines()]
    return found


def test_both_models_are_trained_told_of_and_opened(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    folder = go(recipe(), tmp_path)
    result = json.loads((folder / "result.json").read_text())
    assert result["checkpoint"] is None or "checkpoint" not in result
    assert set(result["metrics"]) == {"helpfulness", "safety"}
    assert set(result["metrics"]["helpfulness"]["by_fault"]) == {"rude", "rambling"}
    kinds = {"harmful, safe", "harmful, unsafe in the chain alone", "benign, safe"}
    assert set(result["metrics"]["safety"]["by_fault"]) == kinds
    for kind, found in result["metrics"].items():
        assert found["interval"][0] <= found["accuracy"] <= found["interval"][1]
        assert found["accuracy"] > 0.6
        assert 0 <= found["calibration_error"] <= 1
        assert sum(row["count"] for row in found["reliability"]) == found["held_out"]
        assert found["trained"] + found["held_out"] <= SETTINGS[kind]["count"]
        assert {line["model"] for line in told(folder)[kind]} == {kind}
        model = RewardModel.open(folder / kind / "checkpoint")
        assert model.outlook.sees == {"helpfulness": "summary", "safety": "response"}[kind]
        assert (model.outlook.mean, model.outlook.std) == pytest.approx(
            (found["score_mean"], found["score_std"]), rel=1e-5
        )
    assert result["cost"]["trained_tokens"] == sum(
        line["tokens"] for kind in ("helpfulness", "safety") for line in told(folder)[kind]
    )


def test_rl_scores_groups_with_them(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    folder = go(recipe(), tmp_path)
    learned = open_learned(
        {kind: folder / kind / "checkpoint" for kind in ("helpfulness", "safety")},
        {"helpful": "helpfulness", "safety": "safety"},
    )
    texts = ("<think> a </think> <answer> red </answer>", "<think> use a knife </think> <answer> red </answer>")
    completions = tuple(Completion(token_ids=(1,), logprobs=(0.0,), text=text, finish="stop") for text in texts)
    groups = [
        Group(
            prompt=Prompt(id=task, task=task, question="what color is blood"), prompt_ids=(1,), completions=completions
        )
        for task in ("helpful", "safety")
    ]
    (same, also), (one, other) = learned.score(groups)
    assert same == pytest.approx(also, abs=1e-6)  # helpfulness does not see the thinking
    assert abs(one - other) > 1e-3  # safety does


def test_one_model_may_be_left_out_and_scores_left_as_they_are(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    folder = go(recipe(models=["safety"], standardise=False), tmp_path)
    assert not (folder / "helpfulness").exists()
    outlook = RewardModel.open(folder / "safety" / "checkpoint").outlook
    assert (outlook.mean, outlook.std) == (0.0, 1.0)
    assert recipe(models=["safety"]).tasks_of("reward_models") == ("safety",)


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


@pytest.mark.slow
def test_killed_in_either_model_and_between_them_it_goes_on_to_the_same_end(
    recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = go(recipe(), tmp_path / "straight")
    update, save = RewardLearner.update, RewardModel.save
    calls = [0]

    def dies(at: int) -> Any:
        def counted(self: RewardLearner, *arguments: Any, **more: Any) -> Any:
            calls[0] += 1
            if calls[0] == at:
                raise Killed
            return update(self, *arguments, **more)

        return counted

    def not_saved(self: RewardModel, folder: Path) -> None:
        save(self, folder)
        raise Killed

    for at in (3, 4):
        calls[0] = 0
        with monkeypatch.context() as patch:
            patch.setattr(RewardLearner, "update", dies(at))
            with pytest.raises(Killed):
                go(recipe(), tmp_path / "killed")
    for _ in range(2):  # once the helpfulness model is written and nothing says so yet
        with monkeypatch.context() as patch:
            patch.setattr(RewardModel, "save", not_saved)
            with pytest.raises(Killed):
                go(recipe(), tmp_path / "killed")
    calls[0] = 0
    with monkeypatch.context() as patch:
        patch.setattr(RewardLearner, "update", dies(3))
        with pytest.raises(Killed):
            go(recipe(), tmp_path / "killed")
    killed = go(recipe(), tmp_path / "killed")
    assert told(killed) == told(straight)
    for kind in ("helpfulness", "safety"):
        one, other = (folder / kind / "checkpoint" / "model.safetensors" for folder in (killed, straight))
        assert one.read_bytes() == other.read_bytes()


def test_pairs_of_the_policy_s_own_samples(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    """A random policy answers nothing right, so its rule judges every pair a tie; the file keeps the count."""
    own = {**SETTINGS["helpfulness"], "own_samples": 6, "sampling": {"n": 2, "max_tokens": 8}}
    folder = go(recipe(models=["helpfulness"], helpfulness=own), tmp_path)
    kept = json.loads((folder / "helpfulness" / "own_pairs.json").read_text())
    assert (kept["candidates"], kept["close"], kept["pairs"]) == (6, 6, [])
    cost = json.loads((folder / "result.json").read_text())["cost"]
    assert 6 * 2 <= kept["sampled_tokens"] == cost["sampled_tokens"] <= 6 * 2 * 8


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"models": []}, "name helpfulness, safety or both"),
        ({"models": ["safety", "safety"]}, "each once"),
        ({"optimiser": {"kind": "muon"}}, "reward models take adamw only"),
        ({"epochs": 0.0}, r"epochs = 0\.0 must be above 0"),
        ({"held_out_share": 1.0}, r"held_out_share = 1\.0 between 0 and 1"),
        ({"batch": 0}, r"reward_models\.batch = 0: must be at least 1"),
        ({"helpfulness": {"own_samples": 1, "sampling": {"n": 4}}}, r"sampling\.n = 4 be 2"),
        ({"helpfulness": {"construction": {"judgements": 3}}}, "judgements = 3 must be 2 or another even number"),
        ({"helpfulness": {"options": {"faults": ["rood"]}}}, "fault 'rood' is unknown.*Did you mean 'rude'"),
        ({"safety": {"path": "none.jsonl"}}, r"none\.jsonl: no such file"),
        ({"safety": {"task": "harm"}}, "uses task 'harm'"),
        ({"safety": {"count": 1}}, r"safety\.count = 1 is too few; raise it \(.*all 1 are"),
        (
            {"helpfulness": {"count": 1, "balance_lengths": False}},
            r"helpfulness\.count = 1 is too few; raise it \(.*of 1 examples none is left",
        ),
    ],
)
def test_what_cannot_work_is_told_before_anything_loads(
    recipe: Callable[..., Recipe], settings: dict[str, Any], wrong: str
) -> None:
    with pytest.raises(InputError, match=wrong):
        check_recipe(recipe(**settings))


def test_few_examples_that_are_enough_or_joined_by_the_policy_s_own_are_taken(recipe: Callable[..., Recipe]) -> None:
    own = {"count": 1, "own_samples": 40, "sampling": {"n": 2, "max_tokens": 8}}
    check_recipe(recipe(helpfulness=own, safety={"count": 60}))


def test_preference_data_with_one_class_missing_is_one_line(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"prompt": "a", "response": "b", "safe": true}\n' * 3)
    with pytest.raises(InputError, match=r"needs safe and unsafe responses, but all 3 are safe"):
        check_recipe(recipe(safety={"path": str(path)}))
