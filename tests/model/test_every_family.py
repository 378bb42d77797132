"""Every family and variant of ``tiny.py``: sampler, learner and export against `transformers`, in both dtypes.

The slow run holds all of them; the numbers in docs/models.md were made by ``exercise.py``.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM

from r1kit.backends.models import multiplied_parameters
from r1kit.checkpoint.context import recurrent
from r1kit.errors import InputError
from r1kit.model.decoder import Decoder
from r1kit.model.families import unsupported
from r1kit.model.load import load_model
from r1kit.model.reward_model import Outlook, RewardModel
from r1kit.model.segments import Segments
from tests.model import exercise, tiny

LOCAL = {name for name in tiny.FAMILIES if tiny.FAMILIES[name][0] in (
    "llama", "qwen2", "qwen3", "qwen3_moe", "mistral", "gemma3_text", "phi3", "olmo2", "olmo3", "smollm3", "deepseek_v3"
)} - {"llama_bias"}  # fmt: skip
RECURRENT = {"mamba", "mamba2", "qwen3_next", "lfm2", "bamba", "recurrent_gemma", "falcon_h1"}
REFUSED = {
    name: f"{name} keeps a recurrent state, which is not supported; use an attention model" for name in RECURRENT
}
REFUSED["rwkv"] = "rwkv computes a row of a batch otherwise than alone"
REFUSED["openai-gpt"] = "openai-gpt cannot go on from a cache"
QUICK = (
    "mistral",
    "gemma3_text",
    "qwen3_moe",
    "deepseek_v3_yarn",
    "olmo3",
    "smollm3",
    "gemma2",
    "mamba",
)
DOCS = Path(__file__).resolve().parents[2] / "docs"


def holds(name: str, scratch: Path) -> None:
    found = exercise.exercise(tiny.write(scratch, name), scratch / "exported")
    if name in REFUSED:
        assert found.refused.startswith(REFUSED[name])
        return
    assert found.refused == ""
    assert found.engine == ("local" if name in LOCAL else "transformers")
    for what in ("short_fp32", "long_fp32", "packed", "sampled", "learner", "exported", "gradient"):
        assert getattr(found, what) < 5e-5, what
    for length, theirs in found.bf16_theirs.items():
        assert found.bf16_ours[length] < 1.3 * theirs + 1e-3, f"bfloat16, {length}"
    flips = 4 if name.startswith("deepseek_v3") else 2  # of four experts, two chosen: another one is another token
    assert max(found.sampled_bf16, found.learner_bf16) < flips * found.bf16_theirs["long"] + 1e-2


@pytest.mark.parametrize("name", QUICK)
def test_a_family_does_here_what_it_does_in_transformers(name: str, tmp_path: Path) -> None:
    holds(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(tiny.FAMILIES) - set(QUICK)))
def test_every_other_family_does_too(name: str, tmp_path: Path) -> None:
    holds(name, tmp_path)


@pytest.mark.parametrize("name", ["mistral_long", "olmo2_long", "arcee_long"])
def test_far_positions_in_bfloat16_are_as_exact_as_transformers(name: str, tmp_path: Path) -> None:
    """Both ways of computing; rotary frequencies rounded to bfloat16 cost three to five times as much."""
    folder = tiny.write(tmp_path, name)
    row = exercise.tokens(4000)
    exact, rough = (
        exercise.theirs_of(AutoModelForCausalLM.from_pretrained(folder, dtype=dtype), row)
        for dtype in (torch.float32, torch.bfloat16)
    )
    ours = exercise.ours_of(load_model(folder)[0].to(torch.bfloat16), Segments.pack([row]))
    far = slice(3000, None)
    assert (ours - exact)[far].abs().mean() < 1.2 * (rough - exact)[far].abs().mean()


@pytest.mark.parametrize("name", ["mistral", "gemma3_text"])
def test_streamed_attention_keeps_to_the_window_too(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hidden states and gradients; queries in pieces of 7, children inside and beyond their parent's window."""
    model, _ = load_model(tiny.write(tmp_path, name))
    runs = [exercise.tokens(40), exercise.tokens(9), exercise.tokens(23), exercise.tokens(31), exercise.tokens(3)]
    segments, found = Segments.pack(runs, [-1, -1, 0, 1, 0]), []
    for stored in (1e9, 0.0):
        monkeypatch.setattr("r1kit.model.decoder.STORED", stored)
        monkeypatch.setattr("r1kit.model.streamed_attention.QUERIES", 7)
        hidden = model.hidden(segments)
        grads = torch.autograd.grad(hidden.square().sum(), list(model.parameters()), allow_unused=True)
        found.append([hidden, *(grad for grad in grads if grad is not None)])
    for packed, streamed in zip(*found, strict=True):
        torch.testing.assert_close(streamed, packed, atol=1e-4, rtol=1e-3)


ALTERNATING = {"sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]}
ALTERNATE: dict[str, dict[str, object]] = {
    "llama": {}, "olmo2": {}, "phi3": {}, "deepseek_v3": {}, "mistral": {}, "qwen3_moe": {"use_sliding_window": True},
    "qwen2": {"use_sliding_window": True}, "qwen3": {"use_sliding_window": True}, "smollm3": {}, "olmo3": {},
}  # fmt: skip


@pytest.mark.parametrize("name", ALTERNATE)
def test_layer_types_mean_what_they_mean_in_transformers(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some classes never look at them; Mistral with them is another family to it, and SmolLM3's are left to it."""
    kind, own = tiny.FAMILIES[name]
    monkeypatch.setitem(tiny.FAMILIES, "alternating", (kind, own | ALTERNATING | ALTERNATE[name]))
    folder, row = tiny.write(tmp_path, "alternating"), exercise.tokens(60)
    model, _ = load_model(folder)
    assert isinstance(model, Decoder) == (name not in ("mistral", "smollm3"))
    theirs = exercise.theirs_of(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), row)
    assert (exercise.ours_of(model, Segments.pack([row])) - theirs).abs().max() < 5e-5


@pytest.mark.parametrize("name", ["qwen2", "olmo3", "smollm3"])
def test_a_window_without_a_size_is_refused(name: str, tmp_path: Path) -> None:
    """`transformers` runs none of them."""
    folder = tiny.write(tmp_path, name)
    table = json.loads((folder / "config.json").read_text()) | ALTERNATING | {"sliding_window": None}
    (folder / "config.json").write_text(json.dumps(table))
    with pytest.raises(InputError, match=f"this {name}: .*; mend layer_types and sliding_window in its config") as told:
        load_model(folder)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["phi3_longrope", "llama_dynamic"])
def test_a_row_that_would_change_its_own_frequencies_is_refused(name: str, tmp_path: Path) -> None:
    model, _ = load_model(tiny.write(tmp_path, name))
    assert isinstance(model, Decoder)
    most = model.config.max_positions
    with pytest.raises(InputError, match=rf"changes its frequencies for rows of more than {most} tokens"):
        model.hidden(Segments.pack([exercise.tokens(most), exercise.tokens(1)], [-1, 0]))


def test_a_reward_model_refuses_a_row_that_would_turn_its_neighbours(tmp_path: Path) -> None:
    """One long row in a batch gives every row the long frequencies."""
    judge = RewardModel.create(tiny.write(tmp_path, "phi3_longrope"), Outlook())
    judge.forward([[7] * 64, [8] * 3])
    with pytest.raises(InputError, match="phi3: longrope changes its frequencies for rows of more than 64 tokens"):
        judge.forward([[7] * 65, [8] * 3])


def test_idle_experts_are_no_work(tmp_path: Path) -> None:
    """Two of four experts a token: 2 layers x 2 idle experts x 3 matrices of 32 x 48 less, and the embedding."""
    model, _ = load_model(tiny.write(tmp_path, "qwen3_moe"))
    every = sum(weight.numel() for weight in model.parameters())
    assert multiplied_parameters(model) == every - 512 * 48 - 2 * 2 * 3 * 32 * 48


WRITTEN: dict[str, dict[str, object]] = {
    "qwen3_moe": {"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768, "mlp_only_layers": []},
    "gemma3_text": {"sliding_window": 512, "rope_local_base_freq": 10000.0, "rope_theta": 1e6},
    "smollm3": {"no_rope_layers": [1, 1, 1, 0]}, "mistral": {"sliding_window": 4096}, "phi3": {}, "olmo2": {},
    "olmo3": {},
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_a_config_as_the_hub_has_it_is_judged_without_its_defaults(name: str) -> None:
    """``r1 check`` reads config.json alone."""
    written = SimpleNamespace(model_type=name, architectures=None, to_dict=lambda: WRITTEN[name])
    assert unsupported(written) == ""  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(RECURRENT))
def test_a_state_is_seen_in_the_config_alone(name: str) -> None:
    assert recurrent(tiny.config_of(name).to_dict())


def test_no_other_family_is_taken_for_one_with_a_state() -> None:
    assert [name for name in set(tiny.FAMILIES) - RECURRENT if recurrent(tiny.config_of(name).to_dict())] == []
    hybrid = {"layer_types": ["attention", "attention"], "mamba_d_state": 128}
    assert not recurrent(hybrid)
    assert recurrent(hybrid | {"layer_types": ["mamba", "attention"]})


def test_the_docs_show_what_was_measured() -> None:
    results = json.loads((DOCS / "models.json").read_text(encoding="utf-8"))
    assert set(results) == set(tiny.FAMILIES)
    assert exercise.table(results) in (DOCS / "models.md").read_text(encoding="utf-8")
