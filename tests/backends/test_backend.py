"""The one room that opens things: by which name, on which device, and what leaves it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, MixtralConfig, MixtralForCausalLM

from r1kit.backends import backend as module
from r1kit.backends.backend import Backend, backend_of
from r1kit.backends.device import device_of
from r1kit.backends.models import LoadedModel, read_model
from r1kit.cluster.ranks import Solo
from r1kit.cluster.settings import EngineChoice, LearnerChoice
from r1kit.contracts import Model
from r1kit.errors import InputError
from r1kit.loops import pretraining
from r1kit.maths.policy_loss import supervised_loss
from r1kit.model.families.fallback import HubModel
from r1kit.model.families.llama import LlamaShape
from r1kit.model.load import save_model
from r1kit.recipe import load_recipe
from r1kit.records import Sampling
from r1kit.rollout.hub import HubEngine
from r1kit.rollout.local import LocalEngine
from r1kit.suits import check_engine
from r1kit.text.template import Template
from r1kit.text.tokenizer import build_tokenizer
from r1kit.update.learner import Batch, Row
from r1kit.update.settings import OptimiserSettings
from r1kit.workspace import Workspace

CPU = Backend(device=torch.device("cpu"), template=Template(name="plain"))
WORDS = ["one", "two", "three"]
SHAPE = Model(
    shape=LlamaShape(hidden_size=16, intermediate_size=32, num_layers=1, num_heads=2, num_kv_heads=2, max_positions=64)
)


def other_kind() -> LoadedModel:
    """A model that only `transformers` runs."""
    shape = GPT2Config(vocab_size=40, n_embd=16, n_layer=1, n_head=2, n_positions=32)
    loaded = CPU.draw(SHAPE, build_tokenizer(WORDS), seed=1)
    return replace(loaded, model=HubModel(GPT2LMHeadModel(shape)))


def test_a_folder_s_weights_go_by_the_model_s_own_names_and_no_others(tmp_path: Path) -> None:
    """Where a learner shares them out: Mixtral's go by others on the hub, and a tied head lies there twice."""
    template, cpu = Template(name="plain"), torch.device("cpu")
    torch.manual_seed(0)
    shape = MixtralConfig(
        vocab_size=40, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, num_local_experts=2,
    )  # fmt: skip
    save_model(tmp_path / "mixtral", HubModel(MixtralForCausalLM(shape)), build_tokenizer(WORDS))
    CPU.draw(SHAPE, build_tokenizer(WORDS), seed=1).save(tmp_path / "tied")
    file = tmp_path / "tied/model.safetensors"
    held = load_file(file)
    save_file({**held, "lm_head.weight": held["model.embed_tokens.weight"].clone()}, file, {"format": "pt"})
    for name in ("mixtral", "tied"):
        stored = read_model(str(tmp_path / name), cpu, torch.float32, template, stored=True)
        whole = read_model(str(tmp_path / name), cpu, torch.float32, template).model.hub_weights()
        assert [one.name for one in stored.weights.metadata()] == [name for name, _ in stored.weights]
        brought = dict(stored.weights)
        assert brought.keys() == whole.keys()
        assert all(torch.equal(weight, whole[name]) for name, weight in brought.items())
        stored.save(tmp_path / f"{name}_again")
        again = read_model(str(tmp_path / f"{name}_again"), cpu, torch.float32, template).model.hub_weights()
        assert all(torch.equal(weight, whole[name]) for name, weight in again.items())


# ---- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "line"),
    [
        (
            "engine=locl",
            "engine = 'locl' is unknown; known are auto, local, transformers, vllm, or write FILE.py:NAME for one "
            "of your own. Did you mean 'local'?",
        ),
        (
            "learner=fdsp",
            "learner = 'fdsp' is unknown; known are auto, local, fsdp, or write FILE.py:NAME for one of your own. "
            "Did you mean 'fsdp'?",
        ),
    ],
)
def test_a_name_that_is_not_known_is_refused_with_those_that_are(override: str, line: str) -> None:
    with pytest.raises(InputError) as raised:
        load_recipe("nano-zero", [override])
    assert str(raised.value) == line


def test_auto_takes_the_engine_that_runs_the_model_and_a_name_that_cannot_is_refused() -> None:
    ours, theirs = CPU.draw(SHAPE, build_tokenizer(WORDS), seed=1), other_kind()
    assert isinstance(CPU.open_engine(ours), LocalEngine)
    assert isinstance(replace(CPU, engine=EngineChoice("local")).open_engine(ours), LocalEngine)
    assert isinstance(CPU.open_engine(theirs), HubEngine)
    with pytest.raises(InputError, match='engine = "local" cannot run gpt2; set engine = "transformers"'):
        replace(CPU, engine=EngineChoice("local")).open_engine(theirs)
    with pytest.raises(InputError, match='llama is not among it: set engine = "local"'):
        replace(CPU, engine=EngineChoice("transformers")).open_engine(ours)


def test_an_engine_that_cannot_run_a_model_is_told_before_anything_loads(tmp_path: Path) -> None:
    """Of a fresh model, of a folder that lies here, of a student, and of a model that a stage names."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    save_model(ours, CPU.draw(SHAPE, build_tokenizer(WORDS), seed=1).model, build_tokenizer(WORDS))
    save_model(theirs, other_kind().model, build_tokenizer(WORDS))

    def refused(name: str, *settings: str) -> str:
        try:
            check_engine(load_recipe(name, settings))
        except InputError as error:
            return str(error)
        return ""

    hub = 'engine = "transformers" is for what the local engine cannot run, and that runs'
    assert refused("nano-zero", "engine=transformers").startswith(f"{hub} a fresh llama (model); set engine")
    assert refused("nano-zero", "engine=transformers", f"model.name={ours}").startswith(f"{hub} {ours} (model); set")
    assert refused("nano-zero", "engine=transformers", f"model.name={theirs}") == ""
    assert refused("nano-zero", "engine=local", f"model.name={ours}") == ""
    told = refused("nano-zero", "engine=local", f"model.name={theirs}")
    assert told.startswith(f'engine = "local" cannot run {theirs} (model); set engine = "transformers", or "auto"')
    told = refused("nano", "engine=transformers", f"model.name={theirs}")
    assert "a fresh llama (stages.distill.students." in told
    told = refused("nano", "engine=local", f"cold_start.model={theirs}")
    assert f"cannot run {theirs} (stages.cold_start)" in told


def test_an_engine_and_a_learner_of_the_user_s_own_take_their_place(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from r1kit.rollout.scripted import CodePoints, ScriptedEngine\n"
        "def engine(loaded, *, dtype, max_rows):\n"
        "    return ScriptedEngine(lambda prompt, seed, row: f'{loaded.positions} {max_rows} {dtype}', CodePoints())\n"
        "def learner(loaded, settings, ranks):\n"
        "    return (settings.token_budget, ranks.size)\n"
    )
    mine = replace(
        CPU, engine=EngineChoice(f"{tmp_path}/mine.py:engine"), learner=LearnerChoice(f"{tmp_path}/mine.py:learner")
    )
    loaded = mine.draw(SHAPE, build_tokenizer([*WORDS, *map(str, range(128))]), seed=1)  # a token for a code point
    engine = mine.open_engine(loaded, dtype="bfloat16", max_rows=5)
    ((completion,),) = engine.generate([[1]], Sampling(n=1, max_tokens=30), [1])
    assert completion.text == "64 5 torch.bfloat16"
    assert mine.open_learner(loaded, OptimiserSettings(), token_budget=64) == (64, 1)
    with pytest.raises(InputError, match=r"engine: .*mine\.py has no 'engin'\. Did you mean 'engine'\?"):
        replace(CPU, engine=EngineChoice(f"{tmp_path}/mine.py:engin")).open_engine(loaded)


# ---- devices --------------------------------------------------------------------------------------------------------


def test_a_fresh_model_trains_on_the_stage_s_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``meta`` stands for a GPU: what was left on the CPU would say so."""
    monkeypatch.setattr(module, "device_of", lambda preference, ranks: torch.device("meta"))
    trained: list[Any] = []
    monkeypatch.setattr(pretraining.supervised, "train", lambda *handed: trained.append(handed[2]))
    recipe = load_recipe("nano-zero")
    config = recipe.stages["pretrain"]
    workspace = Workspace(run=tmp_path, stage="pretrain", index=1, recipe=recipe)
    loaded, learner = pretraining.pretrain(config, workspace)
    assert trained == [learner]
    assert loaded.device.type == "meta"
    assert {weight.device.type for _, weight in learner.weights()} == {"meta"}


def test_a_recipe_that_asks_for_the_cpu_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert [str(device_of(asked, Solo())) for asked in ("cpu", "auto", "cuda")] == ["cpu", "cuda:1", "cuda:1"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert str(device_of("auto", Solo())) == "cpu"


# ---- what a learner leaves ------------------------------------------------------------------------------------------


def test_a_checkpoint_is_what_the_learner_has_learnt(tmp_path: Path) -> None:
    loaded = CPU.draw(SHAPE, build_tokenizer(WORDS), seed=1)
    loaded.save(tmp_path / "before")
    learner = CPU.open_learner(loaded, OptimiserSettings(lr=0.1), token_budget=64)
    row = Row(prompt=0, tokens=torch.tensor([5, 6, 1]), weight=1 / 3)
    learner.update(Batch(prompts=[torch.tensor([4, 5])], rows=[row]), supervised_loss, 0.1)
    learner.export(tmp_path / "after", loaded.tokenizer)
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("before", "after"))
    assert before.keys() == after.keys()
    learnt = dict(learner.weights())
    assert all(torch.equal(after[name], learnt[name]) for name in after)
    assert not torch.equal(after["model.embed_tokens.weight"], before["model.embed_tokens.weight"])


def test_a_saved_model_comes_back_with_its_tokenizer_and_template(tmp_path: Path) -> None:
    loaded = CPU.draw(SHAPE, build_tokenizer(WORDS), seed=1)
    loaded.save(tmp_path / "model")
    again = CPU.load(str(tmp_path / "model"))
    assert again.folder == tmp_path / "model"
    assert (again.positions, again.count("one two"), again.parameters) == (64, 2, loaded.parameters)
    sampling = Sampling(n=2, max_tokens=4)
    prompt = again.encode("one")
    assert CPU.open_engine(again).generate([prompt], sampling, [3]) == CPU.open_engine(loaded).generate(
        [prompt], sampling, [3]
    )


def test_a_backend_follows_the_recipe() -> None:
    recipe = load_recipe("nano-zero", ["device=cpu", "engine=local"])
    backend = backend_of(recipe)
    assert (backend.engine.kind, backend.learner.kind, backend.device.type) == ("local", "auto", "cpu")
    assert backend.template == recipe.model.template
