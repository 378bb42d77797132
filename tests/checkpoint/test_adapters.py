"""An adapter's folder as a model: merged into the base that it names, or refused in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from r1kit.checkpoint.source import check_model, hub_commit, local_folder, resolve_model
from r1kit.errors import InputError, MissingError
from r1kit.model.load import load_model
from tests.model.scripted import write

LAYER = "model.layers.0.self_attn.q_proj"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("R1KIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write(tmp_path, "plain")


def adapter(folder: Path, base: Path, layer: str = LAYER, columns: int = 0, **config: object) -> Path:
    """Rank 2, alpha 6: s is 3; A of ones, B of halves, so that every weight gains 3 x 2 x 1/2 = 3."""
    rows, own = load_file(base / "model.safetensors")[f"{LAYER}.weight"].shape
    folder.mkdir()
    table = {"peft_type": "LORA", "base_model_name_or_path": str(base), "r": 2, "lora_alpha": 6, **config}
    (folder / "adapter_config.json").write_text(json.dumps(table))
    prefix = f"base_model.model.{layer}"
    tensors = {
        f"{prefix}.lora_A.weight": torch.ones(2, columns or own),
        f"{prefix}.lora_B.weight": torch.ones(rows, 2) / 2,
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def test_it_is_merged_into_its_base(tmp_path: Path, base: Path, cache: Path) -> None:
    folder = adapter(tmp_path / "adapter", base)
    check_model(str(folder))
    assert local_folder(str(folder)) == base
    merged = resolve_model(str(folder))
    assert merged.is_relative_to(cache)
    assert resolve_model(str(folder)) == merged
    before, after = (load_model(one)[0].hub_weights() for one in (base, merged))
    for name, weight in after.items():
        expected = before[name] + 3 if name == f"{LAYER}.weight" else before[name]
        assert torch.equal(weight, expected), name
    assert json.loads((merged / "config.json").read_text())["dtype"] == "float32"


def test_another_base_is_another_merge(tmp_path: Path, base: Path, cache: Path) -> None:
    folder = adapter(tmp_path / "adapter", base)
    first = resolve_model(str(folder))
    weights = load_file(base / "model.safetensors")
    save_file({name: weight + 1 for name, weight in weights.items()}, base / "model.safetensors", {"format": "pt"})
    assert resolve_model(str(folder)) != first


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


def test_an_adapter_over_another_model(tmp_path: Path, base: Path, cache: Path) -> None:
    other = adapter(tmp_path / "other", base, layer="model.layers.7.self_attn.q_proj")
    assert "is an adapter over another model than" in refused(other)
    assert "the model has no model.layers.7.self_attn.q_proj" in refused(other)
    wide = refused(adapter(tmp_path / "wide", base, columns=5))
    assert "is an adapter over another model than" in wide
    assert f"the model has a {LAYER} of [" in wide


def test_an_adapter_that_is_more_than_two_matrices_a_layer(tmp_path: Path, base: Path) -> None:
    line = refused(adapter(tmp_path / "dora", base, use_dora=True))
    assert "is an adapter with use_dora = True, which is not merged here; let peft merge it" in line
    assert "rank_pattern = {'q_proj': 4}" in refused(adapter(tmp_path / "ranks", base, rank_pattern={"q_proj": 4}))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"init_lora_weights": "pissa"}, "which is not merged here; let peft merge it"),
        ({"init_lora_weights": "olora"}, "which is not merged here; let peft merge it"),
        ({"init_lora_weights": "loftq"}, "which is not merged here; let peft merge it"),
        ({"init_lora_weights": "pissa_niter_4"}, "save it again where it was trained, as a plain one"),
        ({"init_lora_weights": "corda"}, "save it again where it was trained, as a plain one"),
        ({"init_lora_weights": "lora_ga"}, "save it again where it was trained, as a plain one"),
        ({"alora_invocation_tokens": [30, 31]}, "which is no change of weights and cannot be merged"),
        ({"arrow_config": {"top_k": 2}}, "which is no change of weights and cannot be merged"),
        ({"use_qalora": True}, "which is no change of weights and cannot be merged"),
        ({"use_bdlora": {"nblocks": 2}}, "let peft merge it"),
        ({"kasa_config": {"beta": 1e-4}}, "let peft merge it"),
        ({"velora_config": {"num_groups": 64}}, "let peft merge it"),
        ({"monteclora_config": {"num_samples": 8}}, "let peft merge it"),
        ({"bias": "all"}, "let peft merge it"),
        ({"enable_lora": [True, False, True]}, "let peft merge it"),
        ({"peft_type": "LOHA", "alpha": 8}, "let peft merge it"),
    ],
)
def test_an_adapter_with_a_setting_that_changes_the_weights(
    tmp_path: Path, base: Path, settings: dict[str, Any], told: str
) -> None:
    name, value = next(iter(settings.items()))
    line = refused(adapter(tmp_path / "adapter", base, **settings))
    assert f"is an adapter with {name} = {value!r}, " in line
    assert told in line


@pytest.mark.filterwarnings("ignore:.*specified", "ignore:.*is_gradient_checkpointing")
@pytest.mark.parametrize("init", [False, "gaussian", "eva", "orthogonal", "mica"])
def test_inits_that_leave_the_base_are_merged_as_peft_merges_them(
    tmp_path: Path, base: Path, cache: Path, init: object
) -> None:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(target_modules=LAYER, task_type="CAUSAL_LM", lora_dropout=0.1, peft_type="LORA").to_dict()
    more = {"target_modules": LAYER, "init_lora_weights": init, "corda_config": {"corda_method": "kpm"}}
    own = {key: value for key, value in config.items() if key not in ("r", "lora_alpha", "base_model_name_or_path")}
    folder = adapter(tmp_path / "adapter", base, **(own | more))
    theirs = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), folder)
    wanted = theirs.merge_and_unload().state_dict()
    found = load_model(resolve_model(str(folder)))[0].hub_weights()
    for name, weight in found.items():
        torch.testing.assert_close(weight, wanted[name], atol=1e-6, rtol=0)
    assert float((found[f"{LAYER}.weight"] - load_file(base / "model.safetensors")[f"{LAYER}.weight"]).min()) > 2.9


def test_an_adapter_whose_file_holds_more_than_two_matrices_a_layer(tmp_path: Path, base: Path) -> None:
    """As DoRA's does; its config may be of a version that did not say so."""
    folder = adapter(tmp_path / "adapter", base)
    weights, more = load_file(folder / "adapter_model.safetensors"), f"base_model.model.{LAYER}.lora_magnitude_vector"
    save_file(weights | {more: torch.ones(3)}, folder / "adapter_model.safetensors")
    assert f"adapter_model.safetensors holds {more}, which is not A or B of a layer; let peft" in refused(folder)


def test_an_adapter_that_names_no_base(tmp_path: Path, base: Path) -> None:
    named = adapter(tmp_path / "adapter", base, base_model_name_or_path="")
    assert "names no base_model_name_or_path" in refused(named)
    gone = refused(adapter(tmp_path / "gone", base, base_model_name_or_path=str(tmp_path / "nowhere")))
    assert f"gone/adapter_config.json names the model that the adapter changes: no model '{tmp_path}/nowhere'" in gone


def test_an_adapter_that_is_damaged(tmp_path: Path, base: Path) -> None:
    folder = adapter(tmp_path / "adapter", base, r=3)
    assert "does not hold A and B of rank 3 for every layer" in refused(folder)
    (folder / "adapter_model.safetensors").write_bytes(b"cut")
    assert "is no safetensors file" in refused(folder)
    (folder / "adapter_model.safetensors").unlink()
    assert "has no adapter_model.safetensors" in refused(folder)


# ---- a base on the hub -----------------------------------------------------------------------------------------------

OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture
def hub(base: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache without a network: of org/tiny the commit OLD, tagged v1, and NEW, the newest, whose weights are larger
    by 1."""
    snapshots = tmp_path / "hub" / "models--org--tiny" / "snapshots"
    for commit in (OLD, NEW):
        shutil.copytree(base, snapshots / commit)
    weights = {name: weight + 1 for name, weight in load_file(base / "model.safetensors").items()}
    save_file(weights, snapshots / NEW / "model.safetensors", {"format": "pt"})
    (snapshots.parent / "refs").mkdir()
    for name, commit in (("main", NEW), ("v1", OLD)):
        (snapshots.parent / "refs" / name).write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return snapshots


@pytest.mark.parametrize(
    ("revision", "commit"), [(OLD, OLD), ("v1", OLD), (NEW, NEW), ("main", NEW), (None, NEW), ("", NEW)]
)
def test_the_base_is_read_at_the_revision_that_the_adapter_names(
    tmp_path: Path, base: Path, hub: Path, revision: str | None, commit: str
) -> None:
    folder = adapter(tmp_path / "adapter", base, base_model_name_or_path="org/tiny", revision=revision)
    check_model(str(folder))
    assert local_folder(str(folder)) == hub / commit
    merged = load_file(resolve_model(str(folder)) / "model.safetensors")
    before = load_file(hub / commit / "model.safetensors")
    assert torch.equal(merged[f"{LAYER}.weight"], before[f"{LAYER}.weight"] + 3)
    assert torch.equal(merged["model.norm.weight"], before["model.norm.weight"])
    assert hub_commit("org/tiny") == NEW
    assert hub_commit("org/tiny", "v1") == OLD


def test_a_base_of_another_shape_at_the_revision_is_told(tmp_path: Path, base: Path, hub: Path) -> None:
    """Where the newest fits and the revision does not."""
    weights = load_file(hub / OLD / "model.safetensors")
    weights[f"{LAYER}.weight"] = torch.cat([weights[f"{LAYER}.weight"]] * 2)
    save_file(weights, hub / OLD / "model.safetensors", {"format": "pt"})
    folder = adapter(tmp_path / "adapter", base, base_model_name_or_path="org/tiny", revision="v1")
    assert f"is an adapter over another model than {hub / OLD}" in refused(folder)


def test_a_revision_that_is_not_here(tmp_path: Path, base: Path, hub: Path) -> None:
    folder = adapter(tmp_path / "adapter", base, base_model_name_or_path="org/tiny", revision="v2")
    assert local_folder(str(folder)) is None
    for function in (check_model, resolve_model):
        with pytest.raises(MissingError) as caught:
            function(str(folder))
        assert "org/tiny at revision v2 is not in the hub cache and cannot be fetched" in str(caught.value)
        assert "'hf download org/tiny --revision v2'" in str(caught.value)
    odd = adapter(tmp_path / "odd", base, base_model_name_or_path="org/tiny", revision=2)
    assert "revision = 2; write a commit, a tag or a branch, or null" in refused(odd)


def test_a_revision_means_nothing_to_a_folder(tmp_path: Path, base: Path, cache: Path) -> None:
    folder = adapter(tmp_path / "adapter", base, revision="v7")
    check_model(str(folder))
    assert local_folder(str(folder)) == base
    assert resolve_model(str(folder)).is_relative_to(cache)
