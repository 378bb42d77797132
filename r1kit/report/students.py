"""Distilling against RL on the student: the paper's table 6 in miniature."""

from __future__ import annotations

from collections.abc import Mapping

from r1kit.report import chain_figures, html, paper
from r1kit.report.chain_figures import Bars
from r1kit.report.findings import bracket, interval_of, share, short
from r1kit.report.run_folder import Row, RunFolder, mapping, number

__all__ = ["section"]

BUDGETS = {
    "sft": "RL, at the cost of its SFT",
    "with_sampling": "RL, at that and the teacher's sampling",
}


def section(run: RunFolder) -> str:
    """Base, distilled and RL of each student, their difference at equal compute; nothing without the stage."""
    stage = run.stage("distill")
    if stage is None:
        return ""
    found = {str(name): mapping(row) for name, row in stage.numbers.items() if name != "teacher"}
    found = {name: row for name, row in found.items() if mapping(row.get("distilled"))}
    if not found:
        return ""
    tasks = list(dict.fromkeys(str(task) for row in found.values() for task in mapping(row["distilled"])))
    drawn = "".join(_figure(task, found) for task in tasks)
    return (
        _table(found, tasks) + drawn + _differences(found) + _charged(mapping(stage.numbers.get("teacher"))) + _paper()
    )


def _models(row: Row) -> dict[str, tuple[Row, float | None]]:
    """What is shown of a student, in order: name -> (task to line, operations it took after its base)."""
    held: dict[str, tuple[Row, float | None]] = {"base": (mapping(row.get("base")), None)}
    held["distilled"] = (mapping(row.get("distilled")), number(row, "distilled_flops"))
    budgets = mapping(row.get("rl_budgets"))
    for key, lines in mapping(row.get("rl")).items():
        held[BUDGETS.get(str(key), f"RL, {key}")] = (mapping(lines), number(budgets, str(key)))
    return held


def _table(found: Mapping[str, Row], tasks: list[str]) -> str:
    rows: list[html.GridRow] = []
    for name, row in found.items():
        weights = number(row, "weights")
        rows.append(html.GridRow(name=f"{name}, {weights:,.0f} weights" if weights else name))
        for model, (lines, flops) in _models(row).items():
            cells = [text for task in tasks for text in _cells(mapping(lines.get(task)))]
            cells += ["" if flops is None else f"{flops:.2e}", _steps(row, model)]
            rows.append(html.GridRow(name=model, cells=cells))
    k = next(
        (number(mapping(line), "k") for row in found.values() for line in mapping(row["distilled"]).values()), None
    )
    of = f"@{k:.0f}" if k else ""
    heads = [f"{task} {what}{of}" for task in tasks for what in ("avg", "cons")]
    text = (
        "Brackets are 95% intervals over clusters of problems. Operations are what each model cost beyond its base; RL "
        "ran on the student itself until it had cost as much."
    )
    return html.grid((*heads, "FLOPs", "RL steps"), rows) + html.paragraph(text, "caption")


def _steps(row: Row, model: str) -> str:
    reached = mapping(row.get("rl_reached"))
    steps = next((number(reached, key) for key, name in BUDGETS.items() if name == model), None)
    return "" if steps is None else f"{steps:.0f}"


def _cells(line: Row) -> tuple[str, str]:
    return share(number(line, "avg_at_k")) + bracket(line), share(number(line, "cons_at_k"))


def _figure(task: str, found: Mapping[str, Row]) -> str:
    bars: dict[str, dict[str, tuple[float, tuple[float, float] | None]]] = {}
    for student, row in found.items():
        for model, (lines, _) in _models(row).items():
            line = mapping(lines.get(task))
            if (value := number(line, "avg_at_k")) is not None:
                bars.setdefault(model, {})[student] = (value, interval_of(line))
    figure = chain_figures.students(task, [Bars(name=name, values=values) for name, values in bars.items()])
    text = "Each student before, after the teacher's samples, and after RL of its own at equal compute; 95% intervals."
    return html.figure(figure, html.caption(f"Students on {task}.", text))


def _differences(found: Mapping[str, Row]) -> str:
    """Distilled minus RL, paired by problem, one sentence a budget and task."""
    said = []
    for student, row in found.items():
        for budget, tasks in mapping(row.get("distilled_minus_rl")).items():
            for task, line in mapping(tasks).items():
                value, ends = number(mapping(line), "difference"), interval_of(mapping(line))
                if value is None:
                    continue
                what = BUDGETS.get(str(budget), str(budget)).removeprefix("RL, ")
                between = f" [{_signed(ends[0], 2)}, {_signed(ends[1], 2)}]" if ends else ""
                said.append(f"{student} on {task}, RL {what}: {_signed(value, 3)}{between}, {_judged(ends)}")
    if not said:
        return ""
    items = "".join(f"<li>{html.escape(text)}</li>" for text in said)
    return f"{html.paragraph('Distilled minus RL, paired by problem:')}<ul>{items}</ul>"


def _judged(ends: tuple[float, float] | None) -> str:
    if ends is None or ends[0] <= 0 <= ends[1]:
        return "not clear"
    return "distilling is better, as in the paper" if ends[0] > 0 else "RL is better, unlike the paper"


def _signed(value: float, digits: int) -> str:
    return ("+" if value >= 0 else "−") + share(abs(value), digits)


def _charged(teacher: Row) -> str:
    """What the samples cost, so that a reader can charge the teacher too."""
    sampling, training = (number(teacher, key) for key in ("sampling_flops", "training_flops"))
    weights = number(teacher, "weights")
    parts = [] if sampling is None else [f"sampling its data took {sampling:.2e} operations"]
    parts += [] if training is None else [f"training it, back to the base, {training:.2e}, charged to no student"]
    of = f" ({short(weights)} weights)" if weights else ""
    return html.paragraph(f"The teacher{of}: {'; '.join(parts)}.") if parts else ""


def _paper() -> str:
    heads = ("AIME 2024", "cons@64", "MATH-500", "GPQA Diamond", "LiveCodeBench")
    rows = [
        html.GridRow(name=name, cells=list(map(paper.written, values)), best=frozenset(_best(values)))
        for name, values in paper.DISTILLED.items()
    ]
    text = "The paper's table 6 (first version), 32 billion weights: shape, not size."
    return f"<h4>The paper's</h4>{html.grid(heads, rows)}{html.paragraph(text, 'caption')}"


def _best(values: tuple[float, ...]) -> list[int]:
    """Columns in which no other model has more."""
    columns = list(zip(*paper.DISTILLED.values(), strict=True))
    return [place for place, value in enumerate(values) if value == max(columns[place])]
