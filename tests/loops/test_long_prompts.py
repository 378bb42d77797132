"""A prompt longer than the context: told before the run, left out of training with a count, wrong where held out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from r1kit.checks import check_recipe
from r1kit.errors import InputError
from r1kit.launcher import run_here
from r1kit.loops.curriculum import Curriculum, Drawing
from r1kit.loops.rollouts import PromptStream, Rollouts
from r1kit.recipe import load_recipe
from r1kit.records import Prompt, Sampling
from r1kit.rollout.local import LocalEngine
from r1kit.rollout.sample import room_for_prompt, sample_groups, unanswered
from r1kit.rollout.scripted import CodePoints, ScriptedEngine

from .tiny import questions, save_start
from .toy import CONFIG, ToyTask, toy

SHORT, LONG = [1, 2], [1] * 60


def engine_of(folder: Path, positions: int = 64) -> LocalEngine:
    engine = LocalEngine(toy(folder).learner.flat.model, CodePoints(), end_ids=[0])  # type: ignore[arg-type]
    engine.positions = positions
    return engine


def test_what_does_not_fit_is_not_asked_and_the_others_are_as_without_it(tmp_path: Path) -> None:
    """64 positions less 6 tokens leave 58: a prompt of 58 is asked, one of 59 is not."""
    engine, sampling = engine_of(tmp_path), Sampling(n=3, max_tokens=6)
    assert room_for_prompt(engine, sampling) == 58
    ids = {"a": SHORT, "b": [1] * 59, "c": [1, 3], "d": [1] * 58}
    prompts = [Prompt(id=name, task="t", question=name) for name in ids]
    told: list[int] = []
    found = sample_groups(
        engine,
        prompts,
        lambda one: ids[one.id],
        sampling,
        lambda index: 7 * index,
        lambda index, group: told.append(index),
    )
    assert [group.prompt.id for group in found] == ["a", "b", "c", "d"]
    assert sorted(told) == [0, 1, 2, 3]
    assert [unanswered(group) for group in found] == [False, True, False, False]
    assert [(c.text, c.token_ids, c.finish) for c in found[1].completions] == [("", (), "length")] * 3
    alone = sample_groups(engine, [prompts[2]], lambda one: ids[one.id], sampling, lambda index: 14)
    assert [c.token_ids for c in found[2].completions] == [c.token_ids for c in alone[0].completions]


def test_an_engine_that_does_not_say_and_a_length_that_never_fits_are_left_to_the_engine(tmp_path: Path) -> None:
    assert room_for_prompt(ScriptedEngine(["a"]), Sampling(max_tokens=6)) is None
    engine = engine_of(tmp_path)
    assert room_for_prompt(engine, Sampling(max_tokens=64)) is None


class Uneven(ToyTask):
    """Every third question is too long."""

    def train(self, index: int) -> Prompt:
        return Prompt(id=f"toy/{index}", task="toy", question="long" if index % 3 == 0 else str(index))


def rollouts_of(folder: Path, engine: Any, setting: str, said: list[str]) -> Rollouts:
    one = toy(folder)
    one.workspace.say = said.append

    def render(prompt: Prompt) -> list[int]:
        return LONG if prompt.question == "long" else SHORT

    policy: Any = type("Policy", (), {"engine": engine, "render": staticmethod(render), "workspace": one.workspace})
    return Rollouts(replace(CONFIG, long_prompts=setting), policy, lambda step: {})  # type: ignore[arg-type]


def stream_of(rollouts: Rollouts) -> PromptStream:
    workspace = rollouts.policy.workspace
    return PromptStream({}, workspace, Drawing(Curriculum(), {}, 1, "r1_zero", print), rollouts._too_long)


def test_in_training_it_is_left_out_counted_and_said_once(tmp_path: Path) -> None:
    said: list[str] = []
    rollouts = rollouts_of(tmp_path, engine_of(tmp_path), "drop", said)
    workspace = rollouts.policy.workspace
    stream = stream_of(rollouts)
    drawn = [prompt.question for _, prompt in stream.take({"toy": Uneven()}, 20)]  # type: ignore[dict-item]
    assert "long" not in drawn
    assert workspace.cursor["long_prompts"] == 10 - (workspace.cursor["prompt:toy"] == 29)
    first = next(i for i in range(3) if (workspace.seed * 1_000_003 + i) % 3 == 0)
    assert said == [
        f"r1_zero: prompts of toy are left out, the first: toy/{workspace.seed * 1_000_003 + first} has 60 tokens, and "
        "the model's positions leave 58 beside sampling.max_tokens = 6"
    ]


def test_or_it_ends_the_run_and_so_does_a_task_that_has_no_other(tmp_path: Path) -> None:
    refusing = rollouts_of(tmp_path / "a", engine_of(tmp_path / "b"), "refuse", [])
    stream = PromptStream(
        {}, refusing.policy.workspace, Drawing(Curriculum(), {}, 1, "r1_zero", print), refusing._too_long
    )
    with pytest.raises(InputError, match=r'shorten it, or set long_prompts = "drop"'):
        stream.take({"toy": Uneven()}, 3)  # type: ignore[dict-item]

    class Long(ToyTask):
        def train(self, index: int) -> Prompt:
            return Prompt(id=f"toy/{index}", task="toy", question="long")

    dropping = rollouts_of(tmp_path / "c", engine_of(tmp_path / "d"), "drop", [])
    stream = PromptStream(
        {}, dropping.policy.workspace, Drawing(Curriculum(), {}, 1, "r1_zero", print), dropping._too_long
    )
    with pytest.raises(InputError, match="1000 prompts of toy in a row are too long"):
        stream.take({"toy": Long()}, 1)  # type: ignore[dict-item]


def recipe_of(folder: Path, *overrides: str) -> Any:
    """40 short questions and two of 61 words, on a model of 64 positions."""
    start, task = save_start(folder / "start"), questions(folder / "q.jsonl")
    lines = (folder / "q.jsonl").read_text()
    for number in (50, 51):
        lines += json.dumps({"prompt": " ".join(["what"] * 60 + [str(number)]), "answer": "1"}) + "\n"
    (folder / "q.jsonl").write_text(lines)
    table = "\n".join(f"{key} = {json.dumps(value)}" for key, value in task.items())
    (folder / "r.toml").write_text(
        f'name = "r"\ndtype = "float32"\n[model]\nname = "{start}"\ntemplate = {{name = "plain"}}\n'
        f"[tasks.t]\n{table}\n[stages.r1_zero]\nsteps = 4\nprompts_per_step = 12\nevaluate_every = 4\n"
        f"[stages.r1_zero.sampling]\nn = 2\nmax_tokens = 8\n[stages.r1_zero.evaluation]\nk = 2\nresamples = 5\n"
    )
    return load_recipe(str(folder / "r.toml"), overrides)


def test_the_check_counts_them_and_the_run_goes_to_its_end(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path)
    warnings = [line for line in check_recipe(recipe) if "longer" in line]
    assert warnings
    counted = sum(int(line.split(": ")[2].split(" of ")[0]) for line in warnings)
    assert counted == 2  # each line of the file is in one part
    assert "that the model's 64 positions leave beside sampling.max_tokens = 8" in warnings[0]
    with pytest.raises(InputError, match='or set long_prompts = "drop"'):
        check_recipe(recipe_of(tmp_path, "r1_zero.long_prompts=refuse"))
    run_here(recipe, tmp_path / "run", "", lambda line: None)
    evaluations = [json.loads(line) for line in (tmp_path / "run/01_r1_zero/eval.jsonl").read_text().splitlines()]
    trained = [json.loads(line) for line in (tmp_path / "run/01_r1_zero/metrics.jsonl").read_text().splitlines()]
    long_held = {line["split"]: line.get("long_prompts", 0) for line in evaluations}
    assert sum(long_held.values()) + bool(trained[-1].get("long_prompts")) >= 1
    assert len(trained) == 4
