"""The stage table: every checkpoint of the chain on every benchmark, as stage ``evaluate`` left it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from r1kit.report.findings import bracket, interval_of, share, short, verdict
from r1kit.report.run_folder import Row, RunFolder, mapping, number, stage_title

__all__ = [
    "ALIASES",
    "Block",
    "Cell",
    "Difference",
    "StageTable",
    "TableLine",
    "alias",
    "blocks",
    "cell_text",
    "chain_verdict",
    "landmarks",
    "paired_change",
    "stage_table",
]

ALIASES = {
    "base": "base",
    "pretrain": "base",
    "r1_zero": "R1-Zero",
    "cold_start_sft": "Dev1",
    "reasoning_rl": "Dev2",
    "sft": "Dev3",
    "all_scenarios_rl": "R1",
}
"""What the paper calls a stage's model."""


def alias(stage: str) -> str:
    return ALIASES.get(stage, stage_title(stage))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One number of the table."""

    value: float
    ends: tuple[float, float] | None = None
    """Its 95% interval, where one was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLine:
    name: str
    cells: tuple[Cell | None, ...]
    """One a checkpoint."""
    best: frozenset[int] = frozenset()
    """Places of the highest value; none where more is not better, or all are alike."""
    is_share: bool = True
    """Whether it is a share; else a quantity of any size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Lines of one quantity."""

    title: str
    note: str
    lines: tuple[TableLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTable:
    cells: Mapping[str, Mapping[str, Row]]
    """Checkpoint -> task -> its numbers."""
    preference: tuple[str, ...]
    """Those of the tasks that ask for a good reply."""

    @property
    def checkpoints(self) -> tuple[str, ...]:
        return tuple(self.cells)

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(task for row in self.cells.values() for task in row))

    @property
    def reasoning(self) -> tuple[str, ...]:
        """Tasks with a right answer."""
        return tuple(task for task in self.tasks if task not in self.preference)

    @property
    def replies(self) -> tuple[str, ...]:
        """Judged tasks that ask for a good reply."""
        return tuple(task for task in self.tasks if task in self.preference)

    @property
    def k(self) -> int:
        """Samples a problem; 0 where no line says."""
        found = (number(row, "k") for tasks in self.cells.values() for row in tasks.values())
        return next((int(k) for k in found if k), 0)

    def row(self, checkpoint: str, task: str) -> Row:
        """A checkpoint's numbers on a task; empty where it was not judged."""
        return self.cells.get(checkpoint, {}).get(task, {})


def stage_table(run: RunFolder) -> StageTable | None:
    """From the result of ``evaluate``; while it runs, from the lines it has written; None without any."""
    stage = run.stage("evaluate")
    if stage is None:
        return None
    found: dict[str, dict[str, Row]] = {}
    for checkpoint, tasks in stage.numbers.items():
        held = {str(task): row for task, row in mapping(tasks).items() if number(mapping(row), "avg_at_k") is not None}
        if held:
            found[str(checkpoint)] = held
    if not stage.done:
        for row in stage.evals:
            if "checkpoint" in row and number(row, "avg_at_k") is not None:
                found.setdefault(str(row["checkpoint"]), {})[str(row.get("task"))] = row
    return StageTable(cells=found, preference=run.preference_tasks) if found else None


# ---- lines ----------------------------------------------------------------------------------------------------------


def _line(table: StageTable, task: str, key: str, ends: str) -> TableLine | None:
    """One quantity of one task over the checkpoints; None where none has it."""
    cells = []
    for checkpoint in table.checkpoints:
        row = table.row(checkpoint, task)
        value = number(row, key)
        cells.append(None if value is None else Cell(value=value, ends=interval_of(row, ends) if ends else None))
    values = [cell.value for cell in cells if cell is not None]
    if not values:
        return None
    is_share = key != "response_tokens"
    top = (place for place, cell in enumerate(cells) if cell is not None and cell.value == max(values))
    best = frozenset(top) if is_share and min(values) < max(values) else frozenset()
    return TableLine(name=task, cells=tuple(cells), best=best, is_share=is_share)


def blocks(table: StageTable) -> list[Block]:
    """Accuracy, majority and what the responses are like, task by task; blocks without a line are left out."""
    k = table.k or "k"

    def block(title: str, note: str, key: str, ends: str = "", tasks: Sequence[str] = table.tasks) -> Block:
        lines = (_line(table, task, key, ends) for task in tasks)
        return Block(title=title, note=note, lines=tuple(line for line in lines if line is not None))

    found = [
        block(f"avg@{k}", "mean accuracy", "avg_at_k", "interval"),
        block(f"cons@{k}", "accuracy of the majority answer", "cons_at_k", "cons_interval", table.reasoning),
        block("worst template", "lowest average over the prompt templates", "worst_template"),
        block(
            "language consistency",
            "share of the chain's words in the question's language",
            "language_consistency",
            "language_interval",
        ),
        block("format", "responses in the final form", "format_rate"),
        block("response length", "tokens", "response_tokens"),
    ]
    return [block for block in found if block.lines]


def cell_text(line: TableLine, place: int) -> tuple[str, str]:
    """Value and interval of a cell, ready to print; the interval is empty where there is none."""
    cell = line.cells[place]
    if cell is None:
        return "–", ""
    if not line.is_share:
        return short(round(cell.value, 1)), ""
    ends = "" if cell.ends is None else f"[{share(cell.ends[0], 2)}, {share(cell.ends[1], 2)}]"
    return share(cell.value), ends


# ---- differences ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """New minus old with the ends of its 95% interval."""

    value: float
    low: float
    high: float


def paired_change(table: StageTable, task: str, old: str, new: str) -> Difference | None:
    """Of accuracy, paired by problem; None where the evaluation did not judge ``new`` right after ``old``."""
    change = mapping(table.row(new, task).get("change"))
    value, ends = number(change, "difference"), interval_of(change)
    if change.get("from") != old or value is None or ends is None:
        return None
    return Difference(value=value, low=ends[0], high=ends[1])


# ---- the verdict ----------------------------------------------------------------------------------------------------


def chain_verdict(run: RunFolder) -> str:
    """Base, R1-Zero and R1 on the first reasoning task, language consistency, replies; in a sentence or two."""
    table = stage_table(run)
    if table is None or not table.reasoning:
        return verdict(run)
    task = table.reasoning[0]
    ends = landmarks(table)
    said = [f"{task} avg@{table.k}: {_path(table, ends, task, 'avg_at_k', 'interval')}"]
    consistency = _path(table, ends, task, "language_consistency")
    said += [f"language consistency {consistency}"] if consistency else []
    moved = [text for text in (_reply(table, task) for task in table.replies) if text]
    replies = f" From Dev3 to R1, {', '.join(moved)}." if moved else ""
    stage = run.stage("evaluate")
    unfinished = "" if stage is not None and stage.done else " (evaluation unfinished)"
    return f"{'; '.join(said)}.{replies}{unfinished}"


def landmarks(table: StageTable) -> list[str]:
    """Base, R1-Zero and R1, those that were judged; the first and the last checkpoint where fewer than two were."""
    found = [name for name in table.checkpoints if name in ("base", "pretrain", "r1_zero", "all_scenarios_rl")]
    return found if len(found) > 1 else [table.checkpoints[0], table.checkpoints[-1]]


def _path(table: StageTable, ends: Sequence[str], task: str, key: str, interval: str = "") -> str:
    """``base .137 → R1-Zero .906 → R1 .893 [.87, .91]``; empty where fewer than two have the number."""
    held = [(name, table.row(name, task)) for name in ends if number(table.row(name, task), key) is not None]
    if len(held) < 2:
        return ""
    last = bracket(held[-1][1], interval) if interval else ""
    return " → ".join(f"{alias(name)} {share(number(row, key), 3 if interval else 2)}" for name, row in held) + last


def _reply(table: StageTable, task: str) -> str:
    """``helpful .52 → .81``, from Dev3 to R1; says so where that is not clear: the interval of the paired difference
    holds 0 or, without one, the two intervals are not apart."""
    old, new = (table.row(name, task) for name in ("sft", "all_scenarios_rl"))
    values = [number(row, "avg_at_k") for row in (old, new)]
    if None in values:
        return ""
    spans = [interval_of(row) for row in (old, new)]
    apart = all(spans) and any(a[1] < b[0] for a, b in pairwise([*spans, spans[0]]) if a and b)
    if paired := paired_change(table, task, "sft", "all_scenarios_rl"):
        apart = paired.low > 0 or paired.high < 0
    doubt = "" if apart else " (not clear)"
    return f"{task} {share(values[0], 2)} → {share(values[1], 2)}{doubt}"
