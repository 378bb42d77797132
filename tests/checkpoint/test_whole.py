"""What a folder may be in place of a whole language model: one line each, before anything heavy is loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken
from transformers import AutoConfig, AutoModelForCausalLM

from r1kit.checkpoint.parameters import parameter_count
from r1kit.checkpoint.source import check_model, resolve_model
from r1kit.checkpoint.streamed import StoredWeights
from r1kit.errors import InputError
from r1kit.model.load import load_model
from tests.model.scripted import tokenizer, write

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:1f\nsize 5000\n"
INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path, "plain")


@pytest.fixture(params=["llama", "gpt2", "bloom"])
def any_family(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A family of our own and two that `transformers` runs, in two shards."""
    sizes: dict[str, dict[str, Any]] = {
        "llama": {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
        "gpt2": {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64},
        "bloom": {"hidden_size": 16, "n_layer": 1, "n_head": 2},
    }
    config = AutoConfig.for_model(request.param, vocab_size=384, eos_token_id=4, **sizes[request.param])
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "model", max_shard_size="26KB")
    tokenizer().save_pretrained(tmp_path / "model")
    assert (tmp_path / "model" / INDEX).is_file()
    return tmp_path / "model"


def refused(folder: Path) -> str:
    """The one line that both the check and the opening give."""
    lines = []
    for function in (check_model, resolve_model):
        with pytest.raises(InputError) as caught:
            function(str(folder))
        lines.append(str(caught.value))
    assert lines[0] == lines[1]
    assert "\n" not in lines[0]
    return lines[0]


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


# ---- files -----------------------------------------------------------------------------------------------------------


def test_every_family_opens_whole(any_family: Path) -> None:
    model, _ = load_model(resolve_model(str(any_family)))
    assert sum(weight.numel() for weight in model.parameters()) == parameter_count(any_family)


@pytest.mark.parametrize("part", [0.0, 0.001, 0.5, 0.999])
def test_a_cut_shard(any_family: Path, part: float) -> None:
    file = shards(any_family)[-1]
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * part)])
    line = refused(any_family)
    assert str(file) in line
    assert "cut short" in line or "no safetensors file" in line


def test_a_longer_shard_and_one_of_noise(any_family: Path) -> None:
    file = shards(any_family)[0]
    whole = file.read_bytes()
    file.write_bytes(whole + b"\0")
    assert f"cut short ({len(whole) + 1} of {len(whole)} bytes)" in refused(any_family)
    for noise in (b"PK\x03\x04" * 100, b"\xff" * 64, b"\0" * 64, (5).to_bytes(8, "little") + b"[1,2]"):
        file.write_bytes(noise)
        assert f"{file} is" in refused(any_family)


def test_a_missing_shard(any_family: Path) -> None:
    first, *rest = shards(any_family)
    first.unlink()
    assert f"lacks {first.name};" in refused(any_family)
    for file in rest:
        file.unlink()
    assert f"lacks {first.name} and {len(rest)} more" in refused(any_family)


@pytest.mark.parametrize("name", ["shard", "config.json", INDEX, "tokenizer.json", "tokenizer_config.json"])
def test_a_pointer_in_place_of_a_file(any_family: Path, name: str) -> None:
    file = shards(any_family)[0] if name == "shard" else any_family / name
    file.write_text(POINTER)
    line = refused(any_family)
    assert str(file) in line
    assert name == INDEX or "is a Git LFS pointer, not the file itself; run 'git lfs pull'" in line


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"weight_map": []}',
        '{"weight_map": {}}',
        '{"weight_map": {"a": "../x"}}',
        '{"weight_map": {"a": 1}}',
    ],
)
def test_a_damaged_index(any_family: Path, text: str) -> None:
    (any_family / INDEX).write_text(text)
    assert f"{any_family / INDEX} is damaged" in refused(any_family)


def test_an_index_of_other_shards(any_family: Path) -> None:
    table = json.loads((any_family / INDEX).read_text())
    table["weight_map"]["model.other.weight"] = shards(any_family)[0].name
    (any_family / INDEX).write_text(json.dumps(table))
    assert "holds model.other.weight, which it does not" in refused(any_family)


def test_one_file_of_weights_beside_shards_of_others(any_family: Path) -> None:
    """The one counts, as in `transformers`: it was written over a folder whose shards and index stayed."""
    sharded = AutoModelForCausalLM.from_pretrained(any_family)
    whole = {name: weight.clone() * 2 for name, weight in sharded.state_dict().items()}
    save_file(whole, any_family / "model.safetensors", metadata={"format": "pt"})
    theirs = AutoModelForCausalLM.from_pretrained(any_family).get_input_embeddings().weight
    assert torch.equal(theirs, sharded.get_input_embeddings().weight * 2)
    assert resolve_model(str(any_family)) == any_family
    model, _ = load_model(any_family)
    assert any(torch.equal(weight, theirs) for weight in model.parameters())
    stored = {name: weight for name, weight in StoredWeights(any_family) if weight.shape == theirs.shape}
    assert any(torch.equal(weight, theirs) for weight in stored.values())


def test_pickled_weights(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "its weights are in pytorch_model.bin, which can run code" in refused(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "generation_config.json"])
@pytest.mark.parametrize("text", ["", "{", "[1]", '"llama"'])
def test_a_damaged_settings_file(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(InputError, match=f"{name}.*(not valid JSON|expected a JSON object)"):
        load_model(resolve_model(str(folder)))


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"model": 3}'])
def test_a_damaged_tokenizer(folder: Path, text: str) -> None:
    (folder / "tokenizer.json").write_text(text)
    assert f"{folder / 'tokenizer.json'} is damaged" in refused(folder)


def test_no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    assert "has no tokenizer.json" in refused(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "tokenizer.json", "generation_config.json"])
def test_byte_order_marks_are_read(name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R1KIT_CACHE", str(tmp_path / "cache"))
    (folder / name).write_text("\ufeff" + (folder / name).read_text())
    check_model(str(folder))
    plain = resolve_model(str(folder))
    assert plain.parent == tmp_path / "cache"
    assert resolve_model(str(folder)) == plain
    model, tok = load_model(plain)
    assert (tok.eos_token_id, model.generation["eos_token_id"]) == (4, 4)
    (folder / "config.json").write_text("\ufeff" + (folder / "config.json").read_text().lstrip("\ufeff") + "\n")
    assert resolve_model(str(folder)) != plain


# ---- tokens ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [30, 200])
def test_a_tokenizer_larger_than_the_model(folder: Path, more: int) -> None:
    """384 rows; 340 or so tokens and what is added."""
    tok = tokenizer()
    tok.add_tokens([AddedToken(f"<extra_{number}>") for number in range(more)])
    tok.save_pretrained(folder)
    if len(tok) <= 384:
        check_model(str(folder))
        return
    line = refused(folder)
    assert f"the tokenizer has {len(tok)} tokens and the model 384 rows; '<extra_" in line
    assert "(token 384) has none: resize the model's embeddings" in line


def test_a_token_that_only_the_settings_add(folder: Path) -> None:
    table = json.loads((folder / "tokenizer_config.json").read_text())
    table["added_tokens_decoder"] = {"384": {"content": "<late>"}}
    (folder / "tokenizer_config.json").write_text(json.dumps(table))
    assert "'<late>' (token 384) has none" in refused(folder)
    table["pad_token"] = "<late>"
    (folder / "tokenizer_config.json").write_text(json.dumps(table))
    check_model(str(folder))


def test_a_special_token_that_the_vocabulary_does_not_have(folder: Path) -> None:
    """`transformers` adds it behind the last one: harmless while there are rows to spare."""
    table = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(table | {"eos_token": "<new>"}))
    check_model(str(folder))
    tok = tokenizer()
    tok.add_tokens([f"<extra_{number}>" for number in range(384 - len(tok))])
    tok.save_pretrained(folder)
    check_model(str(folder))
    (folder / "tokenizer_config.json").write_text(json.dumps(table | {"eos_token": {"content": "<new>"}}))
    assert "the tokenizer has 385 tokens and the model 384 rows; '<new>' (token 384) has none" in refused(folder)


def test_a_folder_that_holds_a_gguf_file_alone(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").touch()
    assert f"has no config.json; name the GGUF file in it, {tmp_path / 'tiny.gguf'}" in refused(tmp_path)


def test_a_config_larger_than_the_weights(folder: Path) -> None:
    edit(folder, vocab_size=500)
    assert "config.json says vocab_size 500 and the weights have 384 rows" in refused(folder)


# ---- other kinds -----------------------------------------------------------------------------------------------------


def edit(folder: Path, **keys: Any) -> None:
    table = json.loads((folder / "config.json").read_text()) | keys
    (folder / "config.json").write_text(json.dumps(table))


@pytest.mark.parametrize("with_config", [False, True])
def test_an_adapter(folder: Path, with_config: bool) -> None:
    (folder / "model.safetensors").unlink()
    if not with_config:
        (folder / "config.json").unlink()
    save_file({"a": torch.zeros(2)}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text('{"peft_type": "LOHA", "base_model_name_or_path": "org/base"}')
    line = refused(folder)
    assert "is an adapter with peft_type = 'LOHA', which is not merged here" in line
    assert "merge_and_unload" in line


def test_an_adapter_config_beside_merged_weights(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    check_model(str(folder))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes"),
        ({"quant_method": "gptq", "bits": 4}, "gptq"),
        ({"quant_method": "awq"}, "awq"),
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        ({"bits": 4}, "its config says so"),
    ],
)
def test_a_quantised_config(folder: Path, settings: dict[str, Any], told: str) -> None:
    edit(folder, quantization_config=settings)
    assert f"is quantised ({told}); take the full-precision checkpoint" in refused(folder)


@pytest.mark.parametrize(("dtype", "told"), [(torch.float8_e4m3fn, "F8_E4M3"), (torch.int8, "I8")])
def test_quantised_weights_without_a_word_in_the_config(folder: Path, dtype: torch.dtype, told: str) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({name: weight.to(dtype) for name, weight in weights.items()}, folder / "model.safetensors")
    assert f"is quantised ({told})" in refused(folder)


def test_weights_of_64_bits_are_not_quantised(folder: Path) -> None:
    file = folder / "model.safetensors"
    weights = load_file(file)
    save_file({name: weight.double() for name, weight in weights.items()}, file, metadata={"format": "pt"})
    model, _ = load_model(resolve_model(str(folder)))
    assert torch.equal(model.head, weights["lm_head.weight"])


@pytest.mark.parametrize("told", [True, False])
def test_weights_quantised_by_mlx(folder: Path, told: bool) -> None:
    """Eight numbers of 4 bits in one U32, scales and biases beside them; the config may say so or not."""
    name, weights = "model.layers.0.self_attn.q_proj.weight", load_file(folder / "model.safetensors")
    rows, columns = weights[name].shape
    weights[name] = torch.zeros(rows, columns // 8, dtype=torch.uint32)
    weights[name.replace("weight", "scales")] = weights[name.replace("weight", "biases")] = torch.ones(rows, 1)
    save_file({key: one.clone() for key, one in weights.items()}, folder / "model.safetensors", {"format": "mlx"})
    if told:
        edit(folder, quantization={"group_size": 64, "bits": 4})
    assert "is quantised (U32); take the full-precision checkpoint" in refused(folder)
    with pytest.raises(InputError, match=f"model.safetensors holds {name} as U32, which is not computed with"):
        load_model(folder, empty=True)


def test_a_config_that_says_mlx_quantised_it(folder: Path) -> None:
    edit(folder, quantization={"group_size": 64, "bits": 4})
    assert "is quantised (its config says so)" in refused(folder)


def test_a_dtype_that_there_is_not(folder: Path) -> None:
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    assert b'"dtype":"F32"' in whole
    file.write_bytes(whole.replace(b'"dtype":"F32"', b'"dtype":"X32"', 1))
    assert "as 'X32', which is no dtype of safetensors; fetch it again" in refused(folder)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"architectures": ["LlavaForConditionalGeneration"], "vision_config": {}}, "a model of more than text"),
        ({"architectures": ["Gemma3ForConditionalGeneration"], "vision_config": {}}, "a model of more than text"),
        ({"architectures": ["SomeVLForCausalLM"], "vision_config": {}}, "a model of more than text"),
        ({"architectures": ["WhisperForConditionalGeneration"], "audio_config": {}}, "a model of more than text"),
        ({"architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": True}, "an encoder-decoder"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "a classifier"),
        ({"architectures": ["Qwen2ForRewardModel"]}, "a classifier"),
        ({"architectures": ["BertForMaskedLM"]}, "an encoder"),
        ({"architectures": ["Qwen3Model"]}, "a model without a head that writes tokens"),
        ({"architectures": ["ViTModel"]}, "a model without a head that writes tokens"),
    ],
)
def test_models_of_another_kind(folder: Path, keys: dict[str, Any], told: str) -> None:
    edit(folder, **keys)
    assert f"is {told} ({keys['architectures'][0]}); take a causal language model" in refused(folder)


@pytest.mark.parametrize("named", [None, []])
def test_a_config_that_names_no_class_is_tried(folder: Path, named: list[str] | None) -> None:
    edit(folder, architectures=named)
    check_model(str(folder))


# ---- code of its own -------------------------------------------------------------------------------------------------

CODE = """
import pathlib
pathlib.Path({mark!r}).write_text('ran')
from transformers import {base}
class Own({base}):
    model_type = 'own'
"""


@pytest.mark.parametrize(
    ("which", "stdin"),
    [
        ("config", "y"),
        pytest.param("tokenizer", "y", marks=pytest.mark.slow),
        pytest.param("config", "closed", marks=pytest.mark.slow),
        pytest.param("unknown type", "closed", marks=pytest.mark.slow),
        pytest.param("unknown type", "y", marks=pytest.mark.slow),
        pytest.param("not here", "closed", marks=pytest.mark.slow),
        pytest.param("not here", "y", marks=pytest.mark.slow),
        pytest.param("not here", "empty", marks=pytest.mark.slow),
    ],
)
def test_code_that_comes_with_a_model_is_never_run(folder: Path, which: str, stdin: str) -> None:
    """Typed as a user would, who is not asked and may not even say yes."""
    mark = folder.parent / "ran"
    kind = "PreTrainedTokenizerFast" if which == "tokenizer" else "LlamaConfig"
    (folder / "own.py").write_text(CODE.format(mark=str(mark), base=kind))
    if which == "tokenizer":
        table = json.loads((folder / "tokenizer_config.json").read_text())
        table |= {"auto_map": {"AutoTokenizer": ["own.Own", "own.Own"]}, "tokenizer_class": "Own"}
        (folder / "tokenizer_config.json").write_text(json.dumps(table))
    else:
        auto_map = {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}
        edit(folder, model_type="llama" if which == "config" else "own", auto_map=auto_map)
    if which == "not here":  # as a snapshot of the hub holds it: the settings, not the code
        (folder / "own.py").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "r1kit", "chat", str(folder), "--once", "1 + 1", "--max-tokens", "4"],
        input="y\n" * 20 if stdin == "y" else "", capture_output=True, text=True, timeout=120, check=False,
        preexec_fn=(lambda: os.close(0)) if stdin == "closed" else None,
    )  # fmt: skip
    assert not mark.exists()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("r1: ")
    assert done.stderr.count("\n") == 1
    assert "code of its own" in done.stderr
    assert "never done" in done.stderr


def test_settings_that_name_code_are_ignored_where_transformers_knows_the_model(folder: Path) -> None:
    edit(folder, auto_map={"AutoConfig": "configuration_own.Own", "AutoModelForCausalLM": "org/other--modeling.Own"})
    model, _ = load_model(resolve_model(str(folder)))
    assert model.config.family == "llama"


# ---- names -----------------------------------------------------------------------------------------------------------


def test_a_hub_name_beside_a_folder_of_the_organisation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked of the hub; where there is no network the line says so and what lies here."""
    (tmp_path / "some-org" / "model-1b").mkdir(parents=True)
    code = "from r1kit.checkpoint.source import resolve_model; resolve_model('some-org/model-2b')"
    settings = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert (
        "MissingError: some-org/model-2b is not in the hub cache and cannot be fetched (HF_HUB_OFFLINE is set)" in last
    )
    assert last.endswith("Did you mean 'model-1b'?")
