"""LoRA: against peft on the same weights, merged and unmerged, the reference, dropout, resume."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from r1kit.errors import InputError, MissingError
from r1kit.maths.policy_loss import policy_loss, supervised_loss
from r1kit.model.adapter import Adapter, linears_of
from r1kit.model.decoder import Decoder, DecoderConfig, hub_config
from r1kit.model.families.fallback import HubModel
from r1kit.model.language_model import LanguageModel
from r1kit.model.segments import Segments
from r1kit.model.weights import NamedWeights
from r1kit.update.adapted import AdaptedLearner
from r1kit.update.learner import Batch, Row
from r1kit.update.local import LearnerSettings, LocalLearner
from r1kit.update.settings import LoRA, OptimiserSettings

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # peft's own
CONFIG = DecoderConfig(
    vocab_size=61, hidden_size=32, intermediate_size=48, num_layers=2, num_heads=4, num_kv_heads=2, head_dim=8
)
LOSS = partial(policy_loss, clip_low=0.2, clip_high=0.28, kl_weight=0.05)
ALL = LoRA(rank=3, alpha=12)
SOME = LoRA(rank=5, targets=("q_proj", "v_proj", "up_proj"))
CONFIGS = {
    "llama": CONFIG,
    "qwen2": replace(CONFIG, family="qwen2", qkv_bias=True),
    "phi3": replace(CONFIG, family="phi3", fused_names=True, tie_embeddings=False),
}


def decoder(config: DecoderConfig = CONFIG) -> Decoder:
    model = Decoder(config)
    model.initialise(torch.Generator().manual_seed(0))
    return model


def hub(model: Decoder) -> Any:
    """The same weights in the hub's own class."""
    found = AutoModelForCausalLM.from_config(hub_config(model.config), attn_implementation="eager").float().eval()
    found.load_state_dict(model.hub_weights(), strict=False)
    return found


def learner(model: LanguageModel | None = None, lora: LoRA = ALL, base: str = "base", **changes: Any) -> AdaptedLearner:
    settings = LearnerSettings(lora=lora, seed=7, optimiser=OptimiserSettings(max_grad_norm=0.0), **changes)
    return AdaptedLearner(decoder() if model is None else model, settings, base=base)


def rollouts(seed: int = 0) -> Batch:
    g = torch.Generator().manual_seed(seed)
    prompts = [torch.randint(0, 61, (n,), generator=g) for n in (5, 9)]
    rows = []
    for prompt in (0, 1):
        for n in (7, 3, 12, 1):
            guess = torch.randn(2, n, generator=g) * 0.4 - 4
            rows.append(
                Row(
                    prompt=prompt,
                    tokens=torch.randint(0, 61, (n,), generator=g),
                    weight=0.01 + 0.1 * float(torch.rand((), generator=g)),
                    advantage=float(torch.randn((), generator=g)),
                    old_logprobs=guess[0],
                    reference_logprobs=guess[1],
                )
            )
    return Batch(prompts=prompts, rows=rows)


def trained(lora: LoRA = ALL, steps: int = 3, **changes: Any) -> AdaptedLearner:
    found = learner(lora=lora, **changes)
    for step in range(steps):
        found.update(rollouts(step), supervised_loss, 1e-2)
    return found


def gradients(of: AdaptedLearner) -> dict[str, Tensor]:
    return {name: view.clone() for name, view in of.flat.views(of.flat.grad)}


def dense(model: Any, batch: Batch) -> Tensor:
    """Log-probs of every row's tokens by a `transformers` model, one row at a time, one behind the other."""
    found = []
    for row in batch.rows:
        whole = torch.cat([batch.prompts[row.prompt], row.tokens])
        logprobs = model(input_ids=whole[None]).logits[0].log_softmax(-1)
        at = len(batch.prompts[row.prompt]) - 1
        found.append(logprobs[at:-1].gather(1, row.tokens[:, None])[:, 0])
    return torch.cat(found)


def test_it_counts_what_it_should() -> None:
    """By hand: a layer has q 32 x 32, k and v 16 x 32, o 32 x 32, gate and up 48 x 32, down 32 x 48; r (o + i) each."""
    sides = (64, 48, 48, 64, 80, 80, 80)
    assert learner().adapter.count == 2 * 3 * sum(sides)
    assert learner(lora=SOME).adapter.count == 2 * 5 * (64 + 48 + 80)
    assert "LoRA of rank 3 on 14 matrices: 2,784 weights are trained beside" in learner().told()


def test_hand_worked_product() -> None:
    """[[1, 0], [0, 1]] x + 2 [[1], [2]] [[3, 4]] x of x = (1, 1) is (1 + 14, 1 + 28)."""
    model = decoder()
    one = next(one for name, one in linears_of(model).items() if name.endswith("0.self_attn.o_proj"))
    own = torch.nn.Linear(2, 2, bias=False)
    own.weight.data = torch.eye(2)
    adapter = Adapter([one._replace(module=own, shape=(2, 2))], 1, 2.0, seed=0)
    down, up = (weight for _, weight in adapter.named_parameters())
    down.data, up.data = torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0], [2.0]])
    with adapter.applied():
        assert own(torch.ones(2)).tolist() == [15.0, 29.0]
    assert own(torch.ones(2)).tolist() == [1.0, 1.0]
    merged = dict(adapter.merged(NamedWeights({f"{one.name}.weight": own.weight.detach()})))
    assert merged[f"{one.name}.weight"].tolist() == [[7.0, 8.0], [12.0, 17.0]]


@pytest.mark.parametrize("name", CONFIGS)
def test_before_it_learns_it_is_the_base_bit_for_bit(name: str) -> None:
    batch, config = rollouts(), CONFIGS[name]
    plain = LocalLearner(decoder(config)).logprobs(batch)
    assert all(map(torch.equal, learner(decoder(config)).logprobs(batch), plain))


@pytest.mark.parametrize("lora", [ALL, SOME])
@pytest.mark.parametrize("name", ["llama", "qwen2"])
def test_gradient_equals_pefts_own(name: str, lora: LoRA) -> None:
    """peft on the hub's class, dense, autograd throughout; B away from zero, so that A has a gradient too."""
    peft = pytest.importorskip("peft")
    model, batch = decoder(CONFIGS[name]), rollouts()
    targets = lora.targets or "all-linear"
    config = peft.LoraConfig(r=lora.rank, lora_alpha=lora.scale * lora.rank, target_modules=targets)
    theirs = peft.get_peft_model(hub(model), config)
    own = learner(model, lora)
    named = {name.replace("base_model.model.", "").replace(".default", ""): w for name, w in theirs.named_parameters()}
    g = torch.Generator().manual_seed(3)
    for key, weight in own.adapter.named_parameters():
        weight.data.copy_(torch.randn(weight.shape, generator=g) * 0.1)
        named[key].data.copy_(weight.data)
    assert {key for key, weight in named.items() if weight.requires_grad} == dict(own.adapter.named_parameters()).keys()
    own.update(batch, supervised_loss, 0.0)
    weights = torch.cat([torch.full((len(row.tokens),), float(row.weight)) for row in batch.rows])
    (-(dense(theirs, batch) * weights).sum()).backward()
    for key, grad in gradients(own).items():
        expected = named[key].grad
        assert (grad - expected).norm() / expected.norm() < 2e-5, key


def test_the_fallbacks_gradient_equals_the_decoders() -> None:
    model, batch = decoder(), rollouts()
    through, own = learner(HubModel(hub(model))), learner(model)
    for one in (through, own):
        for index, (_, weight) in enumerate(one.adapter.named_parameters()):
            weight.data.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(index)) * 0.1)
        one.update(batch, LOSS, 0.0)
    theirs = gradients(through)
    assert theirs.keys() == gradients(own).keys()
    for name, grad in gradients(own).items():
        assert (grad - theirs[name]).norm() / grad.norm() < 2e-5, name


@pytest.mark.parametrize("lora", [ALL, SOME])
def test_merged_equals_applied(lora: LoRA) -> None:
    """What an engine is handed gives the log-probs of what learns, to rounding; and is not the base's."""
    own, batch = trained(lora), rollouts()
    engine = decoder()
    engine.load_hub_weights(own.weights())
    merged, base = LocalLearner(engine).logprobs(batch), LocalLearner(decoder()).logprobs(batch)
    applied = own.logprobs(batch)
    assert max(float((a - b).abs().max()) for a, b in zip(applied, merged, strict=True)) < 2e-6
    assert max(float((a - b).abs().max()) for a, b in zip(applied, base, strict=True)) > 0.05


def test_the_model_never_changes_and_only_the_adapter_is_trained() -> None:
    before = decoder().hub_weights()
    own = trained()
    assert all(torch.equal(weight, before[name]) for name, weight in own.flat.model.hub_weights().items())
    assert own.flat.master.numel() == own.flat.grad.numel() == own.adapter.count
    assert all(weight.grad is None for weight in own.flat.model.parameters())


def test_the_reference_is_the_model_with_its_adapter_off() -> None:
    batch, base = rollouts(), LocalLearner(decoder()).logprobs(rollouts())
    own = learner()
    own.refresh_reference()
    assert own.reference is not None
    assert own.reference.numel() == 0
    own.update(batch, supervised_loss, 1e-2)
    assert all(map(torch.equal, own.reference_logprobs(batch), base))
    assert not torch.equal(own.logprobs(batch)[0], base[0])


def test_a_reference_of_a_later_policy_is_the_adapter_as_it_was() -> None:
    own, batch = trained(), rollouts()
    then = own.logprobs(batch)
    own.refresh_reference()
    own.update(batch, supervised_loss, 1e-2)
    assert own.reference is not None
    assert own.reference.numel() == own.adapter.count
    assert all(map(torch.equal, own.reference_logprobs(batch), then))
    now = own.logprobs(batch)
    assert not torch.equal(now[0], then[0])


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_run_goes_on_bit_for_bit(tmp_path: Path, dropout: float) -> None:
    lora = replace(ALL, dropout=dropout)
    straight = trained(lora, steps=4)
    first = trained(lora, steps=2)
    first.refresh_reference()
    first.save(tmp_path / "state")
    again = learner(lora=lora)
    again.load(tmp_path / "state")
    assert again.reference is not None
    for step in (2, 3):
        again.update(rollouts(step), supervised_loss, 1e-2)
    assert torch.equal(again.flat.master, straight.flat.master)


def test_a_state_of_another_rank_is_refused(tmp_path: Path) -> None:
    trained(steps=1).save(tmp_path / "state")
    with pytest.raises(InputError, match="holds another model's weights"):
        learner(lora=SOME).load(tmp_path / "state")


def test_dropout_leaves_out_its_share_and_scales_the_rest() -> None:
    own = learner(lora=replace(ALL, dropout=0.25))
    x = torch.ones(400, 32)
    kept = own._drop("layer", x)
    assert torch.equal(kept, own._drop("layer", x))
    assert not torch.equal(kept, own._drop("another", x))
    assert torch.equal(kept.unique(), torch.tensor([0.0, 1 / 0.75]))
    assert abs(float((kept == 0).float().mean()) - 0.25) < 0.02


def test_in_bfloat16_the_model_is_kept_once_and_the_adapter_in_float32() -> None:
    own = trained(dtype="bfloat16")
    assert {weight.dtype for weight in own.flat.model.parameters()} == {torch.bfloat16}
    assert own.flat.master.dtype == torch.float32
    assert own.flat.compute is own.flat.model
    assert {one.dtype for one in own.weights().metadata()} == {torch.float32}
    exact, batch = trained(), rollouts()
    near = [float((a - b).abs().mean()) for a, b in zip(own.logprobs(batch), exact.logprobs(batch), strict=True)]
    assert max(near) < 0.1


def test_linear_layers_of_experts_and_latent_heads() -> None:
    """Neither a router nor experts get an adapter; what compresses and what all tokens share does."""
    from r1kit.model.families import fresh_family

    kind = fresh_family("deepseek_v3", "model")
    model = kind.fresh(kind.shape(), 61)
    ends = {name.rpartition(".")[2] for name in linears_of(model)}
    assert ends >= {"kv_a_proj_with_mqa", "kv_b_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert not ends & {"gate", "lm_head", "embed_tokens"}
    assert not any(".experts." in name for name in linears_of(model))


# ---- peft's format ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lora", [ALL, SOME])
def test_peft_opens_what_is_saved(tmp_path: Path, lora: LoRA) -> None:
    """With the logits of what learnt; and its merged weights are, bit for bit, those that an engine is handed."""
    peft = pytest.importorskip("peft")
    hub(decoder()).save_pretrained(tmp_path / "base")
    own = trained(lora, base=str(tmp_path / "base"))
    own.export_adapter(tmp_path / "adapter")
    assert {file.name for file in (tmp_path / "adapter").iterdir()} >= {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    opened = peft.AutoPeftModelForCausalLM.from_pretrained(tmp_path / "adapter")
    config = opened.peft_config["default"]
    assert (config.r, config.lora_alpha, config.use_dora) == (lora.rank, lora.scale * lora.rank, False)
    tokens = torch.arange(1, 12)
    with torch.no_grad(), own.adapter.applied():
        expected = own.flat.model.hidden(Segments.pack([tokens])) @ own.flat.model.head.T
        assert torch.allclose(opened(input_ids=tokens[None]).logits[0], expected, atol=2e-5)
    merged = dict(opened.merge_and_unload().named_parameters())
    handed = dict(own.weights())
    assert merged.keys() == handed.keys()
    assert all(torch.equal(merged[name], weight) for name, weight in handed.items())


def test_an_adapter_is_written_the_same_every_time(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    for name in ("a", "b"):
        trained().export_adapter(tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


# ---- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lora", "line"),
    [
        (
            LoRA(rank=8, targets=("q_prj",)),
            r"targets names 'q_prj'; the model's linear layers are down_proj, gate_proj",
        ),
        (LoRA(rank=33), r"rank = 33 is above the smaller side of every target \(32 at the most\)"),
        (LoRA(rank=17, targets=("k_proj",)), r"rank = 17 is above the smaller side of every target \(16 at the most\)"),
    ],
)
def test_what_no_layer_allows(lora: LoRA, line: str) -> None:
    with pytest.raises(InputError, match=line):
        learner(lora=lora)


@pytest.mark.parametrize(
    ("lora", "kind", "sampled", "line"),
    [
        (LoRA(alpha=8), "auto", True, "rank = 0: must be at least 1"),
        (LoRA(rank=-1), "auto", True, "rank = -1: must be at least 1"),
        (LoRA(rank=4, alpha=-1), "auto", True, "alpha = -1"),
        (LoRA(rank=4, dropout=1.0), "auto", False, "dropout = 1.0: must be at least 0 and below 1"),
        (LoRA(rank=4, dropout=0.1), "auto", True, "dropout = 0.1: must be 0 in RL"),
        (LoRA(rank=4), "fsdp", False, 'learner = "fsdp" trains every weight'),
    ],
)
def test_settings_that_could_not_work(lora: LoRA, kind: str, sampled: bool, line: str) -> None:
    with pytest.raises(InputError, match=line):
        lora.check("sft", kind, sampled=sampled)


def test_without_peft_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"stages\.sft\.lora needs peft: pip install 'r1kit\[peft\]'"):
        LoRA(rank=4).check("sft", "auto")
    LoRA().check("sft", "fsdp", sampled=True)
