"""What ``r1 check`` says of a model, against what loading it finds; without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from r1kit.backends.arithmetic import auto
from r1kit.backends.processor import auto_dtype
from r1kit.checkpoint.description import describe
from r1kit.checkpoint.fits import Fits
from r1kit.errors import InputError
from r1kit.model import families
from r1kit.model.load import load_model
from r1kit.records import Prompt
from r1kit.text.template import Template
from tests.model.scripted import Case, tokenizer, write


def said(folder: Path, template: Template | None = None, **more: str) -> dict[str, str]:
    return dict(describe(folder, template or Template()).lines("float32", **more))


def test_a_scripted_model_in_words(tmp_path: Path) -> None:
    """Parameters by hand: embedding and head 384 x 384 each; q, k, v, o of 384 x 384; three of 384 x 8; three norms."""
    folder = write(tmp_path, "two_ends")
    count = 2 * 384 * 384 + 4 * 384 * 384 + 3 * 384 * 8 + 3 * 384
    tokens = len(tokenizer())
    assert said(folder) == {
        "weights": f"{count:,} parameters, embedding and head apart; stored in float32 ({count * 4 / 1e6:.3g} MB), "
        "computed in float32",
        "decoder": "llama, by this package's own decoder; engine local, learner local",
        "context": "512 tokens of prompt and completion",
        "tokens": f"{tokens}, and 384 rows for them",
        "ends at": "<|eos|> (2: generation_config.json, config.json, the tokenizer), <|end|> (5: "
        "generation_config.json, config.json); SFT closes a turn with <|im_end|>, an end too",
        "template": "the model's own",
        "tags": "<think>, </think>, <answer>, </answer> are one token each",
    }


@pytest.mark.parametrize(
    ("name", "template", "what", "words"),
    [
        ("thinks", Template(), "template", "the model's own; prompts end in <think>, so reward.prefilled is true"),
        ("plain", Template(name="r1_zero"), "template", "a text of the recipe's"),
        (
            "plain", Template(name="r1_zero"), "ends at",
            "<|im_end|> (4: generation_config.json, config.json, the tokenizer)",
        ),
        ("nothing_special", Template(name="plain"), "ends at", "no end token: completions run to their limit"),
        (
            "nothing_special", Template(), "ends at",
            "no end token: completions run to their limit unless they close the turn with <|im_end|>",
        ),
        (
            "plain", Template(system="Be brief."), "template",
            "the model's own",
        ),
    ],
)  # fmt: skip
def test_ends_and_templates_in_words(tmp_path: Path, name: str, template: Template, what: str, words: str) -> None:
    assert said(write(tmp_path, name), template)[what] == words


def test_habits_and_arguments_are_told(tmp_path: Path) -> None:
    chat = (
        "{{ strftime_now('%Y') }}{% for m in messages %}{% if m['role'] != 'system' %}{{ m['content'] }}<|im_end|>"
        "{% endif %}{% endfor %}{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
    )
    folder = write(tmp_path, Case(say=("<|im_end|>",), template=chat))
    assert said(folder, Template(arguments={"enable_thinking": False}))["template"] == (
        "the model's own; it closes the thinking before it began: a completion is the answer alone; it leaves a system "
        "prompt out, which goes before the question instead; it writes today's date, so that prompts differ from day "
        "to day; it looks at enable_thinking"
    )


def test_a_template_that_cannot_prompt_is_one_line(tmp_path: Path) -> None:
    folder = write(tmp_path, "no_template")
    with pytest.raises(InputError, match=r"has no chat template; set template\.name"):
        describe(folder, Template())
    assert said(folder, Template(name="plain"))["template"] == "a text of the recipe's"


FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1},
    "qwen3": {"head_dim": 16},
    "mistral": {"sliding_window": 16},
    "gemma3_text": {"head_dim": 16},
    "phi3": {"pad_token_id": 0},
    "olmo2": {},
    "smollm3": {"no_rope_layers": [1, 0], "pad_token_id": 0, "bos_token_id": 1},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 2},
    "bloom": {"n_layer": 2, "n_head": 4},
    "granite": {},
    "gemma2": {"head_dim": 16},
}
SIZES = {
    "vocab_size": 384, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "eos_token_id": 4,
}  # fmt: skip


@pytest.mark.parametrize("kind", FAMILIES)
def test_it_says_what_loading_finds(kind: str, tmp_path: Path) -> None:
    sizes = {key: SIZES[key] for key in ("vocab_size", "eos_token_id")} if kind in ("gpt2", "bloom") else SIZES
    config = AutoConfig.for_model(kind, **{**sizes, **FAMILIES[kind]})
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    found = describe(tmp_path, Template())
    opened = AutoConfig.from_pretrained(tmp_path)
    assert found.unsupported == families.unsupported(opened)
    model, _ = load_model(tmp_path)
    assert found.family == model.config.family
    assert found.parameters == sum(weight.numel() for weight in model.parameters())
    assert found.positions == model.config.max_positions
    assert found.rows == model.config.vocab_size
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path)
    head, table = theirs.get_output_embeddings().weight, theirs.get_input_embeddings().weight
    assert found.tied is (head.data_ptr() == table.data_ptr())
    assert found.stored == ("bfloat16",)
    words = dict(found.lines("float32"))["decoder"]
    if found.unsupported:
        slow = f"by transformers, which is slower: {found.unsupported}; engine transformers, learner local"
        assert words == f"{found.family}, {slow}"
    else:
        assert words.endswith("own decoder; engine local, learner local")


def test_older_configs_scale_their_rope_under_other_keys(tmp_path: Path) -> None:
    folder = write(tmp_path, "plain")
    table = json.loads((folder / "config.json").read_text())
    del table["rope_parameters"]
    scaling: dict[str, Any] = {"type": "dynamic", "factor": 2.0}
    for kind in ("dynamic", "linear"):
        (folder / "config.json").write_text(json.dumps(table | {"rope_scaling": scaling | {"type": kind}}))
        assert describe(folder, Template()).unsupported == families.unsupported(AutoConfig.from_pretrained(folder))


def test_engine_and_learner_are_the_recipe_s_where_it_names_them(tmp_path: Path) -> None:
    folder = write(tmp_path, "plain")
    assert said(folder, engine="mine.py:Open", learner="mine.py:Teach")["decoder"].endswith(
        "engine mine.py:Open, learner mine.py:Teach"
    )


def test_a_length_that_no_prompt_leaves_room_for(tmp_path: Path) -> None:
    """512 positions; the shortest prompt decides, since longer ones may be left out."""

    folder, stage = write(tmp_path, "plain"), SimpleNamespace()
    prompts = [Prompt(id="a", task="t", question="1 + 1" * times) for times in (30, 1)]
    shortest = len(tokenizer().encode("<|im_start|>user\n1 + 1<|im_end|>\n<|im_start|>assistant\n"))
    fits = Fits(folder, Template())
    stage.lengths = {"sampling.max_tokens": 512 - shortest}
    fits.check("r1_zero", stage, prompts)
    stage.lengths = {"sampling.max_tokens": 513 - shortest}
    with pytest.raises(InputError) as caught:
        fits.check("r1_zero", stage, prompts)
    assert str(caught.value) == (
        f"stages.r1_zero.sampling.max_tokens = {513 - shortest} after a prompt of {shortest} tokens or more passes the "
        f"model's 512 positions; lower it to {512 - shortest} or less"
    )


def test_the_processor_says_what_torch_says() -> None:
    assert auto_dtype("cpu") == auto(torch.device("cpu"))[0]


# ---- typed -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    lines = [f'{{"prompt": "{n} + {41 - n}", "answer": "41"}}' for n in range(40)]
    (tmp_path / "sums.jsonl").write_text("\n".join(lines))
    (tmp_path / "mine.toml").write_text(
        f'ranks = 1\n[model]\nname = "{write(tmp_path, "thinks")}"\n'
        '[tasks.sums]\nkind = "jsonl"\npath = "'
        f"{tmp_path}/sums.jsonl"
        '"\ndev_share = 0.3\n'
        "[stages.r1_zero]\nsteps = 2\nprompts_per_step = 2\nminibatches = 1\n"
        "sampling = {n = 2, max_tokens = 12}\nreward = {prefilled = false}\n"
    )
    return tmp_path / "mine.toml"


def test_check_prints_it_and_imports_no_torch(recipe: Path) -> None:
    code = (
        "import sys; sys.argv = ['r1', 'check', sys.argv[1], '--set', 'device=cpu']\n"
        "from r1kit.cli import app\n"
        "app(standalone_mode=False)\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(recipe)], capture_output=True, text=True, check=False)
    first, second, *lines, warning, torch_is_there = done.stdout.splitlines()
    assert first.startswith("mine: ok. Stages: r1_zero.")
    assert second == f"model {recipe.parent / 'thinks'}:"
    assert [line.split()[0] for line in lines] == [
        "weights",
        "decoder",
        "context",
        "tokens",
        "ends",
        "template",
        "tags",
    ]
    assert warning.strip() == (
        "warning: prompts end in <think> and stages.r1_zero.reward.prefilled = false: its form is never right; "
        '"auto" follows the template'
    )
    assert torch_is_there == "False"
