"""What is learnt of a chat, beside TRL's assistant-only masks: its training templates, with our reading of them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from r1kit.records import Message, Sample
from r1kit.text.taught import Taught, Teacher
from r1kit.text.template import Template

trl = pytest.importorskip("trl")
FOLDER = Path(trl.__file__).parent / "chat_templates"
TEMPLATES = sorted(path.stem.removesuffix("_training") for path in FOLDER.glob("*_training.jinja"))
PARTS = {"idefics3", "llava_next", "smolvlm"}
"""Want content in parts, which TRL is not given here."""
EMPTY = {"deepseek_r1_distill", "deepseekv3", *(name for name in TEMPLATES if name.startswith("nemotron_3"))}
"""The prompt opens the thinking, and TRL learns an answer without any as if it did not."""
CHANNELS = {"gptoss", "diffusion_gemma", "muse_glimmer"}
"""The model thinks between marks of its own, and TRL learns tags in its answer."""
THOUGHTS = {"deepseekv3", "qwen3_8", "qwen3_5_nothink", *CHANNELS}
"""TRL learns thinking not at all, in tags written twice, or behind a prompt that has closed it; or see ``CHANNELS``."""


@cache
def tokenizer_of(template: str) -> PreTrainedTokenizerFast:
    """A token a byte; what looks like a mark of the template is one."""
    text = (FOLDER / f"{template}_training.jinja").read_text(encoding="utf-8")
    vocab = {letter: index for index, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    marks = {"<eos>", "<bos>", *re.findall(r"<[|/a-zA-Z_｜▁][^<>\s'\"]*>|\[/?[A-Z_]+\]", text)}
    backend.add_tokens([AddedToken(mark, special="think" not in mark, normalized=False) for mark in sorted(marks)])
    made = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<bos>", eos_token="<eos>")
    made.chat_template = text
    return made


def runs(tokenizer: PreTrainedTokenizerFast, ids: list[int], learnt: list[bool]) -> list[str]:
    found: list[list[int]] = []
    for place, token in enumerate(ids):
        if learnt[place]:
            if not place or not learnt[place - 1]:
                found.append([])
            found[-1].append(token)
    return [tokenizer.decode(run) for run in found]


def both(template: str, thinks: bool, turns: int) -> tuple[list[str], list[str], bool]:
    """(ours, theirs, whether the tokens are the same up to our end)."""
    tokenizer = tokenizer_of(template)
    thought = "<think>\nso\n</think>\n\n" if thinks else ""
    messages = [(f"ask {n}", f"{thought}yo {n}") for n in range(turns)]
    chat = [
        Message(role=role, content=text)  # type: ignore[arg-type]
        for pair in messages
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    sample = Sample(
        id="s", prompt=chat[-2].content, response=chat[-1].content, domain="d", history=tuple(chat[:-2]) or None
    )
    one: Taught = Teacher(tokenizer, Template()).taught(sample)[0]
    theirs = tokenizer.apply_chat_template(
        [{"role": each.role, "content": each.content} for each in chat],
        return_assistant_tokens_mask=True,
        return_dict=True,
    )
    mask = [bool(own) for own in theirs["assistant_masks"]]
    same = theirs["input_ids"][: len(one.ids)] == one.ids
    return runs(tokenizer, one.ids, one.learnt), runs(tokenizer, theirs["input_ids"], mask), same


@pytest.mark.parametrize("template", [name for name in TEMPLATES if name not in PARTS])
@pytest.mark.parametrize("thinks", [False, True])
def test_what_trl_learns_is_ours_and_what_stands_around_it(template: str, thinks: bool) -> None:
    """TRL's runs begin at the assistant's header for some templates, and end behind the line feed after the end."""
    ours, theirs, same = both(template, thinks, turns=1)
    if template in (THOUGHTS if thinks else EMPTY):
        assert not same
        assert ours[0].count("</think>") == (template not in {"qwen3_5_nothink", *(CHANNELS if thinks else ())})
        return
    assert same
    ((mine,), (other,)) = ours, theirs
    before, found, after = other.partition(mine)
    assert found
    assert re.fullmatch(r"\s*|\s*<eos>|<\|END_OF_TURN_TOKEN\|>", after)
    assert re.fullmatch(r"\s*|<think>\n|<think>\s*</think>\s*|<｜Assistant｜>(<think>\n)?|<\|start\|>assistant", before)


@pytest.mark.parametrize("template", [name for name in TEMPLATES if name not in PARTS])
def test_every_turn_is_learnt_where_the_template_keeps_it(template: str) -> None:
    ours, theirs, _ = both(template, thinks=True, turns=3)
    assert len(theirs) == 3
    kept = [f"yo {n}" in "".join(ours) for n in range(3)]
    assert kept[2]
    assert len(ours) == sum(kept)
    assert "ask" not in "".join(ours)
