"""What an evaluation says of k completions a problem (R1 paper, evaluation protocol; figures 2 and 3). Host numpy only.

``docs/metrics.md`` explains every number that is written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r1kit.errors import R1Error
from r1kit.evals.interval import mean_interval
from r1kit.evals.reflection import count_reflection
from r1kit.evals.thinking import solved_tokens
from r1kit.maths.pass_at_k import consensus, pass_at_k
from r1kit.records import Group, Score
from r1kit.tasks.task import Claims

__all__ = [
    "TRY_BINS", "Diagnostics", "Outcomes", "accuracy_by_tries", "answers_right", "correct_given", "diagnostic",
    "match_scores", "mean_diagnostics", "numbers", "outcomes",
]  # fmt: skip


def match_scores(groups: Sequence[Group], scores: Sequence[Sequence[Score]]) -> None:
    """Refuse rewards that do not match their samples one to one; nothing is ever broadcast.

    Raises:
        R1Error: a list of another length, naming the first group where it differs.
    """
    if len(groups) != len(scores):
        raise R1Error(f"rewards were given for {len(scores)} groups, but {len(groups)} were sampled")
    for group, row in zip(groups, scores, strict=True):
        if len(group.completions) != len(row):
            raise R1Error(
                f"{len(row)} rewards were given for the {len(group.completions)} completions of {group.prompt.id}"
            )


Floats = NDArray[np.float64]
Diagnostics = Sequence[Sequence[Mapping[str, float]]]
"""``Task.diagnose`` of each completion of each group."""

CLAIMS = Claims()
"""Names of the diagnostics with a meaning here."""
TRY_BINS = (("0", 0, 0), ("1", 1, 1), ("2-3", 2, 3), ("4-6", 4, 6), ("7+", 7, np.inf))
"""Label, fewest and most tries."""


OF_ACCURACY = (
    "avg_at_k", "interval", "cons_at_k", "cons_interval", "per_problem", "pass_at_k", "accuracy_given_format",
    "accuracy_under_budget", "mixed_groups_share", "solved_tokens", "solved_tokens_per_problem",
)  # fmt: skip
"""Undefined for a task that grades nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Per-completion arrays, all [problems, k]."""

    right: Floats
    """1 where the accuracy part is 1 (a generator's partial credit does not count as right)."""
    formed: Floats
    """1 where the whole form was earned."""
    length: Floats
    """Tokens, end token counted."""
    language: Floats
    """Language consistency, NaN where it was not measured."""
    truncated: Floats
    failed: Floats
    """1 where the verifier could not judge (``ungradable`` or ``timeout``)."""
    clusters: tuple[str, ...]
    """[problems]"""


def outcomes(groups: Sequence[Group], scores: Sequence[Sequence[Score]]) -> Outcomes:
    """Lay groups and scores out as arrays; every group must have the same number of completions."""
    match_scores(groups, scores)
    assert groups, "nothing to evaluate"
    assert len({len(group.completions) for group in groups}) == 1, "groups of one evaluation have the same k"

    def part(name: str, missing: float) -> Floats:
        return np.array([[score.parts.get(name, missing) for score in row] for row in scores], dtype=np.float64)

    return Outcomes(
        right=(part("accuracy", 0.0) >= 1.0).astype(np.float64),
        formed=(part("format", 0.0) >= 1.0).astype(np.float64),
        length=_per_completion(groups, lambda completion: len(completion.token_ids)),
        language=part("language", np.nan),
        truncated=_per_completion(groups, lambda completion: completion.finish == "length"),
        failed=np.array([[score.status != "ok" for score in row] for row in scores], dtype=np.float64),
        clusters=tuple(group.prompt.cluster or group.prompt.id for group in groups),
    )


def _per_completion(groups: Sequence[Group], measure: Any) -> Floats:
    return np.array([[measure(completion) for completion in group.completions] for group in groups], dtype=np.float64)


def numbers(
    groups: Sequence[Group],
    scores: Sequence[Sequence[Score]],
    diagnostics: Diagnostics | None = None,
    budgets: Iterable[int] = (),
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """One line of ``eval.jsonl`` without its step: every number of the module's task, JSON-ready, None for undefined.

    Args:
        groups: of one task, all with the same k.
        scores: theirs.
        diagnostics: theirs, or None.
        budgets: token budgets.
        resamples: bootstrap draws of the intervals.
        seed: of the bootstrap.

    Raises:
        R1Error: scores do not match the groups one to one.
    """
    arrays = outcomes(groups, scores)
    tasks = {group.prompt.task for group in groups}
    assert len(tasks) == 1, f"one evaluation is of one task, not of {sorted(tasks)}"
    per_problem = arrays.right.mean(axis=1)
    k = arrays.right.shape[1]
    voted = [consensus([one.answer for one in row], right) for row, right in zip(scores, arrays.right, strict=True)]
    average = mean_interval(per_problem, arrays.clusters, resamples, seed)
    majority = mean_interval(np.array(voted), arrays.clusters, resamples, seed)
    line: dict[str, Any] = {
        "task": tasks.pop(),
        "k": k,
        "problems": len(groups),
        "clusters": average.clusters,
        "avg_at_k": average.mean,
        "interval": [average.low, average.high],
        "cons_at_k": majority.mean,
        "cons_interval": [majority.low, majority.high],
        "per_problem": [round(float(value), 6) for value in per_problem],
        "pass_at_k": float(np.mean([pass_at_k(k, int(right), k) for right in arrays.right.sum(axis=1)])),
        "response_tokens": float(arrays.length.mean()),
        "format_rate": float(arrays.formed.mean()),
        "accuracy_given_format": _mean_where(arrays.right, arrays.formed > 0),
        "accuracy_under_budget": {
            str(budget): float((arrays.right * (arrays.length <= budget)).mean()) for budget in budgets
        },
        "truncated_share": float(arrays.truncated.mean()),
        "failed_share": float(arrays.failed.mean()),
        "mixed_groups_share": float(((per_problem > 0) & (per_problem < 1)).mean()),
        **_language(arrays, resamples, seed),
        "by_language": _by_language(groups, arrays),
        **solved_tokens(arrays.right, arrays.length),
        **_reflection(groups),
    }
    if any("accuracy" in score.abstained for row in scores for score in row):
        line |= _ungraded(line)
    if diagnostics is not None:
        line |= _diagnosed(arrays.right, diagnostics)
    return line


def _ungraded(line: Mapping[str, Any]) -> dict[str, Any]:
    """What changes in the line of a task that grades nothing."""
    spoken = {language: {**one, "avg_at_k": None} for language, one in line["by_language"].items()}
    return {**dict.fromkeys(OF_ACCURACY), "by_language": spoken}


def _mean_where(values: Floats, chosen: NDArray[np.bool_]) -> float | None:
    return float(values[chosen].mean()) if chosen.any() else None


def _language(arrays: Outcomes, resamples: int, seed: int) -> dict[str, Any]:
    """Mean consistency, in all and of each problem, and the share of completions that mix languages.

    The interval is of the mean over problems; it is None, as a problem's own mean is, where nothing was measured.
    """
    known = ~np.isnan(arrays.language)
    mixed = ((arrays.language > 0) & (arrays.language < 1)).astype(np.float64)
    means = [_mean_where(row, there) for row, there in zip(arrays.language, known, strict=True)]
    found = np.array([mean for mean in means if mean is not None])
    clusters = [cluster for mean, cluster in zip(means, arrays.clusters, strict=True) if mean is not None]
    spread = mean_interval(found, clusters, resamples, seed) if clusters else None
    return {
        "language_consistency": _mean_where(arrays.language, known),
        "language_interval": None if spread is None else [spread.low, spread.high],
        "language_per_problem": [None if mean is None else round(mean, 6) for mean in means],
        "mixed_share": _mean_where(mixed, known),
    }


def _by_language(groups: Sequence[Group], arrays: Outcomes) -> dict[str, dict[str, Any]]:
    """Language of the question -> problems in it, accuracy, and mean consistency where it was measured."""
    spoken = np.array([group.prompt.language for group in groups])
    found = {}
    for language in dict.fromkeys(spoken.tolist()):
        own, measured = arrays.right[spoken == language], arrays.language[spoken == language]
        found[language] = {
            "problems": len(own),
            "avg_at_k": float(own.mean()),
            "language_consistency": _mean_where(measured, ~np.isnan(measured)),
        }
    return dict(sorted(found.items()))


def _reflection(groups: Sequence[Group]) -> dict[str, Any]:
    """Share of responses with a reflection word, and occurrences of each word per response."""
    counts = [count_reflection(completion.text) for group in groups for completion in group.completions]
    words = sorted({word for count in counts for word in count})
    return {
        "reflection_rate": sum(bool(count) for count in counts) / len(counts),
        "reflection_words": {word: sum(count.get(word, 0) for count in counts) / len(counts) for word in words},
    }


def _diagnosed(right: Floats, diagnostics: Diagnostics) -> dict[str, Any]:
    answered = answers_right(right, diagnostics)
    return {
        "diagnostics": mean_diagnostics(diagnostics),
        "correct_given_claim": correct_given(answered, diagnostic(diagnostics, CLAIMS.hit)),
        "accuracy_by_tries": accuracy_by_tries(np.nan_to_num(answered), diagnostic(diagnostics, CLAIMS.tries)),
    }


def answers_right(right: Floats, diagnostics: Diagnostics) -> Floats:
    """Whether each final answer is right in whatever form, NaN where there is none; the reward's own judgement for a
    task that does not say."""
    told = diagnostic(diagnostics, CLAIMS.right)
    return right if np.isnan(told).all() else told


def diagnostic(diagnostics: Diagnostics, name: str) -> Floats:
    """One diagnostic, [problems, k], NaN where a completion has none."""
    return np.array([[each.get(name, np.nan) for each in row] for row in diagnostics], dtype=np.float64)


def mean_diagnostics(diagnostics: Diagnostics) -> dict[str, float | None]:
    """Mean of each diagnostic over the completions that have it and where it is not NaN; None if there are none."""
    means: dict[str, float | None] = {}
    for name in sorted({name for row in diagnostics for each in row for name in each}):
        values = diagnostic(diagnostics, name)
        means[name] = _mean_where(values, ~np.isnan(values))
    return means


def correct_given(right: Floats, claimed: Floats) -> float | None:
    """P(correct | the chain claims a hit and gives an answer): can the policy tell a hit from a miss? None if no chain
    claims one. ``right`` is NaN where there is no answer."""
    return _mean_where(right, (claimed > 0) & ~np.isnan(right))


def accuracy_by_tries(right: Floats, tries: Floats) -> dict[str, dict[str, float | int | None]]:
    """Accuracy and count in each bin of the number of tries; empty if no completion has the diagnostic."""
    if np.isnan(tries).all():
        return {}
    table: dict[str, dict[str, float | int | None]] = {}
    for label, fewest, most in TRY_BINS:
        inside = (tries >= fewest) & (tries <= most)
        table[label] = {"accuracy": _mean_where(right, inside), "count": int(inside.sum())}
    return table
