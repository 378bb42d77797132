"""What a rank does in ``test_expert_parallel.py``: experts on their ranks against all of them on one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard

from r1kit.cluster.ranks import Ranks
from r1kit.cluster.settings import FSDP
from r1kit.errors import InputError
from r1kit.maths.policy_loss import supervised_loss
from r1kit.model.decoder import DecoderConfig
from r1kit.model.families import family
from r1kit.model.families.deepseek_v3 import DeepseekShape
from r1kit.text.tokenizer import build_tokenizer
from r1kit.update.expert_parallel import AllToAll
from r1kit.update.learner import Batch, Learner
from r1kit.update.local import LearnerSettings, LocalLearner
from r1kit.update.settings import ExpertSettings
from r1kit.update.sharded import ShardedLearner

from .ranked_sharded import CONFIG, DEEPSEEK, EXPERTS, LR, MUON, OPTIMISER, hub, published
from .test_local import LOSS, decoder, documents, rollouts

AHEAD = replace(DEEPSEEK, ahead=1)
LOADS: dict[str, tuple[list[int], list[int]]] = {
    "uneven": ([0, 0, 3], [0, 3, 3, 3]),
    "none for rank 0": ([2, 3], [3]),
    "none of rank 1": ([0, 1, 1, 2], []),
    "a rank by itself": ([0, 1], [2, 3, 3]),
}
"""The expert of each row of rank 0 and of rank 1; experts 0 and 1 are rank 0's, 2 and 3 rank 1's."""


def everything(ranks: Ranks, folder: str) -> dict[str, Any]:
    """What the tests look at, found by two ranks that start once."""
    return {
        "sent": {name: sent(loads[ranks.rank]) for name, loads in LOADS.items()},
        "refused": refused(ranks),
        "replayed": replayed(ranks),
        "resumed": resumed(ranks, folder),
        "drawn": compare(ranks, seeds=(0,)),
        "rounded": rounded(ranks),
    }


def sent(experts: Sequence[int]) -> tuple[list[float], list[float], list[float]]:
    """Rows (1, v), v = 1, 2, ..., through experts that give ``(i + 1) silu(1) v``: what comes back, the gradient of v
    for a loss that is the sum, and that of each own expert's factor ``i + 1``."""
    mesh = init_device_mesh("cpu", (1, 2), mesh_dim_names=("copies", "experts"))
    gate_up = torch.eye(2).expand(4, 2, 2).contiguous()
    down = torch.zeros(4, 2, 1)
    down[:, 0, 0] = torch.arange(1.0, 5.0)
    rank = mesh.get_local_rank("experts")
    own = [
        DTensor.from_local(one.chunk(2)[rank].clone(), mesh, (Replicate(), Shard(0)), run_check=False).requires_grad_()
        for one in (gate_up, down)
    ]
    x = torch.stack([torch.ones(len(experts)), torch.arange(1.0, len(experts) + 1)], 1).requires_grad_()
    counts = torch.bincount(torch.tensor(experts, dtype=torch.int64), minlength=4)
    made = AllToAll(mesh.get_group("experts"))(x, counts, *own)
    made.sum().backward()
    assert x.grad is not None
    grad = own[1].grad
    assert isinstance(grad, DTensor)
    return made[:, 0].tolist(), x.grad[:, 1].tolist(), grad.to_local()[:, 0, 0].tolist()


# ---- against the local learner ------------------------------------------------------------------------------------


Found = tuple[Any, Any, bool]
"""What the local learner alone found in two updates, what the ranks did, and whether this one keeps its share of every
layer's experts."""


def compare(ranks: Ranks, seeds: Sequence[int]) -> dict[str, Found]:
    """Of drawn shapes and settings, and of ranks that share tokens too."""
    own = FSDP(expert_parallel=ranks.size, sequence=2)
    found = {
        "sequence": tried(ranks, AHEAD, LearnerSettings(token_budget=30, optimiser=OPTIMISER, further=0.3, own=own))
    }
    for seed in seeds:
        for kind in ("deepseek_v3", "qwen3_moe"):
            config, settings = drawn(random.Random(f"{kind} {seed}"), kind, ranks.size)
            found[f"{kind} {seed}: {settings.own}"] = tried(ranks, config, settings)
    return found


def tried(ranks: Ranks, config: DecoderConfig, settings: LearnerSettings) -> Found:
    alone = play(LocalLearner(decoder(config), replace(settings, own=None)))
    learner = ShardedLearner(decoder(config), settings, ranks)
    apart = [share for share in learner.shared.values() if share.apart]
    kept = {share.weight.numel() // share.own.numel() for share in apart} == {settings.own.expert_parallel}
    return alone, play(learner), kept


def drawn(dice: random.Random, kind: str, ranks: int) -> tuple[DecoderConfig, LearnerSettings]:
    """A tiny shape, and how it is shared out."""
    size = dice.choice([n for n in (2, 4) if n <= ranks])
    each, used, width = dice.choice([1, 2, 3]), dice.choice([1, 2]), dice.choice([8, 12])
    own = FSDP(
        expert_parallel=size, replicate=dice.choice([1, 2]), checkpointing=dice.random() < 0.5,
        offload=dice.choice(["none", "optimiser", "all"]),
    )  # fmt: skip
    speed = dice.choice([0.0, 0.01])
    settings = LearnerSettings(
        token_budget=dice.choice([30, 60]),
        head_chunk=16,
        optimiser=replace(dice.choice([OPTIMISER, MUON]), eps=1e-4),  # a step that does not enlarge roundings
        experts=ExpertSettings(bias_speed=speed, balance=10 * speed),
        further=0.3,
        own=own,
    )
    if kind == "qwen3_moe":
        config = replace(EXPERTS, experts=size * each, experts_per_token=used, intermediate_size=width)
        return config, settings
    groups = dice.choice([1, 2]) if size * each % 2 == 0 and each > 1 else 1
    shape = DeepseekShape(
        hidden_size=32, intermediate_size=48, num_layers=3, kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=4,
        v_head_dim=12, n_routed_experts=size * each, num_experts_per_tok=used, moe_intermediate_size=width,
        n_group=groups, mtp_layers=dice.choice([0, 1]),
    )  # fmt: skip
    return family("deepseek_v3").from_shape(shape, CONFIG.vocab_size), settings  # type: ignore[attr-defined]


def play(learner: Learner) -> Any:
    """Two updates on documents, as the balance loss wants them, and log-probs before and after."""
    before = learner.logprobs(documents(9))
    metrics = [learner.update(documents(step, (9, 4, 17, 2, 25, 8)), supervised_loss, 1e-3) for step in range(2)]
    return metrics, [*before, *learner.logprobs(documents(9))], published(learner)


def replayed(ranks: Ranks) -> tuple[Any, Any]:
    """Completions whose experts are given: what one learner finds and what two ranks do."""
    generator, batch = torch.Generator().manual_seed(0), rollouts()
    prompts = [torch.rand(len(one), 1, 4, generator=generator).topk(2, -1).indices for one in batch.prompts]
    rows = []
    for row in batch.rows:
        own = torch.rand(len(row.tokens) - 1, 1, 4, generator=generator).topk(2, -1).indices
        rows.append(replace(row, experts=torch.cat([prompts[row.prompt], own]).short()))
    whole, settings = Batch(prompts=batch.prompts, rows=rows), LearnerSettings(token_budget=30, optimiser=OPTIMISER)
    learners: tuple[Learner, Learner] = (
        LocalLearner(decoder(AHEAD), settings),
        ShardedLearner(decoder(AHEAD), replace(settings, own=FSDP(expert_parallel=2)), ranks),
    )
    alone, two = (([one.update(whole, LOSS, LR)], one.logprobs(whole), published(one)) for one in learners)
    return alone, two


def rounded(ranks: Ranks) -> tuple[dict[str, float], dict[str, float]]:
    """An update in bfloat16, weights and gradient on the host: alone, and by the ranks."""
    settings = LearnerSettings(dtype="bfloat16", own=FSDP(expert_parallel=2, offload="all"))
    learners: tuple[Learner, Learner] = (
        LocalLearner(decoder(DEEPSEEK), replace(settings, own=None)),
        ShardedLearner(decoder(DEEPSEEK), settings, ranks),
    )
    alone, two = (one.update(documents(), supervised_loss, LR) for one in learners)
    return alone, two


# ---- states, folders, what is refused -------------------------------------------------------------------------------


def learner_of(ranks: Ranks, size: int) -> ShardedLearner:
    settings = LearnerSettings(token_budget=30, optimiser=OPTIMISER, own=FSDP(expert_parallel=size))
    return ShardedLearner(decoder(AHEAD), settings, ranks)


def resumed(ranks: Ranks, folder: str) -> dict[int, Any]:
    """A step and a state of experts in two parts; a step more of that learner (0), and of learners that read the state
    and have them in so many parts; what these export before it."""
    tokenizer = build_tokenizer([str(number) for number in range(CONFIG.vocab_size - 5)])
    learner = learner_of(ranks, 2)
    learner.refresh_reference()
    learner.update(documents(), supervised_loss, LR)
    learner.save(Path(folder) / "state")
    found = {0: after(learner)}
    for parts in (1, 2):
        again = learner_of(ranks, parts)
        again.load(Path(folder) / "state")
        again.export(Path(folder) / f"model-{parts}", tokenizer)
        found[parts] = after(again)
    return found


def gone_on(ranks: Ranks, folder: str, size: int) -> Any:
    """As ``resumed``, by ranks that came later."""
    learner = learner_of(ranks, size)
    learner.load(Path(folder) / "state")
    return after(learner)


def after(learner: ShardedLearner) -> tuple[dict[str, float], list[Tensor], dict[str, Tensor]]:
    reference = learner.reference_logprobs(documents(9))
    return learner.update(documents(1), supervised_loss, LR), reference, published(learner)


def refused(ranks: Ranks) -> list[str]:
    told = []
    for model, size in ((decoder(replace(EXPERTS, experts=3)), 2), (decoder(), 2), (hub("gpt2"), 2), (decoder(), 3)):
        try:
            ShardedLearner(model, LearnerSettings(own=FSDP(expert_parallel=size)), ranks)
            told.append("")
        except InputError as error:
            told.append(str(error))
    return told


def on_gpus(ranks: Ranks) -> tuple[Any, Any]:
    """One learner on this rank's GPU, and all ranks with a share of the experts each."""
    device = torch.device("cuda", ranks.rank)
    torch.cuda.set_device(device)
    settings = LearnerSettings(optimiser=OPTIMISER, own=FSDP(expert_parallel=ranks.size))
    config = replace(EXPERTS, experts=2 * ranks.size)
    alone = play(LocalLearner(decoder(config).to(device), replace(settings, own=None)))
    metrics, logprobs, weights = play(ShardedLearner(decoder(config).to(device), settings, ranks))
    return alone, (metrics, logprobs, {name: weight.cpu() for name, weight in weights.items()})
