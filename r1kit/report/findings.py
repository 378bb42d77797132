"""What a run shows, computed from its rows: before against after, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from r1kit.report.run_folder import Row, RunFolder, StageFolder, number

__all__ = [
    "Comparison",
    "Curve",
    "TableRow",
    "compare",
    "cons_above_avg",
    "curves",
    "duration",
    "gist",
    "interval_of",
    "main_curves",
    "progress",
    "share",
    "short",
    "table",
    "verdict",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Evaluations of one task on one split with one k, in order of step."""

    task: str
    split: str
    k: int
    rows: Sequence[Row]
    """At least one; the first is the model the stage started from when its step is 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One task, before and after the stage, on the split a verdict should use."""

    curve: Curve
    before: Row
    """Evaluation at step 0: the model that the stage started from."""
    after: Row
    """The newest evaluation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One quantity before and after, ready to print."""

    name: str
    before: str
    after: str
    change: str
    """``x2.16`` for a quantity of any size, ``+.79`` for a share."""
    note: str = ""
    """What the quantity is, in a few words."""


def share(value: float | None, digits: int = 3) -> str:
    """A share without its leading zero: .902; 1 as 1.000; a dash for None."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def short(value: float | None) -> str:
    """A quantity of any size, in three or four digits: 66.8, 1240, 0.0031."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    if abs(value) >= 10000:
        return f"{value:,.0f}"
    return f"{value:.{4 if abs(value) >= 1000 else 3}g}"


def interval_of(row: Row, key: str = "interval") -> tuple[float, float] | None:
    """``[low, high]`` of a row; None if it is missing or broken."""
    found = row.get(key)
    if not isinstance(found, (list, tuple)) or len(found) != 2:
        return None
    low, high = (number({"end": end}, "end") for end in found)
    return None if low is None or high is None else (low, high)


def bracket(row: Row, key: str = "interval") -> str:
    """`` [.88, .92]``, or nothing."""
    ends = interval_of(row, key)
    return "" if ends is None else f" [{share(ends[0], 2)}, {share(ends[1], 2)}]"


def curves(stage: StageFolder) -> list[Curve]:
    """Every task, split and k of the stage's evaluations, in order of first appearance."""
    grouped: dict[tuple[str, str, int], list[Row]] = {}
    for row in stage.evals:
        key = (str(row.get("task", "task")), str(row.get("split", "")), int(number(row, "k") or 0))
        grouped.setdefault(key, []).append(row)
    return [Curve(task=task, split=split, k=k, rows=rows) for (task, split, k), rows in grouped.items()]


def main_curves(stage: StageFolder) -> list[Curve]:
    """For each task the curve with the most points; dev, on which a run watches itself, where they tie."""
    found: dict[str, Curve] = {}
    for curve in curves(stage):
        held = found.get(curve.task)
        rank = (len(curve.rows), curve.split == "dev", curve.k)
        if held is None or rank > (len(held.rows), held.split == "dev", held.k):
            found[curve.task] = curve
    return list(found.values())


def compare(stage: StageFolder) -> list[Comparison]:
    """For each task its first and newest evaluation, on test where test was judged at both ends, else on dev."""
    found: dict[str, Comparison] = {}
    for curve in curves(stage):
        before, after = curve.rows[0], curve.rows[-1]
        if float(before["step"]) != 0 or len(curve.rows) < 2:
            continue
        held = found.get(curve.task)
        rank = (curve.split == "test", float(after["step"]), curve.k)
        if held is None or rank > (held.curve.split == "test", float(held.after["step"]), held.curve.k):
            found[curve.task] = Comparison(curve=curve, before=before, after=after)
    return list(found.values())


def cons_above_avg(curve: Curve) -> tuple[int, int]:
    """At how many of the evaluations that have both the majority beat the average, and how many have both."""
    both = [(number(row, "cons_at_k"), number(row, "avg_at_k")) for row in curve.rows]
    held = [(cons, avg) for cons, avg in both if cons is not None and avg is not None]
    return sum(cons > avg for cons, avg in held), len(held)


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


def _sentence_on(comparison: Comparison) -> str:
    """``lifted countdown avg@16 from .111 to .902 [.88, .92]; majority .47 → .97; responses grew from ...``"""
    before, after, k = comparison.before, comparison.after, comparison.curve.k
    parts = [
        f"{_verb(before, after)} {comparison.curve.task} avg@{k} from {share(number(before, 'avg_at_k'))} "
        f"to {share(number(after, 'avg_at_k'))}{bracket(after)}"
    ]
    old, new = number(before, "cons_at_k"), number(after, "cons_at_k")
    if old is not None and new is not None:
        parts.append(f"majority {share(old, 2)} → {share(new, 2)}")
    old, new = number(before, "response_tokens"), number(after, "response_tokens")
    if old is not None and new is not None:
        moved = "grew" if new > old else "shrank" if new < old else "stayed"
        parts.append(f"responses {moved} from {short(round(old))} to {short(round(new))} tokens")
    return "; ".join(parts)


def progress(run: RunFolder, stage: StageFolder) -> str:
    """``step 40 of 110``, ``step 40``, or ``no step yet``."""
    if not stage.steps_done:
        return "no step yet"
    steps = run.planned_steps(stage.name)
    return f"step {stage.steps_done}" + (f" of {steps}" if steps is not None else "")


def verdict(run: RunFolder) -> str:
    """The run in one sentence, computed from its evaluations."""
    stage = run.headline
    if stage is None:
        if not run.stages:
            return "Nothing has run yet."
        last = run.stages[-1]
        return f"{last.title} {'is done' if last.done else 'stands at ' + progress(run, last)}; nothing was judged yet."
    found = compare(stage)
    if not found:
        return f"{stage.title} {'is done' if stage.done else 'stands at ' + progress(run, stage)}; too few evaluations."
    name = stage.title if stage.done else f"{stage.title}, so far ({progress(run, stage)}),"
    return f"{name} {'; and it '.join(_sentence_on(comparison) for comparison in found)}."


def gist(comparison: Comparison) -> str:
    """How the lift splits into format and reasoning; empty where it cannot be said.

    avg = format x accuracy given format when an unformatted answer earns nothing, so the two ratios multiply.
    """
    old, new = (
        [number(row, key) for key in ("avg_at_k", "format_rate", "accuracy_given_format")]
        for row in (comparison.before, comparison.after)
    )
    if any(value is None or value <= 0 for value in [*old, *new]):
        return ""
    ratios = [float(after or 0) / float(before or 1) for before, after in zip(old, new, strict=True)]
    return (
        f"Of the ×{ratios[0]:.1f} in accuracy, ×{ratios[1]:.1f} is more answers in the required format and "
        f"×{ratios[2]:.1f} is more right answers among those: read the second as the gain in reasoning."
    )


_SHARES = (
    ("cons_at_k", "cons@{k}", "the most frequent answer of {k} is right"),
    ("pass_at_k", "pass@{k}", "at least one of {k} is right"),
    ("format_rate", "format", "responses in the required format"),
    ("accuracy_given_format", "accuracy given format", "right among the well-formed"),
)
_BEHAVIOUR = (
    ("reflection_rate", "reflection rate", "responses with a reflective word"),
    ("language_consistency", "language consistency", "control words in the prompt's language"),
    ("mixed_share", "mixed languages", "responses that mix languages"),
    ("truncated_share", "truncated", "responses cut at the longest length"),
    ("failed_share", "not judged", "the verifier failed or passed its deadline"),
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
    "answer_right": "right answers, in whatever form",
}


def _difference(value: float) -> str:
    """``+.791``, ``−.130``; ``0`` where three digits show none."""
    shown = share(abs(value))
    return "0" if shown == ".000" else f"{'+' if value > 0 else '−'}{shown}"


def _share_row(name: str, note: str, rows: tuple[Row, Row], key: str, ends: str = "") -> TableRow | None:
    old, new = (number(row, key) for row in rows)
    if old is None and new is None:
        return None
    change = "" if old is None or new is None else _difference(new - old)
    cells = [share(number(row, key)) + (bracket(row, ends) if ends else "") for row in rows]
    return TableRow(name=name, before=cells[0], after=cells[1], change=change, note=note)


def _size_row(name: str, note: str, old: float | None, new: float | None) -> TableRow | None:
    if old is None and new is None:
        return None
    change = f"×{new / old:.2f}" if old and new is not None else ""
    return TableRow(name=name, before=short(old), after=short(new), change=change, note=note)


def _diagnostic_rows(before: Row, after: Row) -> list[TableRow | None]:
    """A row each; a quantity that stays within 0..1 at both ends is a share."""
    old, new = (row.get("diagnostics") for row in (before, after))
    sides = (old if isinstance(old, Mapping) else {}, new if isinstance(new, Mapping) else {})
    rows: list[TableRow | None] = []
    for key in dict.fromkeys([*sides[0], *sides[1]]):
        name, note = str(key).replace("_", " "), _DIAGNOSTICS.get(key, "")
        values = [number(side, key) for side in sides]
        if key in _COUNTS or any(value is not None and not 0 <= value <= 1 for value in values):
            rows.append(_size_row(name, note, values[0], values[1]))
        else:
            rows.append(_share_row(name, note, sides, key))
    return rows


def table(comparison: Comparison) -> list[TableRow]:
    """Base against the trained model, every quantity that either evaluation has."""
    before, after, k = comparison.before, comparison.after, comparison.curve.k
    rows = (before, after)
    found = [_share_row(f"avg@{k}", f"mean accuracy of {k} samples", rows, "avg_at_k", "interval")]
    for key, name, note in _SHARES:
        ends = "cons_interval" if key == "cons_at_k" else ""
        found.append(_share_row(name.format(k=k), note.format(k=k), rows, key, ends))
    lengths = [number(row, "response_tokens") for row in rows]
    found.append(_size_row("response length", "tokens", lengths[0], lengths[1]))
    found += [_share_row(name, note, rows, key) for key, name, note in _BEHAVIOUR]
    held = [row for row in found + _diagnostic_rows(before, after) if row is not None]
    return [row for row in held if (row.name, row.before, row.after) != ("not judged", ".000", ".000")]


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 50 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    if whole < 6000:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
