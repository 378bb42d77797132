"""The verifier is too slow, or cannot judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from r1kit.report.read.illnesses.illness import Example, Illness
from r1kit.report.read.illnesses.patient import WINDOW, Patient

__all__ = ["timeouts", "ungradable"]

LOST = 0.02
"""Share of completions that the verifier may fail on: healthy runs have none, a machine that stalls for a moment loses
one or two of a step."""
MOSTLY_LOST = 0.2
"""Share from which what is learnt is what the verifier can judge."""


def timeouts(patient: Patient) -> Iterator[Illness]:
    """Completions whose verifier was killed at the deadline."""
    yield from _lost(
        patient,
        "verifier timeouts",
        "timeout",
        "timeout_share",
        "were killed at the deadline",
        "Give the verifier longer (deadline), or make it quicker: fewer or smaller tests, a bound on what it parses. "
        "On a busy machine fewer verifier_workers may be faster.",
        "deadline",
    )


def ungradable(patient: Patient) -> Iterator[Illness]:
    """Completions on which the verifier raised, died or gave no number."""
    yield from _lost(
        patient,
        "ungradable completions",
        "ungradable",
        "ungradable_share",
        "could not be judged",
        "Read the cause: a rule or a reward function that raises is a fault in it. 'r1 verify' scores one answer by "
        "hand.",
        "reward.parts",
    )


def _lost(
    patient: Patient, name: str, status: str, metric: str, what: str, helps: str, setting: str
) -> Iterator[Illness]:
    share = patient.line(metric)
    if not patient.is_rl or not share.can_tell or share.last < LOST:
        return
    rows = [row for row in patient.recent.rows() if row.get("status") == status]
    causes = Counter(str(row["cause"]) for row in rows if row.get("cause")).most_common(1)
    cause = f"; mostly: {causes[0][0]}" if causes else ""
    yield patient.ill(
        name,
        "serious" if share.last >= MOSTLY_LOST else "warning",
        f"{share.last:.0%} of completions of the last {WINDOW} steps {what} and earned 0{cause}",
        since=share.since(lambda mean: mean >= LOST),
        helps=helps,
        setting=setting,
        metric=metric,
        example=Example.of(rows[-1], causes[0][0] if causes else status) if rows else None,
    )
