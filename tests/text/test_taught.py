"""What of a chat is learnt: token for token, against a hand-worked example and transformers' own assistant mask."""

from __future__ import annotations

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from r1kit.errors import InputError
from r1kit.records import Message, Sample
from r1kit.text.taught import Taught, Teacher, Thinking
from r1kit.text.template import Template, render
from r1kit.text.tokenizer import build_tokenizer


def system(text: str) -> Message:
    return Message(role="system", content=text)


def user(text: str) -> Message:
    return Message(role="user", content=text)


def assistant(text: str) -> Message:
    return Message(role="assistant", content=text)


SPECIAL = ["<|s|>", "<|e|>", "<|im_start|>", "<|im_end|>", "<|eot|>", "<|User|>", "<|Assistant|>"]
TAGS = ["<think>", "</think>"]


def tokenizer_of(template: str, eos: str = "<|e|>") -> PreTrainedTokenizerFast:
    """A byte-level tokenizer in which ``\\n`` and letters may stand in one token across an edge."""
    vocab = {letter: index for index, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges = [("Ċ", "Ċ"), ("Ġ", "t"), ("h", "e"), (":", "Ġ"), ("t", "he")]
    for left, right in merges:
        vocab[left + right] = len(vocab)
    backend = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_tokens([AddedToken(word, special=word in SPECIAL, normalized=False) for word in (*SPECIAL, *TAGS)])
    made = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=eos)
    made.chat_template = template
    return made


CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if m.role == 'assistant' %}{% generation %}{{ m.content + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}"
    "{% else %}{{ m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TRIMS = (
    "{{ '<|s|>' }}{% for m in messages %}{{ '<|im_start|>' + m.role + '\n\n' }}"
    "{% if m.role == 'assistant' %}{% generation %}{{ m.content | trim + '<|eot|>' }}{% endgeneration %}"
    "{% else %}{{ m.content | trim + '<|eot|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n\n' }}{% endif %}"
)
WORDY = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{{ 'A: ' }}{% generation %}{{ m.content }}{% endgeneration %}"
    "{{ '\n\n' }}{% else %}{{ 'Q: ' + m.content + '\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'A: ' }}{% endif %}"
)
DROPS = (  # as Qwen3: thinking stays behind the last question only
    "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}"
    "{% endif %}{% endfor %}{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if m.role == 'assistant' %}{% set text = m.content.split('</think>')[-1].lstrip('\n') %}"
    "{% if loop.index0 > ns.last %}{{ '<think>\n' + m.content.split('</think>')[0].replace('<think>', '').strip() "
    "if '</think>' in m.content else '<think>\n' }}{{ '\n</think>\n\n' }}{% endif %}{{ text }}"
    "{% else %}{{ m.content }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
OPENS = (  # as R1-Distill: opens the thinking itself and drops it from every turn of a history
    "{{ '<|s|>' }}{% for m in messages %}{% if m.role == 'user' %}{{ '<|User|>' + m.content }}"
    "{% elif m.role == 'system' %}{{ m.content }}"
    "{% else %}{{ '<|Assistant|>' + m.content.split('</think>')[-1] + '<|e|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|Assistant|><think>\n' }}{% endif %}"
)
TWO = (
    system("be brief"),
    user("the one"),
    assistant("a the\n"),
)


def sample(response: str, history: tuple[Message, ...] | None = TWO, prompt: str = "the two") -> Sample:
    return Sample(id="s", prompt=prompt, response=response, domain="d", history=history)


def shown(tokenizer: PreTrainedTokenizerFast, one: Taught) -> list[str]:
    """Runs of what is learnt."""
    found: list[list[int]] = []
    before = False
    for token, learnt in zip(one.ids, one.learnt, strict=True):
        if learnt and not before:
            found.append([])
        if learnt:
            found[-1].append(token)
        before = learnt
    return [tokenizer.decode(run) for run in found]


def test_by_hand() -> None:
    """Words are tokens: each of the assistant's turns with the end that the template closes it with."""
    tokenizer = build_tokenizer(["User:", "Assistant:", "one", "two", "three"])
    chat = sample("three", (user("one"), assistant("two two")), "two")
    (one,) = Teacher(tokenizer, Template()).taught(chat)
    # <bos> User: one Assistant: two two <eos> User: two Assistant: three <eos>; after 8 words come one, two, three
    assert one.ids == [1, 8, 10, 9, 11, 11, 2, 8, 11, 9, 12, 2]
    assert [int(own) for own in one.learnt] == [0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1]
    assert one.prompt == 4


@pytest.mark.parametrize("template", [CHATML, TRIMS])
@pytest.mark.parametrize("response", [" the end", "the", "née 漢 🙂", "a\n\nb  \n"])
@pytest.mark.parametrize("history", [None, TWO, TWO[1:]])
def test_equal_to_transformers_own_mask(template: str, response: str, history: tuple[Message, ...] | None) -> None:
    tokenizer = tokenizer_of(template)
    chat = sample(response, history)
    (one,) = Teacher(tokenizer, Template()).taught(chat)
    messages = [{"role": m.role, "content": m.content} for m in history or ()]
    messages += [{"role": "user", "content": chat.prompt}, {"role": "assistant", "content": response}]
    theirs = tokenizer.apply_chat_template(messages, return_assistant_tokens_mask=True, return_dict=True)
    if tokenizer.decode(one.ids).endswith("<|im_end|>"):  # what comes behind the end is nobody's to write
        theirs = {key: values[:-1] for key, values in theirs.items()}
    assert one.ids == theirs["input_ids"]
    assert [int(own) for own in one.learnt] == theirs["assistant_masks"]


def test_the_prompt_is_what_sampling_asks_even_where_a_token_would_lie_across_the_edge() -> None:
    """``A: `` and `` the``: read as one text, `: ` and `t` ... are other tokens than behind the prompt."""
    tokenizer = tokenizer_of(WORDY)
    template = Template()
    for response in (" the", "the", "\nthe"):
        chat = sample(response, (user("the one"), assistant(" t")))
        (one,) = Teacher(tokenizer, template).taught(chat)
        first = render(template, tokenizer, "the one")
        assert one.ids[: len(first)] == first
        assert one.prompt == len(first)
        assert shown(tokenizer, one) == [" t", response + "<|e|>"], "no token closes a turn: the tokenizer's end does"


def test_the_end_is_what_the_template_closes_a_turn_with() -> None:
    tokenizer = tokenizer_of(CHATML, eos="<|e|>")
    (one,) = Teacher(tokenizer, Template()).taught(sample("the end", None))
    assert shown(tokenizer, one) == ["the end<|im_end|>"]
    tokenizer = tokenizer_of(TRIMS)
    (one,) = Teacher(tokenizer, Template(name="plain")).taught(sample("the end", None))
    assert shown(tokenizer, one) == ["the end<|e|>"], "a template of text closes nothing"


@pytest.mark.parametrize("thinking", ["last", "every"])
def test_dropped_thinking_is_noticed_and_learnt_where_asked(thinking: Thinking) -> None:
    tokenizer = tokenizer_of(DROPS)
    teacher = Teacher(tokenizer, Template(), thinking)
    history = (user("one"), assistant("<think>\nhm\n</think>\n\na"))
    found = teacher.taught(sample("<think>\nso\n</think>\n\nb", history))
    assert teacher.seen["dropped"] == 1
    last = "<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n<|im_start|>user\nthe two<|im_end|>\n"
    last += "<|im_start|>assistant\n<think>\nso\n</think>\n\nb<|im_end|>"
    assert tokenizer.decode(found[0].ids) == last
    assert shown(tokenizer, found[0]) == ["<think>\nso\n</think>\n\nb<|im_end|>"]
    first = "<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\n<think>\nhm\n</think>\n\na<|im_end|>"
    assert [tokenizer.decode(one.ids) for one in found[1:]] == ([first] if thinking == "every" else [])
    assert [shown(tokenizer, one) for one in found[1:]] == (
        [["<think>\nhm\n</think>\n\na<|im_end|>"]] if thinking == "every" else []
    )


def test_turns_that_the_template_keeps_are_learnt_beside_one_that_it_changes() -> None:
    tokenizer = tokenizer_of(DROPS)
    history = (
        *(user("one"), assistant("plain")),
        *(user("two"), assistant("<think>\nhm\n</think>\n\na")),
    )
    (one,) = Teacher(tokenizer, Template()).taught(sample("<think>\nso\n</think>\n\nb", history))
    assert shown(tokenizer, one) == ["plain<|im_end|>", "<think>\nso\n</think>\n\nb<|im_end|>"]


@pytest.mark.parametrize(
    ("response", "learnt"),
    [
        ("<think>\nso\n</think>\n\nb", "so\n</think>\n\nb<|e|>"),
        ("<think>so</think>b", "so</think>b<|e|>"),
        ("so\n</think>\n\nb", "so\n</think>\n\nb<|e|>"),
        ("b", "\n</think>\n\nb<|e|>"),
    ],
)
@pytest.mark.parametrize("how", ["the template", "the prefill"])
def test_the_thinking_tag_stands_once_where_the_prompt_opens_it(response: str, learnt: str, how: str) -> None:
    template = Template() if how == "the template" else Template(prefill="<think>\n")
    tokenizer = tokenizer_of(OPENS if how == "the template" else OPENS.replace("<think>\n'", "'"))
    teacher = Teacher(tokenizer, template)
    (one,) = teacher.taught(sample(response, None))
    assert tokenizer.decode(one.ids) == f"<|s|><|User|>the two<|Assistant|><think>\n{learnt}"
    assert shown(tokenizer, one) == [learnt]
    assert one.ids[: one.prompt] == render(template, tokenizer, "the two")
    assert teacher.seen["no_thought"] == (response == "b")
    assert tokenizer.decode(one.ids).count("<think>") == tokenizer.decode(one.ids).count("</think>") == 1


def test_chats_out_of_turn() -> None:
    """A greeting before anything is asked is context; two turns of one speaker are each what they are."""
    tokenizer = tokenizer_of(CHATML)
    (one,) = Teacher(tokenizer, Template(system="s")).taught(sample("b", (assistant("welcome"),)))
    assert shown(tokenizer, one) == ["b<|im_end|>"]
    assert "welcome" in tokenizer.decode(one.ids)
    twice = (user("one"), user("more"), assistant("a"), assistant("b"))
    (one,) = Teacher(tokenizer, Template()).taught(sample("c", twice))
    assert shown(tokenizer, one) == ["a<|im_end|>", "b<|im_end|>", "c<|im_end|>"]


def test_what_cannot_be_taught_is_one_line() -> None:
    tokenizer = tokenizer_of(CHATML)
    with pytest.raises(InputError, match=r"knows one question alone.*template.name = 'chat'"):
        Teacher(tokenizer, Template(name="plain")).taught(sample("a"))
    tokenizer.eos_token = None
    with pytest.raises(InputError, match="no end token"):
        Teacher(tokenizer, Template(name="plain")).taught(sample("a", None))
    (one,) = Teacher(tokenizer, Template()).taught(sample("a", None))
    assert shown(tokenizer, one) == ["a<|im_end|>"], "the template has one"
    tokenizer.chat_template = "{{ raise_exception('users only') }}"
    with pytest.raises(InputError, match="refuses the prompt: users only"):
        Teacher(tokenizer, Template()).taught(sample("a", None))


def test_marks_that_swallow_the_spaces_behind_them_are_read_as_in_the_whole_chat() -> None:
    """As Phi-3's: behind a turn's end the line feed is part of the mark, and no token of its own."""
    tokenizer = tokenizer_of(
        "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
        eos="<|end|>",
    )
    marks = [AddedToken(mark, rstrip=True, special=True) for mark in ("<|user|>", "<|assistant|>", "<|end|>")]
    tokenizer.add_tokens(marks)
    (one,) = Teacher(tokenizer, Template()).taught(sample(" b\n", (user("one"), assistant("a"))))
    turns = ["one", "a", "the two", " b\n"]
    chat = [{"role": role, "content": text} for role, text in zip(["user", "assistant"] * 2, turns, strict=True)]
    assert one.ids == tokenizer.apply_chat_template(chat, return_dict=True)["input_ids"]
    assert shown(tokenizer, one) == ["a<|end|>", "b\n<|end|>"]
