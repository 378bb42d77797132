"""What is learnt is what is sampled, token for token, under chat templates of the field (``field_templates.py``)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import cast

import pytest
from transformers import PreTrainedTokenizerFast

from r1kit.errors import InputError
from r1kit.records import Message, Sample, Sampling
from r1kit.rollout.piece import Piece
from r1kit.serving.opening import own_tags
from r1kit.serving.served import Speaking, Speech
from r1kit.serving.writing import Tags
from r1kit.text.chat_template import put_chat_template
from r1kit.text.habits import habits_of
from r1kit.text.taught import Taught, Teacher, Thinking
from r1kit.text.template import Template, prompt_text, render
from tests.model.scripted import CHAT, Case, write
from tests.text.field_templates import FIELD, Field, tokenizer_of

ASKED = Message(role="user", content="one")
HISTORIES: dict[str, tuple[Message, ...]] = {
    "alone": (),
    "system": (Message(role="system", content="be brief"),),
    "second turn": (ASKED, Message(role="assistant", content="a")),
    "both": (Message(role="system", content="be brief"), ASKED, Message(role="assistant", content="a")),
}
THOUGHT = Message(role="assistant", content="<think>\nhm\n</think>\n\na")


def runs(one: Taught) -> list[tuple[int, list[int]]]:
    """(where it begins, its tokens) of each run of what is learnt."""
    found: list[tuple[int, list[int]]] = []
    for place, (token, own) in enumerate(zip(one.ids, one.learnt, strict=True)):
        if own and (not place or not one.learnt[place - 1]):
            found.append((place, []))
        if own:
            found[-1][1].append(token)
    return found


def taught(name: str, response: str, history: tuple[Message, ...], thinking: Thinking = "last") -> list[Taught]:
    own = FIELD[name]
    teacher = Teacher(tokenizer_of(name), Template(arguments=own.arguments), thinking, ends=own.named.split())
    return teacher.taught(Sample(id="s", prompt="two", response=response, domain="d", history=history or None))


def sampled(tokenizer: PreTrainedTokenizerFast, own: Field, text: str) -> list[int]:
    """Tokens of an answer as the model draws it, its end included."""
    return [*tokenizer.encode(text, add_special_tokens=False), tokenizer.convert_tokens_to_ids(own.end)]


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("name", FIELD)
def test_a_sample_is_learnt_as_it_was_drawn(name: str, history: str) -> None:
    """Behind the prompt that it was drawn from; as text in between, as samples are kept."""
    own, tokenizer = FIELD[name], tokenizer_of(name)
    prompt = render(Template(arguments=own.arguments), tokenizer, "two", HISTORIES[history])
    for before in filter(None, (own.thought, own.before + "yes")):
        drawn = sampled(tokenizer, own, before.removesuffix("yes") + "yes" + own.after)
        (one,) = taught(name, tokenizer.decode(drawn[:-1]), HISTORIES[history])
        *earlier, (start, learnt) = runs(one)
        assert (one.ids[:start], tokenizer.decode(learnt)) == (prompt, tokenizer.decode(drawn))
        assert learnt == drawn
        for start, learnt in earlier:
            asked = render(Template(arguments=own.arguments), tokenizer, "one", HISTORIES[history][:-2])
            assert one.ids[:start] == asked
            assert learnt in [sampled(tokenizer, own, text + own.after) for text in (own.before + "a", "a")]


REWRITTEN = {"qwen3 without", "deepseek r1", "deepseek v3.1 thinking", "gpt-oss"}
"""Where earlier turns do not stand as they are drawn, even without thinking."""


@pytest.mark.parametrize("name", FIELD)
def test_earlier_turns_are_learnt_with_their_end_where_they_stand_as_they_were_drawn(name: str) -> None:
    (one,) = taught(name, "b", HISTORIES["second turn"])
    assert len(runs(one)) == (1 if name in REWRITTEN else 2)


@pytest.mark.parametrize("name", FIELD)
def test_a_turn_that_the_template_rewrites_is_learnt_as_the_last_of_its_chat(name: str) -> None:
    """With ``thinking = "every"``: behind its own prompt, as that chat alone is learnt."""
    _, *lost = taught(name, "b", (ASKED, THOUGHT), "every")
    own, tokenizer = FIELD[name], tokenizer_of(name)
    teacher = Teacher(tokenizer, Template(arguments=own.arguments), ends=own.named.split())
    alone = teacher.taught(Sample(id="s", prompt="one", response=THOUGHT.content, domain="d"))
    assert lost in ([], alone)


DATED = {"llama 3": "%d %b %Y", "mistral small": "%Y-%m-%d", "gpt-oss": "%Y-%m-%d", "smollm 3": "%d %B %Y",
         "smollm 3 without": "%d %B %Y"}  # fmt: skip
"""How each that writes today's date writes it."""


@pytest.mark.parametrize("name", FIELD)
def test_a_date_of_one_s_own_stands_in_the_place_of_today_s(name: str) -> None:
    own, tokenizer = FIELD[name], tokenizer_of(name)
    dated = Template(arguments=own.arguments, date="1999-01-31")
    assert habits_of(tokenizer, own.arguments).dated is (name in DATED)
    if name not in DATED:
        with pytest.raises(InputError, match=r"template.date: the model's chat template writes no date; leave it out"):
            prompt_text(dated, tokenizer, "two")
        return
    assert date(1999, 1, 31).strftime(DATED[name]) in prompt_text(dated, tokenizer, "two")
    (one,) = Teacher(tokenizer, dated).taught(Sample(id="s", prompt="two", response="b", domain="d"))
    assert one.ids[: one.prompt] == render(dated, tokenizer, "two")


def test_a_date_by_argument_is_one_too() -> None:
    assert not habits_of(tokenizer_of("llama 3"), {"date_string": "26 Jul 2024"}).dated
    with pytest.raises(InputError, match=r"template.date = '31.1.1999' is no day; write it as 2025-01-20"):
        Template(date="31.1.1999")
    with pytest.raises(InputError, match=r"template.date is for the template 'chat'"):
        Template(name="plain", date="1999-01-31")


def test_an_export_says_the_day_that_its_chat_template_does_not_write(tmp_path: Path) -> None:
    folder = write(tmp_path, Case(say=("<|im_end|>",), template="{{ strftime_now('%Y') }}" + CHAT))
    told = put_chat_template(folder, Template(date="1999-01-31"))
    assert "trained with date '1999-01-31', which the chat template does not write by itself; put that in" in told


def test_thinking_behind_a_prompt_that_has_closed_it_is_left_out() -> None:
    (one,) = taught("deepseek v3.1", THOUGHT.content, ())
    tokenizer = tokenizer_of("deepseek v3.1")
    assert tokenizer.decode(one.ids) == (
        "<｜begin▁of▁sentence｜><｜User｜>two<｜Assistant｜></think>\n\na<｜end▁of▁sentence｜>"
    )
    assert tokenizer.decode(runs(one)[0][1]) == "\n\na<｜end▁of▁sentence｜>"


@pytest.mark.parametrize("named", ["", "<|user|> <|observation|>"])
def test_a_turn_without_a_mark_of_its_own_ends_as_the_model_ends_it(named: str) -> None:
    """GLM-4.5 writes ``<|user|>`` where its settings name that; else its end token."""
    tokenizer = tokenizer_of("glm 4.5")
    teacher = Teacher(tokenizer, Template(), ends=named.split())
    (one,) = teacher.taught(Sample(id="s", prompt="two", response="b", domain="d", history=HISTORIES["second turn"]))
    first, last = (tokenizer.decode(learnt) for _, learnt in runs(one))
    assert (first, last) == (
        "\n<think></think>\na" + ("<|user|>" if named else ""),
        "\n<think></think>\nb" + ("<|user|>" if named else "<|endoftext|>"),
    )


@pytest.mark.parametrize("name", FIELD)
def test_a_chat_goes_on_behind_its_own_answer(name: str) -> None:
    """Thinking and answer are told apart, and the next question stands behind the answer alone, once each."""
    own, tokenizer = FIELD[name], tokenizer_of(name)
    template = Template(arguments=own.arguments)
    speech = Speech(
        tokenizer=cast(Speaking, tokenizer), template=template, sampling=Sampling(max_tokens=24), positions=4096,
        ends=frozenset(map(tokenizer.convert_tokens_to_ids, (own.eos, own.end))), vocab_size=len(tokenizer),
        tags=own_tags(Tags(), tokenizer, template),
    )  # fmt: skip
    for before in filter(None, (own.thought, own.before + "yes")):
        drawn = sampled(tokenizer, own, before.removesuffix("yes") + "yes" + own.after)
        writer = speech.writer(speech.render([ASKED]))
        deltas = [writer.feed(Piece(row=0, token_ids=[token], scored=[], finish="")) for token in drawn]
        deltas.append(writer.feed(Piece(row=0, token_ids=[], scored=[], finish="stop")))
        thinking, content = "".join(one.thinking for one in deltas), "".join(one.content for one in deltas)
        assert (thinking, content.strip()) == ("hmm" if before == own.thought else "", "yes")
        again = tokenizer.decode(
            speech.render([ASKED, Message(role="assistant", content=content), replace(ASKED, content="two")]).ids
        )
        assert (again.count("yes"), again.count("hmm"), again.count("two")) == (1, 0, 1)
        assert not speech.one_question
