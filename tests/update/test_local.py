"""The packed update against a dense padded one written the plain way, and its invariants."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from r1kit.cluster.ranks import Solo
from r1kit.errors import InputError, R1Error
from r1kit.maths.policy_loss import policy_loss, supervised_loss
from r1kit.model.decoder import Decoder, DecoderConfig, hub_config
from r1kit.model.segments import Segments
from r1kit.update.learner import Batch, Row
from r1kit.update.local import LearnerSettings, LocalLearner
from r1kit.update.optim import OptimiserSettings

CONFIG = DecoderConfig(
    vocab_size=61, hidden_size=32, intermediate_size=48, num_layers=2, num_heads=4, num_kv_heads=2, head_dim=8
)
LOSS = partial(policy_loss, clip_low=0.2, clip_high=0.28, kl_weight=0.05)


def decoder(config: DecoderConfig = CONFIG, seed: int = 0) -> Decoder:
    model = Decoder(config)
    model.initialise(torch.Generator().manual_seed(seed))
    return model


def rollouts(seed: int = 0, prompts: tuple[int, ...] = (5, 9), lengths: tuple[int, ...] = (7, 3, 12, 1)) -> Batch:
    """Groups off policy, with references and uneven lengths; one completion is a single token."""
    g = torch.Generator().manual_seed(seed)
    questions = [torch.randint(0, CONFIG.vocab_size, (n,), generator=g) for n in prompts]
    rows = []
    for prompt in range(len(prompts)):
        for n in lengths:
            guess = torch.randn(3, n, generator=g) * 0.4 - 4
            rows.append(
                Row(
                    prompt=prompt,
                    tokens=torch.randint(0, CONFIG.vocab_size, (n,), generator=g),
                    weight=0.01 + 0.1 * float(torch.rand((), generator=g)),
                    advantage=float(torch.randn((), generator=g)),
                    sampler_logprobs=guess[0],
                    old_logprobs=guess[1],
                    reference_logprobs=guess[2],
                )
            )
    return Batch(prompts=questions, rows=rows)


def settings(**changes: object) -> LearnerSettings:
    base = LearnerSettings(optimiser=OptimiserSettings(max_grad_norm=0.0))
    return replace(base, **changes)  # type: ignore[arg-type]


def gradient(batch: Batch, model: Decoder | None = None, loss: object = LOSS, **changes: object) -> dict[str, Tensor]:
    """Gradient under hub names, by an update with lr 0."""
    learner = LocalLearner(model or decoder(), settings(**changes))
    learner.update(batch, loss, 0.0)  # type: ignore[arg-type]
    holder = copy.deepcopy(learner.flat.model)
    for (_, parameter), (_, grad) in zip(
        sorted(holder.named_parameters()), sorted(learner.flat.views(learner.flat.grad)), strict=True
    ):
        parameter.data = grad

    return {name: value.clone() for name, value in holder.hub_weights().items()}


def dense_gradient(batch: Batch, model: Decoder, temperature: float = 1.0) -> dict[str, Tensor]:
    """The same by transformers: every row with its own prompt, right-padded, whole logits, autograd throughout."""

    hub = AutoModelForCausalLM.from_config(hub_config(model.config), attn_implementation="eager").float()
    hub.load_state_dict(model.hub_weights(), strict=False)
    whole = [torch.cat([batch.prompts[row.prompt], row.tokens]) for row in batch.rows]
    longest = max(map(len, whole))
    ids = torch.stack([torch.nn.functional.pad(w, (0, longest - len(w))) for w in whole])
    mask = torch.stack([(torch.arange(longest) < len(w)).long() for w in whole])
    logprobs = (hub(input_ids=ids, attention_mask=mask).logits / temperature).log_softmax(-1)
    total = torch.zeros(())
    for index, row in enumerate(batch.rows):
        m, n = len(batch.prompts[row.prompt]), len(row.tokens)
        own = logprobs[index, m - 1 : m + n - 1].gather(1, row.tokens[:, None])[:, 0]
        rho, log_r = (own - row.old_logprobs).exp(), row.reference_logprobs - own
        surrogate = torch.minimum(rho * row.advantage, rho.clamp(0.8, 1.28) * row.advantage)
        total = total + (row.weight * (-surrogate + 0.05 * (log_r.exp() - log_r - 1))).sum()
    total.backward()
    return {name: p.grad for name, p in hub.named_parameters()}


def assert_close(ours: dict[str, Tensor], theirs: dict[str, Tensor], tolerance: float = 1e-5) -> None:
    for name, expected in theirs.items():
        gap = (ours[name] - expected).norm() / expected.norm().clamp(min=1e-12)
        assert gap < tolerance, f"{name}: relative difference {gap:.2e}"


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        replace(CONFIG, tie_embeddings=False, num_kv_heads=4),
        replace(CONFIG, family="qwen2", qkv_bias=True),
        replace(CONFIG, family="qwen3", qk_norm=True, num_kv_heads=1),
    ],
    ids=["tied", "untied", "qwen2", "qwen3"],
)
def test_gradient_equals_the_dense_padded_one(config: DecoderConfig) -> None:
    model = decoder(config)
    expected = dense_gradient(rollouts(), model)
    assert_close(gradient(rollouts(), model), expected)


def test_gradient_with_temperature_equals_the_dense_one() -> None:
    model = decoder()
    expected = dense_gradient(rollouts(), model, temperature=0.7)
    assert_close(gradient(rollouts(), model, temperature=0.7), expected)


@pytest.mark.parametrize("changes", [{"token_budget": 20}, {"token_budget": 33}, {"head_chunk": 5}, {"head_chunk": 20}])
@pytest.mark.parametrize("ratio", ["token", "sequence"])
def test_neither_budget_nor_chunk_changes_the_gradient(changes: dict[str, int], ratio: str) -> None:
    loss = partial(LOSS, ratio=ratio)
    assert_close(gradient(rollouts(), loss=loss, **changes), gradient(rollouts(), loss=loss))


def test_order_of_rows_does_not_change_the_gradient() -> None:
    batch = rollouts()
    shuffled = Batch(prompts=batch.prompts, rows=[batch.rows[i] for i in (5, 2, 7, 0, 3, 6, 1, 4)])
    assert_close(gradient(shuffled), gradient(batch))


def test_rows_without_advantage_cost_nothing_and_change_nothing() -> None:
    batch = rollouts()
    rows = [replace(row, reference_logprobs=None, advantage=0.0 if row.prompt else row.advantage) for row in batch.rows]
    loss = partial(policy_loss, clip_low=0.2, clip_high=0.28)
    learner = LocalLearner(decoder(), settings())
    metrics = learner.update(Batch(prompts=batch.prompts, rows=rows), loss, 0.0)
    assert metrics["tokens"] == 23
    assert metrics["rows_skipped"] == 4
    kept = Batch(prompts=batch.prompts, rows=rows[:4])
    assert_close(gradient(Batch(prompts=batch.prompts, rows=rows), loss=loss), gradient(kept, loss=loss))


def test_an_update_of_flat_groups_only_changes_no_weight() -> None:
    batch = rollouts()
    rows = [replace(row, reference_logprobs=None, advantage=0.0) for row in batch.rows]
    learner = LocalLearner(decoder(), settings(optimiser=OptimiserSettings(weight_decay=0.5)))
    before = learner.flat.master.clone()
    metrics = learner.update(Batch(prompts=batch.prompts, rows=rows), LOSS, 0.1)
    assert torch.equal(learner.flat.master, before)
    assert metrics["grad_norm"] == 0


def documents(seed: int = 0, lengths: tuple[int, ...] = (9, 4, 17, 2)) -> Batch:
    g = torch.Generator().manual_seed(seed)
    total = sum(lengths) - len(lengths)
    rows = [Row(prompt=-1, tokens=torch.randint(0, 61, (n,), generator=g), weight=1 / total) for n in lengths]
    return Batch(prompts=[], rows=rows)


def test_documents_give_the_hub_models_own_loss_and_gradient() -> None:

    model, batch = decoder(), documents()
    hub = AutoModelForCausalLM.from_config(hub_config(model.config)).float()
    hub.load_state_dict(model.hub_weights(), strict=False)
    ids = torch.nn.utils.rnn.pad_sequence([row.tokens for row in batch.rows], batch_first=True, padding_value=0)
    labels = torch.nn.utils.rnn.pad_sequence([row.tokens for row in batch.rows], batch_first=True, padding_value=-100)
    loss = hub(input_ids=ids, labels=labels).loss
    loss.backward()
    learner = LocalLearner(decoder(), settings())
    metrics = learner.update(batch, supervised_loss, 0.0)
    assert metrics["loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert metrics["tokens"] == 28
    assert_close(gradient(batch, loss=supervised_loss), {n: p.grad for n, p in hub.named_parameters()})


def test_logprobs_are_those_of_the_forward_and_a_documents_first_is_zero() -> None:
    learner = LocalLearner(decoder(), settings(token_budget=24))
    batch = rollouts()
    found = learner.logprobs(batch)
    assert [len(values) for values in found] == [len(row.tokens) for row in batch.rows]
    whole = torch.cat([batch.prompts[1], batch.rows[6].tokens])
    as_document = learner.logprobs(Batch(prompts=[], rows=[Row(prompt=-1, tokens=whole, weight=1.0)]))[0]
    assert as_document[0] == 0
    torch.testing.assert_close(as_document[9:], found[6], rtol=1e-5, atol=1e-5)


def test_entropies_are_those_of_the_whole_distribution() -> None:
    """By the definition, from all logits of the forward; the log-probs beside them are ``logprobs``, bit for bit."""
    model = decoder()
    learner = LocalLearner(model, settings(temperature=0.7, token_budget=24))
    batch = rollouts()
    found = learner.logprobs_and_entropies(batch)
    assert all(torch.equal(one[0], own) for one, own in zip(found, learner.logprobs(batch), strict=True))
    whole = torch.cat([batch.prompts[1], batch.rows[6].tokens])
    with torch.no_grad():
        logits = model.hidden(Segments.pack([whole]))[len(batch.prompts[1]) - 1 : -1] @ model.head.t() / 0.7
    shares = logits.softmax(-1)
    torch.testing.assert_close(found[6][1], -(shares * shares.log()).sum(-1), rtol=1e-4, atol=1e-5)
    as_document = learner.logprobs_and_entropies(Batch(prompts=[], rows=[Row(prompt=-1, tokens=whole, weight=1.0)]))
    assert as_document[0][:, 0].tolist() == [0, 0]


@pytest.mark.parametrize("kind", ["adamw", "muon"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_saved_and_loaded_goes_on_bit_for_bit(kind: str, dtype: str, tmp_path: Path) -> None:
    chosen = settings(dtype=dtype, optimiser=OptimiserSettings(kind=kind, weight_decay=0.1, muon_dtype=dtype))  # type: ignore[arg-type]
    straight = LocalLearner(decoder(), chosen)
    straight.refresh_reference()
    for step in range(3):
        straight.update(rollouts(step), LOSS, 1e-2)
    straight.save(tmp_path / "learner")
    resumed = LocalLearner(decoder(seed=7), chosen)
    resumed.load(tmp_path / "learner")
    for step in range(3, 6):
        assert straight.update(rollouts(step), LOSS, 1e-2) == resumed.update(rollouts(step), LOSS, 1e-2)
    for (name, weight), (other, again) in zip(straight.weights(), resumed.weights(), strict=True):
        assert name == other
        assert torch.equal(weight, again), name
    for ours, theirs in zip(
        straight.reference_logprobs(rollouts()), resumed.reference_logprobs(rollouts()), strict=True
    ):
        assert torch.equal(ours, theirs)
    assert [path.name for path in tmp_path.iterdir()] == ["learner"]


def test_load_refuses_another_models_state(tmp_path: Path) -> None:
    LocalLearner(decoder(), settings()).save(tmp_path / "learner")
    other = LocalLearner(decoder(replace(CONFIG, num_layers=1)), settings())
    with pytest.raises(InputError, match="another model"):
        other.load(tmp_path / "learner")
    with pytest.raises(InputError, match="no learner state"):
        other.load(tmp_path / "none")


def test_the_reference_stays_while_the_policy_moves() -> None:
    learner = LocalLearner(decoder(), settings())
    learner.refresh_reference()
    before = learner.logprobs(rollouts())
    learner.update(rollouts(), LOSS, 0.1)
    after = learner.logprobs(rollouts())
    for then, now, frozen in zip(before, after, learner.reference_logprobs(rollouts()), strict=True):
        assert torch.equal(then, frozen)
        assert not torch.equal(then, now)


def test_bfloat16_computes_nearly_the_same_gradient() -> None:
    batch = rollouts()
    rows = [
        replace(row, old_logprobs=None, reference_logprobs=None) for row in batch.rows
    ]  # no clip to fall either side of
    on_policy = Batch(prompts=batch.prompts, rows=rows)
    assert_close(gradient(on_policy, dtype="bfloat16"), gradient(on_policy), tolerance=0.06)


def test_a_gradient_that_is_not_finite_ends_the_update_before_the_step() -> None:
    batch = rollouts()
    rows = [replace(row, advantage=float("inf")) for row in batch.rows]
    learner = LocalLearner(decoder(), settings())
    before = learner.flat.master.clone()
    with pytest.raises(R1Error, match="not finite"):
        learner.update(Batch(prompts=batch.prompts, rows=rows), LOSS, 0.1)
    assert torch.equal(learner.flat.master, before)


def test_training_lowers_the_loss() -> None:
    learner = LocalLearner(
        decoder(), LearnerSettings(optimiser=OptimiserSettings(kind="muon", muon_dtype="float32")), Solo()
    )
    losses = [learner.update(documents(), supervised_loss, 3e-3)["loss"] for _ in range(20)]
    assert losses[-1] < 0.5 * losses[0]


def test_any_other_architecture_learns_through_transformers() -> None:
    """GPT-2 (tied) and GPT-NeoX (untied): the gradient equals the model's own."""
    from transformers import GPT2Config, GPTNeoXConfig

    from r1kit.model.families.fallback import HubModel

    gpt2 = GPT2Config(vocab_size=61, n_embd=16, n_layer=2, n_head=2, n_positions=64, bos_token_id=1, eos_token_id=2)
    neox = GPTNeoXConfig(
        vocab_size=61, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=64, bos_token_id=1, eos_token_id=2, tie_word_embeddings=False,
    )  # fmt: skip
    batch = documents()
    ids = torch.nn.utils.rnn.pad_sequence([row.tokens for row in batch.rows], batch_first=True, padding_value=0)
    labels = torch.nn.utils.rnn.pad_sequence([row.tokens for row in batch.rows], batch_first=True, padding_value=-100)
    for config in (gpt2, neox):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).eval()
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        expected = {name: p.grad.clone() for name, p in model.named_parameters()}
        learner = LocalLearner(HubModel(model), settings())
        metrics = learner.update(batch, supervised_loss, 0.0)
        assert metrics["loss"] == pytest.approx(loss.item(), rel=1e-5)
        found = {name.removeprefix("model."): g for name, g in learner.flat.views(learner.flat.grad)}
        for name, grad in expected.items():
            key = name if name in found else name.removeprefix("model.")
            torch.testing.assert_close(found[key], grad, rtol=1e-4, atol=1e-6)
        assert {weight.name for weight in learner.weights().metadata()} == {
            name for name, _ in model.named_parameters()
        }
