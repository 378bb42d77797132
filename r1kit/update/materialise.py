"""Numbers for a model that was shared out while it had none: each rank reads the rows that it keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from r1kit.cluster.ranks import Ranks
from r1kit.errors import InputError
from r1kit.model.layout import Place
from r1kit.model.weights import Sliced, WeightStream

__all__ = ["fill"]


@torch.no_grad()
def fill(
    kept: Mapping[str, tuple[Tensor, int]], places: Mapping[str, Place], weights: WeightStream, ranks: Ranks
) -> None:
    """Copy from a stream what this rank keeps; a collective.

    Args:
        kept: parameter -> (this rank's rows of it, contiguous; how many elements of it come before them).
        places: hub name -> where it lies in its parameter.
        weights: every rank goes through all of it by itself.
        ranks: who must agree.

    Raises:
        InputError: a weight holds NaN or infinity, or cannot be read; on every rank alike.
    """
    wrong = ""
    try:
        for hub, rows in _rows(weights, {hub: _wanted(place, *kept[place.parameter]) for hub, place in places.items()}):
            place, (own, before) = places[hub], kept[places[hub].parameter]
            begin = max(before, place.offset) - before
            own.view(-1)[begin : begin + rows.numel()].copy_(rows.reshape(-1))
            if rows.numel() and not all(torch.isfinite(end) for end in torch.aminmax(rows)):
                kind = str(rows.dtype).removeprefix("torch.")
                raise InputError(f"weight {hub!r} holds NaN or infinity, in {kind}; fetch or write the model again")
    except InputError as error:
        wrong = str(error)
    if said := next(filter(None, ranks.gather_objects(wrong)), ""):
        raise InputError(said)


def _wanted(place: Place, own: Tensor, before: int) -> slice:
    """Rows of a hub weight that lie in the elements ``before`` to ``before + own`` of its parameter."""
    width = 1
    for size in place.shape[1:]:
        width *= size
    assert place.stride == torch.empty(place.shape, device="meta").stride(), "hub weights are whole rows of parameters"
    first, last = before - place.offset, before + own.numel() - place.offset
    rows = place.shape[0]
    return slice(min(rows, max(0, first // width)), min(rows, max(0, last // width)))


def _rows(weights: WeightStream, wanted: Mapping[str, slice]) -> Iterator[tuple[str, Tensor]]:
    some = {hub: rows for hub, rows in wanted.items() if rows.start < rows.stop}
    if isinstance(weights, Sliced):
        yield from weights.rows(some)
        return
    for hub, whole in weights:
        if hub in some:
            yield hub, whole[some[hub]]
