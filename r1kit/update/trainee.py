"""The module that is sharded: a language model with the head's loss inside its forward, so that every weight is read,
and gets its gradient, where the weights of all ranks are together.

Axes: N packed tokens, M of them predict a target, d hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from r1kit.model.decoder import Decoder
from r1kit.model.language_model import LanguageModel
from r1kit.update.head import Head, Slope
from r1kit.update.pack import MicroBatch

__all__ = ["Further", "Part", "Read", "Trainee", "head_loss"]

Read = Callable[[Sequence[Tensor], Tensor, Tensor | None], Any]
"""What is wanted of hidden states, each [M, d], of the head's weight [V, d] and its bias [V]: a loss, or log-probs."""
Part = tuple[Tensor, Sequence[tuple[slice, Slope]]]
"""Targets int64 [M] of hidden states, and consecutive slices of [M], with their slopes, that are computed one after the
other."""


@dataclass(frozen=True, slots=True)
class Further:
    """What the layer that predicts a token further learns from the N packed tokens of a rank."""

    following: Tensor
    """int64 [N]: each token's next one."""
    index: Tensor
    """int64 [m]: tokens whose next but one is a target."""


class Trainee(nn.Module):
    """``forward`` is the only way to the weights while they are shared out."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = cast(nn.Module, model)

    def forward(self, micro: MicroBatch, read: Read, further: Further | None = None, alone: bool = False) -> Any:
        """What ``read`` makes of hidden states: those that predict the micro-batch's targets and, after them, what the
        layer that predicts a token further gives at its ``index``.

        Args:
            micro: as this rank has it.
            read: see there.
            further: None: that layer is left out.
            alone: that layer learns alone. Its states are the only ones; the trunk's, embedding and head are constants.
        """
        model, tokens, spread = cast(LanguageModel, self.model), micro.segments.tokens, micro.segments.spread
        if spread is not None:
            tokens = tokens[spread.slice_of(len(tokens))]
        following = tokens[:0] if further is None else further.following
        head, bias, ahead = model.head, model.head_bias, None
        if alone:
            head, bias = head.detach(), None if bias is None else bias.detach()
        with torch.set_grad_enabled(torch.is_grad_enabled() and not alone):
            if model.table is None:
                hidden = model.hidden(micro.segments)
            else:  # both at once, so that the gradient is one sum
                both: Tensor = _Lookup.apply(model.table, torch.cat([tokens, following]))  # type: ignore[no-untyped-call]
                embedded, ahead = both.split([len(tokens), len(following)])
                hidden = model.transform(embedded, micro.segments)
        states = [] if alone else [hidden if micro.index is None else hidden.index_select(0, micro.index)]
        if further is not None:
            assert isinstance(model, Decoder)
            assert ahead is not None
            states.append(model.further(hidden, ahead, micro.segments).index_select(0, further.index))
        return read(states, head, bias)


def head_loss(head: Callable[[Tensor, Tensor | None], Head], parts: Sequence[Part]) -> Read:
    """A ``Read`` that gives a scalar whose backward pass is the head's gradient (``Head.gradient``), and that of weight
    and bias where they are trained, over all parts one fp32 sum.

    The scalar is 0: what the loss is, the slopes' owner knows. Its own gradient counts as 1.

    Args:
        head: from weight and bias.
        parts: of the hidden states, in their order.
    """

    def read(states: Sequence[Tensor], weight: Tensor, bias: Tensor | None) -> Tensor:
        found: Tensor = _HeadLoss.apply(weight, bias, head, parts, *states)  # type: ignore[no-untyped-call]
        return found

    return read


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, bias: Tensor | None, make: Callable[[Tensor, Tensor | None], Head],
        parts: Sequence[Part], *states: Tensor,
    ) -> Tensor:  # fmt: skip
        head, (trained, shifted, *_) = make(weight, bias), ctx.needs_input_grad
        total = torch.zeros_like(weight, dtype=torch.float32) if trained else None
        bias_total = torch.zeros_like(bias, dtype=torch.float32) if bias is not None and shifted else None
        grads = []
        for hidden, (targets, pieces) in zip(states, parts, strict=True):
            found = [head.gradient(hidden[at], targets[at], slope, total, bias_total) for at, slope in pieces]
            grads.append(torch.cat(found) if len(found) > 1 else found[0])
        ctx.grads = total, bias_total, grads
        return weight.new_zeros(())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        (total, bias_total, grads), ctx.grads = ctx.grads, None
        return (total, bias_total, None, None, *grads)


class _Lookup(torch.autograd.Function):
    """An embedding whose gradient is summed in fp32 whatever the table's dtype."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, tokens: Tensor) -> Tensor:
        ctx.save_for_backward(tokens)
        ctx.shape = table.shape
        return table[tokens]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (tokens,) = ctx.saved_tensors
        total = torch.zeros(ctx.shape, device=grad.device)
        return total.index_add_(0, tokens, grad.float()), None
