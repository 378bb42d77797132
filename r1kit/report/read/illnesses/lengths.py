"""Completions that are cut, shrink to guesses, or go round in circles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from r1kit.factory.filters import repeated_share
from r1kit.report.read.illnesses.illness import Example, Illness
from r1kit.report.read.illnesses.patient import WINDOW, Patient
from r1kit.report.read.values import Row
from r1kit.report.read.wording import share, short

__all__ = ["length_collapse", "repetition", "truncation"]

CUT, MOSTLY_CUT = 0.3, 0.6
"""Share of completions cut at their longest: the nano runs' means of five steps reach .17."""
SHRUNK = 0.55
"""Mean length as a share of its longest: healthy runs came down to .68 of theirs, chains that collapsed on weak bases
ended at .53 and .38 (docs/LOG.md)."""
SHRUNK_GAIN = 0.05
"""Gain of accuracy that makes short a virtue: a base that rambles to the limit learns to stop."""
LOOPS = 0.5
"""Share of a completion's 8-grams of words that were there before in it (the cold start's filter, same threshold)."""
LOOP_WORDS = 8
LONG_WORD = 16
"""Characters a word, on the mean, from which a text is taken to be written without spaces."""
LOOPING = 0.2
"""Share of completions that loop: on the nano runs at most .02."""
FEWEST_ROLLOUTS = 32
"""Completions to judge by: of 32 with one in fifty that loops, .2 do in one case of a thousand."""


def truncation(patient: Patient) -> Iterator[Illness]:
    """Completions that are cut before they answer."""
    cut = patient.line("truncated_share")
    if not patient.is_rl or not cut.can_tell or cut.last < CUT:
        return
    limit = patient.setting("sampling.max_tokens")
    yield patient.ill(
        "truncation",
        "serious" if cut.last >= MOSTLY_CUT else "warning",
        f"{cut.last:.0%} of completions are cut at sampling.max_tokens{'' if limit is None else f' = {limit}'} (mean "
        f"length {short(patient.line('response_tokens').last)}), so what they would have answered earns nothing",
        since=cut.since(lambda share: share >= CUT),
        helps="Raise sampling.max_tokens; or ask for shorter chains, and pay for them softly (the part overlong). If "
        "completions loop instead, see repetition.",
        setting="sampling.max_tokens",
        metric="truncated_share",
    )


def length_collapse(patient: Patient) -> Iterator[Illness]:
    """The chain goes away and nothing is gained by it."""
    length, accuracy = patient.line("response_tokens"), patient.line("accuracy")
    if not patient.is_rl or len(length) < 2 * WINDOW:
        return
    means = length.means
    most = max(range(len(means)), key=means.__getitem__)
    if length.last > SHRUNK * means[most]:
        return
    at_most = accuracy.means[most] if len(accuracy) == len(length) else 0.0
    if accuracy.can_tell and accuracy.last >= at_most + SHRUNK_GAIN:
        return
    step = length.steps[most]
    yield patient.ill(
        "length collapse",
        "serious",
        f"completions shrank from {short(means[most])} tokens (step {step}) to {short(length.last)}, and accuracy "
        f"went from {share(at_most)} to {share(accuracy.last if accuracy.can_tell else None)}",
        since=length.since(lambda mean: mean <= SHRUNK * means[most]),
        helps="Guessing pays as well as thinking: pay the form less, see that chains are not cut "
        "(sampling.max_tokens), and start from a base for which long chains are right more often. A lower learning "
        "rate holds it off.",
        setting="reward.parts.format" if patient.pays("format") else "optimiser.lr",
        metric="response_tokens",
    )


def repetition(patient: Patient) -> Iterator[Illness]:
    """The newest completions go round in circles."""
    rows = patient.recent.rows() if patient.is_rl else ()
    if len(rows) < FEWEST_ROLLOUTS:
        return
    held = _looping(rows)
    if len(held) < LOOPING * len(rows):
        return
    worst = max(held, key=lambda row: _repeated(row["completion"]))
    yield patient.ill(
        "repetition",
        "serious",
        f"{len(held)} of the last {len(rows)} recorded completions repeat themselves: half of their runs of "
        f"{LOOP_WORDS} words, or more, had been there before",
        since=patient.recent.since(lambda rows: len(_looping(rows)) >= LOOPING * len(rows)),
        helps="A base that loops does so at its limit: train it longer, cut it shorter (sampling.max_tokens), and see "
        "that the end token is learnt. If it began in RL, lower the learning rate.",
        setting="optimiser.lr",
        metric="response_tokens",
        example=Example.of(
            worst, f"{_repeated(worst['completion']):.0%} of its runs of {LOOP_WORDS} words had been there before"
        ),
    )


def _looping(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if _repeated(row["completion"]) > LOOPS]


@lru_cache(maxsize=1024)
def _repeated(text: str) -> float:
    """Of its words; of its characters where it is written without spaces."""
    words = text.split()
    return repeated_share(words if len(text) < LONG_WORD * len(words) else text, LOOP_WORDS)
