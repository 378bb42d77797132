"""Prompts, word for word and token for token."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from r1kit.errors import InputError
from r1kit.records import Message, Sample
from r1kit.text.taught import Teacher
from r1kit.text.template import Template, chat_text, prompt_text, render

PAPER = (
    "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. "
    "The assistant first thinks about the reasoning process in the mind and then provides the user with the answer. "
    "The reasoning process and answer are enclosed within <think> </think> and <answer> </answer> tags, respectively, "
    "i.e., <think> reasoning process here </think> <answer> answer here </answer>. "
    "User: What is {2 + 3}?. Assistant:"
)


@pytest.fixture
def framing(byte_tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """Puts ``<s>`` before and ``</s>`` after every text."""
    tokenizer = copy.deepcopy(byte_tokenizer)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 256), ("</s>", 257)]
    )
    assert tokenizer.encode("a")[::2] == [256, 257]
    return tokenizer


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (Template(name="r1_zero"), PAPER),
        (Template(name="plain"), "User: What is {2 + 3}? Assistant:"),
        (
            Template(name="plain", suffix=" Think.", prefill=" <think>\n"),
            "User: What is {2 + 3}? Think. Assistant: <think>\n",
        ),
        (Template(name="Q: {question}\nA:{}"), "Q: What is {2 + 3}?\nA:{}"),
        (Template(), "<user>What is {2 + 3}?</s><assistant>"),
        (
            Template(system="Be brief.", suffix="!", prefill="<think>"),
            "<system>Be brief.</s><user>What is {2 + 3}?!</s><assistant><think>",
        ),
    ],
)
def test_the_text_is_exact_and_gets_no_begin_token_unasked(
    byte_tokenizer: PreTrainedTokenizerFast, template: Template, expected: str
) -> None:
    assert prompt_text(template, byte_tokenizer, "What is {2 + 3}?") == expected
    ids = render(template, byte_tokenizer, "What is {2 + 3}?")
    assert byte_tokenizer.decode(ids) == expected
    assert 256 not in ids


def test_one_begin_token_and_no_end_token_where_the_tokenizer_frames(framing: PreTrainedTokenizerFast) -> None:
    ids = render(Template(name="plain"), framing, "x")
    assert framing.decode(ids) == "<s>User: x Assistant:"
    assert (ids.count(256), ids.count(257)) == (1, 0)
    framing.chat_template = "{{ bos_token }}" + str(framing.chat_template)
    assert framing.decode(render(Template(), framing, "x")) == "<s><user>x</s><assistant>"
    assert framing.decode(render(Template(name="<s>{question}"), framing, "x")) == "<s>x"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"name": "r1_zer"},
            r"no template 'r1_zer'; a template is chat, plain, r1_zero .* Did you mean 'r1_zero'",
        ),
        ({"name": "Solve: {Question}"}, "no template 'Solve: {Question}'"),
        ({"name": ""}, "no template ''"),
        ({"name": "plain", "system": "Be brief."}, "a system prompt needs the template 'chat'"),
    ],
)
def test_bad_templates_are_refused_when_written(settings: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Template(**settings)


def test_chat_templates_that_are_missing_or_refuse(byte_tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer = copy.deepcopy(byte_tokenizer)
    tokenizer.chat_template = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(InputError, match="refuses the prompt: System role not supported"):
        render(Template(system="x"), tokenizer, "y")
    tokenizer.chat_template = None
    with pytest.raises(InputError, match="has no chat template"):
        render(Template(), tokenizer, "y")


def test_recipes_can_hold_a_template_without_torch() -> None:
    code = "import sys, r1kit.text.template as t; t.Template(); print({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_thinking_before_the_last_question_is_left_out_where_that_is_asked(
    byte_tokenizer: PreTrainedTokenizerFast,
) -> None:
    tokenizer = copy.deepcopy(byte_tokenizer)
    tokenizer.chat_template = (
        "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    history = (
        Message(role="user", content="1?"),
        Message(role="assistant", content="<think> a </think> one"),
        Message(role="user", content="2?"),
        Message(role="assistant", content="two"),
    )
    kept = "[user]1?[assistant]<think> a </think> one[user]2?[assistant]two[user]3?[assistant]"
    assert prompt_text(Template(), tokenizer, "3?", history) == kept
    dropping = Template(drop_thinking=True)
    assert prompt_text(dropping, tokenizer, "3?", history) == kept.replace("<think> a </think> ", "")
    whole = [
        *history,
        Message(role="user", content="3?"),
        Message(role="assistant", content="<think> b </think> three"),
    ]
    assert chat_text(dropping, tokenizer, whole, answering=False).endswith(
        "[user]3?[assistant]<think> b </think> three"
    )
    sample = Sample(id="s", prompt="3?", response="<think> b </think> three", domain="d", history=history)
    (learnt,) = Teacher(tokenizer, dropping).taught(sample)
    text = tokenizer.decode([one for one, own in zip(learnt.ids, learnt.learnt, strict=True) if own])
    assert text.startswith("two<think> b </think> three")
    with pytest.raises(InputError, match="drop_thinking is for the template 'chat'"):
        Template(name="plain", drop_thinking=True)
