"""What spares memory and changes no result: checkpointing, offload; and the optimiser in 8 bits, which does."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from r1kit.backends.backend import Backend
from r1kit.backends.models import LoadedModel
from r1kit.cluster.settings import LearnerChoice, Whole
from r1kit.errors import InputError, MissingError
from r1kit.maths.policy_loss import policy_loss, supervised_loss
from r1kit.model.families import fresh_family
from r1kit.model.families.fallback import HubModel
from r1kit.model.language_model import LanguageModel
from r1kit.text.template import Template
from r1kit.text.tokenizer import build_tokenizer
from r1kit.update.adapted import AdaptedLearner
from r1kit.update.local import LearnerSettings, LocalLearner
from r1kit.update.optim import EIGHT, Optimiser
from r1kit.update.recompute import recomputing
from r1kit.update.settings import LoRA, OptimiserSettings

from .test_adapted import decoder, hub, rollouts

LOSS = partial(policy_loss, clip_low=0.2, clip_high=0.28, kl_weight=0.05)


def experts() -> LanguageModel:
    kind = fresh_family("deepseek_v3", "model")
    model = kind.fresh(kind.shape(hidden_size=32, intermediate_size=48, num_layers=2), 61)
    model.initialise(torch.Generator().manual_seed(0))
    return model


MODELS = {"decoder": decoder, "transformers": lambda: HubModel(hub(decoder())), "experts": experts}


@pytest.mark.parametrize("lora", [LoRA(), LoRA(rank=4)], ids=["full", "lora"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_checkpointing_gives_the_same_gradient_bit_for_bit(name: str, lora: LoRA, dtype: str) -> None:
    found = []
    for own in (Whole(), Whole(checkpointing=True)):
        settings = LearnerSettings(lora=lora, own=own, dtype=dtype)  # type: ignore[arg-type]
        learner = (AdaptedLearner if lora.rank else LocalLearner)(MODELS[name](), settings)
        metrics = [learner.update(rollouts(step), LOSS, 1e-2) for step in (0, 1)]
        found.append((learner.flat.grad.clone(), learner.flat.master.clone(), metrics[1]["loss"]))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    assert found[0][2] == found[1][2]


class Kept:
    """Bytes that autograd keeps for the way back; weights, which are there anyway, left out."""

    def __init__(self, model: LanguageModel) -> None:
        self.bytes, self._own = 0, {weight.data_ptr() for weight in model.parameters()}

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in self._own:
            self.bytes += tensor.numel() * tensor.element_size()
        return tensor


def test_checkpointing_keeps_what_enters_a_block_alone() -> None:
    """By hand: of 2 blocks of 20 tokens of 32 floats each 2,560 bytes, and the last norm; without it far more."""
    from r1kit.model.segments import Segments

    model, segments = decoder(), Segments.pack([torch.arange(20)])
    kept = []
    for inside in (False, True):
        found = Kept(model)
        with torch.autograd.graph.saved_tensors_hooks(found, lambda tensor: tensor):
            if inside:
                with recomputing(model):
                    model.hidden(segments)
            else:
                model.hidden(segments)
        kept.append(found.bytes)
    assert kept[1] <= 2 * 20 * 32 * 4 + 3 * 20 * 32 * 4
    assert kept[0] > 4 * kept[1]
    assert all("forward" not in vars(block) for block in model.blocks), "the model is as it was"


def test_offload_changes_no_result() -> None:
    found = []
    for own in (Whole(), Whole(offload="optimiser")):
        learner = LocalLearner(decoder(), LearnerSettings(own=own))
        learner.refresh_reference()
        for step in (0, 1):
            learner.update(rollouts(step), LOSS, 1e-2)
        found.append((learner.flat.master.clone(), learner.reference_logprobs(rollouts())))
    assert torch.equal(found[0][0], found[1][0])
    assert all(map(torch.equal, found[0][1], found[1][1]))


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_all_of_the_optimisers_state_moves_and_its_count_of_steps_stays(kind: str) -> None:
    """To a device that no machine lacks and that holds no numbers; on a CPU there is no other."""
    settings = OptimiserSettings(kind=kind, muon_dtype="float32")  # type: ignore[arg-type]
    learner = LocalLearner(decoder(), LearnerSettings(optimiser=settings))
    learner.update(rollouts(), supervised_loss, 1e-2)
    optimiser = learner.optimiser
    optimiser.move(torch.device("meta"))
    held = [value for state in optimiser.adamw.state.values() for value in state.values()]
    assert {value.device.type for value in [*held, optimiser.momentum] if value.numel() > 1} == {"meta"}
    assert {float(value) for value in held if value.numel() == 1} == {1.0}


def test_the_state_is_where_the_weights_are_for_a_step_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.device] = []
    monkeypatch.setattr(Optimiser, "move", lambda self, device: seen.append(device))
    learner = LocalLearner(decoder(), LearnerSettings(own=Whole(offload="optimiser")))
    learner.optimiser.resting = torch.device("meta")
    monkeypatch.setattr(learner.optimiser.adamw, "step", lambda: seen.append(torch.device("cpu", 1)))
    learner.optimiser.step(1e-3)
    assert seen == [torch.device("cpu"), torch.device("cpu", 1), torch.device("meta")]


def test_on_a_cpu_the_user_is_told_that_nothing_moves() -> None:
    lines: list[str] = []
    choice = LearnerChoice.from_table({"kind": "local", "offload": "optimiser"}, "learner")
    backend = Backend(device=torch.device("cpu"), learner=choice, tell=lines.append)
    loaded = LoadedModel(model=decoder(), tokenizer=build_tokenizer(["a"]), template=Template())
    learner = backend.open_learner(loaded, OptimiserSettings(), dtype="float32", token_budget=64)
    assert isinstance(learner, LocalLearner)
    assert learner.own == Whole(offload="optimiser")
    assert lines == ["learner.offload moves nothing on a CPU: its memory is the host's"]


# ---- 8 bits ----------------------------------------------------------------------------------------------------------


def test_8_bits_without_torchao_or_with_ranks_that_share() -> None:
    settings = OptimiserSettings(kind="adamw8bit")
    with pytest.raises(InputError, match=r'"adamw8bit" is the local learner.s, not "fsdp"'):
        settings.check("sft", "fsdp")
    OptimiserSettings().check("sft", "fsdp")


def test_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"needs torchao: pip install 'r1kit\[torchao\]'"):
        OptimiserSettings(kind="adamw8bit").check("sft", "auto")


@pytest.mark.slow  # its step is compiled first, a minute or more on a CPU
@pytest.mark.filterwarnings("ignore")
def test_8_bits_follow_32_and_go_on_bit_for_bit(tmp_path: Path) -> None:
    pytest.importorskip("torchao")
    exact = OptimiserSettings(max_grad_norm=0.0)
    eight = replace(exact, kind="adamw8bit")
    runs = {}
    for name, settings in (("exact", exact), ("eight", eight)):
        runs[name] = LocalLearner(decoder(), LearnerSettings(optimiser=settings))
        for step in range(3):
            runs[name].update(rollouts(step), supervised_loss, 1e-2)
    start = LocalLearner(decoder()).flat.master
    moved = (runs["exact"].flat.master - start).norm()
    assert (runs["eight"].flat.master - runs["exact"].flat.master).norm() / moved < 0.1
    states = [value for state in runs["eight"].optimiser.adamw.state.values() for value in state.values()]
    large = [value for value in states if value.numel() >= EIGHT]
    assert large
    assert {type(value).__name__ for value in large} == {"OptimState8bit"}
    runs["eight"].save(tmp_path / "state")
    again = LocalLearner(decoder(), LearnerSettings(optimiser=eight))
    again.load(tmp_path / "state")
    for learner in (runs["eight"], again):
        learner.update(rollouts(3), supervised_loss, 1e-2)
    assert torch.equal(again.flat.master, runs["eight"].flat.master)
    assert isinstance(again.flat.model, nn.Module)
