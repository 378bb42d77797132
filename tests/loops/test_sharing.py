"""A learner that shares: each rank learns from the groups it sampled, and the run is that of one that holds all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from r1kit.cluster.ranks import Solo
from r1kit.evals.transcripts import Tally, summary
from r1kit.loops.curriculum import Curriculum
from r1kit.loops.dealing import Part, exchange
from r1kit.loops.rl import minibatches
from r1kit.maths.settings import PolicyLoss
from r1kit.records import Group, Prompt, Score
from r1kit.reward.complaints import Complaints
from r1kit.update.learner import shares

from .test_rl import GROUPS, TOTALS, advantages_of
from .toy import CONFIG, toy

MEASURED = ("seconds", "sample_seconds", "score_seconds", "update_seconds", "tokens_per_second")
FLAT = frozenset(f"toy/train/{1_000_003 + number}" for number in (0, 2, 3, 7))


@pytest.mark.slow
def test_three_ranks_that_share_are_three_that_hold_all(tmp_path: Path, on_ranks: Callable[..., list[Any]]) -> None:
    """Same prompts, minibatches, metrics, transcripts, curriculum and complaints; weights up to the order of sums.

    Five prompts over three ranks, flat groups replaced, two minibatches, a KL term, every aggregate.
    """
    config = replace(
        CONFIG,
        steps=3,
        prompts_per_step=5,
        minibatches=2,
        record_groups=4,
        record_tokens=2,
        dynamic_sampling=1,
        curriculum=Curriculum(by="pass_rate"),
        loss=PolicyLoss(kl_weight=0.1),
    )
    ranks = on_ranks(3, "loops.ranked:train_sharing", str(tmp_path), config, FLAT)
    for rank in ranks:
        for at, (whole, shared) in enumerate(rank):
            torch.testing.assert_close(shared[0], whole[0], rtol=0, atol=1e-5)
            assert torch.equal(shared[0], ranks[0][at][1][0])
            assert (shared[1], shared[3]) == (whole[1], whole[3])
            assert shared[2] < whole[2] / 4
    assert ranks[0][0][1][1][0].startswith("warning: my.py:12: KeyError: 'a' (seen ")
    for aggregate in ("sequence-mean", "token-mean", "constant"):
        one, two = (lines(tmp_path / f"{aggregate}_{share}", "metrics") for share in (False, True))
        assert [0 < line.pop("rank_balance") <= 1 for line in two] == [True] * 3
        for line, other in zip(one, two, strict=True):
            assert list(line) == list(other)
            for name in line.keys() - set(MEASURED):
                assert line[name] == pytest.approx(other[name], rel=1e-3, abs=1e-5), name
        told = [lines(tmp_path / f"{aggregate}_{share}", "rollouts") for share in (False, True)]
        names = ("step", "prompt_id", "completion", "reward", "tokens")
        first, second = ([[line[name] for name in names] for line in one] for one in told)
        assert first == second
        assert len(first) == 3 * 4 * 8
        for one in told:
            assert ["per_token" in line for line in one] == ([True] * 16 + [False] * 16) * 3
        for line, other in zip(*told, strict=True):
            for name, values in line.get("per_token", {}).items():
                theirs = other["per_token"][name]
                assert values == (theirs if name == "text" else pytest.approx(theirs, abs=1e-3))


def lines(run: Path, log: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / f"02_r1_zero/{log}.jsonl").read_text().splitlines()]


def test_words_of_a_group_do_not_grow_with_its_completions() -> None:
    """Four numbers of each group and the kinds of complaint; 1,000 more tokens change no byte."""
    words: list[Any] = []

    class Listening(Solo):
        def gather_objects(self, item: Any) -> list[Any]:
            words.append(item)
            return [item]

    def scored(text: str) -> tuple[Group, list[Score]]:
        group = replace(GROUPS[0], completions=tuple(replace(c, text=text) for c in GROUPS[0].completions))
        return group, [Score(total=1.0, parts={"accuracy": 1.0}, cause="my.py:3: KeyError")] * 4

    for text in ("", "x" * 1000):
        ((outcome, held),) = exchange(Listening(), [scored(text)], True, Complaints())
        assert held is not None
        assert outcome == (9, True, 4.0, 4)
    assert words[0] == words[1] == ([(9, True, 4.0, 4)], {"my.py:3: KeyError": ("my.py:3: KeyError", 4)})


def test_a_rank_without_a_group_takes_part_with_an_empty_batch() -> None:
    class Other(Solo):
        """The other rank has 40 tokens in each minibatch."""

        def all_reduce_sum_(self, tensor: torch.Tensor) -> torch.Tensor:
            return tensor.add_(40)

    config = replace(CONFIG, minibatches=2, loss=PolicyLoss(aggregate="token-mean"))
    for batch in minibatches([], [], config, 0, part=Part([], 2, Other())):
        assert (list(batch.prompts), list(batch.rows), batch.sharded) == ([], [], True)
    config = replace(config, sampling=replace(config.sampling, n=4))
    found = minibatches(GROUPS[1:], advantages_of(TOTALS, config)[1:], config, 5, part=Part([1], 2, Other()))
    whole = minibatches(GROUPS, advantages_of(TOTALS, config), config, 5)
    for batch, all_rows in zip(found, whole, strict=True):
        tokens = 40 + sum(len(row.tokens) for row in batch.rows)
        assert [row.tokens.tolist() for row in batch.rows] == [
            r.tokens.tolist() for r in all_rows.rows if r.prompt == 1
        ]
        assert {row.weight for row in batch.rows} <= {1 / tokens}


def test_means_over_shares_count_every_completion_once() -> None:
    """A reward model's score is 0 where none judges; a part that few have is the mean over those."""
    zero: dict[str, Any] = dict.fromkeys(
        ("completions", "groups", "flat", "tokens", "truncated", "reward", "ungradable", "timeout"), 0
    )
    none = Tally(**zero, parts={}, abstained={})
    common = replace(none, truncated=1, reward=2.0, abstained={"length": 1}, timeout=1, groups=1)
    parts = {"preference": (2.0, 4), "accuracy": (1.0, 2)}
    one = replace(common, completions=4, flat=1, tokens=10, parts=parts)
    two = replace(common, completions=2, tokens=2, parts={"accuracy": (3.0, 2)})
    found = summary([one, none, two])
    assert found == {
        "reward": 4 / 6, "accuracy": 1.0, "preference": 2 / 6, "length_abstained": 2 / 6, "response_tokens": 2.0,
        "truncated_share": 2 / 6, "flat_group_share": 0.5, "ungradable_share": 0.0, "timeout_share": 2 / 6,
    }  # fmt: skip


def test_a_learner_that_says_nothing_wants_the_whole_batch(tmp_path: Path) -> None:
    assert not shares(toy(tmp_path).learner)


def test_prompts_are_known_by_place() -> None:
    """Two ranks, three prompts: the order is that in which they were dealt."""

    class Two(Solo):
        def __init__(self) -> None:
            super().__init__(0, 2)

        def gather_objects(self, item: Any) -> list[Any]:
            return [item, ([(7, False, 0.0, 2)], {})]

    def scored(name: str) -> tuple[Group, list[Score]]:
        return Group(prompt=Prompt(id=name, question="q"), prompt_ids=(1,), completions=()), [Score(total=0.0)]

    found = exchange(Two(), [scored("a"), scored("c")], True, Complaints())
    assert [outcome[0] for outcome, _ in found] == [0, 7, 0]
    assert [held and held[0].prompt.id for _, held in found] == ["a", None, "c"]
