"""What a sharded learner reads and writes: states of any number of ranks, whole after a kill; hub folders by rows."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerBase

from r1kit.checkpoint import headers
from r1kit.checkpoint.hub import write_weights
from r1kit.checkpoint.streamed import StoredWeights, write_stream
from r1kit.cluster.ranks import Solo
from r1kit.errors import InputError
from r1kit.model.decoder import DecoderConfig
from r1kit.model.load import load_model, save_model
from r1kit.model.segments import Segments
from r1kit.model.weights import NamedWeights
from r1kit.text.tokenizer import build_tokenizer
from r1kit.update.local import STATE

from .ranked_sharded import HUB, UNTIED
from .ranked_state import gone_on
from .test_local import CONFIG, decoder

TESTS = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("states")


@pytest.fixture(scope="module")
def written(folder: Path, on_ranks_once: Callable[..., list[Any]]) -> list[Any]:
    """What two ranks did before and after they saved, and how they went on from it; states that are none lie beside."""
    (folder / "local").mkdir()
    (folder / "local" / STATE).touch()
    found = on_ranks_once(2, "update.ranked_state:saved_and_gone_on", str(folder))
    shutil.copytree(folder / "adamw", folder / "torn")
    largest = max((folder / "torn").glob("*.distcp"), key=lambda path: path.stat().st_size)
    with largest.open("r+b") as stream:
        stream.truncate(largest.stat().st_size // 2)
    return found


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_as_many_ranks_go_on_bit_for_bit(written: list[Any], kind: str) -> None:
    for before, after in written:
        (metrics, weights), (again, reread) = before[kind], after[kind]
        assert metrics == again
        assert all(torch.equal(weight, reread[name]) for name, weight in weights.items())


@pytest.mark.slow
def test_copies_whose_ranks_share_tokens_go_on_bit_for_bit(tmp_path: Path, on_ranks: Callable[..., list[Any]]) -> None:
    """Four ranks, with experts on their ranks and without; the biases are also those of one rank that never stopped."""
    for rank in on_ranks(4, "update.ranked_state:layouts_gone_on", str(tmp_path)):
        for (metrics, weights), (again, reread), (_, alone) in rank:
            assert metrics == again
            assert all(torch.equal(weight, reread[name]) for name, weight in weights.items())
            biases = [name for name in weights if name.endswith("e_score_correction_bias")]
            assert all(torch.allclose(weights[name], alone[name], atol=1e-6) for name in biases)
            assert any(alone[name].abs().max() > 0.015 for name in biases)


def close_to(found: dict[str, Any], written: list[Any]) -> None:
    for kind in ("adamw", "muon"):
        (metrics, weights), (again, reread) = written[0][0][kind], found[kind]
        for one, other in zip(metrics, again, strict=True):
            assert one == pytest.approx(other, rel=1e-4, abs=1e-6)
        assert max(float((weight - reread[name]).abs().max()) for name, weight in weights.items()) < 1e-4


def test_one_rank_goes_on_from_what_two_wrote(written: list[Any], folder: Path) -> None:
    """And says what does not fit: another optimiser, half a file, nothing, what another learner wrote."""
    try:
        found = gone_on(Solo(), str(folder))
    finally:
        dist.destroy_process_group()
    close_to(found, written)
    assert found["none"] == f"no learner state at {folder / 'none'}; it is written by the run that is to go on"
    wanted = f"{folder / 'local'} holds no state of this learner; go on with the learner that wrote it"
    assert found["local"] == wanted
    for name, place in (("optimiser", "adamw"), ("torn", "torn")):
        assert found[name].startswith(f"{folder / place} does not fit this model and optimiser, or is damaged: ")
        assert "\n" not in found[name]


@pytest.mark.slow
def test_three_ranks_go_on_from_what_two_wrote_and_read_models_by_rows(
    written: list[Any], folder: Path, tmp_path: Path, on_ranks: Callable[..., list[Any]]
) -> None:
    """Tied, untied with biases, experts, bfloat16 in several files; what is exported is the local learner's, to the
    byte; a drawn model has the numbers of one drawn whole; NaN is refused by all."""
    save_models(tmp_path)
    for state, models in on_ranks(3, "update.ranked_state:gone_on_and_read", str(folder), str(tmp_path)):
        close_to(state, written)
        assert "torn" in state["torn"]
        assert models.pop("nan").startswith("weight 'model.layers.1.mlp.up_proj.weight' holds NaN or infinity, in f")
        assert all(models.pop("drawn").values())
        for same, kept, whole in models.values():
            assert all(same.values())
            assert kept < 0.45 * whole
    for name in ("tied", "untied", "experts"):
        exported, whole = tmp_path / f"{name}_exported_3", tmp_path / f"{name}_whole"
        save_model(whole, *load_model(tmp_path / name))
        assert (whole / "model.safetensors").read_bytes() == (tmp_path / name / "model.safetensors").read_bytes()
        for file in whole.iterdir():
            assert file.read_bytes() == (exported / file.name).read_bytes(), file
        opened = AutoModelForCausalLM.from_pretrained(exported).eval()
        tokens, model = torch.arange(12), load_model(tmp_path / name)[0]
        with torch.no_grad():
            own = model.hidden(Segments.pack([tokens])) @ model.head.T
            torch.testing.assert_close(opened(tokens[None]).logits[0], own, rtol=1e-4, atol=1e-5)


def save_models(folder: Path) -> None:
    tokenizer = build_tokenizer([str(number) for number in range(61 - 5)])
    for name, config in (("tied", CONFIG), ("untied", UNTIED)):
        save_model(folder / name, decoder(replace(config, vocab_size=len(tokenizer))), tokenizer)
    save_experts(folder / "experts", tokenizer)
    shutil.copytree(folder / "untied", folder / "nan")
    weights = load_file(folder / "nan/model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][-1, 3] = torch.nan
    save_file(weights, folder / "nan/model.safetensors", metadata={"format": "pt"})
    shutil.copytree(folder / "untied", folder / "bf16")
    whole = {name: weight.bfloat16() for name, weight in load_file(folder / "bf16/model.safetensors").items()}
    (folder / "bf16/model.safetensors").unlink()
    files = {name: f"model-0000{1 + at % 2}-of-00002.safetensors" for at, name in enumerate(whole)}
    for file in set(files.values()):
        save_file({name: whole[name] for name in whole if files[name] == file}, folder / "bf16" / file)
    (folder / "bf16/model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))


def save_experts(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Experts are no shape of a recipe's: the hub's config says how many there are, and is kept."""
    own = {"vocab_size": len(tokenizer), "head_dim": 8, "moe_intermediate_size": 24, "num_experts": 4}
    config = AutoConfig.for_model("qwen3_moe", **{**HUB, **own, "num_experts_per_tok": 2})
    AutoModelForCausalLM.from_config(config).save_pretrained(folder.with_suffix(".hub"))
    tokenizer.save_pretrained(folder.with_suffix(".hub"))
    save_model(folder, load_model(folder.with_suffix(".hub"))[0], tokenizer)


@pytest.mark.slow
def test_a_kill_while_saving_leaves_the_state_before(tmp_path: Path, on_ranks: Callable[..., list[Any]]) -> None:
    """A rank dies by SIGKILL with half of its file written: what was there stays whole, the half is no state, and
    ranks that come after write over it."""
    told = on_dying_ranks(2, "update.ranked_state:killed", tmp_path)
    assert told[1][0] == -9
    assert told[0][0] != 0
    assert "PeerLostError" in told[0][1]
    assert not (tmp_path / "learner-2").exists()
    files = {path.name: path.stat().st_size for path in (tmp_path / "learner-1").iterdir()}
    assert len(files) == 3
    assert all(files.values())
    (found,) = on_ranks(1, "update.ranked_state:written_again", str(tmp_path))
    assert [len(steps) for steps in found] == [1, 1]
    assert sorted(path.name for path in tmp_path.iterdir() if "learner" in path.name) == ["learner-1", "learner-2"]


def on_dying_ranks(size: int, function: str, folder: Path) -> list[tuple[int, str]]:
    """Exit code and stderr of ranks of which some are not to end well."""
    given = folder / "arguments.pickle"
    given.write_bytes(pickle.dumps((str(folder),)))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(size), "PYTHONPATH": path}
    started = [
        subprocess.Popen(
            [sys.executable, str(TESTS / "ranked.py"), function, str(given), str(folder / "returned")],
            env={**os.environ, **shared, "RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    try:
        told = [one.communicate(timeout=400)[1] for one in started]
    finally:
        for one in started:
            one.kill()
    return [(one.returncode, said) for one, said in zip(started, told, strict=True)]


@pytest.mark.slow
def test_no_rank_holds_the_whole_while_it_reads(tmp_path: Path, on_ranks: Callable[..., list[Any]]) -> None:
    """Four ranks, 315 MB of weights: beside what a rank keeps, a quarter of them and of two moments each, it takes less
    than a quarter at its worst; read whole each takes them all."""
    config = DecoderConfig(
        vocab_size=32768, hidden_size=768, intermediate_size=2048, num_layers=4, num_heads=12, num_kv_heads=12,
        head_dim=64, tie_embeddings=False,
    )  # fmt: skip
    save_model(tmp_path / "wide", decoder(config), build_tokenizer(["a"]))
    by_rows = on_ranks(4, "update.ranked_state:peak", str(tmp_path / "wide"), True)
    whole = on_ranks(4, "update.ranked_state:peak", str(tmp_path / "wide"), False)
    kept, more, most = 3 / 4, [taken / size - 3 / 4 for taken, size in by_rows], [taken / size for taken, size in whole]
    assert min(more) > -0.05
    assert max(more) < 0.25
    assert min(most) > 1
    print("beyond what is kept, by rows and whole, in sizes of the model:", more, [each - kept for each in most])


# ---- a folder's weights, in and out -------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [5_000_000_000, 20_000])
def test_what_is_streamed_is_what_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """To the byte, one file or many, a tensor above the limit in a file of its own."""
    monkeypatch.setattr(headers, "SHARD_BYTES", limit)
    for name in ("whole", "streamed"):
        (tmp_path / name).mkdir()
    weights = decoder(UNTIED).hub_weights()
    write_weights(tmp_path / "whole", weights)
    write_stream(tmp_path / "streamed", NamedWeights(weights))
    files = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert (len(files) > 3) is (limit == 20_000)
    assert files == sorted(path.name for path in (tmp_path / "streamed").iterdir())
    for name in files:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "streamed" / name).read_bytes()
    stored = StoredWeights(tmp_path / "streamed")
    assert {one.name: (one.dtype, one.shape) for one in stored.metadata()} == {
        name: (weight.dtype, tuple(weight.shape)) for name, weight in weights.items()
    }
    assert all(torch.equal(weight, weights[name]) for name, weight in stored)
    some = dict(stored.rows({"model.norm.weight": slice(3, 5), "lm_head.weight": slice(60, 61)}))
    assert {name: tuple(rows.shape) for name, rows in some.items()} == {
        "model.norm.weight": (2,),
        "lm_head.weight": (1, 32),
    }
    assert torch.equal(some["lm_head.weight"], weights["lm_head.weight"][60:])


def test_an_empty_model_is_refused_for_what_a_whole_one_is(tmp_path: Path) -> None:
    """A wrong shape, a missing weight, a tied one that differs, half a file: the same line."""
    config = replace(CONFIG, vocab_size=5 + 1)
    save_model(tmp_path / "m", decoder(config), build_tokenizer(["a"]))
    good = load_file(tmp_path / "m/model.safetensors")
    norm, embedding = good["model.norm.weight"], good["model.embed_tokens.weight"]
    for changed in (
        {"model.norm.weight": norm[:4].clone()},
        {"more": norm.clone()},
        {"lm_head.weight": embedding + 1},
        {"lm_head.weight": embedding.clone()},
    ):
        save_file({**good, **changed}, tmp_path / "m/model.safetensors", metadata={"format": "pt"})
        said = []
        for empty in (False, True):
            try:
                load_model(tmp_path / "m", empty=empty)
                said.append("")
            except InputError as error:
                said.append(str(error))
        assert said[0] == said[1]
        assert bool(said[0]) is not torch.equal(changed.get("lm_head.weight", norm), embedding)
    path = tmp_path / "m/model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputError, match="damaged or cut short"):
        load_model(tmp_path / "m", empty=True)
