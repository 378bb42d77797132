"""What a rank does in ``test_sharded.py``: the sharded learner and a local one, alone, learn from the same batches."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from r1kit.cluster.ranks import Ranks
from r1kit.cluster.settings import FSDP
from r1kit.errors import PeerLostError, R1Error
from r1kit.maths.policy_loss import supervised_loss
from r1kit.model.families import family
from r1kit.model.families.deepseek_v3 import DeepseekShape
from r1kit.model.families.fallback import HubModel
from r1kit.model.language_model import LanguageModel
from r1kit.model.weights import WeightStream
from r1kit.update.learner import Batch, Learner
from r1kit.update.local import LearnerSettings, LocalLearner
from r1kit.update.settings import ExpertSettings, OptimiserSettings
from r1kit.update.sharded import ShardedLearner

from .test_local import CONFIG, LOSS, decoder, documents, rollouts

LR, STEPS = 1e-2, 3
OPTIMISER = OptimiserSettings(weight_decay=0.1, max_grad_norm=0.5, muon_dtype="float32")
MUON = replace(OPTIMISER, kind="muon", muon_weight_decay=0.05)
KEEP = replace(OPTIMISER, keep_mtp=0.3)
UNTIED = replace(CONFIG, family="qwen2", tie_embeddings=False, qkv_bias=True)
EXPERTS = replace(CONFIG, family="qwen3_moe", tie_embeddings=False, qk_norm=True, experts=4, experts_per_token=2)
DEEPSEEK = family("deepseek_v3").from_shape(  # type: ignore[attr-defined]
    DeepseekShape(
        hidden_size=32, intermediate_size=48, num_layers=2, kv_lora_rank=16, q_lora_rank=12, qk_nope_head_dim=8,
        qk_rope_head_dim=4, v_head_dim=12, n_routed_experts=4, moe_intermediate_size=16,
    ),
    CONFIG.vocab_size,
)  # fmt: skip
AHEAD, DENSE_AHEAD = replace(DEEPSEEK, ahead=1), replace(CONFIG, ahead=1)
GEMMA3 = replace(
    CONFIG, family="gemma3_text", norms="both", norm_offset=True, activation="gelu_tanh", embedding_scale=32**0.5,
    qk_norm=True, query_scale=0.9,
)  # fmt: skip
HUB = {
    "vocab_size": 61, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip


def hub(kind: str, **more: Any) -> HubModel:
    """A tiny model that `transformers` runs."""
    torch.manual_seed(0)
    return HubModel(AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **HUB, **more)).eval())


def biased() -> HubModel:
    """GLM-4.5's kind, whose experts are chosen by a buffer."""
    model = hub(
        "glm4_moe", head_dim=8, n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=16,
        first_k_dense_replace=1, n_group=1, topk_group=1,
    )  # fmt: skip
    model.model.get_buffer(BIAS).copy_(torch.tensor([0.301, -0.2, 0.1003, 0.4]))
    return model


BIAS = "model.layers.1.mlp.gate.e_score_correction_bias"
Case = tuple[str, Callable[[], LanguageModel], LearnerSettings]


def case(
    course: str, model: Callable[[], LanguageModel] = decoder, *, dtype: str = "float32",
    optimiser: OptimiserSettings = OPTIMISER, experts: ExpertSettings | None = None, further: float = 0.0, **own: Any,
) -> Case:  # fmt: skip
    settings = LearnerSettings(
        dtype=dtype,
        token_budget=30,
        head_chunk=16,
        temperature=0.9,
        optimiser=optimiser,
        experts=experts or ExpertSettings(),
        further=further,
        own=FSDP(**own),  # type: ignore[arg-type]
    )
    return course, model, settings


BY_SIZE: dict[int, dict[str, Case]] = {
    1: {
        "sft": case("sft"),
        "grpo": case("grpo"),
        "pretraining": case("pretraining"),
        "muon": case("grpo", optimiser=MUON),
        "transformers: sinusoids added, bfloat16": case(
            "sft", lambda: hub("xglm", ffn_dim=48, num_layers=2, attention_heads=4), dtype="bfloat16"
        ),
        "transformers: a stored bias, bfloat16": case("sft", lambda: biased(), dtype="bfloat16"),
    },
    2: {
        "sft": case("sft"),
        "grpo": case("grpo"),
        "pretraining": case("pretraining"),
        "sft, untied, with biases": case("sft", lambda: decoder(UNTIED)),
        "muon": case("grpo", lambda: decoder(UNTIED), optimiser=MUON),
        "bfloat16": case("sft", dtype="bfloat16"),
        "checkpointing": case("sft", checkpointing=True),
        "optimiser on the host": case("sft", offload="optimiser"),
        "all on the host": case("grpo", offload="all", optimiser=MUON),
        "experts": case("sft", lambda: decoder(EXPERTS)),
        "deepseek": case(
            "sft", lambda: decoder(DEEPSEEK), experts=ExpertSettings(bias_speed=0.01, balance=0.1), checkpointing=True
        ),
        "a token further": case("pretraining", lambda: decoder(AHEAD), further=0.3),
        "a token further, checkpointing, muon": case(
            "pretraining", lambda: decoder(AHEAD), further=0.3, checkpointing=True, optimiser=MUON
        ),
        "a token further, ranks that share tokens": case("sft", lambda: decoder(AHEAD), further=0.3, sequence=2),
        "a token further, bfloat16": case(
            "pretraining", lambda: decoder(DENSE_AHEAD), further=0.3, dtype="bfloat16"
        ),
        "a token further, kept": case("answers", lambda: decoder(AHEAD), optimiser=KEEP),
        "a token further, kept, experts on their ranks": case(
            "answers", lambda: decoder(AHEAD), optimiser=KEEP, expert_parallel=2, checkpointing=True, offload="all"
        ),
        "a token further, kept in RL": case("grpo", lambda: decoder(DENSE_AHEAD), optimiser=KEEP),
        "a token further, kept by ranks that share tokens": case(
            "grpo", lambda: decoder(DENSE_AHEAD), optimiser=KEEP, sequence=2
        ),
        "gemma 3": case("sft", lambda: decoder(GEMMA3)),
        "transformers: capped logits": case("sft", lambda: hub("gemma2", head_dim=8, sliding_window=16)),
        "transformers: a head's bias, checkpointing": case("sft", lambda: hub("phi"), checkpointing=True),
        "transformers: gpt2, tied": case("sft", lambda: hub("gpt2", n_embd=32, n_layer=2, n_head=4)),
    },
    4: {
        "sft": case("sft"),
        "grpo": case("grpo"),
        "pretraining": case("pretraining"),
        "muon": case("grpo", optimiser=MUON),
        "two copies": case("grpo", replicate=2),
        "four copies": case("grpo", replicate=4),
    },
}  # fmt: skip


def everything(ranks: Ranks) -> dict[str, Any]:
    """What the tests look at, found by ranks that start once."""
    few, many = (gathered(ranks, lengths) for lengths in ((7, 3), (7, 3, 12, 1) * 16))
    cases = compare(ranks)
    return {"cases": cases, "refused": refused(ranks), "few": few, "many": many, "impatient": impatient(ranks)}


def compare(ranks: Ranks) -> dict[str, tuple[Any, Any]]:
    """Case -> what the local learner alone found, of rank 0, and what the sharded one did."""
    found = {}
    for name, (course, model, settings) in BY_SIZE[ranks.size].items():
        play = COURSES[course]
        found[name] = (
            play(LocalLearner(model(), replace(settings, own=None)), None) if ranks.rank == 0 else None,
            play(ShardedLearner(model(), settings, ranks), ranks),
        )
    return found


def compare_on_gpus(ranks: Ranks, course: str, own: dict[str, Any]) -> tuple[Any, Any]:
    """As ``compare``, of one case, a rank a GPU."""
    device = torch.device("cuda", ranks.rank)
    torch.cuda.set_device(device)
    _, _, settings = case(course, optimiser=MUON, **own)
    play = COURSES[course]
    expected = play(LocalLearner(decoder().to(device), replace(settings, own=None)), None)
    metrics, logprobs, weights = play(ShardedLearner(decoder().to(device), settings, ranks), ranks)
    return expected, (metrics, logprobs, {name: weight.cpu() for name, weight in weights.items()})


def sft(learner: Learner, ranks: Ranks | None) -> Any:
    metrics = [learner.update(documents(step), supervised_loss, LR) for step in range(STEPS)]
    return metrics, learner.logprobs_and_entropies(documents(9)), published(learner)


def grpo(learner: Learner, ranks: Ranks | None) -> Any:
    """Two minibatches a step, with old log-probs and a reference, refreshed before the last step."""
    metrics = []
    for step in range(STEPS):
        rows = rollouts(step).rows
        halves = [Batch(prompts=rollouts(step).prompts, rows=rows[first::2]) for first in (0, 1)]
        halves = [carrying(half, "old_logprobs", learner.logprobs(half)) for half in halves]
        if step in (0, 2):
            learner.refresh_reference()
        for half in halves:
            half = carrying(half, "reference_logprobs", learner.reference_logprobs(half))
            metrics.append(learner.update(half, LOSS, LR))
    return metrics, learner.reference_logprobs(rollouts(9)), published(learner)


def pretraining(learner: Learner, ranks: Ranks | None) -> Any:
    """Each rank has documents of its own: rank 0 most of them, the last rank of several none."""
    metrics = []
    for step in range(STEPS):
        batch = documents(step, (9, 4, 17, 2, 25, 8))
        if ranks is not None:
            first, last = (0, 4) if ranks.rank == 0 else (4, 6) if ranks.rank == 1 else (6, 6)
            if ranks.size == 1:
                last = 6
            elif ranks.size == 2 and step == 2:
                first, last = (0, 6) if ranks.rank == 0 else (6, 6)
            batch = replace(batch, rows=batch.rows[first:last], sharded=True)
        metrics.append(learner.update(batch, supervised_loss, LR))
    return metrics, learner.logprobs_and_entropies(documents(9)), published(learner)


def answers(learner: Learner, ranks: Ranks | None) -> Any:
    """To two prompts, some of which teach nothing; of several ranks each has a prompt, or the first has both."""
    metrics = []
    for step in range(STEPS):
        batch = rollouts(step)
        rows = [replace(row, reference_logprobs=None) for row in batch.rows]
        rows = [replace(row, advantage=0.0) if place % 3 == step else row for place, row in enumerate(rows)]
        if ranks is not None:
            rows = [row for row in rows if (0 if step == 2 else row.prompt) == ranks.rank]
        metrics.append(learner.update(replace(batch, rows=rows, sharded=ranks is not None), supervised_loss, LR))
    return metrics, learner.logprobs_and_entropies(rollouts(9)), published(learner)


COURSES = {"sft": sft, "answers": answers, "grpo": grpo, "pretraining": pretraining}


def carrying(batch: Batch, key: str, values: Sequence[Tensor]) -> Batch:
    rows = [replace(row, **{key: value}) for row, value in zip(batch.rows, values, strict=True)]
    return replace(batch, rows=rows)


class Keeps:
    """An engine that keeps what it is handed, and holds the stream to what it said it would bring."""

    @torch.inference_mode()
    def load_weights(self, stream: WeightStream, version: int) -> None:
        self.kept = {name: weight.clone() for name, weight in stream}
        said = [(weight.name, weight.dtype, weight.shape) for weight in stream.metadata()]
        assert said == [(name, weight.dtype, tuple(weight.shape)) for name, weight in self.kept.items()]


def published(learner: Learner) -> dict[str, Tensor]:
    engine = Keeps()
    learner.publish(engine, 0)  # type: ignore[arg-type]
    return engine.kept


def refused(ranks: Ranks) -> tuple[str, bool]:
    """A gradient that is not finite on rank 0 alone: what every rank says, and whether its weights are as before."""
    learner = ShardedLearner(decoder(), case("sft")[2], ranks)
    before = published(learner)
    rows = [replace(row, weight=float("inf") if ranks.rank == 0 else row.weight) for row in documents().rows]
    try:
        learner.update(Batch(prompts=[], rows=rows, sharded=True), supervised_loss, LR)
    except R1Error as error:
        after = published(learner)
        unmoved = all(torch.equal(weight, after[name]) for name, weight in before.items())
        learner.update(documents(), supervised_loss, LR)
        return str(error), unmoved
    return "", False


class Counting:
    """Ranks, and the bytes of each object that was gathered or broadcast."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks, self.rank, self.size = ranks, ranks.rank, ranks.size
        self.sent: list[int] = []
        self.all_reduce_sum_, self.together = ranks.all_reduce_sum_, ranks.together

    def gather_objects(self, item: Any) -> list[Any]:
        self.sent.append(len(pickle.dumps(item)))
        return self._ranks.gather_objects(item)

    def broadcast_object(self, item: Any) -> Any:
        self.sent.append(len(pickle.dumps(item)))
        return self._ranks.broadcast_object(item)


def gathered(ranks: Ranks, lengths: tuple[int, ...]) -> list[int]:
    """Bytes of what an update and log-probs of a rank's own groups gather, of so many completions."""
    counting = Counting(ranks)
    learner = ShardedLearner(decoder(), case("grpo")[2], counting)
    batch = replace(rollouts(lengths=lengths), sharded=True)
    learner.logprobs(batch)
    learner.update(batch, LOSS, LR)
    return counting.sent


def impatient(ranks: Ranks) -> str:
    """Rank 1 is busy for longer than rank 0 waits, in all and in some."""
    torch.distributed.distributed_c10d._set_pg_timeout(timedelta(seconds=1.2))
    learner = ShardedLearner(decoder(), case("sft", replicate=2)[2], ranks)
    group = learner.mesh.get_group("replicate")
    backends = [each._get_backend(torch.device("cpu")) for each in (group, torch.distributed.group.WORLD)]
    said = " ".join(str(backend.options._timeout) for backend in backends)
    if ranks.rank == 1:
        time.sleep(3)
        return said
    try:
        ranks.gather_objects(1)
    except PeerLostError:
        return f"{said}: lost"
    return said
