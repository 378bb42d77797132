"""An adapter's folder as a model: merged into the base that it names, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from r1kit.checkpoint.source import check_model, local_folder, resolve_model
from r1kit.errors import InputError
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
