"""What an engine does wrong with the weights it was handed ends the run before a step is learnt from it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from r1kit.cluster.ranks import Solo
from r1kit.errors import InputError, R1Error
from r1kit.evals.transcripts import per_token
from r1kit.loops import rl
from r1kit.loops.gap import _Told, check_gap, engine_gaps, read_by
from r1kit.model.segments import Segments
from r1kit.recipe import load_recipe
from r1kit.records import Completion, Group, Prompt, Sampling
from r1kit.rollout.local import LocalEngine
from r1kit.rollout.scripted import CodePoints
from r1kit.update.learner import Batch

from .toy import CONFIG, policy_of, render, spell, toy

Ended = Callable[[int, tuple[Completion, ...]], None]
COOL = replace(CONFIG, steps=3, max_gap=0.01, sampling=replace(CONFIG.sampling, temperature=0.7))


class Stale(LocalEngine):
    """Says the new version, and goes on with the weights that it began with."""

    def load_weights(self, stream: Any, version: int) -> None:
        self._version = version


class Hot(LocalEngine):
    """Draws at temperature 1 whatever it is asked for."""

    def generate_each(self, prompts: Any, sampling: Sampling, seeds: Any, ended: Ended, limits: Any = None) -> None:
        super().generate_each(prompts, replace(sampling, temperature=1.0), seeds, ended, limits)


class Raw(LocalEngine):
    """Draws as it is asked to, and tells log-probs before the temperature."""

    model: Any = None

    def generate_each(self, prompts: Any, sampling: Sampling, seeds: Any, ended: Ended, limits: Any = None) -> None:
        def told(place: int, group: tuple[Completion, ...]) -> None:
            ended(place, tuple(replace(one, logprobs=self._raw(prompts[place], one.token_ids)) for one in group))

        super().generate_each(prompts, sampling, seeds, told, limits)

    def _raw(self, prompt: Sequence[int], tokens: Sequence[int]) -> tuple[float, ...]:
        hidden = self.model.hidden(Segments.pack([torch.tensor([*prompt, *tokens])]))[len(prompt) - 1 : -1]
        scores = (hidden @ self.model.head.t()).log_softmax(-1)
        return tuple(scores.gather(1, torch.tensor(tokens)[:, None])[:, 0].tolist())


def run(folder: Path, kind: type[LocalEngine], config: Any) -> list[dict[str, Any]]:
    """Lines of metrics of a toy run with an engine of this kind."""
    world = toy(folder)
    world.learner.settings = replace(world.learner.settings, temperature=config.sampling.temperature)
    engine = kind(world.learner.flat.model, CodePoints(), end_ids=[0])  # type: ignore[arg-type]
    if isinstance(engine, Raw):
        engine.model = world.learner.flat.model
    rl.train(config, policy_of(world.workspace, engine, world.learner, world.scorer, world.evaluator))
    lines = (world.workspace.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_sound_engine_is_off_by_rounding(tmp_path: Path) -> None:
    lines = run(tmp_path, LocalEngine, COOL)
    assert len(lines) == 3
    assert all(0 <= line["engine_gap"] < 1e-5 for line in lines)


@pytest.mark.parametrize("kind", [Stale, Hot, Raw])
def test_a_faulty_engine_ends_the_run(tmp_path: Path, kind: type[LocalEngine]) -> None:
    """Weights that stay behind show after the first update; another temperature, or log-probs before it, at once."""
    with pytest.raises(R1Error, match=r"nats a token off the learner's, more than max_gap = 0\.01") as caught:
        run(tmp_path, kind, COOL)
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)
    logged = tmp_path / "02_r1_zero" / "metrics.jsonl"
    assert len(logged.read_text(encoding="utf-8").splitlines() if logged.exists() else []) == (kind is Stale)


class Sleeper(LocalEngine):
    """Keeps memory on the learner's device, and notes what it is told."""

    sleeps = True

    def load_weights(self, stream: Any, version: int) -> None:
        super().load_weights(stream, version)
        self.told = [*getattr(self, "told", []), f"weights {version}"]

    def release(self) -> None:
        super().release()
        self.told.append("release")

    def resume(self) -> None:
        super().resume()
        self.told.append("resume")


def test_an_engine_on_the_learner_s_device_sleeps_while_it_learns(tmp_path: Path) -> None:
    world = toy(tmp_path / "sleeper")
    engine = Sleeper(world.learner.flat.model, CodePoints(), end_ids=[0])  # type: ignore[arg-type]
    config = replace(CONFIG, steps=3)
    rl.train(config, policy_of(world.workspace, engine, world.learner, world.scorer, world.evaluator))
    night = ["release", "resume"]
    assert engine.told == ["weights 0", *night, "weights 1", *night, "weights 2", *night, "weights 3"]
    plain = toy(tmp_path / "plain")
    plain.train(config)
    assert torch.equal(world.learner.flat.master, plain.learner.flat.master)


def test_zero_lets_every_gap_pass_and_logs_it(tmp_path: Path) -> None:
    assert all(line["engine_gap"] > 0.01 for line in run(tmp_path, Hot, replace(COOL, max_gap=0.0)))
    recipe = load_recipe("nano-zero", ["r1_zero.max_gap=0"])
    assert recipe.stages["r1_zero"].max_gap == 0
    with pytest.raises(InputError, match=r"stages\.r1_zero\.max_gap = -1"):
        recipe.stages["r1_zero"].__class__.check(replace(recipe.stages["r1_zero"], max_gap=-1.0), "r1_zero", recipe)


class Says:
    """A learner whose log-probs are all the same."""

    def __init__(self, value: float) -> None:
        self.value = value

    def logprobs(self, batch: Batch) -> list[torch.Tensor]:
        return [torch.full((len(row.tokens),), self.value) for row in batch.rows]


class Sharer(Says):
    """And takes each rank's own rows."""

    shares = True


class Shared(Solo):
    """One of two ranks; what the other one tells is known."""

    def __init__(self, rank: int, theirs: Any) -> None:
        super().__init__(rank, 2)
        self.theirs = theirs

    def gather_objects(self, item: Any) -> list[Any]:
        return [item, self.theirs]


def group(version: int, *logprobs: float) -> Group:
    one = Completion(token_ids=tuple(range(len(logprobs))), logprobs=logprobs, text="", finish="stop", version=version)
    return Group(prompt=Prompt(id=f"of {version}", task="t", question="q"), prompt_ids=(1,), completions=(one,))


def test_the_gap_is_the_mean_over_tokens_and_of_a_fresh_group() -> None:
    """abs(-1 + 1), abs(-1 + 2), abs(-1 + 4): 0, 1, 3. What is stale may be a nat off, a fresh group may not."""
    learner: Any = Says(-1.0)
    groups = [group(0, -1.0, -2.0, -4.0), group(0, -2.5)]
    assert engine_gaps(groups, read_by(learner, groups)) == [pytest.approx(4 / 3), 1.5]
    old, new = group(0, -1.9), group(1, -1.0)
    assert check_gap([old, new], learner, version=1, most=0.1).gap == 0
    assert check_gap([old], learner, version=1, most=0.1).gap == pytest.approx(0.9)
    with pytest.raises(R1Error, match=r"of 0 are 0\.9 nats a token off"):
        check_gap([old], learner, version=0, most=0.1)
    with pytest.raises(R1Error, match="max_gap = 1"):
        check_gap([group(0, -2.5)], learner, version=1, most=0.1)
    two: Any = Shared(rank=0, theirs=[_Told(0.3, "of another rank", False)])
    with pytest.raises(R1Error, match=r"of another rank are 0\.3 nats"):
        check_gap([new], Sharer(-1.0), version=1, most=0.1, ranks=two)  # type: ignore[arg-type]
    assert check_gap([], Sharer(-1.0), version=1, most=0.5, ranks=two).gap == 0.3  # type: ignore[arg-type]
    with pytest.raises(R1Error, match="nan nats"):
        check_gap([group(1, float("nan"))], learner, version=1, most=0.1)


# ---- what is kept of each token -------------------------------------------------------------------------------------


def rollouts(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "02_r1_zero/rollouts.jsonl").read_text().splitlines()]


def test_each_token_s_numbers_are_the_sampler_s_and_the_learner_s_before_it_learns(tmp_path: Path) -> None:
    """Of the first group of a step, worked out again from the model's whole distributions."""
    world = toy(tmp_path)
    model = copy.deepcopy(world.learner.flat.model)
    world.train(replace(CONFIG, steps=1, record_groups=2))
    lines = rollouts(tmp_path)
    assert ["per_token" in line for line in lines] == [True] * 8 + [False] * 8
    for line in lines[:8]:
        kept = line["per_token"]
        ids = [ord(text) for text in kept["text"]]
        prompt = render(Prompt(question=str(int(line["prompt_id"].rpartition("/")[2]))))
        with torch.no_grad():
            hidden = model.hidden(Segments.pack([torch.tensor([*prompt, *ids])]))[len(prompt) - 1 : -1]
        own = (hidden @ model.head.t()).log_softmax(-1)
        chosen = own.gather(1, torch.tensor(ids)[:, None])[:, 0]
        assert kept["logprob"] == pytest.approx(chosen.tolist(), abs=6e-5)
        assert kept["entropy"] == pytest.approx((-(own.exp() * own).sum(-1)).tolist(), abs=6e-5)
        assert max(map(abs, kept["gap"])) < 1e-5
        assert len(kept["text"]) == line["tokens"]
        assert all(round(value, 4) == value for value in kept["logprob"] + kept["entropy"])


def test_a_gap_is_the_learner_s_less_the_sampler_s() -> None:
    one = Completion(token_ids=(1, 2), logprobs=(-1.0, -0.25), text="ab", finish="stop")
    read = torch.tensor([[-1.5, -0.123456], [0.7, 0.33333]])
    assert per_token(one, spell, read) == {
        "text": ["\x01", "\x02"], "logprob": [-1.0, -0.25], "entropy": [0.7, 0.3333], "gap": [-0.5, 0.1265],
    }  # fmt: skip
    assert set(per_token(one, spell, read[:1])) == {"text", "logprob", "gap"}  # of a learner that tells no entropies
    assert set(per_token(one, spell)) == {"text", "logprob"}


@pytest.mark.parametrize("kept", [0, 1, 4])
def test_what_is_kept_changes_nothing_that_is_learnt(tmp_path: Path, kept: int) -> None:
    plain, other = toy(tmp_path / "plain"), toy(tmp_path / "other")
    plain.train(replace(CONFIG, steps=3, record_groups=4, minibatches=2))
    other.train(replace(CONFIG, steps=3, record_groups=4, minibatches=2, record_tokens=kept))
    assert torch.equal(plain.learner.flat.master, other.learner.flat.master)
    lines = rollouts(tmp_path / "other")
    held = [set(line.pop("per_token", {})) for line in lines]
    every = {"text", "logprob", "entropy", "gap"}
    assert held == ([every] * 8 * kept + [set()] * 8 * (4 - kept)) * 3
    assert lines == [{k: v for k, v in line.items() if k != "per_token"} for line in rollouts(tmp_path / "plain")]
    logs = [(tmp_path / run / "02_r1_zero/metrics.jsonl").read_text().splitlines() for run in ("plain", "other")]
    plainly, kept_too = ([json.loads(line)["engine_gap"] for line in log] for log in logs)
    assert plainly == kept_too
