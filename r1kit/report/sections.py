"""The sections of the page, in the order a reader wants them; each is empty where the run has nothing for it."""

from __future__ import annotations

from collections.abc import Mapping

from r1kit.report import chain_sections, costs, figures, html
from r1kit.report.findings import compare
from r1kit.report.run_folder import Row, RunFolder
from r1kit.report.stage_sections import of_stage

__all__ = ["build"]


def build(run: RunFolder, without: RunFolder | None = None) -> list[tuple[str, str, str]]:
    """Every section as (anchor, title for the table of contents, HTML), the empty ones left out.

    Args:
        without: a run without the language reward, to compare a chain with.
    """
    found = (
        chain_sections.build(run, without)
        if run.is_chain
        else [*_of_stages(run), ("cost", "What it cost", costs.section(run))]
    )
    found.append(("pretraining", "Pretraining and the base gate", _pretraining(run)))
    if not run.is_chain:
        found.append(("lineage", "Lineage", chain_sections.lineage(run)))
    found.append(("settings", "Settings", _settings(run)))
    found.append(("machine", "Versions and hardware", _machine(run)))
    return [(name, title, html.section(name, title, body)) for name, title, body in found if body]


def _of_stages(run: RunFolder) -> list[tuple[str, str, str]]:
    """Each RL stage's sections, those of the stage that the report is about first."""
    stage = run.headline
    learned = [stage] if stage else []
    learned += [other for other in run.stages if other is not stage and (other.is_rl or compare(other))]
    found = []
    for item in learned:
        suffix = "" if item is stage else f"-{item.name}"
        title = "" if len(learned) == 1 else f"{item.title}: "
        for name, what, body in of_stage(run, item):
            heading = title + what if title else what[:1].upper() + what[1:]
            found.append((name + suffix, heading, body))
    return found


def _pretraining(run: RunFolder) -> str:
    parts = []
    for stage in run.stages:
        if stage.name == "pretrain":
            text = "Next-token loss on documents that are never repeated. The paper starts from DeepSeek-V3-Base."
            parts.append(html.figure(figures.loss_over_steps(stage.metrics), html.caption("Pretraining loss.", text)))
        parts += [_gate(gate) for gate in stage.gates]
    return "".join(parts)


def _gate(gate: Row) -> str:
    """The base gate of one task: warnings first, then whatever values and tables it holds."""
    listed = gate.get("warnings")
    warnings = listed if isinstance(listed, list) else []
    of = f": {gate['task']}" if "task" in gate else ""
    parts = [f"<h3>The base gate{html.escape(of)}</h3>"]
    parts += [f'<div class="warning">{html.escape(str(warning))}</div>' for warning in warnings]
    if not warnings:
        parts.append(html.paragraph("No warning: nothing measured here speaks against starting RL."))
    rest = {str(key): gate[key] for key in gate if key not in ("warnings", "task", "passed")}
    tables = {key: rows for key in rest if (rows := _rows_of(key, rest[key]))}
    values = {key: rest[key] for key in rest if key not in tables}
    nested = {key: item for found in values.values() if isinstance(found, Mapping) for key, item in found.items()}
    parts.append(
        html.definitions({key: values[key] for key in values if not isinstance(values[key], Mapping)} | nested)
    )
    for key, rows in tables.items():
        heading = "" if key == "table" else f"<h3>{html.escape(key.replace('_', ' ').capitalize())}</h3>"
        parts.append(heading + html.records(rows))
    return "".join(parts)


def _rows_of(name: str, value: object) -> list[Mapping[str, object]]:
    """A list of objects as it is, an object of objects with its keys as first column; nothing for anything else."""
    if isinstance(value, list):
        return [item for item in value if isinstance(item, Mapping)]
    if isinstance(value, Mapping) and value and all(isinstance(item, Mapping) for item in value.values()):
        column = name.removeprefix("by_").removeprefix("accuracy_by_")
        return [{column: key, **item} for key, item in value.items()]
    return []


def _settings(run: RunFolder) -> str:
    if not run.recipe_text:
        return ""
    facts = {"recipe": run.recipe_name, "hash": run.manifest.get("recipe_hash"), "seed": run.manifest.get("seed")}
    held = html.definitions({key: value for key, value in facts.items() if value is not None})
    summary = "<summary>The resolved recipe, every default filled in</summary>"
    return f"{held}<details>{summary}{html.pre(run.recipe_text)}</details>"


def _machine(run: RunFolder) -> str:
    parts = []
    for key in ("versions", "hardware"):
        found = run.manifest.get(key)
        if isinstance(found, dict):
            parts.append(html.definitions(found))
    created = run.manifest.get("created")
    parts.append(html.definitions({"started": created}) if created else "")
    return "".join(parts)
