"""docs/metrics.md explains what runs write and nothing else: small loops run here and their files are read."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from evals.evaluating import Rules, evaluator_of, learned, place, scorer_of
from loops.apart import Apart
from loops.test_ppo import CONFIG as PPO_CONFIG
from loops.test_ppo import train as train_ppo
from loops.test_supervised import CONFIG as SUPERVISED
from loops.test_supervised import counting
from loops.toy import CONFIG, VOCABULARY, ToyScorer, ToyTask, policy_of, spell, toy

from r1kit.evals.gate import base_gate
from r1kit.evals.transcripts import rollout_lines
from r1kit.factory.collect import collect
from r1kit.factory.collection import Plan
from r1kit.factory.harvest import Harvest
from r1kit.factory.select import Candidate
from r1kit.loops import rl, supervised
from r1kit.loops.curriculum import Curriculum
from r1kit.maths.policy_loss import supervised_loss
from r1kit.maths.settings import PolicyLoss
from r1kit.model.families import family
from r1kit.model.families.deepseek_v3 import DeepseekShape
from r1kit.records import Completion, Group, Prompt, Sample, Sampling, Score
from r1kit.report.read.prompts import FATES
from r1kit.reward.rule import RewardConfig, score_completion
from r1kit.rollout.engine import drafted_metrics
from r1kit.rollout.hand_over import Handed, handed_metrics
from r1kit.rollout.local import LocalEngine
from r1kit.rollout.scripted import CodePoints
from r1kit.tasks.task import Grade
from r1kit.update.local import LearnerSettings, LocalLearner
from r1kit.update.settings import ExpertSettings

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "metrics.md").read_text(encoding="utf-8")


def explained(heading: str) -> set[str]:
    """Names in the first column of the tables under a heading, up to the next one of its rank or above."""
    section = PAGE.split(f"\n{heading}")[1]
    section = re.split(rf"^#{{2,{heading.index(' ')}}} ", section, flags=re.MULTILINE)[0]
    return first_column(section)


def first_column(section: str) -> set[str]:
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| ")]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def keys(path: Path) -> set[str]:
    return {key for line in path.read_text(encoding="utf-8").splitlines() for key in json.loads(line)}


@dataclass(frozen=True, slots=True)
class Exact:
    """A task whose answers are right when they are the prompt's."""

    name: str = "toy"

    def grade(self, prompt: Prompt, answer: str) -> Grade:
        return Grade(correct=float(answer == prompt.answer), canonical=answer)


class AllParts(ToyScorer):
    """Every part that rules and reward models give."""

    def one(self, group: Group, tokens: Sequence[int]) -> Score:
        parts = {"accuracy": 1.0, "format": 0.2, "length": 0.5, "overlong": 1.0}
        paid = RewardConfig(parts=parts, overlong_window=2, max_tokens=9)
        score = score_completion(
            Exact(), group.prompt, "<think> a </think> <answer> 1 </answer>", "stop", paid, len(tokens)
        )  # type: ignore[arg-type]
        return replace(score, total=super().one(group, tokens).total, parts={**score.parts, "preference": 0.0})


def rl_log(folder: Path) -> set[str]:
    one = toy(folder, scorer=AllParts(), levels=3)
    curriculum = Curriculum(by="pass_rate")
    one.train(replace(CONFIG, steps=2, minibatches=2, loss=PolicyLoss(kl_weight=0.1), curriculum=curriculum))
    assert keys(one.workspace.folder / "rollouts.jsonl") == explained("## `rollouts.jsonl`") - {"spans", "cause"}
    return keys(one.workspace.folder / "metrics.jsonl")


def supervised_log(folder: Path) -> set[str]:
    one = toy(folder)
    supervised.train(replace(SUPERVISED, steps=2), counting, one.learner, one.workspace)
    return keys(one.workspace.folder / "metrics.jsonl")


def test_what_trains(tmp_path: Path) -> None:
    everywhere, ahead = explained("### Every stage that trains"), explained("#### Stages that sample ahead")
    elsewhere = explained("#### Stages whose engines are processes")
    assert elsewhere == set(handed_metrics(SimpleNamespace(handed=Handed(seconds=2.0, sent=8))))
    of_ppo = explained("#### PPO")
    late = explained("#### Stages that do without slow verdicts")
    in_rl = explained("### RL stages") - ahead - elsewhere - of_ppo - late
    assert supervised_log(tmp_path / "sft") == everywhere
    assert rl_log(tmp_path / "rl") == everywhere | in_rl | {"preference"}
    ppo = toy(tmp_path / "ppo")
    train_ppo(ppo, replace(PPO_CONFIG, steps=2, reward_kl=0.1))
    assert of_ppo <= keys(ppo.workspace.folder / "metrics.jsonl") <= everywhere | in_rl | of_ppo
    assert {"preference", "accuracy", "format", "language", "overlong"} <= explained("## Rewards")


def test_what_models_with_experts_tell_besides() -> None:
    experts = ExpertSettings(bias_speed=0.001, balance=0.0001)
    model, batch = family("deepseek_v3").fresh(DeepseekShape(mtp_layers=1), VOCABULARY), counting(0)
    model.initialise(torch.Generator().manual_seed(0))
    found = LocalLearner(model, LearnerSettings(experts=experts, further=0.3)).update(batch, supervised_loss, 1e-3)
    told = {re.sub(r"layer\d+", "layerN", key) for key in found} - explained("### Every stage that trains")
    drafting = LocalEngine(model, CodePoints(), end_ids=[0], draft=True)
    drafting.generate([[1, 2]], Sampling(n=1, max_tokens=5), [1])
    assert told | set(drafted_metrics(drafting)) == explained("### Models with experts")
    assert drafted_metrics(drafting) == {}


def test_what_samples_ahead(tmp_path: Path) -> None:
    one = toy(tmp_path)
    engine = Apart(LocalEngine(one.learner.flat.model, CodePoints(), end_ids=[0]))  # type: ignore[arg-type]
    config = replace(CONFIG, steps=3, max_lag=1, order="ready", loss=PolicyLoss(importance="masked"))
    policy = policy_of(one.workspace, engine, one.learner, one.scorer, one.evaluator)
    rl.train(config, policy, watch=lambda step, found: "enough" if step == 2 else "")
    known = explained("### Every stage that trains") | explained("### RL stages") - {"kl", "format", "language"}
    found = keys(one.workspace.folder / "metrics.jsonl")
    assert explained("#### Stages that sample ahead") <= found <= known
    assert keys(one.workspace.folder / "prompts.jsonl") <= explained("## `prompts.jsonl`")
    assert {*FATES, "step", "dealt"} == explained("## `prompts.jsonl`")


def test_spans_are_written_where_weights_changed() -> None:
    group = Group(
        prompt=Prompt(question="q"),
        prompt_ids=(1,),
        completions=tuple(
            Completion(token_ids=(1,) * 5, logprobs=(0.0,) * 5, text="", finish="stop", version=3, spans=spans)
            for spans in ((), ((3, 2), (4, 3)))
        ),
    )
    lines = rollout_lines(5, [group], [[Score(total=0.0)] * 2], [torch.zeros(2)], 1)
    assert [line.get("spans") for line in lines] == [None, ((3, 2), (4, 3))]


def test_what_makes_samples(tmp_path: Path) -> None:
    """Checks are keys of ``left``; a generative judge's counts are there where one was asked."""
    workspace = place(tmp_path)
    plan = Plan(tasks={"toy": ToyTask()}, routes={"direct": 1}, per_step=1, seed=1)  # type: ignore[dict-item]
    sample = Sample(id="a", prompt="a", response="b", domain="toy")
    kept = [((0, 0), Candidate(sample=sample, tokens=1, consistency=(1.0, 1.0)))]

    def work(route: str, share: Any) -> Harvest:
        counts = {"response_tokens": 4.0, "language_consistency": 1.0}
        judged = {"judge_asked": 1.0, "judge_no_json": 0.0, "judge_left_out": 0.0}
        return Harvest(candidates=kept, left={"sampled": 1, "right": 1}, counts={**counts, **judged})

    collect(plan, work, workspace)
    common = {"step", "seconds", "tokens_per_second"}
    names = explained("### Stages that make samples") | common
    assert keys(workspace.folder / "metrics.jsonl") == names


def test_an_evaluation(tmp_path: Path) -> None:
    """With diagnostics, a reward model and the labels that stages add."""
    workspace = place(tmp_path)
    tries = {"tries": 1.0, "claims_hit": 1.0, "answer_right": 1.0}
    rules = Rules()
    rules.diagnose_groups = lambda groups: [[tries for _ in g.completions] for g in groups]  # type: ignore[method-assign]
    rules.score_groups = with_every_part(rules.score_groups)  # type: ignore[method-assign]
    evaluator = evaluator_of(
        workspace, lambda prompt, seed, row: "yn"[row] + " wait", scorer=scorer_of(rules, learned("a")), spell=spell
    )
    evaluator.evaluate(0, labels={"checkpoint": "c", "template": "t", "budget": "b"})
    section = PAGE.split("## `eval.jsonl`")[1].split("\nDiagnostics of ")[0]
    assert keys(workspace.folder / "eval.jsonl") == first_column(section)
    labels = {"checkpoint", "template", "budget"}
    assert keys(workspace.folder / "rollouts.jsonl") - labels == explained("## `rollouts.jsonl`") - {
        "advantage",
        "cause",
        "spans",
    }


def with_every_part(score: Any) -> Any:
    def scored(groups: Sequence[Group]) -> list[list[Score]]:
        return [[replace(s, parts={**s.parts, "language": 0.5}) for s in row] for row in score(groups)]

    return scored


def test_the_gate(tmp_path: Path) -> None:
    completion = Completion(token_ids=(1, 2), logprobs=(-0.1, -0.2), text="wait yes", finish="stop")
    group = Group(
        prompt=Prompt(id="t/test/0", task="t", question="?"), prompt_ids=(3,), completions=(completion, completion)
    )
    scores = [Score(total=1.0, parts={"accuracy": 1.0, "format": 0.0}), Score(total=0.0)]
    tries = {"tries": 1.0, "claims_hit": 1.0, "answer_right": 1.0, "valid_numbers": 1.0}
    found = base_gate([group], [scores], [[tries, tries]]).as_json()
    names = set(found) | set(found["measures"])
    section = PAGE.split("## `gate.json`")[1].split("\n## ")[0]
    assert sorted(name for name in names if f"`{name}`" not in section) == []


def test_the_cost(tmp_path: Path) -> None:
    workspace = place(tmp_path)
    line = next(line for line in PAGE.splitlines() if line.startswith("`cost` of every `result.json`"))
    assert set(workspace.cost) == set(re.findall(r"`(\w+)`", line)) - {"cost"}


def test_a_name_that_nothing_writes_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page with one row more, and with one row less."""
    row = "| `lr` | learning rate; with several updates a step, their mean |\n"
    assert row in PAGE
    for changed in (PAGE.replace(row, row + "| `made_up` | nothing |\n"), PAGE.replace(row, "")):
        with monkeypatch.context() as patch:
            patch.setitem(globals(), "PAGE", changed)
            assert explained("### Every stage that trains") != supervised_log(tmp_path / str(len(changed)))
