"""Families: a recipe's ``[model]`` takes the shape of the one it names, and every one keeps to the model's protocol."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import pytest
import torch

from r1kit.contracts import Model
from r1kit.errors import InputError
from r1kit.model.families import FAMILIES, FRESH, family
from r1kit.model.families.qwen3 import Qwen3Shape
from r1kit.model.segments import Segments
from r1kit.structure import plain, structure

TINY = {
    "hidden_size": 16, "intermediate_size": 24, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "max_positions": 32,
}  # fmt: skip


def test_the_table_s_keys_are_the_shape_of_the_family_that_it_names() -> None:
    model = structure(Model, {"family": "qwen3", "num_layers": 5, "template": {"name": "plain"}}, "model")
    assert model.shape == Qwen3Shape(num_layers=5)
    assert (model.max_positions, model.template.name) == (512, "plain")
    table = plain(model)
    assert {key: table[key] for key in ("family", "num_layers", "hidden_size")} == {
        "family": "qwen3",
        "num_layers": 5,
        "hidden_size": 96,
    }
    assert structure(Model, table, "model") == model


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"family": "qwen"}, r"model.family = 'qwen': families are llama, qwen2, qwen3, .*. Did you mean 'qwen[23]'"),
        ({"family": "transformers"}, "families are llama, qwen2, qwen3"),
        ({"family": "qwen2", "hiden_size": 4}, r"known keys of family qwen2 are .*Did you mean 'hidden_size'"),
        ({"num_heads": 5}, "must divide hidden_size = 96"),
        ({"num_layers": "two"}, r"model.num_layers = 'two'"),
    ],
)
def test_what_a_family_has_not_is_told(table: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        structure(Model, table, "model")


def test_shapes_are_known_without_torch() -> None:
    code = (
        "import sys; from r1kit.model.families import FRESH, family; [family(name).shape() for name in FRESH]; "
        "print({'torch', 'transformers'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


@pytest.mark.parametrize("name", FRESH)
def test_a_fresh_model_keeps_to_the_protocol(name: str) -> None:
    """``hidden`` is ``transform`` of what the table says; fused parts add up; a stream round leaves it as it was."""
    from r1kit.model.weights import NamedWeights

    found = family(name)
    keys = {field.name for field in fields(found.shape)}
    shape = found.shape(**{key: value for key, value in TINY.items() if key in keys})  # type: ignore[arg-type]
    model, other = (found.fresh(shape, vocab_size=20) for _ in range(2))
    model.initialise(torch.Generator().manual_seed(1))
    other.initialise(torch.Generator().manual_seed(2))
    assert (model.config.family, model.config.max_positions, model.config.vocab_size) == (name, 32, 20)
    segments = Segments.pack([torch.tensor([3, 4, 5])])
    assert model.table is not None
    hidden = model.hidden(segments)
    assert torch.equal(model.transform(model.table[segments.tokens], segments), hidden)
    for role, weight in model.named_parameters():
        assert sum(model.parts(role, len(weight))) == len(weight), role
    assert not torch.equal(other.hidden(segments), hidden)
    other.load_hub_weights(NamedWeights(model.hub_weights()))
    assert torch.equal(other.hidden(segments), hidden)
    model.after_step()
    assert torch.equal(model.hidden(segments), hidden)


def test_the_last_family_runs_what_the_others_cannot_and_draws_nothing() -> None:
    last = family(list(FAMILIES)[-1])
    with pytest.raises(InputError, match="a fresh model is drawn of the built-in families only"):
        last.fresh(last.shape(), 20)
