"""The sections of a run of the whole chain; each is empty where its stage did not run."""

from __future__ import annotations

from collections.abc import Sequence

from r1kit.report import costs, factory, html, ladder, language, paper, preference, students
from r1kit.report.chain import Block, StageTable, alias, blocks, cell_text, landmarks, stage_table
from r1kit.report.findings import compare, duration
from r1kit.report.lineage import lineage_svg, nodes
from r1kit.report.run_folder import Row, RunFolder, StageFolder, mapping
from r1kit.report.samples import along
from r1kit.report.shape import shape
from r1kit.report.stage_sections import AHA, accuracy, aha, length, of_stage, words

__all__ = ["build", "lineage"]

DETAIL = ("comparison", "behaviour", "samples", "health")
FOLDED = {"samples": "Samples before and after", "health": "Training health"}
SHOWN_PROMPTS = 4


def build(run: RunFolder, without: RunFolder | None = None) -> list[tuple[str, str, str]]:
    """Every section as (anchor, title, HTML).

    Args:
        without: a run whose reasoning RL was paid nothing for the language, to draw beside this one's.
    """
    table, learned = stage_table(run), [stage for stage in run.stages if stage.is_rl]
    found = [
        ("stages", "What each stage bought", _stages(table, _form(run)) if table else ""),
        ("lineage", "Lineage", lineage(run)),
        ("accuracy", "Accuracy over steps", _each(learned, [accuracy(s, run.preference_tasks) for s in learned])),
        ("length", "Response length", _each(learned, [length(stage) for stage in learned])),
        ("ladder", "The ladder of code", _each(learned, [ladder.section(stage) for stage in learned])),
        ("language", "Language consistency", language.section(run, without)),
        ("through", "The same prompts along the chain", _along(run, table) if table else ""),
        ("factory", "The data factory", factory.section(run)),
        ("reward-models", "Reward models", preference.models(run)),
        ("gold", "Reward models against gold", preference.against_gold(run)),
        ("distillation", "Distilling against RL", students.section(run)),
        ("aha", "Aha candidates", _aha(learned)),
        ("cost", "What it cost", costs.section(run)),
    ]
    return found + [(stage.name, f"{stage.title} in detail", _detail(run, stage)) for stage in learned]


def _each(stages: Sequence[StageFolder], bodies: Sequence[str]) -> str:
    """What each stage has, under its name."""
    return "".join(f"<h3>{html.escape(s.title)}</h3>{body}" for s, body in zip(stages, bodies, strict=True) if body)


def _aha(learned: Sequence[StageFolder]) -> str:
    body = _each(learned, [aha(stage, compare(stage)) for stage in learned])
    return html.paragraph(AHA) + body if body else ""


def _detail(run: RunFolder, stage: StageFolder) -> str:
    held = {name: body for name, _, body in of_stage(run, stage) if name in DETAIL and body}
    return "".join(
        f"<details><summary>{FOLDED[name]}</summary>{body}</details>" if name in FOLDED else body
        for name, body in held.items()
    )


def lineage(run: RunFolder) -> str:
    """The graph of the stages."""
    drawn = lineage_svg(nodes(run))
    total = sum(stage.seconds or 0.0 for stage in run.stages)
    text = f"Which stage fed which, what each left and how long it took; {duration(total)} in all."
    return f"<figure>{drawn}<figcaption>{html.escape(text)}</figcaption></figure>" if drawn else ""


# ---- the stage table ------------------------------------------------------------------------------------------------


def _form(run: RunFolder) -> str:
    """Which form the evaluation asks for, as the recipe calls it."""
    return str(mapping(run.settings("evaluate").get("reward")).get("format_style", ""))


def _stages(table: StageTable, form: str) -> str:
    heads = [alias(name) for name in table.checkpoints]
    held = blocks(table)
    lead, rest = held[:1], held[1:]
    problems = {task: row.get("problems") for task in table.tasks for row in [_any(table, task)] if row.get("problems")}
    counted = f" Problems: {html.cell(problems)}." if problems else ""
    text = (
        f"Every checkpoint on held-out problems, {table.k} samples each. Brackets are 95% intervals over clusters of "
        f"problems; they say nothing of other seeds. The best of a row is bold, ahead by however little.{counted}"
    )
    parts = [_blocks(lead, heads), html.paragraph(text, "caption")]
    parts += [_shape(table), "<h3>Majority, prompts, language, form, length</h3>" if rest else "", _blocks(rest, heads)]
    if any(block.title == "worst template" for block in rest):
        said = (
            "Worst template: the lowest average over the recipe's own prompt and the others that stage evaluate names."
        )
        parts.append(html.paragraph(said, "caption"))
    if form:
        said = f"The form is {form}; a checkpoint from before the stage that teaches it cannot have it."
        parts.append(html.paragraph(said, "caption"))
    return "".join(parts)


def _any(table: StageTable, task: str) -> Row:
    return next((row for tasks in table.cells.values() if (row := tasks.get(task))), {})


def _blocks(held: Sequence[Block], heads: Sequence[str]) -> str:
    if not held:
        return ""
    rows: list[html.GridRow] = []
    for block in held:
        rows.append(html.GridRow(name=f"{block.title}: {block.note}"))
        for line in block.lines:
            cells = [" ".join(filter(None, cell_text(line, place))) for place in range(len(heads))]
            rows.append(html.GridRow(name=line.name, cells=cells, best=line.best))
    return html.grid(heads, rows)


def _shape(table: StageTable) -> str:
    """The paper's table, and whether this run has its shape."""
    rows = []
    for metric, values in paper.STAGE_TABLE.items():
        best = [place for place, value in enumerate(values) if value == max(values)]
        rows.append(html.GridRow(name=metric, cells=list(map(paper.written, values)), best=frozenset(best)))
    theirs = html.grid(paper.STAGES, rows)
    source = "DeepSeek-R1, arXiv 2501.12948 v2, table 3: 671 billion weights, other benchmarks."
    items = "".join(
        f'<li class="{check.verdict.replace(" ", "-")}"><b>{html.escape(check.claim)}</b> '
        f"<em>{html.escape(check.verdict)}</em><span>{html.escape(check.found)}</span>"
        f"<span>paper: {html.escape(check.paper)}</span></li>"
        for check in shape(table)
    )
    text = (
        "Differences are means over tasks with 95% intervals, of accuracy paired by problem; not clear: the "
        "interval holds 0. No reasoning is lost if the interval lies above −.05."
    )
    ours = (
        f'<h4>The expected shape</h4><ul class="checks">{items}</ul>{html.paragraph(text, "caption")}' if items else ""
    )
    beside = f"<h4>The paper's table: shape, not size</h4>{theirs}{html.paragraph(source, 'caption')}"
    return f'<div class="pair2"><div>{ours}</div><div>{beside}</div></div>' if ours else beside


# ---- samples --------------------------------------------------------------------------------------------------------


def _along(run: RunFolder, table: StageTable) -> str:
    """One prompt a task, answered by base, R1-Zero and R1."""
    stage = run.stage("evaluate")
    ends = landmarks(table)
    if stage is None or ends[0] == ends[-1]:
        return ""
    marked = words([found for s in run.stages if s.is_rl for found in compare(s)])
    shown = []
    for rows in along(stage, ends):
        first = rows[ends[0]]
        prompt = f'<div class="prompt"><span class="text">{html.escape(str(first.get("prompt", "")))}</span></div>'
        sides = "".join(html.side(alias(name), rows[name], marked, steps=False) for name in ends)
        shown.append(f'<div class="sample">{prompt}<div class="sides many">{sides}</div></div>')
    more = "".join(shown[SHOWN_PROMPTS:])
    folded = f"<details><summary>{len(shown) - SHOWN_PROMPTS} more</summary>{more}</details>" if more else ""
    text = "The first recorded prompt of each task and its first sample from each model; none chosen."
    return html.paragraph(text) + "".join(shown[:SHOWN_PROMPTS]) + folded if shown else ""
