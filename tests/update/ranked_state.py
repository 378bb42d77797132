"""What a rank does in ``test_sharded_state.py``: read, save, go on, export."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from r1kit.backends import models
from r1kit.backends.learners import open_fsdp
from r1kit.backends.models import read_model
from r1kit.cluster.ranks import Ranks
from r1kit.contracts import Model
from r1kit.errors import InputError
from r1kit.model.weights import NamedWeights
from r1kit.rollout.local import LocalEngine
from r1kit.text.template import Template
from r1kit.text.tokenizer import build_tokenizer
from r1kit.update.learner import Learner
from r1kit.update.local import LearnerSettings, LocalLearner
from r1kit.update.settings import ExpertSettings
from r1kit.update.sharded import ShardedLearner

from .ranked_sharded import DEEPSEEK, LR, MUON, OPTIMISER, carrying, case, published
from .test_local import LOSS, decoder, rollouts

Steps = list[dict[str, float]]


def learner_of(ranks: Ranks, kind: str) -> ShardedLearner:
    return ShardedLearner(decoder(), case("grpo", optimiser=MUON if kind == "muon" else OPTIMISER)[2], ranks)


def steps(learner: Learner, first: int, count: int) -> Steps:
    """GRPO with a KL term; the reference is refreshed in the first step of all alone."""
    found = []
    for step in range(first, first + count):
        if step == 0:
            learner.refresh_reference()
        batch = rollouts(step)
        batch = carrying(batch, "reference_logprobs", learner.reference_logprobs(batch))
        found.append(learner.update(batch, LOSS, LR))
    return found


def saved(ranks: Ranks, folder: str) -> dict[str, tuple[Steps, dict[str, Tensor]]]:
    """Two steps, a state, two more: optimiser -> what those two gave, and the weights after them."""
    found = {}
    for kind in ("adamw", "muon"):
        learner = learner_of(ranks, kind)
        steps(learner, 0, 2)
        learner.save(Path(folder) / kind)
        found[kind] = steps(learner, 2, 2), published(learner)
    return found


def gone_on(ranks: Ranks, folder: str) -> dict[str, Any]:
    """The two steps after that state, by learners that read it; and what is said of states that do not fit."""
    found: dict[str, Any] = {}
    for kind in ("adamw", "muon"):
        learner = learner_of(ranks, kind)
        learner.load(Path(folder) / kind)
        found[kind] = steps(learner, 2, 2), published(learner)
    for name, other in (("optimiser", "muon"), ("torn", "adamw"), ("none", "adamw"), ("local", "adamw")):
        source = {"optimiser": "adamw"}.get(name, name)
        try:
            learner_of(ranks, other).load(Path(folder) / source)
            found[name] = ""
        except InputError as error:
            found[name] = str(error)
    ranks.broadcast_object(None)  # rank 0 holds the store by which the other's groups are still being set up
    return found


LAYOUTS = ({"sequence": 2, "replicate": 2}, {"sequence": 2, "replicate": 2, "expert_parallel": 2})


def layouts_gone_on(ranks: Ranks, folder: str) -> list[tuple[tuple[Steps, dict[str, Tensor]], ...]]:
    """By layout: two steps after a state and the weights behind them, of the learner that wrote it, of one that read it
    and of the local learner that never stopped. Experts' biases move by .01 a step."""
    found = []
    for number, layout in enumerate(LAYOUTS):
        settings = case("grpo", experts=ExpertSettings(bias_speed=0.01), **layout)[2]
        before, after = (ShardedLearner(decoder(DEEPSEEK), settings, ranks) for _ in range(2))
        whole = LocalLearner(decoder(DEEPSEEK), replace(settings, own=None))
        steps(before, 0, 2)
        before.save(Path(folder) / str(number))
        after.load(Path(folder) / str(number))
        steps(whole, 0, 2)
        found.append(tuple((steps(one, 2, 2), published(one)) for one in (before, after, whole)))
    ranks.broadcast_object(None)  # as in ``gone_on``
    return found


def saved_and_gone_on(ranks: Ranks, folder: str) -> tuple[Any, Any]:
    return saved(ranks, folder), gone_on(ranks, folder)


def gone_on_and_read(ranks: Ranks, folder: str, models_in: str) -> tuple[Any, Any]:
    return gone_on(ranks, folder), read(ranks, models_in)


def killed(ranks: Ranks, folder: str) -> None:
    """A whole state, a step, and the last rank dies by SIGKILL when half of its part of the next one is written."""
    learner = learner_of(ranks, "adamw")
    steps(learner, 0, 1)
    learner.save(Path(folder) / "learner-1")
    steps(learner, 1, 1)
    honest = os.fsync

    def dying(handle: int) -> None:
        size = os.fstat(handle).st_size
        os.ftruncate(handle, size // 2)
        honest(handle)
        os.kill(os.getpid(), signal.SIGKILL)

    if ranks.rank == ranks.size - 1:
        os.fsync = dying  # type: ignore[assignment]
    learner.save(Path(folder) / "learner-2")


def written_again(ranks: Ranks, folder: str) -> tuple[Steps, Steps]:
    """After that kill: what the whole state goes on with, and the same after saving where the other left its half."""
    learner = learner_of(ranks, "adamw")
    learner.load(Path(folder) / "learner-1")
    first = steps(learner, 1, 1)
    learner.save(Path(folder) / "learner-2")
    again = learner_of(ranks, "adamw")
    again.load(Path(folder) / "learner-2")
    weights, reread = published(learner), published(again)
    assert all(torch.equal(weight, reread[name]) for name, weight in weights.items())
    return first, steps(again, 2, 1)


def read(ranks: Ranks, folder: str) -> dict[str, Any]:
    """Models read by rows against the same ones read whole; what a rank keeps, and what is refused."""
    found: dict[str, Any] = {}
    root = Path(folder)
    for name in ("tied", "untied", "experts", "bf16"):
        device, template = torch.device("cpu"), Template()
        loaded = read_model(str(root / name), device, torch.float32, template, stored=True)
        assert loaded.model.head.is_meta
        learner = open_fsdp(loaded, LearnerSettings(), ranks)
        assert isinstance(learner, ShardedLearner)
        whole = read_model(str(root / name), device, torch.float32, template)
        wanted, learnt = whole.model.hub_weights(), published(learner)
        same = {name: bool(torch.equal(weight, learnt[name])) for name, weight in wanted.items()}
        kept = sum(share.own.numel() for share in learner.shared.values())
        learner.export(root / f"{name}_exported_{ranks.size}", loaded.tokenizer)
        engine = LocalEngine(loaded.model, loaded.tokenizer, weights=loaded.weights)  # type: ignore[arg-type]
        learner.publish(engine, 1)
        found[name] = same, kept, sum(weight.numel() for weight in whole.model.parameters())
    try:
        open_fsdp(read_model(str(root / "nan"), device, torch.float32, template, stored=True), LearnerSettings(), ranks)
    except InputError as error:
        found["nan"] = str(error)
    return found | drawn(ranks)


def drawn(ranks: Ranks) -> dict[str, Any]:
    """A fresh model drawn by rows and drawn whole."""
    tokenizer, shape = build_tokenizer(["a", "b", "c"]), Model()
    kept = models.draw_model(shape, tokenizer, 7, torch.device("cpu"), stored=True)
    whole = models.draw_model(shape, tokenizer, 7, torch.device("cpu"))
    learner = open_fsdp(kept, LearnerSettings(), ranks)
    assert isinstance(learner, ShardedLearner)
    wanted = whole.model.hub_weights()
    engine = dict(NamedWeights(wanted)), dict(kept.weights)
    assert all(torch.equal(engine[0][name], engine[1][name]) for name in wanted)
    return {"drawn": {name: bool(torch.equal(weight, wanted[name])) for name, weight in published(learner).items()}}


def peak(ranks: Ranks, folder: str, stored: bool) -> tuple[int, int]:
    """Bytes of memory that reading a model and opening its learner added at most; bytes of the model in float32."""
    warm = ShardedLearner(decoder(), LearnerSettings(), ranks)  # what torch itself takes
    published(warm)
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far counts no more
    before = resident_at_most()
    loaded = read_model(folder, torch.device("cpu"), torch.float32, Template(), stored=stored)
    open_fsdp(loaded, LearnerSettings(), ranks)
    return resident_at_most() - before, 4 * sum(weight.numel() for weight in loaded.model.parameters())


def resident_at_most() -> int:
    """Bytes. Not ``getrusage``'s, whose peak a process inherits from the one that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
