"""What the evaluations of a stage show: curves, before against after, and what may be said of the difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from r1kit.report.read.values import Row, interval_of, mapping, number
from r1kit.report.read.wording import bracket, share, short, signed

__all__ = ["Change", "Comparison", "Curve", "compare", "curves", "gist", "lift", "main_curves", "majority_above"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Evaluations of one task on one split with one k, in order of step."""

    task: str
    split: str
    k: int
    rows: Sequence[Row]
    """At least one; the first is the model the stage started from when its step is 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One quantity before and after, ready to print."""

    name: str
    before: str
    after: str
    change: str
    """``x2.16`` for a quantity of any size, ``+.79`` for a share."""
    note: str = ""
    """What the quantity is, in a few words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One task, before and after the stage, on the split a verdict should use."""

    curve: Curve
    before: Row
    """Evaluation at step 0: the model that the stage started from."""
    after: Row
    """The newest evaluation."""

    @property
    def changes(self) -> list[Change]:
        """Every quantity that either evaluation has; accuracy leads."""
        return _changes(self)


def curves(rows: Sequence[Row]) -> list[Curve]:
    """Every task, split and k of a stage's evaluations, in order of first appearance."""
    grouped: dict[tuple[str, str, int], list[Row]] = {}
    for row in rows:
        key = (str(row.get("task", "task")), str(row.get("split", "")), int(number(row, "k") or 0))
        grouped.setdefault(key, []).append(row)
    return [Curve(task=task, split=split, k=k, rows=rows) for (task, split, k), rows in grouped.items()]


def main_curves(rows: Sequence[Row]) -> list[Curve]:
    """For each task the curve with the most points; dev, on which a run watches itself, where they tie."""
    best: dict[str, Curve] = {}
    for curve in curves(rows):
        held = best.get(curve.task)
        rank = (len(curve.rows), curve.split == "dev", curve.k)
        if held is None or rank > (len(held.rows), held.split == "dev", held.k):
            best[curve.task] = curve
    return list(best.values())


def compare(rows: Sequence[Row]) -> list[Comparison]:
    """For each task its first and newest evaluation, on test where test was evaluated at both ends, else on dev."""
    best: dict[str, Comparison] = {}
    for curve in curves(rows):
        before, after = curve.rows[0], curve.rows[-1]
        if float(before["step"]) != 0 or len(curve.rows) < 2:
            continue
        held = best.get(curve.task)
        rank = (curve.split == "test", float(after["step"]), curve.k)
        if held is None or rank > (held.curve.split == "test", float(held.after["step"]), held.curve.k):
            best[curve.task] = Comparison(curve=curve, before=before, after=after)
    return list(best.values())


def majority_above(curve: Curve) -> tuple[int, int]:
    """At how many of the evaluations that have both the majority beats the average, and how many have both."""
    both = [(number(row, "cons_at_k"), number(row, "avg_at_k")) for row in curve.rows]
    held = [(cons, avg) for cons, avg in both if cons is not None and avg is not None]
    return sum(cons > avg for cons, avg in held), len(held)


# ---- in a sentence --------------------------------------------------------------------------------------------------


def _verb(before: Row, after: Row) -> str:
    """``lifted`` and ``lowered`` only when the intervals are apart (or none was measured)."""
    old, new = number(before, "avg_at_k"), number(after, "avg_at_k")
    old_ends, new_ends = interval_of(before), interval_of(after)
    if old is None or new is None:
        return "was evaluated on"
    if old_ends is not None and new_ends is not None:
        if new_ends[0] > old_ends[1]:
            return "lifted"
        return "lowered" if new_ends[1] < old_ends[0] else "did not clearly move"
    return "lifted" if new > old else "lowered" if new < old else "did not move"


def lift(comparison: Comparison) -> str:
    """``lifted countdown avg@16 from .111 to .902 [.88, .92]; majority .47 → .97; responses grew from ...``"""
    before, after, k = comparison.before, comparison.after, comparison.curve.k
    parts = [
        f"{_verb(before, after)} {comparison.curve.task} avg@{k} from {share(number(before, 'avg_at_k'))} "
        f"to {share(number(after, 'avg_at_k'))}{bracket(interval_of(after))}"
    ]
    if number(after, "avg_at_k") is None:  # nothing is right or wrong there
        parts = [f"was evaluated on {comparison.curve.task}, which has no answers"]
        old, new = number(before, "model_reward"), number(after, "model_reward")
        if old is not None and new is not None:
            parts.append(f"its reward model gave {old:.2f} → {new:.2f}")
    old, new = number(before, "cons_at_k"), number(after, "cons_at_k")
    if old is not None and new is not None:
        parts.append(f"majority {share(old, 2)} → {share(new, 2)}")
    old, new = number(before, "response_tokens"), number(after, "response_tokens")
    if old is not None and new is not None:
        moved = "grew" if new > old else "shrank" if new < old else "stayed"
        parts.append(f"responses {moved} from {short(round(old))} to {short(round(new))} tokens")
    return "; ".join(parts)


def gist(comparison: Comparison) -> str:
    """How the lift splits into format and reasoning; empty where it cannot be said.

    avg = format x accuracy given format when an unformatted answer earns nothing, so the two ratios multiply.
    """
    old, new = (
        [number(row, key) or 0.0 for key in ("avg_at_k", "format_rate", "accuracy_given_format")]
        for row in (comparison.before, comparison.after)
    )
    if min([*old, *new]) <= 0:
        return ""
    ratios = [after / before for before, after in zip(old, new, strict=True)]
    return (
        f"Of the ×{ratios[0]:.1f} in accuracy, ×{ratios[1]:.1f} is more answers in the required format and "
        f"×{ratios[2]:.1f} is more right answers among those: read the second as the gain in reasoning."
    )


# ---- in a table -----------------------------------------------------------------------------------------------------

_SHARES = (
    ("avg_at_k", "avg@{k}", "mean accuracy of {k} samples", "interval"),
    ("cons_at_k", "cons@{k}", "the most frequent answer of {k} is right", "cons_interval"),
    ("pass_at_k", "pass@{k}", "at least one of {k} is right", ""),
    ("format_rate", "format", "responses in the required format", ""),
    ("accuracy_given_format", "accuracy given format", "right among the well-formed", ""),
)
_BEHAVIOUR = (
    ("reflection_rate", "reflection rate", "responses with a reflective word", ""),
    ("language_consistency", "language consistency", "control words in the prompt's language", ""),
    ("mixed_share", "mixed languages", "responses that mix languages", ""),
    ("truncated_share", "truncated", "responses cut at the longest length", ""),
    ("failed_share", "not graded", "the verifier failed or passed its deadline", ""),
)
_COUNTS = ("tries", "distinct_tries", "rechecks")
"""Diagnostics that are counts, not shares."""
_DIAGNOSTICS = {
    "tries": "attempts in a response",
    "distinct_tries": "attempts that differ",
    "arithmetic_right": "calculations in the chain that are right",
    "valid_numbers": "answers that use the numbers as the task demands",
    "claims_hit": "chains that claim a hit",
    "right_when_claims": "right, when the chain claims a hit",
    "false_hit": "wrong, when the chain claims a hit",
    "rechecks": "re-computations in a response",
    "summary_right": "summaries whose own equation holds",
    "answer_right": "right answers, in whatever form",
}


def _share_change(name: str, note: str, rows: Sequence[Row], key: str, ends: str = "") -> Change | None:
    old, new = (number(row, key) for row in rows)
    if old is None and new is None:
        return None
    change = "" if old is None or new is None else signed(new - old)
    before, after = (share(number(row, key)) + (bracket(interval_of(row, ends)) if ends else "") for row in rows)
    return Change(name=name, before=before, after=after, change="0" if change == ".000" else change, note=note)


def _size_change(name: str, note: str, rows: Sequence[Row], key: str) -> Change | None:
    old, new = (number(row, key) for row in rows)
    if old is None and new is None:
        return None
    change = f"×{new / old:.2f}" if old and new is not None else ""
    return Change(name=name, before=short(old), after=short(new), change=change, note=note)


def _diagnostic_changes(rows: Sequence[Row]) -> list[Change | None]:
    """A line each; a quantity that stays within 0..1 at both ends is a share."""
    sides = [mapping(row.get("diagnostics")) for row in rows]
    found = []
    for key in dict.fromkeys(key for side in sides for key in side):
        values = [number(side, key) for side in sides]
        is_size = key in _COUNTS or any(value is not None and not 0 <= value <= 1 for value in values)
        change = _size_change if is_size else _share_change
        found.append(change(str(key).replace("_", " "), _DIAGNOSTICS.get(key, ""), sides, key))
    return found


def _changes(comparison: Comparison) -> list[Change]:
    rows, k = (comparison.before, comparison.after), comparison.curve.k
    found = [_share_change(name.format(k=k), note.format(k=k), rows, key, ends) for key, name, note, ends in _SHARES]
    found.append(_size_change("response length", "tokens", rows, "response_tokens"))
    found += [_share_change(name, note, rows, key, ends) for key, name, note, ends in _BEHAVIOUR]
    held = [change for change in found + _diagnostic_changes(rows) if change is not None]
    return [one for one in held if (one.name, one.before, one.after) != ("not graded", ".000", ".000")]
