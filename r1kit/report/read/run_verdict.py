"""The run in a sentence or two, computed from its evaluations."""

from __future__ import annotations

from collections.abc import Sequence

from r1kit.report.read.evaluations import compare, lift
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.stage_folder import StageFolder
from r1kit.report.read.stage_table import StageTable, paired_change
from r1kit.report.read.values import interval_of, number
from r1kit.report.read.wording import bracket, share

__all__ = ["chain_verdict", "progress", "stage_verdict"]


def progress(run: RunFolder, stage: StageFolder) -> str:
    """``step 40 of 110``, ``step 40``, or ``no step yet``."""
    if not stage.steps_done:
        return "no step yet"
    steps = run.planned_steps(stage.name)
    return f"step {stage.steps_done}" + (f" of {steps}" if steps is not None else "")


def stage_verdict(run: RunFolder) -> str:
    """What the stage that the report is about did to the model it started from."""
    stage = run.headline
    if stage is None:
        if not run.stages:
            return "Nothing has run yet."
        return f"{_stands(run, run.stages[-1])}; nothing was evaluated yet."
    found = compare(stage.evals)
    if not found:
        count = len({row["step"] for row in stage.evals})
        lacks = {0: "not evaluated yet", 1: "evaluated once"}.get(count, "not evaluated before it began")
        return f"{_stands(run, stage)}; {lacks}, so there is no before and after."
    title = run.title(stage.name)
    name = title if stage.done else f"{title}, so far ({progress(run, stage)}),"
    return f"{name} {'; and it '.join(map(lift, found))}."


def _stands(run: RunFolder, stage: StageFolder) -> str:
    return f"{run.title(stage.name)} {'is done' if stage.done else 'stands at ' + progress(run, stage)}"


def chain_verdict(run: RunFolder, table: StageTable | None) -> str:
    """Base, R1-Zero and R1 on the first reasoning task, language consistency, replies."""
    if table is None or not table.reasoning:
        return stage_verdict(run)
    task = table.reasoning[0]
    said = [f"{task} avg@{table.k}: {_path(table, table.landmarks, task, 'avg_at_k', 'interval')}"]
    consistency = _path(table, table.landmarks, task, "language_consistency")
    said += [f"language consistency {consistency}"] if consistency else []
    return f"{'; '.join(said)}.{_replies(table)}{'' if table.done else ' (evaluation unfinished)'}"


def _path(table: StageTable, ends: Sequence[str], task: str, key: str, interval: str = "") -> str:
    """``base .137 → R1-Zero .906 → R1 .893 [.87, .91]``; empty where fewer than two have the number."""
    held = [(name, table.row(name, task)) for name in ends if number(table.row(name, task), key) is not None]
    if len(held) < 2:
        return ""
    digits = 3 if interval else 2
    values = " → ".join(f"{table.alias(name)} {share(number(row, key), digits)}" for name, row in held)
    return values + (bracket(interval_of(held[-1][1], interval)) if interval else "")


def _replies(table: StageTable) -> str:
    """What RL for all scenarios did to the replies of the model it started from."""
    old, new = table.of_kind("sft"), table.of_kind("all_scenarios_rl")
    if old is None or new is None:
        return ""
    moved = [text for text in (_reply(table, task, old, new) for task in table.replies) if text]
    return f" From {table.alias(old)} to {table.alias(new)}, {', '.join(moved)}." if moved else ""


def _reply(table: StageTable, task: str, old: str, new: str) -> str:
    """``helpful .52 → .81``; says so where that is not clear: the interval of the paired difference holds 0 or,
    without one, the two intervals are not apart."""
    before, after = table.row(old, task), table.row(new, task)
    values = [number(row, "avg_at_k") for row in (before, after)]
    if None in values:
        return ""
    low, high = interval_of(before), interval_of(after)
    apart = low is not None and high is not None and (low[1] < high[0] or high[1] < low[0])
    if paired := paired_change(table, task, old, new):
        apart = paired.low > 0 or paired.high < 0
    return f"{task} {share(values[0], 2)} → {share(values[1], 2)}{'' if apart else ' (not clear)'}"
