"""A run folder with a tiny model whose weights were drawn, not trained: enough for every command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from r1kit.model.decoder import Decoder, DecoderConfig
from r1kit.model.load import save_model
from r1kit.recipe import as_toml, load_recipe
from r1kit.stages import STAGES
from r1kit.tasks.corpora import CorpusConfig, build_corpus
from r1kit.text.tokenizer import build_tokenizer


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both stages of nano-zero with a checkpoint, the second one with a result."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    small = ["model.hidden_size=16", "model.intermediate_size=32", "model.num_layers=1", "model.num_heads=2"]
    small.append("model.template.name=plain")
    recipe = load_recipe("nano-zero", [*small, "model.num_kv_heads=2", "r1_zero.sampling.max_tokens=12"])
    tokenizer = build_tokenizer(build_corpus(CorpusConfig(shares={"countdown": 1.0})).vocabulary())
    shape = DecoderConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_layers=1, num_heads=2, num_kv_heads=2,
        head_dim=8, max_positions=256,
    )  # fmt: skip
    model = Decoder(shape)
    model.initialise(torch.Generator().manual_seed(1))
    for stage in ("01_pretrain", "02_r1_zero"):
        (folder / stage).mkdir(parents=True)
        save_model(folder / stage / "checkpoint", model, tokenizer)
    line = {
        "task": "countdown", "split": "test", "k": 16, "avg_at_k": 0.8125, "interval": [0.75, 0.875],
        "cons_at_k": 0.9, "pass_at_k": 1.0, "format_rate": 0.5, "response_tokens": 41.0, "truncated_share": 0.0,
    }  # fmt: skip
    result = {"stage": "r1_zero", "metrics": {"countdown": line}, "checkpoint": "02_r1_zero/checkpoint"}
    (folder / "02_r1_zero" / "result.json").write_text(json.dumps(result))
    manifest = {
        "recipe": "nano-zero", "recipe_hash": "0123456789abcdef", "seed": 1, "versions": {"torch": "2.13.0"},
        "hardware": {"processor": "two cores"},
        "lineage": {
            "pretrain": {"inputs": [], "seconds": 10.4}, "r1_zero": {"inputs": ["pretrain"], "seconds": 20.6},
        },
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "recipe.toml").write_text(as_toml(recipe))
    return folder


@pytest.fixture(scope="session")
def chain_folder(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of nano that is done, all of its models the one of ``run_folder``; one student with RL, one without."""
    folder = tmp_path_factory.mktemp("runs") / "chain"
    recipe = load_recipe("nano", ["evaluate.evaluation.max_tokens=9", "distill.rl.sampling.max_tokens=11"])
    line = {"task": "countdown", "k": 4, "avg_at_k": 0.25, "format_rate": 0.5}
    for index, stage in enumerate(recipe.stages, start=1):
        place = folder / f"{index:02d}_{stage}"
        parts = [""] if stage != "distill" else ["llama-s/base", "llama-s/distilled", "llama-s/rl", "qwen-s/distilled"]
        for part in parts:
            (place / part).mkdir(parents=True)
            if STAGES[stage].leaves == "a model":
                (place / part / "checkpoint").symlink_to(run_folder / "01_pretrain" / "checkpoint")
            metrics = {"with_sampling": {"countdown": line}} if part.endswith("rl") else {"countdown": line}
            (place / part / "result.json").write_text(json.dumps({"metrics": metrics}))
        if stage == "distill":
            first = f"{place.name}/llama-s/distilled/checkpoint"
            (place / "result.json").write_text(json.dumps({"metrics": {}, "checkpoint": first}))
    (folder / "recipe.toml").write_text(as_toml(recipe))
    manifest = json.loads((run_folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "recipe": "nano"}))
    return folder
