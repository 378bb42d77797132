"""What ``dtype = "auto"`` means: by capability, on the same machine both ways; kept by a run; told by a line."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from r1kit.backends import arithmetic
from r1kit.backends.arithmetic import Capability, auto, multiplies_bf16, of_run, resolve_dtype, slowdown, warn_if_slow
from r1kit.backends.backend import Backend
from r1kit.backends.processor import fast_bf16, maker
from r1kit.cluster.ranks import Solo
from r1kit.contracts import Model
from r1kit.model.families.llama import LlamaShape
from r1kit.recipe import load_recipe
from r1kit.text.tokenizer import build_tokenizer
from r1kit.update.local import LocalLearner
from r1kit.update.optim import DTYPES
from r1kit.update.settings import OptimiserSettings, settled

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture(autouse=True)
def nobody_was_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "_warned", set())


def capable(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(arithmetic, "multiplies_bf16", lambda device: Capability(there, "as the test says"))


def processor(
    monkeypatch: pytest.MonkeyPatch, library: bool, limit: str = "", made_by: str = "AuthenticAMD", **instructions: bool
) -> Capability:
    monkeypatch.setattr(arithmetic, "maker", lambda: made_by)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions, raising=False)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: library, raising=False)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    return multiplies_bf16(CPU)


# ---- capability ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["avx512_bf16", "amx_bf16", "bf16"])
def test_a_processor_needs_the_instructions_and_a_library_that_uses_them(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert processor(monkeypatch, True, **{name: True}).there
    assert not processor(monkeypatch, False, **{name: True}).there
    assert not processor(monkeypatch, True, **{name: False}).there, "oneDNN says yes to every AVX-512 machine"


def test_a_limit_on_the_library_counts_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("avx2", "AVX512_CORE", "AVX512_CORE_VNNI"):
        found = processor(monkeypatch, True, limit, avx512_bf16=True)
        assert not found.there
        assert f"ONEDNN_MAX_CPU_ISA = {limit.upper()}" in found.why
    for limit in ("AVX512_CORE_BF16", "AVX512_CORE_AMX", "ALL", ""):
        assert processor(monkeypatch, True, limit, avx512_bf16=True).there


@pytest.mark.parametrize(
    ("made_by", "instructions", "there"),
    [
        ("GenuineIntel", ("avx512_bf16",), False),  # float32 is 1.8 times as fast there
        ("GenuineIntel", ("avx512_bf16", "amx_bf16"), True),
        ("AuthenticAMD", ("avx512_bf16",), True),
        ("", ("bf16",), True),
        ("", ("avx512_bf16",), True),
    ],
)
def test_instructions_that_are_slower_than_float32_do_not_count(
    monkeypatch: pytest.MonkeyPatch, made_by: str, instructions: tuple[str, ...], there: bool
) -> None:
    found = processor(monkeypatch, True, made_by=made_by, **dict.fromkeys(instructions, True))
    assert found.there == there
    assert there or "AVX512_BF16 without AMX" in found.why
    listed = {"fpu", "avx2", *instructions}
    assert fast_bf16(listed, made_by) == there


def test_the_maker_is_what_the_processor_calls_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    listed = tmp_path / "cpuinfo"
    monkeypatch.setattr("r1kit.backends.processor._LISTED", listed)
    monkeypatch.setattr("platform.processor", lambda: "Intel64 Family 6 Model 143, GenuineIntel")
    assert maker() == "GenuineIntel"
    listed.write_text("processor : 0\nvendor_id : AuthenticAMD\nflags : fpu avx512_bf16\n")
    assert maker() == "AuthenticAMD"
    listed.write_text("CPU implementer : 0x41\nFeatures : fp asimd bf16\n")
    assert maker() == ""


@pytest.mark.parametrize(("capability", "there"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_a_gpu_needs_compute_capability_8(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], there: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.version, "hip", None)
    assert multiplies_bf16(GPU).there == there
    assert f"{capability[0]}.{capability[1]}" in multiplies_bf16(GPU).why


def test_auto_is_what_the_device_can_and_a_named_dtype_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, dtype in ((True, "bfloat16"), (False, "float32")):
        capable(monkeypatch, there)
        assert auto(CPU) == (dtype, "as the test says")
        assert resolve_dtype("auto", CPU) == dtype
        assert resolve_dtype("float32", CPU) == "float32"
        assert resolve_dtype("bfloat16", CPU) == "bfloat16"


# ---- settings -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Inner:
    dtype: str = "auto"
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)


@dataclass(frozen=True)
class Outer:
    named: dict[str, Inner]
    own: Inner = Inner(dtype="bfloat16")
    words: str = "auto"


def test_settled_reaches_every_dtype_that_is_left_open_and_nothing_else() -> None:
    found = settled(Outer(named={"a": Inner()}), "float32")
    assert found.named["a"] == Inner(dtype="float32", optimiser=OptimiserSettings(muon_dtype="float32"))
    assert found.own == Inner(dtype="bfloat16", optimiser=OptimiserSettings(muon_dtype="float32"))
    assert found.words == "auto"
    assert settled(found, "bfloat16") is found


# ---- a run --------------------------------------------------------------------------------------------------------


class Peers(Solo):
    """Two ranks in one process: what rank 0 sent is what rank 1 gets."""

    sent: Any = None

    def broadcast_object(self, item: Any) -> Any:
        if self.rank == 0:
            Peers.sent = item
        return Peers.sent


def test_a_run_keeps_what_it_began_with_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said: list[str] = []
    capable(monkeypatch, True)
    assert of_run(tmp_path, CPU, Solo(), said.append) == "bfloat16"
    assert json.loads((tmp_path / "arithmetic.json").read_text())["auto"] == "bfloat16"
    assert of_run(tmp_path, CPU, Solo(), said.append) == "bfloat16"
    assert said == []
    capable(monkeypatch, False)
    assert of_run(tmp_path, CPU, Solo(), said.append) == "bfloat16"
    assert len(said) == 1
    assert said[0].startswith('this run began in bfloat16 and goes on in it; here dtype = "auto" would be float32')


def test_all_ranks_take_what_rank_0_can(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    capable(monkeypatch, False)
    assert of_run(tmp_path, CPU, Peers(rank=0, size=2), print) == "float32"
    capable(monkeypatch, True)
    assert of_run(tmp_path, CPU, Peers(rank=1, size=2), print) == "float32"


@pytest.mark.parametrize("there", [True, False])
def test_the_pipeline_hands_stages_a_settled_recipe_and_keys_do_not_know_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: bool
) -> None:
    from r1kit import pipeline
    from r1kit.depends import stage_keys

    capable(monkeypatch, there)
    recipe = load_recipe("nano-zero", ["device=cpu"])
    pretrain = recipe.stages["pretrain"]
    open_muon = replace(pretrain, optimiser=replace(pretrain.optimiser, muon_dtype="auto"))
    recipe = replace(recipe, stages={**recipe.stages, "pretrain": open_muon})
    found = pipeline._settled(recipe, tmp_path, Solo(), print)
    assert found.stages["pretrain"].optimiser.muon_dtype == ("bfloat16" if there else "float32")
    assert stage_keys(recipe) != stage_keys(found)
    closed = settled(recipe, "float32")
    assert pipeline._settled(closed, tmp_path, Solo(), print) is closed


# ---- the warning --------------------------------------------------------------------------------------------------


def test_a_named_bfloat16_without_hardware_costs_one_line_with_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(arithmetic, "slowdown", lambda width, device: 47.31 if width == 96 else 0.0)
    capable(monkeypatch, True)
    warn_if_slow("bfloat16", CPU, 96, said.append)
    capable(monkeypatch, False)
    warn_if_slow("float32", CPU, 96, said.append)
    assert said == []
    warn_if_slow("bfloat16", CPU, 96, said.append)
    warn_if_slow("bfloat16", CPU, 96, said.append)
    assert len(said) == 1
    assert said[0].startswith("warning: bfloat16 products take 47.3 times as long as float32 here (width 96): as the")


def test_the_slowdown_is_a_quotient_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock on which float32 products take 1, 2, 3 and 9 ms and bfloat16 ones 5, 10, 20 and 40: medians 3 and 20."""
    ticks, now = iter([0.001, 0.005, 0.002, 0.01, 0.003, 0.02, 0.009, 0.04]), [0.0, False]

    def clock() -> float:
        if now[1]:
            now[0] += next(ticks)
        now[1] = not now[1]
        return float(now[0])

    monkeypatch.setattr(arithmetic.time, "perf_counter", clock)
    assert slowdown(8, CPU) == pytest.approx(20 / 3)


def test_what_a_named_bfloat16_opens_works_and_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The learner and the engine compute in bfloat16 as they were asked to, one line says what it costs."""
    capable(monkeypatch, False)
    backend = Backend(device=CPU)
    shape = LlamaShape(hidden_size=32, intermediate_size=32, num_layers=1, num_heads=2, num_kv_heads=2)
    loaded = backend.draw(Model(shape=shape), build_tokenizer(["one", "two"]), seed=1)
    backend.open_engine(loaded, dtype="auto").close()
    assert capsys.readouterr().err == ""
    backend.open_engine(loaded, dtype="bfloat16").close()
    muon = OptimiserSettings(kind="muon", muon_dtype="bfloat16")
    learner = backend.open_learner(loaded, muon, dtype="bfloat16", token_budget=64)
    assert isinstance(learner, LocalLearner)
    assert (learner.flat.shadow.dtype, learner.settings.optimiser.muon_dtype) == (torch.bfloat16, "bfloat16")
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "times as long as float32 here (width 32): as the test says" in told


def test_auto_opens_what_the_device_can(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Backend(device=CPU)
    shape = LlamaShape(hidden_size=32, intermediate_size=32, num_layers=1, num_heads=2, num_kv_heads=2)
    for there, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        capable(monkeypatch, there)
        loaded = backend.draw(Model(shape=shape), build_tokenizer(["one", "two"]), seed=1)
        learner = backend.open_learner(loaded, OptimiserSettings(kind="muon"), dtype="auto", token_budget=64)
        assert isinstance(learner, LocalLearner)
        assert learner.flat.shadow.dtype == dtype
        assert DTYPES[learner.settings.optimiser.muon_dtype] == dtype
