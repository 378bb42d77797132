"""How token losses become one number, as a weight for each token of a row.

The weights are computed once over the whole batch, flat groups and all; the loss of the batch is ``sum_t w_t loss_t``,
so neither micro-batches nor ranks nor skipped rows change it.
"""

from __future__ import annotations

from collections.abc import Sequence

from r1kit.maths.settings import Aggregate

__all__ = ["token_weights"]


def token_weights(
    lengths: Sequence[int], how: Aggregate, *, constant: int | None = None, kept: Sequence[bool] | None = None
) -> list[float]:
    """Weight of each token of row i, with R rows of n_i tokens.

    ``sequence-mean``: 1 / (R n_i), the mean over rows of each row's mean (GRPO, R1 paper equation 1).
    ``token-mean``: 1 / sum(n), every token counts the same (DAPO, 2503.14476).
    ``constant``: 1 / (R constant), lengths divide by one constant, the longest completion (Dr. GRPO, 2503.20783).

    Args:
        lengths: tokens of each row.
        how: one of the above.
        constant: for ``constant`` alone: the recipe's ``max_tokens``.
        kept: rows that count at all; the others weigh 0 and are left out of R and of the sum (truncated samples).
    """
    kept = [True] * len(lengths) if kept is None else kept
    rows = sum(kept)
    tokens = sum(n for n, keep in zip(lengths, kept, strict=True) if keep)
    if how == "sequence-mean":
        weights = [1 / (rows * n) if keep and n else 0.0 for n, keep in zip(lengths, kept, strict=True)]
    elif how == "token-mean":
        weights = [1 / tokens if keep and n else 0.0 for n, keep in zip(lengths, kept, strict=True)]
    else:
        assert constant, "aggregate 'constant' needs the constant"
        weights = [1 / (rows * constant) if keep else 0.0 for keep in kept]
    return weights
