"""vLLM in this process, for real: how close its log-probs are, what new weights do, and that no fault stays silent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from vllm_world import PROMPTS, SAMPLING, SEEDS, decoder, engine_of, groups_of, learner_of, weights

from r1kit.errors import InputError, R1Error
from r1kit.loops.gap import check_gap, engine_gaps, read_by
from r1kit.model.decoder import Decoder
from r1kit.model.weights import NamedWeights
from r1kit.records import Sampling
from r1kit.vllm import process
from r1kit.vllm.engine import VLLMEngine

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]
LONG = [[3 + (place * 7) % 90 for place in range(300)]]
"""A prompt of more than one block of keys and values."""
OLD, NEW = 1, 2
"""Seeds of two models of one shape."""


@pytest.fixture(scope="module")
def engine() -> Iterator[VLLMEngine]:
    """One, float32, a tied head; each test hands over what it wants."""
    opened = engine_of(decoder(OLD))
    yield opened
    opened.close()


def gap(engine: VLLMEngine, model: Decoder, sampling: Sampling = SAMPLING, prompts: Any = PROMPTS) -> float:
    """The largest of the groups."""
    found = engine.generate(prompts, sampling, SEEDS[: len(prompts)])
    groups = groups_of(found, prompts)
    return max(engine_gaps(groups, read_by(learner_of(model, sampling.temperature), groups)))


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_are_the_learner_s(engine: VLLMEngine, temperature: float) -> None:
    engine.load_weights(weights(decoder(OLD)), version=1)
    assert gap(engine, decoder(OLD), replace(SAMPLING, temperature=temperature)) < 1e-5


def test_bfloat16_is_as_close_as_bfloat16_is() -> None:
    engine = engine_of(decoder(OLD), dtype=torch.bfloat16)
    try:
        assert 1e-4 < gap(engine, decoder(OLD)) < 0.05
        engine.load_weights(weights(decoder(NEW)), version=1)
        assert gap(engine, decoder(NEW)) < 0.05
    finally:
        engine.close()


def test_two_processes_that_share_an_engine_take_weights_by_a_pipe() -> None:
    """``tensor_parallel = 2``: half of every matrix each."""
    shape = {"num_heads": 4, "num_kv_heads": 2}
    engine = engine_of(decoder(OLD, **shape), devices=2)
    try:
        assert gap(engine, decoder(OLD, **shape)) < 1e-5
        engine.load_weights(weights(decoder(NEW, **shape)), version=1)
        assert gap(engine, decoder(NEW, **shape)) < 1e-5
    finally:
        engine.close()


def test_an_update_changes_samples_and_equals_a_fresh_load(engine: VLLMEngine) -> None:
    """Token for token, log-prob for log-prob; and back again."""
    engine.load_weights(weights(decoder(OLD)), version=1)
    before = engine.generate(PROMPTS, SAMPLING, SEEDS)
    engine.load_weights(weights(decoder(NEW)), version=2)
    after = engine.generate(PROMPTS, SAMPLING, SEEDS)
    assert [[one.token_ids for one in group] for group in after] != [
        [one.token_ids for one in group] for group in before
    ]
    assert {one.version for group in after for one in group} == {2}
    fresh = engine_of(decoder(NEW))
    try:
        loaded = fresh.generate(PROMPTS, SAMPLING, SEEDS)
    finally:
        fresh.close()
    assert [[replace(one, version=2) for one in group] for group in loaded] == [list(group) for group in after]
    engine.load_weights(weights(decoder(OLD)), version=1)
    assert engine.generate(PROMPTS, SAMPLING, SEEDS) == before


class Broken(NamedWeights):
    """Ends in the middle."""

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        for count, one in enumerate(super().__iter__()):
            if count == 5:
                raise OSError("the link is down")
            yield one


def test_a_hand_over_that_broke_off_is_never_sampled_from_and_is_sent_whole_again(engine: VLLMEngine) -> None:
    engine.load_weights(weights(decoder(OLD)), version=1)
    with pytest.raises(OSError, match="the link is down"):
        engine.load_weights(Broken(decoder(NEW).hub_weights()), version=2)
    with pytest.raises(R1Error, match="ended in the middle; hand all of them over again"):
        engine.generate(PROMPTS, SAMPLING, SEEDS)
    engine.load_weights(weights(decoder(NEW)), version=2)
    assert gap(engine, decoder(NEW)) < 1e-5


def test_what_arrives_otherwise_than_it_was_sent_is_refused(
    engine: VLLMEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from r1kit.vllm import transfer as vllm_transfer

    real = vllm_transfer.Receiver._arriving

    def flipped(self: Any, update: Any) -> Iterator[tuple[str, Tensor]]:
        for name, tensor in real(self, update):
            if name == "model.norm.weight":
                tensor.view(torch.uint8)[0] ^= 1
            yield name, tensor

    monkeypatch.setattr(vllm_transfer.Receiver, "_arriving", flipped)
    with pytest.raises(R1Error, match=r"model\.norm\.weight arrived with another checksum") as caught:
        engine.load_weights(weights(decoder(NEW)), version=2)
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    engine.load_weights(weights(decoder(NEW)), version=2)
    assert gap(engine, decoder(NEW)) < 1e-5


def test_a_folder_brings_the_same_and_a_missing_file_is_told(engine: VLLMEngine, tmp_path: Path) -> None:
    """The phases as a server is told them."""
    from safetensors.torch import save_file

    def phase(name: str, **arguments: Any) -> None:
        engine._engine.collective_rpc(name, kwargs=arguments)

    new = decoder(NEW).hub_weights()
    save_file({name: weight.contiguous() for name, weight in new.items()}, tmp_path / "new.safetensors")
    said = {"names": list(new), "total": len(new), "path": str(tmp_path / "new.safetensors")}
    phase("init_weight_transfer_engine", init_info={"kind": "folder"})
    try:
        phase("start_weight_update")
        with pytest.raises(FileNotFoundError, match="learner and engine must see the same folder"):
            phase("update_weights", update_info={**said, "path": str(tmp_path / "old.safetensors")})
        phase("start_weight_update")
        with pytest.raises(ValueError, match="names none"):
            phase("update_weights", update_info={"total": len(new)})
        phase("start_weight_update")
        phase("update_weights", update_info={**said, "total": len(new) + 1})
        with pytest.raises(RuntimeError, match=f"{len(new)} of {len(new) + 1} weights arrived"):
            phase("finish_weight_update")
        with pytest.raises(RuntimeError, match="given up"):
            phase("update_weights", update_info={"abort": True})
        phase("start_weight_update")
        phase("update_weights", update_info=said)
        phase("finish_weight_update")
    finally:
        phase("init_weight_transfer_engine", init_info={"kind": "memory"})
    engine._running.handed += 1
    assert gap(engine, decoder(NEW)) < 1e-5


# ---- faults that say nothing themselves ----------------------------------------------------------------------------


def stops(engine: VLLMEngine, model: Decoder, sampling: Sampling = SAMPLING, prompts: Any = PROMPTS) -> str:
    """What ``check_gap`` ends a run with, at its usual bound."""
    found = groups_of(engine.generate(prompts, sampling, SEEDS[: len(prompts)]), prompts)
    with pytest.raises(R1Error, match="nats a token off the learner's") as caught:
        check_gap(found, learner_of(model, sampling.temperature), found[0].completions[0].version, most=0.2)
    return str(caught.value)


def test_a_stale_head_stops_the_run(engine: VLLMEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU in float32 a tied head is a packed copy, which vLLM's own reload leaves as it was."""
    from r1kit.vllm import transfer as vllm_transfer

    engine.load_weights(weights(decoder(OLD)), version=1)
    monkeypatch.setattr(vllm_transfer, "pack_heads", lambda model: None)
    engine.load_weights(weights(decoder(NEW)), version=2)
    assert "old weights" in stops(engine, decoder(NEW))
    monkeypatch.undo()
    engine.load_weights(weights(decoder(NEW)), version=3)
    assert gap(engine, decoder(NEW)) < 1e-5


def test_keys_and_values_of_old_weights_stop_the_run_where_nothing_keeps_them_apart(engine: VLLMEngine) -> None:
    """With the salt that each hand-over has they are never found; with the salt of the one before they are."""
    engine.load_weights(weights(decoder(OLD)), version=1)
    engine.generate(LONG, SAMPLING, SEEDS[:1])
    engine.load_weights(weights(decoder(NEW)), version=2)
    assert gap(engine, decoder(NEW), prompts=LONG) < 1e-5
    engine._running.handed -= 1
    assert "their cache" in stops(engine, decoder(NEW), prompts=LONG)
    engine._running.handed += 1


def test_another_temperature_stops_the_run(engine: VLLMEngine) -> None:
    engine.load_weights(weights(decoder(OLD)), version=1)
    found = groups_of(engine.generate(PROMPTS, replace(SAMPLING, temperature=1.0), SEEDS))
    with pytest.raises(R1Error, match="another temperature"):
        check_gap(found, learner_of(decoder(OLD), temperature=0.5), version=1, most=0.2)


def test_raw_logprobs_stop_the_run() -> None:
    engine = engine_of(decoder(OLD), logprobs_mode="raw_logprobs")
    try:
        assert gap(engine, decoder(OLD)) < 1e-5  # at temperature 1 there is no difference
        assert "log-probs before it" in stops(engine, decoder(OLD), replace(SAMPLING, temperature=0.5))
    finally:
        engine.close()


# ---- more than one engine ------------------------------------------------------------------------------------------


def test_one_that_slept_is_taken_again_with_other_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU; what it kept of the old weights' keys and values is never found."""
    first = engine_of(decoder(OLD))
    running = first._running
    running.sleeps = True
    for name in ("sleep", "wake_up"):
        monkeypatch.setattr(running.engine, name, lambda *_: None)
    assert gap(first, decoder(OLD), prompts=LONG) < 1e-5
    first.close()
    second = engine_of(decoder(NEW))
    assert second._running is running
    assert gap(second, decoder(NEW), prompts=LONG) < 1e-5
    running.sleeps = False
    second.close()
    assert running not in process._live + process._parked


def test_a_second_one_has_a_process_of_its_own_where_the_allocator_is_taken(
    engine: VLLMEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_crowded", lambda _: True)
    beside = engine_of(decoder(NEW))
    try:
        assert beside._running.remote
        engine.load_weights(weights(decoder(OLD)), version=1)
        assert gap(beside, decoder(NEW)) < 1e-5
        beside.load_weights(weights(decoder(OLD)), version=1)
        assert gap(beside, decoder(OLD)) < 1e-5
    finally:
        beside.close()
    assert gap(engine, decoder(OLD)) < 1e-5


# ---- what it refuses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "options", "reason"),
    [({"head_dim": 16}, {}, "head_dim"), ({"max_positions": 65536}, {"cache_gb": 0.001}, "KV cache|max seq")],
)
def test_what_it_cannot_run_is_one_line(shape: dict[str, Any], options: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        engine_of(decoder(OLD, **shape), **options)
    assert 'engine = "vllm" cannot run llama' in str(caught.value)
    assert "\n" not in str(caught.value)
