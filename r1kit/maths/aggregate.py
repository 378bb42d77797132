"""How token losses become one number, as a weight for each token of a row.

The weights are computed once over the whole batch, flat groups and all; the loss of the batch is ``sum_t w_t loss_t``,
so neither micro-batches nor ranks nor skipped rows change it.
"""

from __future__ import annotations

from collections.abc import Sequence

from r1kit.maths.settings import Aggregate

__all__ = ["token_weights"]


def token_weights(
    lengths: Sequence[int], how: Aggregate, *, constant: int | None = None, batch: tuple[int, int] | None = None
) -> list[float]:
    """Weight of each token of row i, with R rows of n_i tokens.

    ``sequence-mean``: 1 / (R n_i), the mean over rows of each row's mean (GRPO, R1 paper equation 1).
    ``token-mean``: 1 / sum(n), every token counts the same (DAPO, 2503.14476).
    ``constant``: 1 / (R constant), lengths divide by one constant, the longest completion (Dr. GRPO, 2503.20783).

    Args:
        lengths: tokens of each row.
        how: one of the above.
        constant: for ``constant`` alone: the recipe's ``max_tokens``.
        batch: R and sum(n) of the whole batch, where these rows are a part of it.
    """
    rows, tokens = batch or (len(lengths), sum(lengths))
    if how == "sequence-mean":
        return [1 / (rows * n) if n else 0.0 for n in lengths]
    if how == "token-mean":
        return [1 / tokens if n else 0.0 for n in lengths]
    assert constant, "aggregate 'constant' needs the constant"
    return [1 / (rows * constant)] * len(lengths)
