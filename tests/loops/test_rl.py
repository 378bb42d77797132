"""The RL loop: groups, advantages before minibatches, dynamic sampling, learning, going on, ranks."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from r1kit.cluster.ranks import Solo
from r1kit.errors import InputError
from r1kit.loops import rl
from r1kit.loops.credit import StepsPaid, advantages_of
from r1kit.loops.curriculum import Curriculum, Drawing
from r1kit.loops.dealing import Drawn, is_flat
from r1kit.loops.rl import minibatches, over_updates
from r1kit.loops.rollouts import PromptStream
from r1kit.loops.settings import RL
from r1kit.maths.settings import PolicyLoss
from r1kit.recipe import load_recipe
from r1kit.records import Completion, Group, Prompt, Score
from r1kit.update.learner import Batch
from r1kit.workspace import Workspace

from .toy import CONFIG, Toy, ToyScorer, ToyTask, toy


def group(number: int, lengths: Sequence[int]) -> Group:
    return Group(
        prompt=Prompt(id=f"p{number}", task="toy", question="q"),
        prompt_ids=(1, number),
        completions=tuple(
            Completion(
                token_ids=tuple(range(number * 100 + i, number * 100 + i + n)),
                logprobs=(-1.0,) * n,
                text="",
                finish="stop",
            )
            for i, n in enumerate(lengths)
        ),
    )


def scores(*rows: Sequence[float]) -> list[list[Score]]:
    return [[Score(total=total) for total in row] for row in rows]


GROUPS = [group(0, [3, 1, 4, 1]), group(1, [5, 9, 2, 6])]
TOTALS = scores([1, 0, 0, 0], [1, 1, 0, 0])


def test_advantages_are_over_the_whole_group() -> None:
    """[1, 0, 0, 0]: mean 1/4, sample std 1/2; [1, 1, 0, 0]: mean 1/2, sample std 1/sqrt(3)."""
    config = replace(CONFIG, loss=PolicyLoss(std="sample"))
    first, second = advantages_of(TOTALS, config)
    torch.testing.assert_close(first, torch.tensor([1.5, -0.5, -0.5, -0.5]), rtol=1e-5, atol=0)
    half = math.sqrt(3) / 2
    torch.testing.assert_close(second, torch.tensor([half, half, -half, -half]), rtol=1e-5, atol=0)


@pytest.mark.parametrize("count", [1, 2, 4, 8])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_minibatches_hold_every_row_once_with_its_whole_group_s_advantage(count: int, seed: int) -> None:
    config = replace(CONFIG, minibatches=count, loss=PolicyLoss(std="sample"))
    advantages = advantages_of(TOTALS, config)
    batches = minibatches(GROUPS, advantages, config, seed)
    assert [len(batch.rows) for batch in batches] == [8 // count] * count
    seen = Counter((row.prompt, int(row.tokens[0]) % 100) for batch in batches for row in batch.rows)
    assert seen == Counter((g, i) for g in range(2) for i in range(4))
    for batch in batches:
        assert [prompt.tolist() for prompt in batch.prompts] == [[1, 0], [1, 1]]
        for row in batch.rows:
            i = int(row.tokens[0]) % 100
            assert row.advantage == float(advantages[row.prompt][i])
            assert row.tokens.tolist() == list(GROUPS[row.prompt].completions[i].token_ids)
            assert row.sampler_logprobs is not None
            assert len(row.sampler_logprobs) == len(row.tokens)


@pytest.mark.parametrize("aggregate", ["sequence-mean", "token-mean"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_tokens_of_a_minibatch_weigh_one(aggregate: Any, count: int) -> None:
    config = replace(CONFIG, minibatches=count, loss=PolicyLoss(aggregate=aggregate))
    for batch in minibatches(GROUPS, advantages_of(TOTALS, config), config, 5):
        assert sum(float(row.weight) * len(row.tokens) for row in batch.rows) == pytest.approx(1)


def test_one_batch_keeps_its_order_and_several_are_drawn_by_the_seed() -> None:
    def order(count: int, seed: int) -> list[int]:
        config = replace(CONFIG, minibatches=count)
        batches = minibatches(GROUPS, advantages_of(TOTALS, config), config, seed)
        return [int(row.tokens[0]) for batch in batches for row in batch.rows]

    assert order(1, 0) == order(1, 9) == [0, 1, 2, 3, 100, 101, 102, 103]
    assert order(2, 0) == order(2, 0) != order(2, 1)


def test_what_another_policy_sampled_is_stale_by_its_version_alone() -> None:
    """The sampler's own log-probs are the old ones of a stale completion; what is of this version has none yet."""
    assert GROUPS[0].completions[0].version == 0
    (batch,) = minibatches(GROUPS, advantages_of(TOTALS, CONFIG), CONFIG, 0, version=0)
    assert all(row.old_logprobs is None for row in batch.rows)
    mixed = [GROUPS[0], replace(GROUPS[1], completions=[replace(c, version=1) for c in GROUPS[1].completions])]
    (batch,) = minibatches(mixed, advantages_of(TOTALS, CONFIG), CONFIG, 0, version=1)
    stale, fresh = batch.rows[:4], batch.rows[4:]
    assert [row.old_logprobs.tolist() for row in stale if row.old_logprobs is not None] == [
        [-1.0] * n for n in (3, 1, 4, 1)
    ]
    assert all(row.old_logprobs is None for row in fresh)
    assert rl._lack_old([batch], None) == [True]
    reader = Reader()
    merged = rl._with_old(batch, reader, held=False)  # type: ignore[arg-type]
    assert [float(row.old_logprobs[0]) for row in merged.rows if row.old_logprobs is not None] == [-1.0] * 4 + [
        -2.0
    ] * 4
    assert reader.read == [5, 9, 2, 6]


class Reader:
    """A learner that gives each token -2 and notes the lengths of what it was asked."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def logprobs(self, batch: Batch) -> list[torch.Tensor]:
        self.read += [len(row.tokens) for row in batch.rows]
        return [torch.full((len(row.tokens),), -2.0) for row in batch.rows]


def test_old_log_probs_are_those_of_what_a_later_update_learns_from() -> None:
    """The first update is on policy; a flat group earns nothing, unless a KL term asks of it."""
    totals = scores([1, 0, 0, 0], [1, 1, 1, 1])
    config = replace(CONFIG, minibatches=2)
    batches = minibatches(GROUPS, advantages_of(totals, config), config, 3)
    assert rl._lack_old(batches, None) == [False, True]
    assert rl._lack_old(batches[:1], None) == [False]
    reader = Reader()
    merged = rl._with_old(batches[1], reader, held=False)  # type: ignore[arg-type]
    assert [row.old_logprobs is not None for row in merged.rows] == [row.prompt == 0 for row in batches[1].rows]
    assert reader.read == [len(row.tokens) for row in batches[1].rows if row.prompt == 0]
    assert all(row.old_logprobs is not None for row in rl._with_old(batches[1], Reader(), held=True).rows)  # type: ignore[arg-type]


def test_the_sampler_s_log_probs_may_be_the_old_ones_of_all_and_nothing_is_read(tmp_path: Path) -> None:
    config = replace(CONFIG, minibatches=2, old_logprobs="sampler")
    batches = minibatches(GROUPS, advantages_of(TOTALS, config), config, 3, version=0)
    for batch in batches:
        assert all(torch.equal(row.old_logprobs, row.sampler_logprobs) for row in batch.rows)  # type: ignore[arg-type]
    assert rl._lack_old(batches, None) == [False, False]
    own, given = toy(tmp_path / "own"), toy(tmp_path / "given")
    own.train(replace(CONFIG, minibatches=4))
    given.train(replace(CONFIG, minibatches=4, old_logprobs="sampler"))
    assert given.workspace.cost["read_tokens"] == 0 < own.workspace.cost["read_tokens"]
    torch.testing.assert_close(given.learner.flat.master, own.learner.flat.master, rtol=0, atol=1e-4)


def test_the_sampler_s_log_probs_leave_an_importance_weight_nothing_to_weigh() -> None:
    recipe = load_recipe("nano-zero")
    stage = recipe.stages["r1_zero"]
    assert isinstance(stage, RL)
    bad = replace(stage, old_logprobs="sampler", loss=PolicyLoss(importance="truncated"))
    with pytest.raises(InputError, match=r'old_logprobs = "sampler" leaves loss\.importance'):
        bad.check("r1_zero", recipe)


def test_tokens_read_are_those_of_all_updates_but_the_first(tmp_path: Path) -> None:
    spent: list[dict[str, float]] = []
    one = toy(tmp_path)
    spend = Workspace.spend

    def told(self: Workspace, **tokens: float) -> None:
        spent.append(tokens)
        spend(self, **tokens)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Workspace, "spend", told)
        one.train(replace(CONFIG, steps=1, minibatches=4))
    (learnt,) = [each for each in spent if "trained" in each]
    assert 0.6 * learnt["trained"] < learnt["read"] < 0.9 * learnt["trained"]  # three of four minibatches


def test_a_row_of_two_versions_is_stale_and_an_importance_weight_leaves_the_old_ones_to_the_trainer() -> None:
    crossed = replace(GROUPS[0].completions[0], version=4, spans=((4, 1), (5, 2)))
    groups = [replace(GROUPS[0], completions=(crossed, replace(crossed, version=5, spans=())))]
    for importance, lacking in (("none", [False, True]), ("truncated", [True, True]), ("masked", [True, True])):
        config = replace(CONFIG, loss=PolicyLoss(importance=importance))  # type: ignore[arg-type]
        (batch,) = minibatches(groups, [torch.ones(2)], config, 0, version=5)
        assert [row.old_logprobs is None for row in batch.rows] == lacking
        assert all(row.sampler_logprobs is not None for row in batch.rows)


def test_metrics_of_several_updates_weigh_by_tokens() -> None:
    """30 tokens at ratio 1.2, 10 at 0.8, no others: the mean is (36 + 8) / 40 = 1.1; 3 + 5 of the 40 were cut."""
    found = over_updates(
        [
            {"loss": 0.3, "tokens": 30.0, "rows_skipped": 2.0, "entropy": 2.0, "ratio": 1.2, "clip_share": 0.1,
             "ratio_max": 1.5, "grad_norm": 3.0, "lr": 0.1},
            {"loss": 0.6, "tokens": 10.0, "rows_skipped": 3.0, "entropy": 1.0, "ratio": 0.8, "clip_share": 0.5,
             "ratio_max": 4.0, "grad_norm": 6.0, "lr": 0.2},
            {"loss": 0.0, "tokens": 0.0, "rows_skipped": 8.0, "entropy": 0.0, "grad_norm": 0.0, "lr": 0.3},
        ]
    )  # fmt: skip
    assert found == pytest.approx(
        {
            "loss": 0.3, "tokens": 40.0, "rows_skipped": 13.0, "entropy": 1.75, "ratio": 1.1, "clip_share": 0.2,
            "ratio_max": 4.0, "grad_norm": 3.0, "lr": 0.2,
        }
    )  # fmt: skip


def test_metrics_of_updates_without_a_token_are_zero_and_one_update_is_itself() -> None:
    nothing = {"loss": 0.0, "tokens": 0.0, "rows_skipped": 4.0, "entropy": 0.0, "grad_norm": 0.0, "lr": 0.1}
    assert over_updates([nothing, nothing]) == {**nothing, "rows_skipped": 8.0}
    assert over_updates([{"tokens": 3.0, "entropy": 0.1}]) == {"tokens": 3.0, "entropy": 0.1}


def in_turn(workspace: Workspace) -> Drawing:
    return Drawing(Curriculum(), workspace.kept, workspace.seed, "r1_zero", print)


def test_prompts_alternate_between_tasks_and_go_on_where_the_cursor_stands(tmp_path: Path) -> None:
    workspace = toy(tmp_path).workspace
    tasks = {"a": ToyTask("a"), "b": ToyTask("b")}
    straight = [prompt.id for _, prompt in PromptStream({}, workspace, in_turn(workspace)).take(tasks, 6)]  # type: ignore[arg-type]
    first = workspace.seed * 1_000_003
    assert straight == [f"{name}/train/{first + i}" for i in range(3) for name in "ab"]
    workspace.cursor = {"prompt": 2, "prompt:a": 1, "prompt:b": 1, "a+b:a": 1, "a+b:b": 1}  # a later sitting, restored
    again = PromptStream({}, workspace, in_turn(workspace)).take(tasks, 4)  # type: ignore[arg-type]
    assert [number for number, _ in again] == [2, 3, 4, 5]
    assert [prompt.id for _, prompt in again] == straight[2:]
    assert workspace.cursor == {"prompt": 6, "prompt:a": 3, "prompt:b": 3, "a+b:a": 3, "a+b:b": 3}


def test_prompts_follow_the_weights_also_when_a_task_joins_late(tmp_path: Path) -> None:
    workspace = toy(tmp_path).workspace
    stream = PromptStream({"b": 0.5}, workspace, in_turn(workspace))
    two = {"a": ToyTask("a"), "b": ToyTask("b")}
    drawn = Counter(prompt.task for _, prompt in stream.take(two, 30))  # type: ignore[arg-type]
    assert drawn == {"a": 20, "b": 10}
    three = {**two, "c": ToyTask("c")}
    late = [prompt for _, prompt in stream.take(three, 25)]  # type: ignore[arg-type]
    assert Counter(prompt.task for prompt in late) == {"a": 10, "b": 5, "c": 10}
    first = workspace.seed * 1_000_003  # nothing is asked twice
    assert [p.id for p in late if p.task == "a"] == [f"a/train/{first + i}" for i in range(20, 30)]


def test_a_watch_stops_the_training_where_it_stands(tmp_path: Path) -> None:
    asked: list[int] = []

    def watch(step: int, found: Any) -> str:
        asked.append(step)
        return "gold fell" if step == 4 else ""

    said: list[str] = []
    one = toy(tmp_path)
    one.workspace.say = said.append
    config = replace(CONFIG, evaluate_every=2, final_split="test", final_limit=79)
    assert one.train(config, watch) == 4
    assert asked == [0, 1, 2, 3, 4]
    assert said[-1] == "r1_zero: stopped at step 4: gold fell"
    assert one.evaluator.evaluated == [(0, "dev"), (0, "test"), (2, "dev"), (4, "dev"), (4, "test")]
    assert one.evaluator.limits == [None, 79, None, None, 79]
    assert len(metrics(tmp_path)) == 4


def metrics(folder: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "02_r1_zero/metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if "seconds" not in k and k != "tokens_per_second"} for line in found]


def test_the_reward_rises(tmp_path: Path) -> None:
    one = toy(tmp_path)
    one.train(replace(CONFIG, steps=12))
    rewards = [line["reward"] for line in metrics(tmp_path)]
    assert rewards[0] < 0.2  # 1/12 by chance
    assert sum(rewards[-3:]) / 3 > 0.5
    assert one.evaluator.evaluated == [(0, "dev"), (0, "test"), (12, "dev"), (12, "test")]


def test_the_reward_falls_when_the_wanted_token_is_punished(tmp_path: Path) -> None:
    class Against(ToyScorer):
        def one(self, group: Group, tokens: Sequence[int]) -> Score:
            return Score(total=-super().one(group, tokens).total)

    one = toy(tmp_path, scorer=Against())
    one.train(replace(CONFIG, steps=10))
    rewards = [line["reward"] for line in metrics(tmp_path)]
    assert sum(rewards[-3:]) / 3 > -0.04 > rewards[0]  # -1/12 by chance


def test_evaluations_come_when_due_and_at_both_ends(tmp_path: Path) -> None:
    one = toy(tmp_path)
    one.train(replace(CONFIG, steps=5, evaluate_every=2, final_split=""))
    assert one.evaluator.evaluated == [(0, "dev"), (2, "dev"), (4, "dev"), (5, "dev")]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("minibatches_", [1, 4])
def test_killed_in_a_step_and_gone_on_equals_straight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minibatches_: int
) -> None:
    """With a reference that is refreshed in the middle, and prompts drawn ahead by dynamic sampling."""
    config = replace(
        CONFIG, minibatches=minibatches_, loss=PolicyLoss(kl_weight=0.1), reference_every=3, dynamic_sampling=1
    )
    straight = toy(tmp_path / "straight")
    straight.train(config)
    update, calls = rl._update, [0]

    def dies(*arguments: Any) -> dict[str, float]:
        found = update(*arguments)
        calls[0] += 1
        if calls[0] in (3, 6):  # after the weights moved, before the step is logged
            raise Killed
        return found

    monkeypatch.setattr(rl, "_update", dies)
    for _ in range(2):
        with pytest.raises(Killed):
            toy(tmp_path / "killed").train(config)
    last = toy(tmp_path / "killed")
    last.train(config)
    assert metrics(tmp_path / "killed") == metrics(tmp_path / "straight")
    name = "02_r1_zero/rollouts.jsonl"
    assert (tmp_path / "killed" / name).read_text() == (tmp_path / "straight" / name).read_text()
    assert torch.equal(last.learner.flat.master, straight.learner.flat.master)


class Mixed(ToyScorer):
    """Every other completion is right, but for prompts that are flat."""

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        return [
            [Score(total=float(group.prompt.id in self.flat or i % 2)) for i in range(len(group.completions))]
            for group in groups
        ]


def sampled(folder: Path) -> list[str]:
    lines = [json.loads(line) for line in (folder / "02_r1_zero/rollouts.jsonl").read_text().splitlines()]
    return list(dict.fromkeys(line["prompt_id"] for line in lines))


def test_dynamic_sampling_replaces_flat_groups_and_keeps_them_when_tries_run_out(tmp_path: Path) -> None:
    first = 1_000_003
    flat = frozenset(f"toy/train/{first + i}" for i in (0, 2, 5))
    config = replace(CONFIG, steps=1, dynamic_sampling=2, record_groups=4)
    one = toy(tmp_path / "a", scorer=Mixed(flat=flat))
    one.train(config)
    assert sampled(tmp_path / "a") == [f"toy/train/{first + i}" for i in (1, 3, 4, 6)]
    assert metrics(tmp_path / "a")[0]["flat_group_share"] == 0
    assert one.workspace.cursor["prompt"] == 8  # two rollouts of four

    all_flat = frozenset(f"toy/train/{first + i}" for i in range(100))
    two = toy(tmp_path / "b", scorer=Mixed(flat=all_flat - {f"toy/train/{first + 1}"}))
    two.train(config)
    assert sampled(tmp_path / "b") == [f"toy/train/{first + i}" for i in (1, 8, 9, 10)]
    assert metrics(tmp_path / "b")[0]["flat_group_share"] == 0.75


def test_where_steps_are_paid_a_group_is_flat_by_them() -> None:
    """Rules that find all completions wrong say nothing of what their steps earn; as ``StepsPaid`` has it."""
    wrong = [Score(total=0.0, steps=((2, 0.5), (4, 0.75))), Score(total=0.0, steps=((4, 0.5),))]
    alike = [Score(total=1.0, steps=((4, 0.5),)), Score(total=0.0, steps=((2, 0.5), (4, 0.5)))]
    assert [is_flat(scores) for scores in (wrong, alike)] == [False, True]
    paid = StepsPaid(CONFIG, Solo())
    for scores in (wrong, alike):
        drawn = Drawn(groups=[group(0, [4, 4])], scores=[scores])
        assert is_flat(scores) == (not any(one.any() for one in paid.advantages(drawn, 0)[0]))


def test_the_last_try_takes_flat_groups_only_where_the_others_leave_room(tmp_path: Path) -> None:
    first = 1_000_003
    flat = frozenset(f"toy/train/{first + i}" for i in (0, 2, 4, 5))
    toy(tmp_path, scorer=Mixed(flat=flat)).train(replace(CONFIG, steps=1, dynamic_sampling=1, record_groups=4))
    assert sampled(tmp_path) == [f"toy/train/{first + i}" for i in (1, 3, 6, 7)]
    assert metrics(tmp_path)[0]["flat_group_share"] == 0


def test_without_it_flat_groups_stay_and_move_nothing(tmp_path: Path) -> None:
    first = 1_000_003
    one = toy(tmp_path, scorer=ToyScorer(flat=frozenset(f"toy/train/{first + i}" for i in range(4))))
    before = one.learner.flat.master.clone()
    one.train(replace(CONFIG, steps=1))
    line = metrics(tmp_path)[0]
    assert (line["flat_group_share"], line["rows_skipped"], line["tokens"]) == (1.0, 32.0, 0.0)
    assert torch.equal(one.learner.flat.master, before)


def test_two_ranks_sample_the_same_and_learn_the_same_but_for_rounding(
    tmp_path: Path, on_ranks: Callable[..., list[Any]]
) -> None:
    """The first step's samples and rewards are equal; its update differs by the order of sums only."""
    config = replace(CONFIG, steps=2, record_groups=4)
    alone: Toy = toy(tmp_path / "alone")
    alone.train(config)
    weights = on_ranks(2, "loops.ranked:train_toy", str(tmp_path / "both"), config)
    assert torch.equal(weights[0], weights[1])
    one, two = metrics(tmp_path / "alone"), metrics(tmp_path / "both")
    for name in ("reward", "response_tokens", "tokens", "rows_skipped", "truncated_share"):
        assert one[0][name] == two[0][name], name
    for name in ("loss", "grad_norm", "entropy"):
        assert one[0][name] == pytest.approx(two[0][name], rel=1e-4, abs=1e-6), name
    lines = [(tmp_path / run / "02_r1_zero/rollouts.jsonl").read_text().splitlines() for run in ("alone", "both")]
    assert [json.loads(line)["completion"] for line in lines[0][:32]] == [
        json.loads(line)["completion"] for line in lines[1][:32]
    ]
    torch.testing.assert_close(alone.learner.flat.master, weights[0], rtol=0, atol=1e-4)
