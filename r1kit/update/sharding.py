"""A model shared out over ranks by torch's FSDP2 (``fully_shard``): what is where, and in what it is computed.

Every rank keeps a slice of the rows of each fp32 weight, and the same of its gradient. A block's weights are gathered
in the compute dtype when it is reached, forward and backward, and dropped behind it; gradients are summed in fp32. Not
so the experts of ``expert_parallel``, see ``expert_parallel.py``.
"""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
import torch.distributed as dist
from torch import nn
from torch._C._distributed_c10d import HashStore
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy, OffloadPolicy, fully_shard
from torch.utils.checkpoint import checkpoint

from r1kit.cluster.ranks import Ranks, wait_as_long
from r1kit.cluster.settings import FSDP
from r1kit.model.families.fallback import HubModel
from r1kit.model.language_model import LanguageModel
from r1kit.update.expert_parallel import shard_experts
from r1kit.update.trainee import Trainee

__all__ = ["mesh_of", "share_out"]


def mesh_of(ranks: Ranks, settings: FSDP, device: torch.device) -> DeviceMesh:
    """Axes ``replicate`` and ``shard``: ranks of one row of the second share one copy of the model.

    Raises:
        InputError: the ranks do not divide into so many copies.
    """
    settings.check(ranks.size)
    if not dist.is_initialized():  # one rank alone
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=HashStore(), rank=0, world_size=1)
    shape = (settings.replicate, ranks.size // settings.replicate)
    mesh = init_device_mesh(device.type, shape, mesh_dim_names=("replicate", "shard"))
    for group in mesh.get_all_groups():
        wait_as_long(group)
    return mesh


def share_out(model: LanguageModel, mesh: DeviceMesh, settings: FSDP, dtype: torch.dtype) -> Trainee:
    """The model as the root of what is sharded; its parameters become DTensors, rows in slices, one slice a rank.

    Args:
        model: fp32 weights, the same on every rank, or on the ``meta`` device.
        mesh: of ``mesh_of``.
        settings: of the learner.
        dtype: of products.

    Raises:
        InputError: ``expert_parallel`` does not divide the model's experts, or it has none.
    """
    blocks = [*model.blocks, *filter(None, [getattr(model, "ahead", None)])]
    policy = MixedPrecisionPolicy(
        param_dtype=None if dtype == torch.float32 else dtype, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    pinned = mesh.device_type == "cuda"
    offload = CPUOffloadPolicy(pin_memory=pinned) if settings.offload == "all" else OffloadPolicy()
    over = mesh if settings.replicate > 1 else mesh["shard"]
    apart = shard_experts(model, settings, mesh)
    if isinstance(model, HubModel):
        model.cast_buffers(dtype)
    root = Trainee(model)
    for module in (*blocks, root):
        if settings.checkpointing and module is not root:
            module.forward = partial(checkpoint, module.forward, use_reentrant=False)  # type: ignore[method-assign]
        fully_shard(module, mesh=over, mp_policy=policy, offload_policy=offload, ignored_params=apart)
        _sum_gradients(module)
    return root


def _sum_gradients(module: nn.Module) -> None:
    """The loss is a sum over all ranks already, so gradients are added up, not averaged. The setting is a module's own.

    A factor of 1 alone asks for a pre-multiplied sum, which gloo does not have.
    """
    sharded = cast(FSDPModule, module)
    sharded.set_gradient_divide_factor(1.0)
    sharded.set_force_sum_reduction_for_comms(True)
