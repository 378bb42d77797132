"""How a vLLM worker takes weights: out of memory, out of a folder, over gloo or NCCL.

vLLM's four phases: ``init`` says which wire, ``start`` prepares the layers, ``update`` brings some tensors under their
hub names, ``finish`` makes what was loaded usable. Only vLLM imports this file, by the name that ``plugin`` gives.

An update that ends in the middle leaves a mix of old and new weights: ``{"abort": True}`` closes it, and the next one
must bring every tensor again. An update that brought fewer tensors than it said is never finished.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from vllm.distributed.weight_transfer.base import (
    WeightTransferEngine,
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)
from vllm.model_executor.layers.vocab_parallel_embedding import VocabParallelEmbedding
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload
from vllm.model_executor.model_loader.reload.layerwise import get_layerwise_info
from vllm.platforms import current_platform

from r1kit.rollout.gloo import Broadcast, tcp_store

__all__ = ["Receiver", "Update", "Wire", "check_experts", "checksum", "drop_kernels", "pack_heads"]


@dataclass
class Wire(WeightTransferInitInfo):  # type: ignore[misc]
    """Of ``init``."""

    kind: str = "memory"
    """``memory``: with the call; ``folder``: in a safetensors file; ``gloo``, ``nccl``: from rank 0 of a group."""
    host: str = ""
    port: int = 0
    name: str = ""
    """Of the group; a new one each time."""
    size: int = 2
    """Members of the group: the learner and every worker of every engine."""
    first: int = 1
    """Rank of this engine's first worker."""
    timeout: float = 600.0
    """Seconds that one tensor may take."""


@dataclass
class Update(WeightTransferUpdateInfo):  # type: ignore[misc]
    """Of ``update``: one or more tensors."""

    names: list[str] = field(default_factory=list)
    """Hub names, in order."""
    total: int = 0
    """Tensors of the whole update, all its chunks together."""
    dtypes: list[str] = field(default_factory=list)
    """``float32``; for gloo and NCCL."""
    shapes: list[list[int]] = field(default_factory=list)
    """For gloo and NCCL."""
    path: str = ""
    """For a folder: the file that holds these tensors, and nothing else."""
    tensors: list[Any] = field(default_factory=list)
    """For memory: what the learner holds; copied."""
    checksums: list[str] = field(default_factory=list)
    """``checksum`` of each as it was sent; empty: not compared."""
    abort: bool = False
    """Give the update up."""


def checksum(tensor: Tensor) -> str:
    """SHA-256 of a tensor's bytes."""
    return hashlib.sha256(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()).hexdigest()


class Receiver(WeightTransferEngine):  # type: ignore[misc]
    """A worker's side; one in every worker."""

    init_info_cls, update_info_cls = Wire, Update

    def __init__(self, config: Any, vllm_config: Any, device: torch.device, model: torch.nn.Module) -> None:
        super().__init__(config, vllm_config, device, model)
        self._wire = Wire()
        self._group: Broadcast | None = None
        self._torn = False
        self._names: list[str] = []
        self._total = 0

    def init_transfer_engine(self, init_info: Wire) -> None:
        """Join the learner's group, where there is one."""
        self.shutdown()
        self._wire = init_info
        if init_info.kind in ("gloo", "nccl"):
            parallel = self.parallel_config
            rank = init_info.first + parallel.data_parallel_index * parallel.world_size + parallel.rank
            store = tcp_store(init_info.host, init_info.port, init_info.timeout)
            device = self.device if init_info.kind == "nccl" else None
            self._group = Broadcast(store, init_info.name, rank, init_info.size, init_info.timeout, device)
        elif init_info.kind not in ("memory", "folder"):
            raise ValueError(f"weights do not come by {init_info.kind!r}; known are memory, folder, gloo and nccl")

    def start_weight_update(self) -> None:
        """Layers wait for their weights; what an update that was given up left is closed first."""
        if self._torn:
            finalize_layerwise_reload(self.model, self.model_config)
        self._torn, self._names, self._total = True, [], 0
        drop_kernels(self.model)
        initialize_layerwise_reload(self.model)

    def update_weights(self, update_info: dict[str, Any]) -> None:
        """As the base class, which waits for an accelerator; here there may be none."""
        self.receive_weights(self.parse_update_info(update_info))
        if not current_platform.is_cpu():
            torch.accelerator.synchronize()

    def receive_weights(self, update_info: Update) -> None:
        """Load some tensors."""
        if update_info.abort:
            raise RuntimeError("the hand-over of weights was given up")
        if not update_info.names:
            raise ValueError("an update of weights that names none")
        self._total = update_info.total
        for index, (name, tensor) in enumerate(self._arriving(update_info)):
            if update_info.checksums and checksum(tensor) != update_info.checksums[index]:
                raise RuntimeError(f"weight {name} arrived with another checksum than it was sent with")
            self.model.load_weights([(name, tensor.to(self.device))])
            self._names.append(name)

    def _arriving(self, update: Update) -> Iterator[tuple[str, Tensor]]:
        if self._wire.kind == "memory":
            for name, tensor in zip(update.names, update.tensors, strict=True):
                yield name, tensor.detach().clone()  # layers load once all of theirs is here
        elif self._wire.kind == "folder":
            from safetensors.torch import load_file

            if not Path(update.path).is_file():
                raise FileNotFoundError(f"no weights at {update.path}; learner and engine must see the same folder")
            found = load_file(update.path)
            for name in update.names:
                yield name, found[name]
        else:
            if self._group is None:
                raise RuntimeError("weights over a group before the learner's group was joined")
            for name, dtype, shape in zip(update.names, update.dtypes, update.shapes, strict=True):
                yield name, self._group.receive(getattr(torch, dtype), tuple(shape))

    def finish_weight_update(self) -> None:
        """All is here: layers pack what they multiply with."""
        if len(self._names) != self._total or len(set(self._names)) != self._total:
            raise RuntimeError(f"{len(set(self._names))} of {self._total} weights arrived; send all of them again")
        check_experts(self.model)
        finalize_layerwise_reload(self.model, self.model_config)
        pack_heads(self.model)
        self._torn = False

    def shutdown(self) -> None:
        """Leave the learner's group."""
        if self._group is not None:
            self._group.close()
            self._group = None


def drop_kernels(model: torch.nn.Module) -> None:
    """On a CPU a layer's experts are packed where their kernel is made, and a reload makes none where there is one."""
    if current_platform.is_cpu():
        for _, experts in _experts(model):
            experts.quant_method.moe_kernel = None


def check_experts(model: torch.nn.Module) -> None:
    """Raise RuntimeError where a model (GPT-OSS) writes its experts past what a reload watches: they would stay."""
    for name, experts in _experts(model):
        info = get_layerwise_info(experts)
        if info.can_load() and not info.load_numel:
            raise RuntimeError(f"vLLM takes no new experts of {type(model).__name__} ({name})")


def _experts(model: torch.nn.Module) -> list[tuple[str, Any]]:
    """The layers that hold experts, by name."""
    found = model.named_modules()
    return [(name, one) for name, one in found if hasattr(getattr(one, "quant_method", None), "moe_kernel")]


def pack_heads(model: torch.nn.Module) -> None:
    """On a CPU a head has a packed copy of its own, which a reload does not make again where it is tied."""
    if not current_platform.is_cpu():
        return
    from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm

    for module in model.modules():
        if isinstance(module, VocabParallelEmbedding) and hasattr(module, "cpu_linear"):
            dispatch_cpu_unquantized_gemm(module, remove_weight=False)
