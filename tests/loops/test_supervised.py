"""Pretraining's loop: it learns, logs as asked, follows the schedule, and goes on bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from r1kit.cluster.ranks import Solo
from r1kit.loops import supervised
from r1kit.loops.pretraining import document_batches
from r1kit.loops.settings import Schedule
from r1kit.stages.pretrain import Config
from r1kit.text.tokenizer import build_tokenizer
from r1kit.update.learner import Batch, Row
from r1kit.update.settings import OptimiserSettings

from .toy import VOCABULARY, toy

CONFIG = Config(
    steps=20,
    log_every=4,
    optimiser=OptimiserSettings(kind="adamw", lr=1e-2),
    schedule=Schedule(warmup=4, shape="linear", floor=0.5),
)


def counting(step: int) -> Batch:
    """Documents that count upwards: the next token is known."""
    rows = [Row(prompt=-1, tokens=torch.arange(step + i, step + i + 8) % VOCABULARY, weight=1 / 28) for i in range(4)]
    return Batch(prompts=(), rows=rows, sharded=True)


def lines(folder: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "02_r1_zero/metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "tokens_per_second")} for line in found]


def test_it_learns_and_logs_every_so_many_steps_and_the_last(tmp_path: Path) -> None:
    one = toy(tmp_path)
    supervised.train(replace(CONFIG, steps=62, log_every=10), counting, one.learner, one.workspace)
    found = lines(tmp_path)
    assert [line["step"] for line in found] == [10, 20, 30, 40, 50, 60, 62]
    assert found[0]["loss"] > 1.0  # log(12) = 2.5 by chance
    assert found[-1]["loss"] < 0.3
    assert {line["tokens"] for line in found} == {28.0}  # 4 documents of 8, the first token of each has no target


def test_the_rate_rises_over_the_warm_up_and_falls_to_the_floor(tmp_path: Path) -> None:
    one = toy(tmp_path)
    supervised.train(replace(CONFIG, log_every=1), counting, one.learner, one.workspace)
    rates = [line["lr"] for line in lines(tmp_path)]
    assert rates[0] < rates[1] < rates[2] < rates[3] <= 1e-2
    assert max(rates) == pytest.approx(1e-2)
    assert rates[-1] == pytest.approx(0.5e-2, rel=0.05)


class Killed(BaseException):
    pass


def test_killed_and_gone_on_equals_straight(tmp_path: Path) -> None:
    straight = toy(tmp_path / "straight")
    supervised.train(CONFIG, counting, straight.learner, straight.workspace)
    for at in (2, 9, 19):

        def dies(step: int, at: int = at) -> Batch:
            if step == at:
                raise Killed
            return counting(step)

        one = toy(tmp_path / "killed")
        with pytest.raises(Killed):
            supervised.train(CONFIG, dies, one.learner, one.workspace)
    last = toy(tmp_path / "killed")
    supervised.train(CONFIG, counting, last.learner, last.workspace)
    assert lines(tmp_path / "killed") == lines(tmp_path / "straight")
    assert torch.equal(last.learner.flat.master, straight.learner.flat.master)


# ---- documents ----------------------------------------------------------------------------------------------------


class Numbers:
    """Document i is the word ``i mod 7``, i mod 3 + 1 times."""

    def document(self, index: int) -> str:
        read.append(index)
        return " ".join([str(index % 7)] * (index % 3 + 1))

    def vocabulary(self) -> list[str]:
        return [str(i) for i in range(7)]


read: list[int] = []


def of_step(step: int, size: int, tokens: int = 24) -> tuple[list[list[int]], list[list[int]]]:
    """The rows of every rank, and which documents it read."""
    tokenizer = build_tokenizer(Numbers().vocabulary())
    rows, documents = [], []
    for rank in range(size):
        read.clear()
        batch = document_batches(Numbers(), tokenizer, tokens, 0, Solo(rank=rank, size=size))(step)
        assert batch.sharded
        rows.append([len(row.tokens) for row in batch.rows])
        documents.append(list(read))
        assert {row.weight for row in batch.rows} == {1 / tokens}
    return rows, documents


@pytest.mark.parametrize("size", [1, 2, 3])
def test_ranks_share_out_a_step_s_tokens(size: int) -> None:
    rows, _ = of_step(0, size)
    for share in rows:
        assert 24 // size - 1 <= sum(share) <= 24 // size  # at least 2 tokens a document: one may be left


def test_no_document_is_read_twice() -> None:
    seen = [index for step in range(6) for share in of_step(step, 2)[1] for index in share]
    assert len(seen) == len(set(seen))


def test_a_step_s_documents_depend_on_the_step_alone(tmp_path: Path) -> None:
    tokenizer = build_tokenizer(Numbers().vocabulary())
    batch_of: Callable[[int], Batch] = document_batches(Numbers(), tokenizer, 24, 1, Solo())
    late = [row.tokens.tolist() for row in batch_of(5).rows]
    for step in (3, 0, 4):
        batch_of(step)
    assert [row.tokens.tolist() for row in batch_of(5).rows] == late
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    assert all(row[0] == begin for row in late)
    assert all(row[-1] == end for row in late[:-1])
