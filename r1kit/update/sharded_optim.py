"""AdamW and Muon on weights that ranks share: the steps of ``optim.py``, each rank on its own rows.

AdamW goes element by element, so a rank needs nobody for it. Muon needs a whole matrix: one at a time is gathered, and
each rank keeps its rows of the step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor
from torch.optim.adamw import adamw

from r1kit.update.optim import DTYPES, orthogonalise, squares
from r1kit.update.settings import OptimiserSettings

__all__ = ["Kept", "ShardedOptimiser", "Share", "local"]


def local(tensor: Tensor) -> Tensor:
    """This rank's rows of a DTensor, in place, without a gradient."""
    own: Tensor = cast(DTensor, tensor.detach()).to_local()
    return own


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A parameter of which this rank has a slice of the rows."""

    name: str
    weight: DTensor
    """fp32; its gradient is a DTensor of the same rows, or None where nothing was computed."""
    order: int
    """0 for a matrix between hidden states, 1 for another, 2 for a vector."""
    parts: tuple[int, ...]
    """Rows of each matrix that is fused into it."""

    @property
    def own(self) -> Tensor:
        """This rank's rows, in place."""
        return local(self.weight)

    @property
    def apart(self) -> bool:
        """One of experts that are whole on their rank (``expert_parallel.py``)."""
        return "experts" in (self.weight.device_mesh.mesh_dim_names or ())

    @property
    def axis(self) -> DeviceMesh:
        """Of the ranks that have all of its rows together: ``shard``, or ``experts``."""
        mesh = self.weight.device_mesh
        return mesh[(mesh.mesh_dim_names or ())[-1]]

    @property
    def before(self) -> int:
        """Elements of the parameter before this rank's."""
        mesh, rows = self.axis, self.weight.shape[0]
        first = min(rows, mesh.get_local_rank() * -(-rows // mesh.size()))
        return first * (self.weight.numel() // rows)

    @property
    def grad(self) -> Tensor:
        """Of this rank's rows; zeros, once made, where nothing was computed."""
        if self.weight.grad is None:
            self.weight.grad = torch.zeros_like(self.weight)
        return local(self.weight.grad)


Kept = dict[str, dict[str, DTensor]]
"""What an optimiser remembers -> of which parameter -> its numbers."""


class ShardedOptimiser:
    """Steps the shares of the master weights along their gradient."""

    def __init__(
        self, shares: Mapping[str, Share], settings: OptimiserSettings, mesh: DeviceMesh, offload: bool = False
    ) -> None:
        """``offload``: what it remembers waits in the host's memory and visits the device one parameter at a time."""
        assert settings.kind == "adamw" or settings.muon_dtype != "auto", "resolve_dtype says what auto means here"
        self.shares, self.settings, self.mesh, self.offload = shares, settings, mesh, offload
        self.steps = 0
        self.muon = [s for s in shares.values() if settings.kind == "muon" and s.order == 0]
        adamw = [s for s in shares.values() if settings.kind != "muon" or s.order]
        self.decayed = [s for s in adamw if s.order < 2], [s for s in adamw if s.order == 2]

        def zeros(share: Share) -> DTensor:
            made = torch.zeros_like(share.weight.detach())
            return cast(DTensor, made.cpu() if offload else made)

        self.kept: Kept = {"momentum": {s.name: zeros(s) for s in self.muon}}
        self.kept |= {key: {s.name: zeros(s) for s in adamw} for key in ("mean", "square")}

    @torch.no_grad()
    def clip(self) -> float:
        """Norm of the whole gradient, the same on every rank; scales it to ``max_grad_norm`` where it is longer. That
        of experts, which FSDP does not see, is summed over their copies first."""
        apart = [share for share in self.shares.values() if share.apart]
        for share in apart:
            dist.all_reduce(share.grad, group=share.weight.device_mesh.get_group("copies"))
        total = self._squares([share for share in self.shares.values() if not share.apart])
        norm = float((total + self._squares(apart) if apart else total).sqrt())
        if 0 < self.settings.max_grad_norm < norm:
            torch._foreach_mul_([share.grad for share in self.shares.values()], self.settings.max_grad_norm / norm)
        return norm

    def _squares(self, shares: Sequence[Share]) -> Tensor:
        """Sum of the squares of their gradients, float64, over the ranks that have all of their rows together."""
        total = torch.stack([squares(share.grad) for share in shares]).sum()
        dist.all_reduce(total, group=shares[0].axis.get_group())
        return total

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """One step of all shares; a collective where there is a Muon."""
        for decay, shares in zip((self.settings.weight_decay, 0.0), self.decayed, strict=True):
            mine = [share for share in shares if share.own.numel()]
            for several in [[share] for share in mine] if self.offload else [mine] if mine else []:
                self._adamw(several, lr, decay)
        self.steps += 1
        for share in self.muon:
            self._muon(share, lr * self.settings.muon_lr_ratio)

    def _adamw(self, shares: Sequence[Share], lr: float, decay: float) -> None:
        own = [share.own for share in shares]
        kept = [[local(self.kept[key][share.name]) for share in shares] for key in ("mean", "square")]
        means, squares = ([one.to(own[0].device, non_blocking=True) for one in each] for each in kept)
        steps = [torch.tensor(float(self.steps), device=own[0].device) for _ in shares]
        adamw(
            own, [share.grad for share in shares], means, squares, [], steps,
            fused=True, amsgrad=False, maximize=False, lr=lr, weight_decay=decay, eps=self.settings.eps,
            beta1=self.settings.betas[0], beta2=self.settings.betas[1],
        )  # fmt: skip
        if self.offload:
            torch._foreach_copy_(kept[0] + kept[1], means + squares)

    def _muon(self, share: Share, lr: float) -> None:
        """See ``optim.Optimiser._muon``."""
        own, grad, beta = share.own, share.grad, self.settings.muon_momentum
        host = local(self.kept["momentum"][share.name])
        momentum = host.to(own.device, non_blocking=True).lerp_(grad, 1 - beta)
        host.copy_(momentum)
        like = share.weight
        update = DTensor.from_local(
            grad.lerp(momentum, beta), like.device_mesh, like.placements,
            run_check=False, shape=like.shape, stride=like.stride(),
        ).full_tensor()  # fmt: skip
        step = torch.cat([self._direction(part) for part in update.split(share.parts)])
        shard = self.mesh.get_local_rank("shard")
        first = shard * -(-len(step) // self.mesh.size(1))
        own.mul_(1 - lr * self.settings.muon_weight_decay)
        own.add_(step[first : first + len(own)].to(own.device), alpha=-lr)

    def _direction(self, part: Tensor) -> Tensor:
        """The orthogonalised matrix times sqrt(max(1, rows / columns))."""
        rows, columns = part.shape
        dtype = DTYPES[self.settings.muon_dtype]
        turned = rows > columns
        found = orthogonalise((part.mT if turned else part)[None], dtype=dtype)[0].to(part.dtype)
        found *= max(1.0, rows / columns) ** 0.5
        return found.mT if turned else found

    def state(self) -> dict[str, Any]:
        """All that ``load_state`` needs to go on bit for bit; DTensors, which are saved and read in shares."""
        return {**self.kept, "steps": self.steps}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state`` gave, or a folder filled it with."""
        self.kept = {key: state[key] for key in self.kept}
        self.steps = int(state["steps"])
