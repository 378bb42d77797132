"""What a model's work costs: operations, bytes, seconds, from its shape. No torch, no measurement.

Every formula counts what this version does: the whole model on every device, a group's prompt computed once, master
weights and optimiser state in float32. ``stage_cost.py`` says which work a stage is; ``ASSUMPTIONS`` is printed with
every plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from r1kit.cluster.settings import FSDP, Cluster, LearnerChoice, Whole
from r1kit.errors import InputError
from r1kit.plan.devices import Device
from r1kit.plan.shape import Shape
from r1kit.update.settings import LoRA, OptimiserSettings

__all__ = [
    "ASSUMPTIONS", "NOTHING", "Draw", "Many", "Plan", "Work", "activation_bytes", "adapter_parameters",
    "gather_bytes", "host_bytes", "learner_bytes", "sample", "shared_out", "train", "travel_bytes", "width_of",
]  # fmt: skip


def adapter_parameters(lora: LoRA, shape: Shape) -> int:
    """``rank (out + in)`` of every chosen matrix; routers and experts have none."""
    return sum(
        layers * lora.rank * (rows + columns)
        for name, layers, rows, columns in _linears(shape)
        if not lora.targets or any(target.rpartition(".")[2] == name for target in lora.targets)
    )


def _linears(shape: Shape) -> list[tuple[str, int, int, int]]:
    """End of the hub name, layers that have it, out, in."""
    d, H, K, D, L = shape.hidden, shape.heads, shape.kv_heads, shape.head_dim, shape.layers
    if (of := shape.latent) is None:
        found = [("q_proj", L, H * D, d), ("k_proj", L, K * D, d), ("v_proj", L, K * D, d), ("o_proj", L, d, H * D)]
    else:
        asked = H * (D + of.rotary)
        found = (
            [("q_a_proj", L, of.query, d), ("q_b_proj", L, asked, of.query)] if of.query else [("q_proj", L, asked, d)]
        )
        found += [
            ("kv_a_proj_with_mqa", L, of.kept + of.rotary, d),
            ("kv_b_proj", L, H * (D + of.value), of.kept),
            ("o_proj", L, d, H * of.value),
        ]
    mixed = shape.experts
    widths = [(mixed.dense_layers if mixed else L, shape.ffn)]
    if mixed and mixed.shared:
        widths.append((L - mixed.dense_layers, mixed.shared))
    for layers, width in widths:
        found += [("gate_proj", layers, width, d)] if shape.gated else []
        found += [("up_proj", layers, width, d), ("down_proj", layers, d, width)]
    return found


ASSUMPTIONS = (
    "training: 6 N D operations (N: parameters a token is multiplied with, head included) and attention, at "
    "{mfu:.0%} of peak",
    "sampling: the slower of 2 N a token and attention at {mfu:.0%} of peak, and reading weights and cache at "
    "{mbu:.0%} of bandwidth",
    "a response has {mean:.0%} of max_tokens on average; a rollout waits for its longest one",
    "every group is learnt from (flat groups cost nothing to learn, so this is an upper bound)",
    "every sampled response that keep, limit and size allow becomes a sample to learn (an upper bound); a data set has "
    "as many rows as its limit says",
    "models that judge, refine or are asked in the policy's place have its shape; they see every response",
    "a solution whose steps are labelled has 6, and a rollout from one of its prefixes half its length",
    "RL on a student stops at the step where it has cost what distilling cost, the sampling of the data counted",
    "the model, its gradient and its optimiser state lie on {shards}, an engine's weights and cache on "
    "{engine}; work divides evenly over devices",
    "verifiers, reward models' scores, checkpoints and start-up take no time; activations are approximate",
)


ADAPTED = {"cpu": 1.2, "gpu": 1.05}
"""Activations where each layer's output has an adapter's product beside it, measured (``docs/benchmarks.md``)."""
STORED = 1536
"""``model.decoder.STORED``, numbers a token, query head and layer."""
STATE = {"adamw": 8.0, "adamw8bit": 2.0 + 8 / 256}
"""Bytes of state a weight; Muon's hidden matrices have 4, its others AdamW's."""


class Many(NamedTuple):
    """So many of something, and the mean tokens of one."""

    number: float
    tokens: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where a stage runs and what is assumed."""

    device: Device
    devices: int
    mfu: float
    mbu: float
    mean_share: float
    """Mean response length as a share of ``max_tokens``."""
    shards: int = 1
    """Devices that share the learner's weights, gradient and optimiser state out (``learner = "fsdp"``)."""
    checkpointing: bool = False
    """Only what enters a block is kept for the way back."""
    expert_parallel: int = 1
    """Devices that have a layer's experts together, each its own whole; 1: experts are gathered as the rest is."""
    offload: Literal["none", "optimiser", "all"] = "none"
    """What of the sharded learner waits in the host's memory."""
    engine_devices: int = 1
    """Devices that share one engine's weights and cache."""

    def computing(self, flops: float, width: int) -> float:
        """Seconds that operations take, ``width`` bytes a number."""
        peak = self.device.fp32 if width == 4 else self.device.bf16
        return flops / (self.devices * peak * self.mfu)


def shared_out(learner: LearnerChoice, cluster: Cluster, devices: int) -> dict[str, Any]:
    """Of a ``Plan``, what the recipe says of its learner and its engines.

    Raises:
        InputError: the devices do not divide so.
    """
    found: dict[str, Any] = {"engine_devices": max(1, round(cluster.engine_needs.gpus))}
    if devices % found["engine_devices"]:
        raise InputError(
            f"{devices} devices do not divide into engines of {found['engine_devices']} (cluster.engine_needs.gpus)"
        )
    if isinstance(learner.settings, FSDP):
        own = learner.settings
        if devices % own.replicate:
            raise InputError(f"{devices} devices do not divide into {own.replicate} copies (learner.replicate)")
        if devices % own.expert_parallel:
            raise InputError(
                f"{devices} devices do not divide into groups of {own.expert_parallel} (learner.expert_parallel)"
            )
        found |= {"shards": devices // own.replicate, "checkpointing": own.checkpointing}
        found |= {"expert_parallel": own.expert_parallel, "offload": own.offload}
    elif isinstance(learner.settings, Whole):
        found["checkpointing"] = learner.settings.checkpointing
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Part of a stage, over all devices unless said otherwise."""

    trained_tokens: float = 0.0
    sampled_tokens: float = 0.0
    flops: float = 0.0
    seconds: float = 0.0
    memory: float = 0.0
    """Bytes on each device at the peak."""

    def __add__(self, other: Work) -> Work:
        """One after the other."""
        return Work(
            trained_tokens=self.trained_tokens + other.trained_tokens,
            sampled_tokens=self.sampled_tokens + other.sampled_tokens,
            flops=self.flops + other.flops,
            seconds=self.seconds + other.seconds,
            memory=max(self.memory, other.memory),
        )

    def __mul__(self, times: float) -> Work:
        """The same again and again."""
        return Work(
            trained_tokens=self.trained_tokens * times,
            sampled_tokens=self.sampled_tokens * times,
            flops=self.flops * times,
            seconds=self.seconds * times,
            memory=self.memory,
        )


NOTHING = Work()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """A batch of completions."""

    prompts: float
    n: int
    prompt_tokens: float
    max_tokens: int
    in_flight: int = 512
    """Rows that decode side by side on a device."""


def sample(draw: Draw, shape: Shape, plan: Plan, width: int) -> Work:
    """Drawing a batch once."""
    rows, mean = draw.prompts * draw.n, plan.mean_share * draw.max_tokens
    context = draw.prompt_tokens + mean / 2
    flops = 2 * shape.matrix_parameters * (draw.prompts * draw.prompt_tokens + rows * mean)
    flops += rows * mean * shape.attention_flops(context)
    on_device = rows / plan.devices
    steps = max(draw.max_tokens, on_device * plan.engine_devices * mean / draw.in_flight) if rows else 0
    moved = steps * shape.parameters * width / plan.engine_devices + on_device * mean * context * shape.cache_bytes(
        width
    )
    return Work(
        sampled_tokens=rows * mean,
        flops=flops,
        seconds=max(plan.computing(flops, width), moved / (plan.device.bandwidth * plan.mbu)),
        memory=(shape.parameters * width + _cache_bytes(draw, shape, plan, width)) / plan.engine_devices,
    )


def train(
    tokens: float, context: float, shape: Shape, plan: Plan, width: int, optimiser: OptimiserSettings, budget: float,
    lora: LoRA | None = None,
) -> Work:  # fmt: skip
    """Learning ``tokens`` tokens that see ``context`` others on average, ``budget`` of them at once."""
    flops = tokens * (6 * shape.matrix_parameters + 3 * shape.attention_flops(context))
    return Work(
        trained_tokens=tokens,
        flops=flops,
        seconds=plan.computing(flops, width),
        memory=learner_bytes(optimiser, shape, width, plan, lora=lora)
        + activation_bytes(budget, shape, width, plan, lora, seen=2 * context),
    )


def width_of(dtype: str) -> int:
    """Bytes a number; every GPU that is known here multiplies bfloat16 in hardware, so ``auto`` means that."""
    return 4 if dtype == "float32" else 2


def learner_bytes(
    optimiser: OptimiserSettings, shape: Shape, width: int, plan: Plan, *, reference: bool = False,
    lora: LoRA | None = None,
) -> float:  # fmt: skip
    """float32 master, gradient and optimiser state, the copy that computes, the reference: a device's share of them
    but for what waits on the host, and where they are shared out two blocks that are whole at a time. Of an adapter:
    the model once, as it computes, and the rest of the adapter alone."""
    if lora is not None and lora.rank:
        trained = adapter_parameters(lora, shape)
        return shape.parameters * width + trained * (8.0 + STATE.get(optimiser.kind, 8.0))
    own, apart = _kept(shape, plan)
    copies = 0 if width == 4 else width
    whole = 2 * (shape.parameters - apart * plan.expert_parallel) / shape.layers * width if plan.shards > 1 else 0.0
    if plan.offload == "all":  # an expert's copy is made in its block, and kept for the way back
        return whole + apart * width * (2 / shape.layers if plan.checkpointing else 1)
    if plan.offload == "optimiser":
        return own * (8.0 + copies) + whole
    return own * (8.0 + copies + (width if reference else 0)) + _state_bytes(optimiser, shape, plan) + whole


def host_bytes(optimiser: OptimiserSettings, shape: Shape, plan: Plan, *, reference: bool = False) -> float:
    """What of a rank's learner waits in the host's memory, all in float32."""
    if plan.offload == "none":
        return 0.0
    each = (8.0 if plan.offload == "all" else 0.0) + (4.0 if reference else 0.0)
    return _kept(shape, plan)[0] * each + _state_bytes(optimiser, shape, plan)


def _kept(shape: Shape, plan: Plan) -> tuple[float, float]:
    """Weights that a rank keeps, and how many of them are experts' that are never gathered."""
    apart = shape.expert_parameters / plan.expert_parallel if plan.expert_parallel > 1 else 0.0
    return (shape.parameters - apart * plan.expert_parallel) / plan.shards + apart, apart


def _state_bytes(optimiser: OptimiserSettings, shape: Shape, plan: Plan) -> float:
    """Of the optimiser, on a rank."""
    ends = shape.vocab * shape.hidden * (1 if shape.tied else 2) / plan.shards
    inner, outer = (STATE.get(optimiser.kind, other) for other in (4.0, 8.0))
    return inner * (_kept(shape, plan)[0] - ends) + outer * ends


def travel_bytes(shape: Shape, plan: Plan, width: int) -> float:
    """What a token that is learnt sends to experts of other ranks and gets back from them, over all layers: its hidden
    state to each of its experts and a product from each, forward, once more where that is computed again, and
    backward; a share of 1 / ``expert_parallel`` stays where it is."""
    of = shape.experts
    if of is None:
        return 0.0
    ways = 2 * (3 if plan.checkpointing else 2)
    return ways * (shape.layers - of.dense_layers) * of.used * shape.hidden * width * (1 - 1 / plan.expert_parallel)


def gather_bytes(shape: Shape, width: int) -> float:
    """What a rank receives of experts a micro-batch where they are gathered as other weights are: all of them forward
    and backward, and their gradient in float32."""
    return shape.expert_parameters * (2.0 * width + 4.0)


def activation_bytes(
    tokens: float, shape: Shape, width: int, plan: Plan, lora: LoRA | None = None, seen: float = 0.0
) -> float:
    """What backward needs of every layer, and three chunks of 1,024 rows of logits.

    Args:
        seen: tokens of a row with its prompt, whose probabilities attention keeps.
    """
    inside = float(shape.activations) * width
    if lora is not None and lora.rank:
        inside *= ADAPTED["gpu" if plan.device.memory else "cpu"]
    inside += _probability_bytes(seen, shape, width, plan)
    each = shape.hidden * width + inside / shape.layers if plan.checkpointing else inside
    return tokens * shape.layers * each + 3 * 1024 * shape.vocab * 4.0


def _probability_bytes(seen: float, shape: Shape, width: int, plan: Plan) -> float:
    """Of a token and layer, in float32, where no fused kernel takes rows of several lengths and rows are short enough
    for the attention that is written by hand."""
    fused = bool(plan.device.memory) and width == 2
    kept = seen + shape.head_dim * (1 + 2 * shape.kv_heads / shape.heads)
    return 0.0 if fused or kept > STORED else 4.0 * shape.heads * seen


def _cache_bytes(draw: Draw, shape: Shape, plan: Plan, width: int) -> float:
    """Keys and values of the rows in flight on an engine, at their longest."""
    rows = min(draw.in_flight, -(-draw.prompts * draw.n * plan.engine_devices // plan.devices))
    return rows * (draw.prompt_tokens + draw.max_tokens) * shape.cache_bytes(width)
