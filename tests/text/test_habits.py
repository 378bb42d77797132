"""What chat templates of the field's kinds do beyond writing messages down, each template written for this test."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from r1kit.errors import InputError
from r1kit.text import habits
from r1kit.text.habits import Habits, habits_of, opens_think
from r1kit.text.light_tokenizer import LightTokenizer, read_tokenizer
from r1kit.text.template import Template, prompt_text, render
from tests.model.scripted import CHAT, THINKS, tokenizer

BY_LINES = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}<|im_end|>\n{% endfor %}"
ASKS = "{% if add_generation_prompt %}assistant:{% endif %}"
DROPS = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}A:{{ m['content'].split('</think>')[-1] }}<|eos|>"
    "{% else %}U:{{ m['content'] }}{% endif %}{% endfor %}{% if add_generation_prompt %}A:<think>\n{% endif %}"
)
DROPS_EARLIER = (
    "{%- set ns = namespace(last=0) %}{% for m in messages %}{% if m['role'] == 'user' %}{% set ns.last = loop.index %}"
    "{% endif %}{% endfor %}{% for m in messages %}{{ m['role'] }}:"
    "{{ m['content'] if loop.index > ns.last else m['content'].split('</think>')[-1] }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}assistant:"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
NO_SYSTEM = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role here') }}{% endif %}"
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{{ m['role'] }}|{{ m['content'] | trim }}<|end|>\n"
    "{% endfor %}{% if add_generation_prompt %}model|{% endif %}"
)
IGNORES_SYSTEM = (
    "{% for m in messages %}{% if m['role'] != 'system' %}{{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
)
PARTS = (
    "{% for m in messages %}{{ m['role'] }}:{% for part in m['content'] %}{% if part['type'] == 'text' %}"
    "{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)
DEFAULT_SYSTEM = "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou help.<|im_end|>\n{% endif %}" + CHAT
DATED = "<|im_start|>system\nToday is {{ strftime_now('%d %b %Y') }}.<|im_end|>\n" + CHAT
DATE_STRING = "{% if not date_string %}{% set date_string = '26 Jul 2024' %}{% endif %}{{ date_string }}\n" + CHAT
MARKED = (
    "{% for m in messages %}{{ m['role'] }}:{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}"
    "<|im_end|>{% endgeneration %}{% else %}{{ m['content'] }}<|im_end|>{% endif %}{% endfor %}"
)
END = "<|im_end|>\n"

CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "plain": (CHAT, {}, {"closing": END}),
    "opens": (THINKS, {}, {"opens_think": True, "closing": END}),
    "drops": (DROPS, {}, {"opens_think": True, "thinking": "dropped", "closing": "<|eos|>"}),
    "drops earlier": (
        DROPS_EARLIER, {}, {"thinking": "dropped earlier", "closing": "<|im_end|>", "reads": ("enable_thinking",)},
    ),
    "closes": (
        DROPS_EARLIER, {"enable_thinking": False},
        {"closes_think": True, "thinking": "dropped earlier", "closing": "<|im_end|>", "reads": ("enable_thinking",)},
    ),
    "closes without opening": (
        BY_LINES + "{% if add_generation_prompt %}A:{{ '<think>' if thinking else '</think>' }}{% endif %}", {},
        {"closes_think": True, "closing": END, "reads": ("thinking",)},
    ),
    "opens by argument": (
        BY_LINES + "{% if add_generation_prompt %}A:{{ '<think>' if thinking else '</think>' }}{% endif %}",
        {"thinking": True}, {"opens_think": True, "closing": END, "reads": ("thinking",)},
    ),
    "roles close turns": (
        "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}", {}, {},
    ),
    "no system": (NO_SYSTEM, {}, {"system": "refused", "alternating": True, "closing": "<|end|>\n"}),
    "ignores system": (IGNORES_SYSTEM, {}, {"system": "ignored", "closing": "<|eos|>"}),
    "parts": (PARTS, {}, {"parts": True, "closing": "<|im_end|>"}),
    "default system": (DEFAULT_SYSTEM, {}, {"default_system": "You help.", "closing": END}),
    "dated": (DATED, {}, {"dated": True, "closing": END}),
    "date string": (DATE_STRING, {}, {"closing": END, "reads": ("date_string",)}),
    "sets its own": (
        "{% if messages[0]['role'] == 'system' %}{% set offset = 1 %}{% else %}{% set offset = 0 %}{% endif %}"
        "{{ offset }}{{ 'reads' }}{{ tone }}" + CHAT, {}, {"closing": END, "reads": ("tone",)},
    ),
    "folds system": (
        "{% set first = messages[0]['content'] + '\n\n' if messages[0]['role'] == 'system' else '' %}"
        "{% for m in messages %}{% if m['role'] != 'system' %}[{{ m['role'] }}]\n{{ first if m['role'] == 'user' }}"
        "{{ m['content'] }}<|end|>\n\n{% endif %}{% endfor %}", {}, {"closing": "<|end|>\n\n"},
    ),
    "marked": (MARKED, {}, {"closing": "<|im_end|>"}),
    "no end": (BY_LINES.replace("<|im_end|>", "") + ASKS, {}, {"closing": "\n"}),
    "broken": ("{{ messages[0]['content'] + 1 }}", {}, {"refuses": 'can only concatenate str (not "int") to str'}),
    "no Jinja": ("{% for %}", {}, {"refuses": "Expected an expression, got 'end of statement block'"}),
    "role names": (
        "{{ raise_exception('this is a base model') }}", {}, {"refuses": "this is a base model"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_habits_are_found_by_rendering(name: str, tmp_path: Path) -> None:
    """By the tokenizer of `transformers` and by the light one alike."""
    template, arguments, expected = CASES[name]
    made = tokenizer(eos="<|eos|>", bos="<|bos|>", template=template)
    made.save_pretrained(tmp_path)
    found = habits_of(made, arguments)
    wanted = asdict(Habits(**expected, going=found.going, header=found.header))
    assert asdict(habits_of(made, arguments)) == wanted
    light = read_tokenizer(tmp_path)
    assert isinstance(light, LightTokenizer)
    habits._known.clear()  # the light one is asked itself
    assert asdict(habits_of(light, arguments)) == wanted


@pytest.mark.parametrize(
    ("template", "system", "text"),
    [
        (CHAT, "S", "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n"),
        (NO_SYSTEM, "S", "<|bos|>user|S\n\nQ<|end|>\nmodel|"),
        (IGNORES_SYSTEM, "S", "S\n\nQ<|eos|>"),
        (PARTS, "S", "system:S<|im_end|>user:Q<|im_end|>assistant:"),
        (PARTS, "", "user:Q<|im_end|>assistant:"),
    ],
)
def test_a_prompt_is_given_as_the_template_takes_it(template: str, system: str, text: str) -> None:
    made = tokenizer(eos="<|eos|>", bos="<|bos|>", template=template)
    assert prompt_text(Template(system=system), made, "Q") == text


def test_arguments_reach_the_template_and_must_be_looked_at() -> None:
    made = tokenizer(template=DROPS_EARLIER)
    quiet = Template(arguments={"enable_thinking": False})
    assert prompt_text(quiet, made, "Q") == "user:Q<|im_end|>assistant:<think>\n\n</think>\n\n"
    assert prompt_text(Template(arguments={"enable_thinking": True}), made, "Q") == "user:Q<|im_end|>assistant:"
    assert made.decode(render(quiet, made, "Q")) == prompt_text(quiet, made, "Q")
    with pytest.raises(
        InputError, match=r"arguments.enable_thinkin: .* never looks at it; .*: enable_thinking. Did you"
    ):
        prompt_text(Template(arguments={"enable_thinkin": False}), made, "Q")
    with pytest.raises(InputError, match=r"template.arguments are for the template 'chat'"):
        Template(name="plain", arguments={"enable_thinking": False})


@pytest.mark.parametrize(
    ("prompt", "opens"),
    [("a<think>", True), ("a<think>\n", True), ("<think> \n\n", True), ("<think></think>", False), ("a think>", False),
     ("a<think>\nso", False), ("", False)],
)  # fmt: skip
def test_a_prompt_opens_the_thinking_where_it_ends_in_the_tag(prompt: str, opens: bool) -> None:
    assert opens_think(prompt) is opens


def test_the_light_tokenizer_reads_what_transformers_reads(tmp_path: Path) -> None:
    made = tokenizer(eos="<|eos|>", bos="<|bos|>")
    made.save_pretrained(tmp_path)
    light = LightTokenizer(tmp_path)
    assert (light.bos_token_id, light.eos_token_id, light.pad_token_id) == (1, 2, 0)
    assert (light.convert_ids_to_tokens(5), light.id_of("<think>"), len(light)) == (
        "<|end|>",
        made.encode("<think>")[0],
        len(made),
    )
    text = "<|im_start|>12 + 34 – ½<think>"
    assert light.encode(text) == made.encode(text)
    assert set(light.added_tokens_decoder) == set(made.added_tokens_decoder)


@pytest.mark.parametrize("form", ["named", "list", "json"])
def test_templates_may_lie_in_older_places(tmp_path: Path, form: str) -> None:
    tokenizer().save_pretrained(tmp_path)
    (tmp_path / "chat_template.jinja").unlink(missing_ok=True)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    if form == "named":
        settings["chat_template"] = CHAT
    if form == "list":
        settings["chat_template"] = [{"name": "tool_use", "template": ""}, {"name": "default", "template": CHAT}]
    if form == "json":
        (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": CHAT}))
    (tmp_path / "tokenizer_config.json").write_text("\ufeff" + json.dumps(settings), encoding="utf-8")
    assert habits_of(LightTokenizer(tmp_path)).closing == END


def test_a_damaged_tokenizer_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"model"')
    with pytest.raises(InputError, match=r"tokenizer.json is damaged \(.*\); fetch it again"):
        LightTokenizer(tmp_path)
