"""Expert parallel: the ranks of a group have an equal share of each layer's experts each, whole, and tokens travel.

A rank sends the rows of its tokens to the ranks that have their experts, which send the products back (DeepSeek-V3,
2412.19437, section 3.2; without its bound on nodes). An expert's weights, gradient and optimiser state are on its rank
alone, and on one rank of every other group, over which its gradient is summed once an update. FSDP knows nothing of
them: they are never gathered.

Axes: P ranks in a group, E experts, e = E / P of them a rank, M rows of a rank, R rows that it is sent, d hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard

from r1kit.cluster.ranks import wait_as_long
from r1kit.cluster.settings import FSDP
from r1kit.model.experts import Experts, feed_forwards
from r1kit.model.language_model import LanguageModel

__all__ = ["AllToAll", "shard_experts"]

MATRICES = ("gate_up", "down")


@dataclass(frozen=True, slots=True)
class AllToAll:
    """See ``model.experts.Dispatch``; a collective of the group, forward and backward."""

    group: dist.ProcessGroup

    def __call__(self, x: Tensor, counts: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
        """As ``feed_forwards``, of experts that are DTensors in fp32; products are in the dtype of the rows."""
        size = self.group.size()
        arriving = torch.empty_like(counts)
        dist.all_to_all_single(arriving, counts, group=self.group)
        sent, taken = (each.view(size, -1).sum(1).tolist() for each in (counts, arriving))  # rows, a rank
        own = len(counts) // size
        expert = torch.arange(own, device=x.device).repeat(size).repeat_interleave(arriving)
        order = expert.argsort(stable=True)  # they came by rank
        here = exchanged(x, sent, taken, self.group)[order]
        matrices = (cast(DTensor, one).to_local().to(x.device, x.dtype) for one in (gate_up, down))
        made = feed_forwards(here, arriving.view(size, own).sum(0), *matrices)
        return exchanged(made[order.argsort()], taken, sent, self.group)


def exchanged(rows: Tensor, sent: list[int], taken: list[int], group: dist.ProcessGroup) -> Tensor:
    """So many consecutive rows [sum, d] to each rank of the group, and so many from each; its gradient goes back."""
    found: Tensor = _Exchange.apply(rows, sent, taken, group)  # type: ignore[no-untyped-call]
    return found


class _Exchange(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, sent: list[int], taken: list[int], group: dist.ProcessGroup) -> Tensor:
        ctx.way_back = taken, sent, group
        return _sent(rows, sent, taken, group)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        return _sent(grad, *ctx.way_back), None, None, None


def _sent(rows: Tensor, sent: list[int], taken: list[int], group: dist.ProcessGroup) -> Tensor:
    into = rows.new_empty(sum(taken), rows.shape[1])
    dist.all_to_all_single(into, rows.contiguous(), taken, sent, group=group)
    return into


def shard_experts(model: LanguageModel, settings: FSDP, mesh: DeviceMesh) -> set[nn.Parameter]:
    """Of every layer's experts leave this rank its own, as DTensors on a mesh of the axes ``copies`` and ``experts``.

    Args:
        model: whole, the same on every rank, or on the ``meta`` device.
        settings: of the learner.
        mesh: of all ranks.

    Returns:
        The parameters; none where ``expert_parallel`` is 1.

    Raises:
        InputError: the model has no experts, or a number that does not divide so.
    """
    size, found = settings.expert_parallel, set[nn.Parameter]()
    if size == 1:
        return found
    layers = [module for module in model.modules() if isinstance(module, Experts)]
    settings.check_experts({len(layer.gate_up) for layer in layers})
    shape = (mesh.size() // size, size)
    own = init_device_mesh(mesh.device_type, shape, mesh_dim_names=("copies", "experts"))
    for group in own.get_all_groups():
        wait_as_long(group)
    for layer in layers:
        layer.dispatch = AllToAll(own.get_group("experts"))
        for name in MATRICES:
            share = getattr(layer, name).detach().chunk(size)[own.get_local_rank("experts")].clone()
            if settings.offload == "all" and not share.is_meta:
                share = share.cpu()
            made = nn.Parameter(DTensor.from_local(share, own, (Replicate(), Shard(0)), run_check=False))
            setattr(layer, name, made)
            found.add(made)
    return found
