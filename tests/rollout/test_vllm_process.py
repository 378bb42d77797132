"""Engines of vLLM that come and go in one process on a GPU, with stand-ins for vLLM: who sleeps, wakes and ends."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from rollout.fake_vllm import Words
from transformers import LlamaConfig

from r1kit.errors import InputError, R1Error
from r1kit.model.weights import NamedWeights
from r1kit.vllm import process
from r1kit.vllm.engine import VLLMEngine
from r1kit.vllm.process import Running

GPU, CPU = torch.device("cuda"), torch.device("cpu")


@dataclass
class StandIn:
    """vLLM's engine; tells what was asked of it."""

    settings: dict[str, Any]
    told: list[str] = field(default_factory=list)
    broken: str = ""
    """What it raises at, as CUDA and vLLM do."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: self.do(name)

    def do(self, name: str) -> bool:
        self.told.append(name)
        if name == self.broken:
            raise RuntimeError("CUDA Error: out of memory\nat cumem_allocator.cpp")
        return True

    @property
    def engine_core(self) -> Any:
        return SimpleNamespace(shutdown=lambda: self.told.append("shutdown"))


class Allocator:
    """vLLM's, of which a process has one."""

    usage = 0
    instance: Any = None

    def __init__(self) -> None:
        self.allocator_and_pools = {"weights": ("pool", "allocator")}

    @classmethod
    def get_instance(cls) -> Allocator:
        return cls.instance

    def get_current_usage(self) -> int:
        return Allocator.usage


@pytest.fixture(autouse=True)
def vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in {
        "vllm": {"SamplingParams": SimpleNamespace}, "vllm.distributed": {}, "vllm.v1": {}, "vllm.device_allocator": {},
        "vllm.sampling_params": {"RequestOutputKind": SimpleNamespace(DELTA=0, FINAL_ONLY=1)},
        "vllm.distributed.parallel_state": {"destroy_model_parallel": None},
        "vllm.v1.engine": {"core": SimpleNamespace(cleanup_dist_env_and_memory=None)},
        "vllm.device_allocator.cumem": {"CuMemAllocator": Allocator},
    }.items():  # fmt: skip
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(Allocator, "instance", Allocator())
    monkeypatch.setattr(Allocator, "usage", 0)
    for name in ("_live", "_parked", "_allocators"):
        monkeypatch.setattr(process, name, [])
    monkeypatch.setattr(process, "_started", lambda _, settings: StandIn(settings))
    monkeypatch.setattr(process, "_stop_at_exit", lambda: None)


def start(device: torch.device = GPU, *, ranks: int = 1, devices: int = 1, layers: int = 2, **more: Any) -> Running:
    config = LlamaConfig(num_hidden_layers=layers, vocab_size=8, name_or_path=f"of {len(process._live)}")
    return process.start(config, device, cache_gb=1.0, memory_share=0.4, ranks=ranks, devices=devices, **more)


def release(running: Running, *, asleep: bool = False, sound: bool = True) -> None:
    process.release(running, asleep=asleep, sound=sound)


def test_the_next_of_its_kind_wakes_one_that_was_closed() -> None:
    first = start(max_num_seqs=8)
    engine = first.engine
    assert engine.told == ["collective_rpc"]
    assert engine.settings["enable_sleep_mode"] is True
    assert engine.settings["distributed_executor_backend"] == "uni"
    release(first)
    assert engine.told[1:] == ["sleep"]
    assert start(max_num_seqs=8) is first
    assert engine.told[1:] == ["sleep", "wake_up"]
    release(first, asleep=True)
    assert engine.told[1:] == ["sleep", "wake_up"]


@pytest.mark.parametrize("other", [{"max_num_seqs": 9}, {"layers": 3}, {"devices": 2}])
def test_another_kind_stops_the_one_that_sleeps(other: dict[str, Any]) -> None:
    first = start(max_num_seqs=8)
    engine = first.engine
    release(first)
    second = start(**({"max_num_seqs": 8} | other))
    assert second is not first
    assert engine.told[-1] == "shutdown"
    assert first.engine is None
    assert process._live == [second]
    assert process._allocators == ["allocator"]


def test_beside_another_it_has_its_own_process_and_the_one_in_this_process_is_kept() -> None:
    first, second = start(), start()
    engine = second.engine
    assert (first.remote, second.remote) == (False, True)
    assert (engine.settings["distributed_executor_backend"], engine.settings["enable_sleep_mode"]) == ("mp", True)
    release(second)
    release(first)
    assert process._live == process._parked == [first]
    assert engine.told[-1] == "shutdown"


def test_what_an_engine_has_left_takes_the_allocator_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Allocator, "usage", 1)
    assert start().remote


def test_a_rank_among_others_keeps_its_process_and_does_not_sleep_beside_another() -> None:
    first, second = start(ranks=2), start(ranks=2)
    assert (first.sleeps, second.sleeps) == (True, False)
    assert second.engine.settings["distributed_executor_backend"] == "external_launcher"
    engine = second.engine
    release(second)
    assert engine.told[-1] == "shutdown"


def test_what_was_left_in_the_middle_of_a_hand_over_is_not_kept() -> None:
    running = start()
    release(running, sound=False)
    assert process._live == process._parked == []


def test_on_a_cpu_nothing_sleeps() -> None:
    running = start(CPU)
    engine = running.engine
    assert "enable_sleep_mode" not in engine.settings
    release(running)
    assert engine.told == ["collective_rpc", "shutdown"]
    assert process._live == process._parked == []


def test_one_that_finds_no_memory_to_wake_in_is_stopped_and_said_in_one_line() -> None:
    first = start()
    engine = first.engine
    release(first)
    engine.broken = "wake_up"
    with pytest.raises(R1Error, match=r"^vLLM did not wake up: .*out of memory; lower engine\.memory_share$"):
        start()
    assert engine.told[-1] == "shutdown"
    assert process._live == process._parked == []


def test_one_that_cannot_sleep_is_stopped() -> None:
    running = start()
    engine = running.engine
    engine.broken = "sleep"
    release(running)
    assert engine.told[-1] == "shutdown"
    assert process._live == process._parked == []


@pytest.mark.parametrize("broken", ["step", "finish_weight_update"])
def test_what_broke_off_is_not_kept(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first token, or within the first hand-over."""
    engine = StandIn({}, broken=broken)
    monkeypatch.setattr(engine, "collective_rpc", lambda phase, **_: engine.do(phase), raising=False)
    monkeypatch.setattr(process, "_started", lambda *_: engine)
    weights = NamedWeights({"a": torch.zeros(2)})
    with pytest.raises(InputError, match=r'^engine = "vllm" cannot run llama here: vLLM .*out of memory'):
        VLLMEngine(LlamaConfig(), weights, Words(), positions=8, vocab_size=60, device="cuda")
    assert engine.told[-1] == "shutdown"
    assert process._live == process._parked == []
