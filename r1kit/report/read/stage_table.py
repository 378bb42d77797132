"""The stage table: every checkpoint of the chain on every benchmark, as a stage of kind evaluate left it; without one,
as the stages evaluated themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.stage_folder import StageFolder
from r1kit.report.read.values import Row, interval_of, mapping, number

__all__ = [
    "Difference",
    "StageTable",
    "TableBlock",
    "TableCell",
    "TableLine",
    "own_table",
    "paired_change",
    "stage_table",
    "stage_tables",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCell:
    """One number of the table."""

    value: float
    ends: tuple[float, float] | None = None
    """Its 95% interval, where one was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLine:
    """One quantity of one task."""

    name: str
    cells: tuple[TableCell | None, ...]
    """One a checkpoint."""
    best: tuple[int, ...] = ()
    """Places of the highest value; none where more is not better, or all are alike."""
    is_share: bool = True
    """Whether it is a share; else a quantity of any size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableBlock:
    """Lines of one quantity."""

    title: str
    note: str
    lines: tuple[TableLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTable:
    stage: str = "evaluate"
    """Name of the stage that evaluated."""
    title: str = ""
    done: bool = True
    cells: Mapping[str, Mapping[str, Row]]
    """Checkpoint -> task -> its numbers."""
    preference: tuple[str, ...]
    """Those of the tasks that ask for a good reply."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """Checkpoint -> kind of the stage that left it, where that is not its name."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Checkpoint -> what heads its column."""
    form: str = ""
    """Which form of a response was asked for."""
    split: str = ""
    """What the problems are of, where the stages evaluated themselves."""

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
        """Samples a problem; 0 where no line says, or lines say different numbers."""
        found = {int(k) for tasks in self.cells.values() for row in tasks.values() if (k := number(row, "k"))}
        return found.pop() if len(found) == 1 else 0

    @property
    def problems(self) -> dict[str, int]:
        """Task -> problems it was evaluated on."""
        first = {task: next(row[task] for row in self.cells.values() if task in row) for task in self.tasks}
        return {task: int(count) for task, row in first.items() if (count := number(row, "problems"))}

    def row(self, checkpoint: str, task: str) -> Row:
        """A checkpoint's numbers on a task; empty where it was not evaluated."""
        return self.cells.get(checkpoint, {}).get(task, {})

    def alias(self, checkpoint: str) -> str:
        return self.aliases.get(checkpoint, checkpoint)

    def of_kind(self, kind: str) -> str | None:
        """The checkpoint of the last stage of a kind; of ``base``: where the chain starts."""
        kinds = {name: "pretrain" if name == "base" else self.kinds.get(name, name) for name in self.checkpoints}
        return next((name for name in reversed(self.checkpoints) if kinds[name] == kind), None)

    @property
    def heads(self) -> list[str]:
        """Of its columns."""
        return [self.alias(name) for name in self.checkpoints]

    @property
    def landmarks(self) -> list[str]:
        """Base, R1-Zero and R1 where they were evaluated; the first and the last checkpoint where the ends were not."""
        first, last = self.of_kind("pretrain"), self.of_kind("all_scenarios_rl")
        ends = (first or self.checkpoints[0], self.of_kind("r1_zero"), last or self.checkpoints[-1])
        return [name for name in self.checkpoints if name in ends]

    @property
    def blocks(self) -> list[TableBlock]:
        """Accuracy, majority and what the responses are like, task by task; blocks without a line are left out."""
        return _blocks(self)


def stage_tables(run: RunFolder) -> list[StageTable]:
    """One for each stage of kind evaluate that has evaluated something."""
    found = (stage_table(run, stage) for stage in run.of_kind("evaluate"))
    return [table for table in found if table is not None]


def stage_table(run: RunFolder, stage: StageFolder) -> StageTable | None:
    """From the stage's result; while it runs, from the lines it has written; None without any."""
    cells: dict[str, dict[str, Row]] = {}
    for checkpoint, tasks in stage.numbers.items():
        held = {str(task): row for task, row in mapping(tasks).items() if number(mapping(row), "avg_at_k") is not None}
        if held:
            cells[str(checkpoint)] = held
    if not stage.done:
        for row in stage.evals:
            if "checkpoint" in row and number(row, "avg_at_k") is not None:
                cells.setdefault(str(row["checkpoint"]), {})[str(row.get("task"))] = row
    if not cells:
        return None
    return StageTable(
        stage=stage.name,
        title=run.title(stage.name),
        done=stage.done,
        cells=cells,
        preference=run.preference_tasks,
        kinds={name: run.kind(name) for name in cells},
        aliases={name: run.alias(name) for name in cells},
        form=str(mapping(run.settings(stage.name).get("reward")).get("format_style", "")),
    )


def own_table(run: RunFolder) -> StageTable | None:
    """Every stage by its own newest evaluation, and what a stage started from by its first one, on the split on which
    most were evaluated (test where two tie); None where that is not more than one stage before and after."""
    found: dict[str, dict[str, dict[str, Row]]] = {}
    """Split -> checkpoint -> task -> numbers."""
    for stage in run.stages:
        for row in (row for row in stage.evals if number(row, "avg_at_k") is not None):
            checkpoint = _started_from(run, stage) if row["step"] == 0 else stage.name
            held = found.setdefault(str(row.get("split", "")), {}).setdefault(checkpoint, {})
            if row["step"] or str(row.get("task")) not in held:  # a stage tells better than one that starts from it
                held[str(row.get("task"))] = row
    split = max(found, key=lambda split: (len(found[split]), split == "test"), default="")
    cells = found.get(split, {})
    if len(cells) < 3:
        return None
    aliases = {name: run.alias(name) for name in cells}
    return StageTable(cells=cells, preference=run.preference_tasks, aliases=aliases, split=split)


def _started_from(run: RunFolder, stage: StageFolder) -> str:
    """The checkpoint that a stage started from; the base is a stage where the run trained it."""
    start = str(run.settings(stage.name).get("start", "base"))
    trained = run.of_kind("pretrain")
    return trained[0].name if start == "base" and trained else start


# ---- lines ----------------------------------------------------------------------------------------------------------


def _line(table: StageTable, task: str, key: str, ends: str) -> TableLine | None:
    """One quantity of one task over the checkpoints; None where none has it."""
    cells = []
    for checkpoint in table.checkpoints:
        row = table.row(checkpoint, task)
        part, dot, inside = key.partition(".")
        value = number(mapping(row.get(part)), inside) if dot else number(row, key)
        cells.append(None if value is None else TableCell(value=value, ends=interval_of(row, ends) if ends else None))
    values = [cell.value for cell in cells if cell is not None]
    if not values:
        return None
    is_share = key not in ("response_tokens", "easy_tokens")
    top = tuple(place for place, cell in enumerate(cells) if cell is not None and cell.value == max(values))
    more_is_better = is_share and key not in ("template_spread", "diagnostics.answers_first")
    best = top if more_is_better and min(values) < max(values) else ()
    return TableLine(name=task, cells=tuple(cells), best=best, is_share=is_share)


_OF_LIMITS = (
    ("answers_first", "answers to the first question", "of second questions: right for the first one, not the second"),
    ("parses", "JSON", "answers that are JSON at all"),
    ("fits", "JSON of the schema", "answers that satisfy their schema"),
    ("applies", "edits that apply", "answers whose edits can be made"),
    ("fixed", "failing tests mended", "share of them that passes after the edits"),
    ("kept", "passing tests kept", "share of them that still passes"),
)
"""Diagnostic, title and note of what the limits' tasks tell (docs/limits.md)."""


def _blocks(table: StageTable) -> list[TableBlock]:
    k = table.k or "k"

    def block(title: str, note: str, key: str, ends: str = "", tasks: Sequence[str] = table.tasks) -> TableBlock:
        lines = (_line(table, task, key, ends) for task in tasks)
        return TableBlock(title=title, note=note, lines=tuple(line for line in lines if line is not None))

    in_language = "share of the chain's words in the question's language"
    found = [
        block(f"avg@{k}", "mean accuracy", "avg_at_k", "interval"),
        block(f"cons@{k}", "accuracy of the majority answer", "cons_at_k", "cons_interval", table.reasoning),
        block("worst template", "lowest average over the prompt templates", "worst_template"),
        block("mean template", "mean average over the prompt templates", "mean_template"),
        block("template spread", "highest less lowest average over the prompt templates", "template_spread"),
        block("few-shot", "mean accuracy with worked examples before the question", "few_shot.avg_at_k"),
        block("language consistency", in_language, "language_consistency", "language_interval"),
        block("format", "responses in the final form", "format_rate"),
        block("true summaries", "summaries whose own equation holds", "diagnostics.summary_right"),
        *(block(title, note, f"diagnostics.{name}") for name, title, note in _OF_LIMITS),
        *_by_language(table),
        block("response length", "tokens", "response_tokens"),
        block("tokens of a solved easy problem", "of those that the best checkpoint solves most times", "easy_tokens"),
    ]
    return [block for block in found if block.lines]


def _by_language(table: StageTable) -> list[TableBlock]:
    """Consistency for each language that questions are in, where a task has several."""
    lines = []
    for task in table.reasoning:
        rows = [mapping(table.row(checkpoint, task).get("by_language")) for checkpoint in table.checkpoints]
        spoken = sorted({language for row in rows for language in row})
        for language in spoken if len(spoken) > 1 else ():
            values = [number(mapping(row.get(language)), "language_consistency") for row in rows]
            cells = tuple(None if value is None else TableCell(value=value) for value in values)
            if any(cells):
                lines.append(TableLine(name=f"{task}, {language}", cells=cells))
    return [TableBlock(title="by language", note="the same, of the questions in each language", lines=tuple(lines))]


# ---- differences ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """New minus old with the ends of its 95% interval."""

    value: float
    low: float
    high: float


def paired_change(table: StageTable, task: str, old: str, new: str) -> Difference | None:
    """Of accuracy, paired by problem; None where the evaluation did not evaluate ``new`` right after ``old``."""
    change = mapping(table.row(new, task).get("change"))
    value, ends = number(change, "difference"), interval_of(change)
    if change.get("from") != old or value is None or ends is None:
        return None
    return Difference(value=value, low=ends[0], high=ends[1])
