"""A feed-forward of experts: each token goes through the few that its router scores highest.

Tokens are sorted by expert, so that an expert is one product over its own tokens, and idle ones are none; all experts'
products are one call.

Axes: N tokens, d hidden, E experts, k of them a token, f feed-forward of one.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from r1kit.model.elementwise import swiglu
from r1kit.model.segments import Segments

if TYPE_CHECKING:
    from r1kit.model.families.dense import DecoderConfig, Routing
    from r1kit.model.routes import Routes

__all__ = ["Dispatch", "Experts", "feed_forwards", "grouped_product"]


class Dispatch(Protocol):
    """Where experts are not all in this process."""

    def __call__(self, x: Tensor, counts: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
        """Rows [M, d] sorted by expert, how many each has (int64 [E]), the experts' matrices -> [M, d], each row
        through its own; from wherever that is. Every rank that has some of the experts calls it as often as another."""
        ...


class Experts(nn.Module):
    """Qwen3's mixture: softmax over all experts, the k largest, weights renormalised or not; or, with a ``Routing``,
    DeepSeek-V3's."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        E, d, f = config.experts, config.hidden_size, config.intermediate_size
        self.chosen, self.renormalise = config.experts_per_token, config.renormalise_experts
        self.routing, self.layer = config.routing, layer
        self.place = layer - (config.routing.dense_layers if config.routing else 0)
        """Among the layers with experts."""
        self.router = nn.Linear(d, E, bias=False)
        self.router_bias = nn.Parameter(torch.empty(E)) if config.routing else None
        """Added to scores for the choice alone; no gradient reaches it."""
        self.gate_up = nn.Parameter(torch.empty(E, 2 * f, d))
        self.down = nn.Parameter(torch.empty(E, d, f))
        shared = config.routing.shared if config.routing else 0
        self.shared_gate_up = nn.Linear(d, 2 * shared, bias=False) if shared else None
        self.shared_down = nn.Linear(shared, d, bias=False) if shared else None
        self.dispatch: Dispatch | None = None
        """None: all experts are here."""

    def forward(self, x: Tensor, segments: Segments | None = None, told: Routes | None = None) -> Tensor:
        """[N, d] -> [N, d]; ``segments``, or ``told``, where there is somebody to tell of the choice."""
        routes = told if segments is None else segments.routes
        replay = None if segments is None else segments.replay
        replayed = None if replay is None or self.place >= replay.shape[1] else replay[:, self.place]
        if self.routing is None:
            scores = self.router(x).softmax(-1, dtype=torch.float32)
            experts = scores.detach().topk(self.chosen, -1).indices if replayed is None else replayed
            weights = scores.gather(1, experts)
            if self.renormalise:
                weights = weights / weights.sum(-1, keepdim=True)
        else:
            scores = F.linear(x.float(), self.router.weight.float()).sigmoid()
            experts = self.choose(scores.detach(), self.routing) if replayed is None else replayed
            weights = scores.gather(1, experts)
            if self.renormalise:
                weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
            weights = weights * self.routing.scale
            if routes is not None and segments is not None:
                weights = routes.balanced(weights, scores, self.chosen, (segments.lengths, segments.parents))
        if routes is not None:
            routes.count(self.layer, experts if segments is None else segments.counted(experts), len(self.gate_up))
        weights = weights.to(x.dtype)
        order = experts.flatten().argsort(stable=True)
        counts = torch.bincount(experts.flatten(), minlength=len(self.gate_up))
        rows = order // self.chosen
        made = (self.dispatch or feed_forwards)(x[rows], counts, self.gate_up, self.down)
        mixed = torch.zeros_like(x).index_add_(0, rows, made * weights.flatten()[order, None])
        if self.shared_gate_up is None or self.shared_down is None:
            return mixed
        common: Tensor = self.shared_down(swiglu(self.shared_gate_up(x)))
        return mixed + common

    def choose(self, scores: Tensor, routing: Routing) -> Tensor:
        """Scores [N, E] -> int64 [N, k]: the best once the bias is on, within the best groups."""
        assert self.router_bias is not None
        biased = scores + self.router_bias.float()
        if routing.groups > 1:
            grouped = biased.unflatten(1, (routing.groups, -1))
            best = grouped.topk(2, -1).values.sum(-1).topk(routing.kept_groups, -1).indices
            outside = torch.ones_like(grouped[..., 0], dtype=torch.bool).scatter_(1, best, False)
            biased = grouped.masked_fill(outside[..., None], -torch.inf).flatten(1)
        return biased.topk(self.chosen, -1).indices

    @property
    def idle(self) -> int:
        """Parameters that a token is not multiplied with."""
        each = self.gate_up[0].numel() + self.down[0].numel()
        return (len(self.gate_up) - self.chosen) * each

    def hub_weights(self) -> dict[str, Tensor]:
        """Views, each expert's matrices by themselves as the hub has them."""
        names: dict[str, Tensor] = {"gate.weight": self.router.weight}
        if self.router_bias is not None:
            names["gate.e_score_correction_bias"] = self.router_bias
        if self.shared_gate_up is not None and self.shared_down is not None:
            gate, up = self.shared_gate_up.weight.chunk(2)
            names |= {
                "shared_experts.gate_proj.weight": gate,
                "shared_experts.up_proj.weight": up,
                "shared_experts.down_proj.weight": self.shared_down.weight,
            }
        for index, (gate_up, down) in enumerate(zip(self.gate_up.detach(), self.down.detach(), strict=True)):
            gate, up = gate_up.chunk(2)
            prefix = f"experts.{index}."
            names |= {
                f"{prefix}gate_proj.weight": gate,
                f"{prefix}up_proj.weight": up,
                f"{prefix}down_proj.weight": down,
            }
        return names


def feed_forwards(x: Tensor, counts: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
    """Rows [M, d] sorted by expert, how many each has (int64 [E]), matrices [E, 2 f, d] and [E, d, f] -> [M, d]."""
    ends = counts.cumsum(0)
    return grouped_product(swiglu(grouped_product(x, gate_up, ends)), down, ends)


def grouped_product(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """Rows [M, i] sorted by group, matrices [E, o, i] and where each group ends (int64 [E]) -> [M, o]."""
    if _whole_vectors(x, weight) and (x.dtype == torch.bfloat16 if x.is_cuda else _groups_on_cpu(x.dtype)):
        fused: Tensor = F.grouped_mm(x, weight.mT, offs=ends.int())
        return fused
    out: Tensor = GroupedProduct.apply(x, weight, tuple(ends.tolist()))  # type: ignore[no-untyped-call]
    return out


def _whole_vectors(x: Tensor, weight: Tensor) -> bool:
    """torch's grouped product wants every row to begin at a multiple of 16 bytes."""
    return all(size * x.element_size() % 16 == 0 for size in weight.shape[1:])


@functools.cache
def _groups_on_cpu(dtype: torch.dtype) -> bool:
    """Whether this torch has the grouped product for CPUs, forwards and backwards."""
    try:
        x, weight = (torch.zeros(size, dtype=dtype, requires_grad=True) for size in ((2, 8), (1, 8, 8)))
        with torch.inference_mode(mode=False), torch.enable_grad():
            made = F.grouped_mm(x, weight.mT, offs=torch.tensor([2], dtype=torch.int32))
            made.backward(torch.zeros_like(made))
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    return True


class GroupedProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, ends: tuple[int, ...]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.ends = ends
        out = x.new_empty(len(x), weight.shape[1])
        for group, rows in _groups(ends):
            torch.mm(x[rows], weight[group].t(), out=out[rows])
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        x_grad, weight_grad = torch.empty_like(x), torch.zeros_like(weight)
        for group, rows in _groups(ctx.ends):
            torch.mm(grad[rows], weight[group], out=x_grad[rows])
            torch.mm(grad[rows].t(), x[rows], out=weight_grad[group])
        return x_grad, weight_grad, None


def _groups(ends: tuple[int, ...]) -> list[tuple[int, slice]]:
    """Groups that have rows, and which."""
    starts = (0, *ends[:-1])
    return [(group, slice(*span)) for group, span in enumerate(zip(starts, ends, strict=True)) if span[0] < span[1]]
