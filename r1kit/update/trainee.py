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

__all__ = ["Further", "Read", "Trainee", "head_loss"]

Read = Callable[[Tensor, Tensor, Tensor | None], Any]
"""What is wanted of hidden states [M, d], the head's weight [V, d] and its bias [V]: a loss, or log-probs."""


@dataclass(frozen=True, slots=True)
class Further:
    """What the layer that predicts a token further learns from N packed tokens."""

    following: Tensor
    """int64 [N]: each token's next one."""
    index: Tensor
    """int64 [m]: tokens whose next but one is a target."""
    read: Read
    """The loss that the layer's output at ``index`` has."""


class Trainee(nn.Module):
    """``forward`` is the only way to the weights while they are shared out."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = cast(nn.Module, model)

    def forward(self, micro: MicroBatch, read: Read | None, further: Further | None = None) -> Any:
        """What ``read`` makes of the hidden states that predict the micro-batch's targets, plus what ``further`` does
        of its layer's.

        Without ``read`` that layer alone learns: hidden states, embedding and head are constants to it.
        """
        model = cast(LanguageModel, self.model)
        with torch.set_grad_enabled(read is not None and torch.is_grad_enabled()):
            hidden = self._hidden(micro)
        head, bias, found = model.head, model.head_bias, None
        if read is None:
            head, bias = head.detach(), None if bias is None else bias.detach()
        else:
            found = read(hidden if micro.index is None else hidden.index_select(0, micro.index), head, bias)
        if further is None:
            return found
        assert isinstance(model, Decoder)
        table = model.table if read is not None else model.table.detach()
        following: Tensor = _Lookup.apply(table, further.following)  # type: ignore[no-untyped-call]
        made = model.further(hidden, following, micro.segments)
        more = further.read(made.index_select(0, further.index), head, bias)
        return more if found is None else found + more

    def _hidden(self, micro: MicroBatch) -> Tensor:
        """[N, d]"""
        model, tokens, spread = cast(LanguageModel, self.model), micro.segments.tokens, micro.segments.spread
        if spread is not None:
            tokens = tokens[spread.slice_of(len(tokens))]
        if model.table is None:
            return model.hidden(micro.segments)
        embedded: Tensor = _Lookup.apply(model.table, tokens)  # type: ignore[no-untyped-call]
        return model.transform(embedded, micro.segments)


def head_loss(
    head: Callable[[Tensor, Tensor | None], Head],
    targets: Tensor,
    pieces: Sequence[tuple[slice, Slope]],
) -> Read:
    """A ``Read`` that gives a scalar whose backward pass is the head's gradient (``Head.gradient``), the weight's too.

    The scalar is 0: what the loss is, the slopes' owner knows. Its own gradient counts as 1.

    Args:
        head: from weight and bias.
        targets: int64 [M].
        pieces: consecutive slices of [M] that are computed one after the other.
    """

    def read(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        found: Tensor = _HeadLoss.apply(hidden, weight, bias, head, targets, pieces)  # type: ignore[no-untyped-call]
        return found

    return read


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None,
        make: Callable[[Tensor, Tensor | None], Head], targets: Tensor, pieces: Sequence[tuple[slice, Slope]],
    ) -> Tensor:  # fmt: skip
        head = make(weight, bias)
        _, trained, shifted, *_ = ctx.needs_input_grad
        total = torch.zeros_like(weight, dtype=torch.float32) if trained else None
        bias_total = torch.zeros_like(bias, dtype=torch.float32) if bias is not None and shifted else None
        grads = [head.gradient(hidden[at], targets[at], slope, total, bias_total) for at, slope in pieces]
        ctx.grads = torch.cat(grads) if len(grads) > 1 else grads[0], total, bias_total
        return hidden.new_zeros(())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        found, ctx.grads = ctx.grads, None
        return (*found, None, None, None)


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
