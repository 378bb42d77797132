"""What SFT learns of samples: weights, lengths, what is told."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from r1kit.backends.models import LoadedModel
from r1kit.cluster.ranks import Solo
from r1kit.errors import InputError
from r1kit.loops.lessons import lessons, outlined, sample_batches
from r1kit.loops.settings import SFT
from r1kit.pipeline import run, write_manifest
from r1kit.recipe import parse_recipe
from r1kit.records import Message, Sample
from r1kit.text.taught import Teacher
from r1kit.text.template import Template
from r1kit.text.tokenizer import build_tokenizer
from tests.update.test_ranks import Shared, ThreadRanks

from .tiny import SHAPE, fresh, save_start
from .toy import toy


def user(text: str) -> Message:
    return Message(role="user", content=text)


def assistant(text: str) -> Message:
    return Message(role="assistant", content=text)


CHAT = Sample(
    id="chat",
    prompt="3",
    response="4",
    domain="d",
    history=(user("1"), assistant("2")),
)  # <bos> User: 1 Assistant: 2 <eos> User: 3 Assistant: 4 <eos>
ONE = Sample(id="one", prompt="5 5", response="6", domain="d")  # <bos> User: 5 5 Assistant: 6 <eos>


def told(samples: list[Sample], tmp_path: Path, positions: int = 64, **settings: Any) -> tuple[list[Any], list[str]]:
    lines: list[str] = []
    workspace = replace(toy(tmp_path).workspace, say=lines.append)
    tokenizer = build_tokenizer(["User:", "Assistant:", *map(str, range(10))])
    model = fresh(replace(SHAPE, vocab_size=len(tokenizer), max_positions=positions))
    loaded = LoadedModel(model=model, tokenizer=tokenizer, template=Template())
    return lessons(SFT(**settings), samples, loaded, workspace), lines


def test_a_token_of_the_assistant_counts_alike_in_any_sample_and_others_nothing(tmp_path: Path) -> None:
    learnt, lines = told([CHAT, ONE], tmp_path)
    batch = sample_batches(learnt, 2, seed=0)(0)
    rows = sorted(batch.rows, key=lambda row: -len(row.tokens))
    assert [len(row.tokens) for row in rows] == [7, 2]  # 2 <eos> User: 3 Assistant: 4 <eos>, and 6 <eos>
    assert torch.equal(torch.as_tensor(rows[0].weight) * 6, torch.tensor([1.0, 1, 0, 0, 0, 1, 1]))
    assert rows[1].weight == pytest.approx(1 / 6)
    assert lines == []


LONG = "the longest, chat, has 11; "


@pytest.mark.parametrize(
    ("settings", "lengths", "said"),
    [
        ({"too_long": "drop"}, [7], f"1 of 2 samples pass the model's positions, 10 tokens; {LONG}1 are left out"),
        ({"too_long": "cut"}, [10, 7], f"1 of 2 samples pass the model's positions, 10 tokens; {LONG}1 are cut"),
        (
            {"too_long": "cut", "max_tokens": 5},
            [5],
            f"2 of 2 samples pass max_tokens, 5 tokens; {LONG}1 are cut, 1 are left out",
        ),
    ],
)
def test_what_is_too_long_is_counted_cut_or_left_out(
    settings: dict[str, Any], lengths: list[int], said: str, tmp_path: Path
) -> None:
    """Of a chat cut at 5 tokens its first answer is left, of the other sample no answer is."""
    learnt, lines = told([CHAT, ONE], tmp_path, positions=10, **settings)
    assert [len(one.prompt) + len(one.response) for one in learnt] == lengths
    assert lines == [f"r1_zero: {said}"]


def test_what_is_too_long_is_refused_by_default(tmp_path: Path) -> None:
    said = rf"stages.r1_zero: 1 of 2 samples pass the model's positions, 10 tokens; {LONG}set too_long to \"cut\" or"
    with pytest.raises(InputError, match=said):
        told([ONE, CHAT], tmp_path, positions=10)
    with pytest.raises(InputError, match=r"2 of 2 samples pass max_tokens, 3 tokens.*nothing is left to learn from"):
        told([ONE, CHAT], tmp_path, max_tokens=3, too_long="cut")
    assert len(told([ONE, CHAT], tmp_path, positions=11)[0]) == 2


def learnt(folder: Path, samples: int, **settings: Any) -> list[dict[str, Any]]:
    """Lines of metrics of a stage that learns so many samples of three tokens each."""
    save_start(folder / "start")
    lines = [json.dumps({"prompt": f"what is {n}", "response": f"{n % 5} {n % 5}"}) for n in range(samples)]
    (folder / "data.jsonl").write_text("\n".join(lines) + "\n")
    stage = {"kind": "sft", "start": "base", "data": str(folder / "data.jsonl"), **settings}
    model = {"name": str(folder / "start"), "template": {"name": "plain"}}
    recipe = parse_recipe({"name": "tiny", "ranks": 1, "dtype": "float32", "model": model, "stages": {"sft": stage}})
    (folder / "run").mkdir()
    write_manifest(recipe, folder / "run")
    run(recipe, folder / "run", Solo(), say=lambda line: None)
    return [*map(json.loads, (folder / "run/01_sft/metrics.jsonl").read_text().splitlines())]


def test_a_step_takes_no_sample_twice_however_few_there_are(tmp_path: Path) -> None:
    lines = learnt(tmp_path, 5, epochs=2.0)
    assert [line["tokens"] for line in lines] == [5 * 3, 5 * 3]  # two epochs; two words and the end


def test_a_part_of_an_epoch_takes_no_update_too_many(tmp_path: Path) -> None:
    """1.1 x 50 is 55.00000000000001."""
    assert len(learnt(tmp_path, 50, epochs=1.1, samples_per_step=5)) == 11


# ---- each rank its own ----------------------------------------------------------------------------------------------

MANY = [
    replace(CHAT if number % 3 == 0 else ONE, id=f"s{number}", prompt=" ".join(["5"] * (1 + number % 4)))
    for number in range(7)
]


def shared(size: int, samples: list[Sample], folder: Path, **settings: Any) -> list[tuple[Any, list[str], list[int]]]:
    """What ``outlined`` gives on each rank, the lines it told, and how many samples it made the tokens of."""
    found: list[Any] = [None] * size
    ranks = Shared(size)
    tokenizer = build_tokenizer(["User:", "Assistant:", *map(str, range(10))])
    model = fresh(replace(SHAPE, vocab_size=len(tokenizer), max_positions=10))

    def play(rank: int) -> None:
        lines: list[str] = []
        made: list[int] = []

        class Counted(LoadedModel):
            def until_end(self, response: str) -> str:
                made.append(1)
                return response

        workspace = replace(toy(folder / str(rank)).workspace, say=lines.append, ranks=ThreadRanks(ranks, rank))
        loaded = Counted(model=model, tokenizer=tokenizer, template=Template())
        try:
            found[rank] = outlined(SFT(**settings), samples, loaded, workspace), lines, made
        except InputError as error:
            found[rank] = error

    threads = [threading.Thread(target=play, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.parametrize("too_long", ["cut", "drop"])
def test_ranks_that_share_learn_together_what_one_does(too_long: str, tmp_path: Path) -> None:
    """Every row with its weight on exactly one rank, loads as even as the rows allow, and no token made too often."""
    learnt, said = told(MANY, tmp_path / "one", positions=10, too_long=too_long)
    whole = sample_batches(learnt, 4, seed=3)
    ranks = shared(2, MANY, tmp_path, too_long=too_long)
    assert [sum(made) for _, _, made in ranks] == [4, 3]  # one sample in two, for the lengths
    assert [lines for _, lines, _ in ranks] == [said, said]
    parts = [found.batches(4, 3) for found, _, _ in ranks]
    for step in range(3):
        wanted, batches = whole(step), [part(step) for part in parts]
        assert all(batch.sharded for batch in batches)

        def told_of(batch: Any) -> list[Any]:
            return [
                (batch.prompts[row.prompt].tolist(), row.tokens.tolist(), torch.as_tensor(row.weight).tolist())
                for row in batch.rows
            ]

        assert sorted(map(str, told_of(wanted))) == sorted(map(str, [*told_of(batches[0]), *told_of(batches[1])]))
        loads = [sum(len(one[0]) + len(one[1]) for one in told_of(batch)) for batch in batches]
        assert abs(loads[0] - loads[1]) <= 10
    assert sum(sum(made) for _, _, made in ranks) == 7 + 3 * 4


def test_a_sample_that_cannot_be_learnt_ends_every_rank_with_the_same_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too long for all; one that the template cannot write, which one rank alone sees; and no sample at all."""
    said = {str(found) for found in shared(2, MANY, tmp_path)}
    with pytest.raises(InputError) as error:
        told(MANY, tmp_path / "one", positions=10)
    assert said == {str(error.value)}

    def taught(self: Teacher, sample: Sample) -> Any:
        if sample.id == "s3":
            raise InputError("no end token")
        return honest(self, sample)

    honest = Teacher.taught
    monkeypatch.setattr(Teacher, "taught", taught)
    assert {str(found) for found in shared(2, MANY, tmp_path)} == {"sample s3: no end token"}
    assert {str(found).split(": ")[1] for found in shared(2, [], tmp_path)} == {
        "no sample to learn from; loosen the filters of the stage that made them"
    }
