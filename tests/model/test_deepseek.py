"""DeepSeek-V3's shape: what is kept of a token, how experts are chosen, and the layer that predicts a token further.

That its logits, samples and gradients are those of `transformers` is in ``test_every_family.py``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from r1kit.checks import check_recipe
from r1kit.contracts import Model
from r1kit.errors import InputError
from r1kit.model.decoder import Decoder
from r1kit.model.experts import Experts, GroupedProduct, grouped_product
from r1kit.model.families import family
from r1kit.model.families.deepseek_v3 import DeepseekShape
from r1kit.model.families.dense import DecoderConfig, Routing
from r1kit.model.load import load_model, save_model
from r1kit.model.segments import Segments
from r1kit.plan.shape import shape_of_fresh
from r1kit.recipe import load_recipe
from r1kit.rollout.decode import CachedDecoder
from r1kit.rollout.packed import PackedDecoder
from r1kit.structure import structure
from r1kit.suits import check_engine
from r1kit.unread import check_unread
from tests.model import tiny

SHAPE = DeepseekShape(
    hidden_size=32, intermediate_size=48, num_layers=2, num_heads=4, q_lora_rank=12, kv_lora_rank=16,
    qk_nope_head_dim=8, qk_rope_head_dim=4, v_head_dim=12, n_routed_experts=4, moe_intermediate_size=16, mtp_layers=1,
    max_positions=64, tie_embeddings=False,
)  # fmt: skip


def fresh(shape: DeepseekShape = SHAPE, vocab: int = tiny.VOCAB) -> Decoder:
    model = family("deepseek_v3").fresh(shape, vocab)
    assert isinstance(model, Decoder)
    model.initialise(torch.Generator().manual_seed(3))
    return model


def folder_of(model: Decoder, folder: Path) -> Path:
    save_model(folder, model, tiny.tokenizer())
    return folder


def test_a_token_leaves_its_compressed_vector_and_one_rotated_key() -> None:
    """Four heads of 12 would leave 2 x 4 x 12 numbers a layer; 16 + 4 are kept, and that is what a plan reckons."""
    model = fresh(replace(SHAPE, mtp_layers=0))
    cache = CachedDecoder(PackedDecoder(model), rows=3, columns=10, longest=10)._store
    assert cache.nbytes == 3 * 10 * 2 * (16 + 4) * 4
    planned = shape_of_fresh(Model(family="deepseek_v3", shape=replace(SHAPE, mtp_layers=0)), tiny.VOCAB)
    assert planned.cache_bytes(4) == cache.nbytes / 30
    biases = (SHAPE.num_layers - 1) * SHAPE.n_routed_experts
    assert planned.parameters + biases == sum(weight.numel() for weight in model.parameters())


def experts(routing: Routing, **settings: Any) -> Experts:
    config = DecoderConfig(
        vocab_size=8, hidden_size=4, intermediate_size=4, num_layers=1, num_heads=1, num_kv_heads=1, head_dim=4,
        experts=4, experts_per_token=2, routing=routing, **settings,
    )  # fmt: skip
    return Experts(config, 0)


ROUTING = Routing(dense_layers=0, dense_size=4, shared=4)


def test_the_bias_chooses_and_the_scores_weigh() -> None:
    """Scores .9 .8 .7 .1 with a bias of .6 on the last: experts 0 and 3, with gates .9 and .1, not .7."""
    mixture = experts(replace(ROUTING, scale=2.0), renormalise_experts=True)
    scores = torch.tensor([[0.9, 0.65, 0.7, 0.1]])
    with torch.no_grad():
        mixture.router_bias.copy_(torch.tensor([0.0, 0.0, 0.0, 0.65]))  # type: ignore[union-attr]
        assert sorted(mixture.choose(scores, ROUTING)[0].tolist()) == [0, 3]
        mixture.router.weight.copy_(torch.eye(4))
        mixture.gate_up.fill_(0.5)
        mixture.down.copy_(torch.arange(1.0, 5.0)[:, None, None].expand(4, 4, 4))
        torch.nn.init.zeros_(mixture.shared_down.weight)  # type: ignore[union-attr]
        x = scores.logit()
        inner = torch.nn.functional.silu(0.5 * x.sum()) * 0.5 * x.sum() * 4  # of each expert, before the factor e + 1
        torch.testing.assert_close(mixture(x), (2.0 * (0.9 * 1 + 0.1 * 4) / (0.9 + 0.1) * inner).expand(1, 4))


def test_a_token_stays_within_its_best_groups() -> None:
    """Groups (.9, .1) and (.6, .5): the second's two best sum to more, so the best expert of all is not chosen."""
    mixture = experts(ROUTING)
    torch.nn.init.zeros_(mixture.router_bias)  # type: ignore[arg-type]
    scores, grouped = torch.tensor([[0.9, 0.1, 0.6, 0.5]]), replace(ROUTING, groups=2, kept_groups=1)
    assert sorted(mixture.choose(scores, grouped)[0].tolist()) == [2, 3]
    assert sorted(mixture.choose(scores, replace(grouped, kept_groups=2))[0].tolist()) == [0, 2]


def test_all_experts_products_in_one_call_are_those_one_by_one() -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(size, generator=generator, requires_grad=True) for size in ((7, 8), (4, 12, 8)))
    ends, grad = torch.tensor([3, 3, 4, 7]), torch.randn(7, 12, generator=generator)
    products = grouped_product(x, weight, ends), GroupedProduct.apply(x, weight, tuple(ends.tolist()))
    found = [(product, *torch.autograd.grad(product, (x, weight), grad)) for product in products]  # type: ignore[arg-type]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_the_layer_that_predicts_further_is_that_of_transformers() -> None:
    layers = pytest.importorskip("transformers.modeling_layers")
    if not hasattr(layers, "MtpModel"):
        pytest.skip("this transformers predicts one token")
    model = fresh()
    theirs = AutoModelForCausalLM.from_config(model.hub_config()).eval()
    ours = model.hub_weights()
    theirs.load_state_dict(_as_theirs({name: one for name, one in ours.items() if "layers.2." not in name}))
    further = layers.MtpModel(theirs, 1).eval()
    own = {name.removeprefix("model.layers.2."): one for name, one in ours.items() if "layers.2." in name}
    outer = {"enorm.weight", "hnorm.weight", "eh_proj.weight"}
    named = {name if name in outer else f"mtp_block.{name}": one for name, one in own.items()}
    named["post_norm.weight"] = named.pop("mtp_block.shared_head.norm.weight")
    further.layers[0].load_state_dict(_as_theirs(named))
    row = torch.randint(5, 400, (20,), generator=torch.Generator().manual_seed(1))
    segments = Segments.pack([row[:12], row[12:-1]])
    with torch.no_grad():
        hidden = model.hidden(segments)
        found = model.further(hidden, model.embedding(row[1:]), segments)
        for run in (slice(0, 12), slice(12, 19)):
            states = theirs.model(input_ids=row[None, run]).last_hidden_state
            torch.testing.assert_close(hidden[run], states[0], rtol=0, atol=2e-5)
            places = torch.arange(run.stop - run.start)[None]
            wanted = further.forward_layer(0, states, places, None, input_ids=row[None, run.start + 1 : run.stop + 1])
            torch.testing.assert_close(found[run], wanted[0], rtol=0, atol=2e-5)


def _as_theirs(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Experts in one tensor."""
    found = {name: one for name, one in weights.items() if ".experts." not in name}
    for stem in {name.partition(".experts.")[0] for name in weights if ".experts." in name}:
        each = {
            kind: [weights[f"{stem}.experts.{index}.{kind}_proj.weight"] for index in range(SHAPE.n_routed_experts)]
            for kind in ("gate", "up", "down")
        }
        both = zip(each["gate"], each["up"], strict=True)
        found[f"{stem}.experts.gate_up_proj"] = torch.stack([torch.cat(pair) for pair in both])
        found[f"{stem}.experts.down_proj"] = torch.stack(each["down"])
    return found


def test_a_folder_keeps_the_further_layer_under_the_hub_s_names(tmp_path: Path) -> None:
    model, row = fresh(), torch.arange(5, 25)
    folder = folder_of(model, tmp_path / "model")
    names = set(load_file(folder / "model.safetensors"))
    for name in ("eh_proj", "enorm", "hnorm", "shared_head.norm", "mlp.gate", "self_attn.kv_a_proj_with_mqa"):
        assert f"model.layers.2.{name}.weight" in names
    assert {"model.layers.1.mlp.gate.e_score_correction_bias", "model.layers.0.mlp.up_proj.weight"} <= names
    assert "model.layers.0.mlp.gate.weight" not in names
    again = load_model(folder)[0]
    assert isinstance(again, Decoder)
    for name, weight in model.hub_weights().items():
        assert torch.equal(again.hub_weights()[name], weight), name
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert theirs.config.to_dict()["num_nextn_predict_layers"] == 1
    with torch.no_grad():
        logits = again.hidden(Segments.pack([row])) @ again.head.t()
        torch.testing.assert_close(logits, theirs(input_ids=row[None]).logits[0], rtol=0, atol=2e-5)


def test_copies_of_embedding_and_head_in_the_further_layer_must_be_copies(tmp_path: Path) -> None:
    """DeepSeek's own folders hold both twice; a folder that `transformers` wrote has no such layer, and opens."""
    folder = folder_of(fresh(), tmp_path / "model")
    weights, file = load_file(folder / "model.safetensors"), folder / "model.safetensors"
    weights["model.layers.2.embed_tokens.weight"] = weights["model.embed_tokens.weight"].clone()
    weights["model.layers.2.shared_head.head.weight"] = weights["lm_head.weight"].clone()
    save_file(weights, file, {"format": "pt"})
    assert "model.layers.2.shared_head.head.weight" not in load_model(folder)[0].hub_weights()
    weights["model.layers.2.shared_head.head.weight"][0, 0] += 1
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(InputError, match=r"shared_head.head.weight differs from lm_head.weight"):
        load_model(folder)
    save_file({name: one for name, one in weights.items() if "layers.2." not in name}, file, {"format": "pt"})
    assert load_model(folder)[0].ahead is None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "override", "told"),
    [
        ("nano", 'engine={kind="local",draft=true}', "set model.mtp_layers = 1"),
        ("nano", 'engine={kind="local",replay=true}', "engine.replay is for a model with experts"),
        ("nano-deepseek", 'engine={kind="local",draft=true,replay=true}', "not beside engine.draft: drop one"),
        ("nano", "sft.optimiser.keep_mtp=0.3", r"keep_mtp = 0.3 is for .* a fresh llama has none: set mtp_layers"),
        ("nano-deepseek", "distill.rl.optimiser.keep_mtp=0.3", r"keep_mtp = 0.3 is for .* a fresh llama has none"),
        ("nano-deepseek", "pretrain.optimiser.keep_mtp=0.3", r"keep_mtp = 0.3 is not read: it is of SFT and RL"),
        ("nano-deepseek", "pretrain.experts.bias_speed=-1", "must not be negative"),
    ],
)
def test_a_recipe_that_cannot_be_is_told_before_it_runs(name: str, override: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        check_recipe(load_recipe(name, [override]))


@pytest.mark.parametrize("override", ['engine={kind="local",draft=true}', 'engine={kind="local",replay=true}'])
def test_a_mixture_drafts_and_replays_whatever_its_students_are(override: str) -> None:
    check_recipe(load_recipe("nano-deepseek", [override, "reasoning_rl.optimiser.keep_mtp=0.3"]))


NAMED: dict[str, tuple[str, bool]] = {
    'engine={kind="local",draft=true}': ("engine.draft is for a model with a layer that predicts a token", True),
    "r1_zero.optimiser.keep_mtp=0.3": ("r1_zero.optimiser.keep_mtp = 0.3 is for a model with a layer that", True),
    'engine={kind="local",replay=true}': ("engine.replay is for a model with experts", False),
}
"""Override -> (what refuses it of a folder that has no such part, whether the part is the layer that looks further)."""


@pytest.mark.parametrize("override", NAMED)
def test_a_folder_on_this_machine_is_looked_into_before_anything_loads(override: str, tmp_path: Path) -> None:
    """Its weights say whether it predicts a token further: a config may promise what is not there."""
    told, further = NAMED[override]

    def refused(folder: Path) -> str:
        recipe = load_recipe("nano-zero", [f"model.name={folder}", override])
        try:
            check_engine(recipe)
            check_unread(recipe)
        except InputError as error:
            return str(error)
        return ""

    assert refused(folder_of(fresh(), tmp_path / "whole")) == ""
    bare = refused(folder_of(fresh(replace(SHAPE, mtp_layers=0)), tmp_path / "bare"))
    assert (told in bare) == bool(bare) == further
    dense = refused(tiny.write(tmp_path / "dense", "llama"))
    assert told in dense
    assert str(tmp_path / "dense") in dense


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"n_group": 3}, "n_group = 3 must divide n_routed_experts = 8"),
        ({"n_group": 4, "topk_group": 1, "num_experts_per_tok": 3}, "a token chooses among 2 experts"),
        ({"qk_rope_head_dim": 5}, "must be even"),
        ({"mtp_layers": 2}, "write 0 or 1"),
        ({"kv_lora_rank": 0}, "model.kv_lora_rank = 0: must be at least 1"),
        ({"num_kv_heads": 2}, "known keys of family deepseek_v3 are"),
    ],
)
def test_a_shape_that_cannot_be_is_told(table: dict[str, int], told: str) -> None:
    with pytest.raises(InputError, match=told):
        structure(Model, {"family": "deepseek_v3", **table}, "model")
