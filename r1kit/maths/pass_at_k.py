"""What n samples of a problem say: pass@k and cons@n (R1 paper, section 3 and figure 2)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

__all__ = ["consensus", "pass_at_k"]


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Chance that k of the n samples, drawn without replacement, hold a correct one: ``1 - C(n-c, k) / C(n, k)``.

    Unbiased for pass@k (Codex paper, 2107.03374, equation 1). Needs 0 <= correct <= n and 1 <= k <= n.
    """
    assert 0 <= correct <= n, f"{correct} correct out of {n}"
    assert 1 <= k <= n, f"pass@{k} of {n} samples"
    return 1.0 - math.comb(n - correct, k) / math.comb(n, k)


def consensus(answers: Sequence[str | None], scores: Sequence[float]) -> float:
    """cons@n: score of the most frequent answer.

    Equal answers are equal strings. None (no answer) has no vote; without any vote the result is 0. Among answers tied
    for the most votes the result is the mean of their scores, that is the expectation of a fair draw, whatever the
    order of the samples. Samples that share an answer but not a score count with the best of them: a gate on the form
    may have refused the others.
    """
    votes = Counter(answer for answer in answers if answer is not None)
    if not votes:
        return 0.0
    most = max(votes.values())
    winners = [answer for answer, count in votes.items() if count == most]
    best = [max(score for other, score in zip(answers, scores, strict=True) if other == winner) for winner in winners]
    return sum(best) / len(best)
