"""Weights on their way from one place to another: a stream of (hub name, tensor), never a whole mapping by contract.

A stream tells what it will bring before it brings it, and can be gone through again. Where ranks share the weights out
between them, going through it is a collective: every rank does so, in the stream's own order.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from r1kit.errors import InputError

__all__ = [
    "Chosen", "NamedWeights", "Renamed", "Sliced", "Weight", "WeightStream", "as_it_is", "check_finite",
    "check_fit", "copy_weights",
]  # fmt: skip


class Weight(NamedTuple):
    """What is known of a weight without its numbers."""

    name: str
    """Its hub name."""
    dtype: torch.dtype
    shape: tuple[int, ...]
    """Of the whole tensor, however it is shared out."""


class WeightStream(Protocol):
    def metadata(self) -> Sequence[Weight]:
        """What comes, in the order it comes; no collective."""
        ...

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        """Name and whole tensor, one at a time. A tensor may be the owner's own memory: copy it before the next one."""
        ...


Renamed = Callable[[WeightStream], WeightStream]
"""``LanguageModel.published`` of a model."""


def as_it_is(stream: WeightStream) -> WeightStream:
    """``Renamed`` where names are the hub's already."""
    return stream


@runtime_checkable
class Sliced(Protocol):
    """A stream that reads rows of a tensor and leaves the others."""

    def rows(self, wanted: Mapping[str, slice]) -> Iterator[tuple[str, Tensor]]:
        """Name and these rows (of the first axis) of these tensors, in any order."""
        ...


class NamedWeights:
    """Tensors that lie in this process's memory, as a stream; one that ranks share out (FSDP2) is gathered whole."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = weights

    def metadata(self) -> Sequence[Weight]:
        """See ``WeightStream``."""
        return [Weight(name, weight.dtype, tuple(weight.shape)) for name, weight in self._weights.items()]

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        for name, weight in self._weights.items():
            yield name, weight.full_tensor() if hasattr(weight, "full_tensor") else weight


class Chosen:
    """Some weights of a stream, by name: without the copy of a tied head, say, or tables that old folders hold."""

    def __init__(self, stream: WeightStream, names: Container[str]) -> None:
        self._stream, self._names = stream, names

    def metadata(self) -> Sequence[Weight]:
        """See ``WeightStream``."""
        return [weight for weight in self._stream.metadata() if weight.name in self._names]

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        if isinstance(self._stream, Sliced):  # which reads no others
            yield from self._stream.rows({weight.name: slice(None) for weight in self.metadata()})
        else:
            yield from ((name, weight) for name, weight in self._stream if name in self._names)


def copy_weights(
    own: Mapping[str, Tensor], stream: WeightStream, what: str, tied: Mapping[str, str] | None = None
) -> None:
    """Copy a stream into tensors of the same names, in their dtype and on their device.

    Args:
        own: hub name -> where it goes.
        what: of whom an error speaks: ``the checkpoint``.
        tied: names that may come along, and the weight that each must equal, since it is the same one here.

    Raises:
        InputError: a name is missing or unknown, or a shape or a tied weight differs; nothing was copied.
    """
    check_fit({name: tuple(weight.shape) for name, weight in own.items()}, stream, what, tied)
    for name, weight in stream:
        if name in own:
            own[name].copy_(weight)


def check_fit(
    own: Mapping[str, tuple[int, ...]], stream: WeightStream, what: str, tied: Mapping[str, str] | None = None
) -> None:
    """Raise InputError unless a stream brings every weight of ``own``, hub name -> shape, and no other.

    ``what`` and ``tied`` as for ``copy_weights``; only where tied weights come along is the stream gone through.
    """
    given = {weight.name: weight.shape for weight in stream.metadata() if not _is_buffer(weight.name)}
    extra = {name: other for name, other in (tied or {}).items() if name in given}
    for problem, names in (("missing", own.keys() - given.keys()), ("unknown", given.keys() - own.keys() - set(extra))):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise InputError(f"{what} does not fit its config: weight {min(names)!r}{more} {problem}")
    for name, shape in own.items():
        if given[name] != shape:
            shapes = f"{list(given[name])}, the config asks for {list(shape)}"
            raise InputError(f"{what} does not fit its config: {name} is {shapes}")
    _check_tied(stream, extra)


def _is_buffer(name: str) -> bool:
    """Rotary frequencies that old checkpoints carry along; the config says the same."""
    return name.endswith("rotary_emb.inv_freq")


def _check_tied(stream: WeightStream, tied: Mapping[str, str]) -> None:
    if not tied:
        return
    wanted = {*tied, *tied.values()}
    few = stream.rows(dict.fromkeys(wanted, slice(None))) if isinstance(stream, Sliced) else iter(stream)
    held = {name: weight.clone() for name, weight in few if name in wanted}
    for name, other in tied.items():
        if not torch.equal(held[name], held[other]):
            raise InputError(f"{name} differs from {other}, but the config says that they are tied")


def check_finite(folder: Path, model: nn.Module) -> None:
    """Raise InputError for a weight that holds NaN or infinity, as a float16 copy of large weights may."""
    for name, weight in model.named_parameters():
        if weight.numel() and not all(torch.isfinite(end) for end in torch.aminmax(weight.detach())):
            raise InputError(
                f"{folder}: weight {name!r} holds NaN or infinity, in {str(weight.dtype).removeprefix('torch.')}; "
                "fetch or write the model again"
            )
