"""Text as tokens: byte pairs, what is laid down, how documents are packed, middles filled in."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from r1kit.cluster.ranks import Solo
from r1kit.contracts import Recipe
from r1kit.data.settings import Reading
from r1kit.errors import InputError
from r1kit.loops import text as module
from r1kit.loops.packing import Marks, Pieces, filled, pieces_of
from r1kit.loops.pretraining import text_batches
from r1kit.loops.pretraining_settings import FillInMiddle, TokenizerSettings
from r1kit.loops.text import pieces, text_of
from r1kit.stages.pretrain import Config
from r1kit.text.byte_pairs import FILL_IN, byte_pairs, fill_in_tokens
from r1kit.text.template import Template, render
from r1kit.text.tokenizer import build_tokenizer
from r1kit.workspace import Workspace

from .toy import toy

MARKS = Marks(prefix=90, suffix=91, middle=92, rate=0.5, spm=0.5, around=(1, 2))
TEXTS = ["the cat sat on the mat", "the dog sat on the cat\n\n  in 1999", "漢字 and née 🙂 ☃", "a\tb\r\nc"]


# ---- packing ------------------------------------------------------------------------------------------------------


def stream(seed: int = 3, rate: float = 0.0, context: int = 4) -> Pieces:
    """Documents of 3, 9, 1 and 6 tokens; the tokens are numbered 10 to 28."""
    begins, lengths = pieces_of(np.array([0, 3, 12, 13, 19]), context)
    return Pieces(np.arange(10, 29), begins, lengths, seed, replace(MARKS, rate=rate) if rate else None)


def test_documents_longer_than_the_context_are_cut_and_a_lone_token_is_left_out() -> None:
    begins, lengths = pieces_of(np.array([0, 3, 12, 13, 19]), 4)
    assert list(zip(begins.tolist(), lengths.tolist(), strict=True)) == [(0, 3), (3, 4), (7, 4), (13, 4), (17, 2)]


def test_each_epoch_has_every_token_once_in_an_order_of_its_own() -> None:
    found = stream()
    epochs = [np.concatenate(found.read(epoch * 17, 17)).tolist() for epoch in range(3)]
    # 11 and 12 are alone: the ninth token of the second document and the third document
    assert [sorted(epoch) for epoch in epochs] == [[*range(10, 21), *range(23, 29)]] * 3
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[0] == np.concatenate(stream().read(0, 17)).tolist()
    assert epochs[0] != np.concatenate(stream(seed=4).read(0, 17)).tolist()


def test_steps_take_up_where_the_last_one_ended_and_ranks_share_them() -> None:
    """Whatever the size of a step, the tokens are the same stream; rows never mix documents."""
    whole = np.concatenate(stream().read(0, 60)).tolist()
    for size in (1, 5, 12):
        read = [row for first in range(0, 60, size) for row in stream().read(first, size)]
        assert np.concatenate(read).tolist() == whole
        assert all((np.diff(row) == 1).all() for row in read)
    alone = text_batches(stream(), 12, Solo())(2)
    shared = [text_batches(stream(), 12, Solo(rank, 3))(2) for rank in range(3)]
    assert torch.cat([row.tokens for batch in shared for row in batch.rows]).tolist() == whole[24:36]
    assert torch.cat([row.tokens for row in alone.rows]).tolist() == whole[24:36]
    assert {row.weight for row in alone.rows} == {1 / 12}


@pytest.mark.parametrize(("spm", "order"), [(0.0, "psm"), (1.0, "spm")])
def test_a_middle_is_written_last_and_begin_and_end_stay(spm: float, order: str) -> None:
    tokens = np.array([1, 10, 11, 12, 13, 2])
    cuts = set()
    for seed in range(200):
        found = filled(tokens, replace(MARKS, spm=spm), np.random.RandomState(seed)).tolist()
        assert len(found) == 9
        assert (found[0], found[1], found[-1]) == (1, 90, 2)
        at, middle = found.index(91), found.index(92)
        if order == "psm":
            prefix, suffix, rest = found[2:at], found[at + 1 : middle], found[middle + 1 : -1]
            assert [*prefix, *rest, *suffix] == [10, 11, 12, 13]
            cuts.add((len(prefix), len(rest)))
        else:
            assert at == 2
            suffix, rest = found[3:middle], found[middle + 1 : -1]
            assert [*rest, *suffix] == [10, 11, 12, 13]
            cuts.add((len(suffix), len(rest)))
    assert len(cuts) == (15 if order == "psm" else 5), "every cut of four tokens occurs"


def test_the_share_of_pieces_that_are_cut() -> None:
    found = stream(rate=0.4)
    assert found.tokens == 17 + 2 * 3  # of five pieces two
    for epoch in range(3):
        ids = np.concatenate(found.read(epoch * 23, 23)).tolist()
        assert Counter(ids)[92] == 2
        assert sorted(set(ids) - {90, 91, 92}) == [*range(10, 21), *range(23, 29)]


# ---- byte pairs ---------------------------------------------------------------------------------------------------


def test_byte_pairs_lose_nothing_and_are_the_same_every_time() -> None:
    one, two = (byte_pairs(TEXTS, vocab_size=400, special=["<|x|>"]) for _ in range(2))
    assert one.backend_tokenizer.to_str() == two.backend_tokenizer.to_str()
    assert len(one) <= 400
    for text in [*TEXTS, "never seen: Ω≈ç√ \x00\x7f"]:
        assert one.decode(one.encode(text)) == text
    assert [one.decode([token]) for token in one.encode("1999")] == ["1", "9", "9", "9"]
    assert len(one.encode("the")) == 1
    assert len(one.encode("<|x|><think></think><answer></answer><|im_end|>")) == 6
    assert "<think>" in one.decode(one.encode("<think>"), skip_special_tokens=True)
    asked = render(Template(), one, "hi")
    assert one.decode(asked) == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"


def test_marks_that_fill_in_a_middle() -> None:
    for marks in FILL_IN:
        tokenizer = build_tokenizer(marks)
        assert tokenizer.convert_ids_to_tokens(list(fill_in_tokens(tokenizer))) == list(marks)
    assert fill_in_tokens(byte_pairs(TEXTS, vocab_size=400, fill_in=True))
    with pytest.raises(InputError, match=r"no tokens that fill in a middle .*fill_in_middle.rate = 0"):
        fill_in_tokens(byte_pairs(TEXTS, vocab_size=400))


# ---- laid down ----------------------------------------------------------------------------------------------------


def opened(data: Path, folder: Path, **settings: Any) -> tuple[Any, list[str], Workspace]:
    lines: list[str] = []
    folder.mkdir(exist_ok=True)
    workspace = replace(toy(folder).workspace, say=lines.append, recipe=replace(toy(folder).workspace.recipe, tasks={}))
    config = Config(data=str(data), steps=10, tokens_per_step=8, **settings)
    return text_of(config, workspace), lines, workspace


def written(path: Path, texts: list[str] = TEXTS) -> Path:
    with gzip.open(path, "wt", encoding="utf-8", newline="") as stream:
        stream.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    return path


def test_tokens_are_laid_down_once_and_come_back_as_the_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = written(tmp_path / "t.jsonl.gz", [*TEXTS, "one<|endoftext|>two", " \n"])
    text, lines, _ = opened(data, tmp_path / "run")
    ends = text.starts[1:] - 1
    assert set(text.ids[ends].tolist()) == {text.tokenizer.eos_token_id}
    found = [text.tokenizer.decode(text.ids[a:b]) for a, b in zip(text.starts[:-1], ends, strict=True)]
    assert found == [*TEXTS, "one", "two"]
    assert lines == [
        f"r1_zero: {int(text.starts[-1])} tokens in 6 documents of {data}, each learnt {80 / text.starts[-1]:.3g} times"
    ]
    (folder,) = (tmp_path / "run" / "tokens").iterdir()
    monkeypatch.setattr(module, "_lay_down", None)  # would fail if it were called
    again, _, _ = opened(data, tmp_path / "run")
    assert np.array_equal(again.ids, text.ids)
    assert isinstance(again.ids, np.memmap)
    monkeypatch.undo()
    written(data, TEXTS[:2])
    opened(data, tmp_path / "run")
    assert len(list(folder.parent.iterdir())) == 2, "another text has another folder"


def test_a_kill_while_it_is_laid_down_leaves_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = written(tmp_path / "t.jsonl.gz")

    def dies(*given: Any) -> None:
        (given[0] / "tokens.bin").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_lay_down", dies)
    with pytest.raises(KeyboardInterrupt):
        opened(data, tmp_path / "run")
    monkeypatch.undo()
    assert len(opened(data, tmp_path / "run")[0].starts) == 5


def test_another_model_s_tokenizer_with_the_context_and_the_middles_asked_for(tmp_path: Path) -> None:
    own = byte_pairs(TEXTS, vocab_size=420, fill_in=True)
    own.save_pretrained(tmp_path / "theirs")
    fill = FillInMiddle(rate=1.0, spm=0.0)
    settings: dict[str, Any] = {"tokenizer": TokenizerSettings(name=str(tmp_path / "theirs")), "fill_in_middle": fill}
    text, _, _ = opened(written(tmp_path / "t.jsonl.gz"), tmp_path / "run", **settings)
    assert text.tokenizer.get_vocab() == own.get_vocab()
    config = Config(data="t.jsonl.gz", **settings)
    found = pieces(config, text, 12, seed=1).read(0, 200)
    assert max(map(len, found)) == 12
    prefix = fill_in_tokens(own)[0]
    assert all(row[0] == prefix for row in found[1:-1])
    plain = byte_pairs(TEXTS, vocab_size=420)
    plain.save_pretrained(tmp_path / "theirs")
    text, _, _ = opened(tmp_path / "t.jsonl.gz", tmp_path / "run", **settings)
    with pytest.raises(InputError, match="no tokens that fill in a middle"):
        pieces(config, text, 12, seed=1)


@pytest.mark.parametrize(
    ("lines", "settings", "message"),
    [
        ([], {}, r"t.jsonl: no rows"),
        (['{"text": "  "}'], {}, r"t.jsonl: no text to learn from"),
        (['{"body": "a"}'], {}, r"t.jsonl:1: no column for the text .*the row has 'body'"),
        (['{"body": "a"}'], {"read": Reading(columns={"text": "boddy"})}, r"boddy.*Did you mean 'body'|'body'"),
    ],
)
def test_a_text_that_cannot_be_read_is_one_line(
    lines: list[str], settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (tmp_path / "t.jsonl").write_text("".join(line + "\n" for line in lines))
    with pytest.raises(InputError, match=message):
        opened(tmp_path / "t.jsonl", tmp_path / "run", **settings)


def test_documents_that_hold_a_held_out_problem_are_left_out(tmp_path: Path) -> None:
    questions = [f"what is the sum of {n} and {n + 1} and of {n + 2} in all" for n in range(40)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps({"prompt": q, "answer": "1"}) + "\n" for q in questions))
    (tmp_path / "r.toml").write_text(
        '[tasks.sums]\nkind = "jsonl"\npath = "{recipe}/q.jsonl"\ntest_share = 0.3\n[stages.pretrain]\n'
        'data = "{recipe}/t.jsonl.gz"\n'
    )
    from r1kit.recipe import load_recipe

    recipe = load_recipe(str(tmp_path / "r.toml"))
    held = recipe.task("sums").held_out("test")[0].question
    written(tmp_path / "t.jsonl.gz", [*TEXTS, f"Homework: {held}? Eight."])
    lines: list[str] = []
    (tmp_path / "run").mkdir()
    workspace = Workspace(run=tmp_path / "run", stage="pretrain", index=1, recipe=recipe, say=lines.append)
    text = text_of(recipe.stages["pretrain"], workspace)
    assert len(text.starts) == 5
    assert lines[1] == "pretrain: left out: 1 documents that share 10 words with a held-out problem"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"chat_template": "{% for %}"}, "is not valid Jinja: "),
        ({"chat_template": "{{ messages"}, "is not valid Jinja: "),
        ({"chat_template": "nothere.jinja"}, "is neither Jinja text nor a file"),
        ({"name": "./nothere"}, "no model './nothere'"),
    ],
)
def test_a_tokenizer_that_cannot_be_is_told_before_anything_runs(
    tmp_path: Path, settings: dict[str, str], told: str
) -> None:
    (tmp_path / "text.jsonl").write_text('{"text": "a cat"}\n')
    config = Config(data=str(tmp_path / "text.jsonl"), tokenizer=TokenizerSettings(**settings))
    with pytest.raises(InputError, match=told):
        config.check("pretrain", Recipe(name="mine"))


def test_templates_with_marks_of_generation_and_loop_controls_are_jinja(tmp_path: Path) -> None:
    text = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% break %}{% endfor %}"
    assert TokenizerSettings(chat_template=text).template() == text
    (tmp_path / "chat.jinja").write_text(text)
    assert TokenizerSettings(chat_template=str(tmp_path / "chat.jinja")).template() == text
    assert TokenizerSettings().template() == ""
    named = Config(data="a.txt", tokenizer=TokenizerSettings(chat_template="chat.jinja"))
    assert (named.files, Config(tokenizer=TokenizerSettings(chat_template=text)).files) == (("chat.jinja",), ())
