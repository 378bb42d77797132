"""What a chain says beside its answer: sums that do not hold, words of another language."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from r1kit.report.read.illnesses.arithmetic import equations
from r1kit.report.read.illnesses.illness import Example, Illness
from r1kit.report.read.illnesses.patient import WINDOW, Patient
from r1kit.report.read.values import Row, mapping, number
from r1kit.report.read.wording import share
from r1kit.reward.extract import thinking

__all__ = ["decorative", "mixed_language"]

WRONG = 0.3
"""Share of a right chain's equations that do not hold: healthy runs have .01 to .12 (a summary that reads its chain's
steps from left to right among them)."""
FEWEST_CHAINS, FEWEST_EQUATIONS = 16, 64
"""Right completions with an equation, and equations of theirs, to judge by."""
DIAGNOSED, RIGHT = 0.6, 0.5
"""The task's own diagnostic ``arithmetic_right``, of all completions, below which no accuracy of this much can rest on
it: the weakest base of the nano runs has .9."""
LOST = 0.3
"""Fall of the language's consistency since the stage began; R1-Zero's own drift, which the paper has too, was .05 to
.24."""
MIXED = 0.6
"""Consistency from which a chain is called mixed."""


def decorative(patient: Patient) -> Iterator[Illness]:
    """Answers are right and the arithmetic that leads to them is not."""
    if not patient.is_rl:
        return
    rows = patient.recent.rows()
    right, wrong, every = _sums(rows)
    if len(right) >= FEWEST_CHAINS and every >= FEWEST_EQUATIONS and wrong >= WRONG * every:
        worst = max(right, key=lambda row: _wrong(row["completion"])[0])
        faults, steps = _wrong(worst["completion"])
        yield _decorative(
            patient,
            f"in the {len(right)} right ones of the last {len(rows)} recorded completions {wrong} of {every} equations "
            f"({wrong / every:.0%}) do not hold",
            patient.recent.since(lambda rows: (found := _sums(rows))[1] >= WRONG * max(1, found[2])),
            Example.of(worst, f"right, and {faults} of its {steps} equations do not hold"),
        )
    elif (diagnosed := _diagnosed(patient)) is not None:
        yield diagnosed


def _decorative(patient: Patient, seen: str, since: int | None, example: Example | None) -> Illness:
    return patient.ill(
        "decorative reasoning",
        "warning",
        seen,
        since=since,
        helps="The answers do not come from the chain: see whether they can be guessed or are known by heart (harder "
        "or fresh problems tell), and pay for the chain too, by a function of your own (reward.parts).",
        setting="reward.parts",
        metric="accuracy",
        example=example,
    )


def _sums(rows: Sequence[Row]) -> tuple[list[Row], int, int]:
    """Right completions with an equation; their equations that do not hold; all of theirs."""
    right = [row for row in rows if number(mapping(row.get("parts")), "accuracy") == 1 and _wrong(row["completion"])[1]]
    counts = [_wrong(row["completion"]) for row in right]
    return right, sum(wrong for wrong, _ in counts), sum(every for _, every in counts)


@lru_cache(maxsize=1024)
def _wrong(completion: str) -> tuple[int, int]:
    """Of the chain's equations: those that do not hold, all."""
    held = list(equations(thinking(completion)))
    return held.count(False), len(held)


def _diagnosed(patient: Patient) -> Illness | None:
    """What the task itself says of its last evaluation."""
    for row in reversed(patient.stage.evals):
        right, accuracy = number(mapping(row.get("diagnostics")), "arithmetic_right"), number(row, "avg_at_k")
        if right is None or accuracy is None or row.get("split") == "test":
            continue
        if right > DIAGNOSED or accuracy < RIGHT:
            return None
        steps = f"{row.get('task')} says that {share(right)} of its chains' steps are right"
        seen = f"{steps}, and accuracy is {share(accuracy)}"
        return _decorative(patient, seen, int(row["step"]), None)
    return None


def mixed_language(patient: Patient) -> Iterator[Illness]:
    """Chains leave the question's language."""
    language = patient.line("language")
    if not patient.is_rl or len(language) < 2 * WINDOW or language.last >= MIXED:
        return
    if language.first - language.last < LOST:
        return
    yield patient.ill(
        "language mixing",
        "warning",
        f"the share of words in the question's language fell from {share(language.first)} to {share(language.last)}",
        since=language.since(lambda mean: mean <= language.first - LOST),
        helps="Pay language consistency, a little (reward.parts.language; R1 paper, 2.3.2: it costs little accuracy), "
        "or begin from a cold start in one language.",
        setting="reward.parts.language",
        metric="language",
    )
