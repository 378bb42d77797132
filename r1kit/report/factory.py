"""The stages that make samples: yields of their checks, samples by domain, some samples with what was done to them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice, pairwise

from r1kit.report import html, paper
from r1kit.report.findings import share, short
from r1kit.report.run_folder import Row, RunFolder, StageFolder, mapping, number

__all__ = ["section"]

STAGES = ("cold_start", "rejection_sampling")
EXAMPLES, LOOKED_AT = 3, 5000
"""Samples shown a stage, and how many are looked through for one of each route."""


def section(run: RunFolder) -> str:
    """Every stage that made samples, and the paper's table 5 beside the last; nothing without one."""
    held = [stage for name in STAGES if (stage := run.stage(name)) is not None and (stage.card or stage.numbers)]
    parts = []
    for stage in held:
        parts += [f"<h3>{html.escape(stage.title)}</h3>", _summary(stage), _yields(stage)]
        domains, beside = _domains(stage), _paper() if stage is held[-1] else ""
        parts += [f'<div class="pair2"><div>{domains}</div><div>{beside}</div></div>' if beside else domains]
        parts.append(_examples(stage))
    return "".join(parts)


def _told(stage: StageFolder, key: str) -> Row:
    """A table of the card, else of the result."""
    return mapping(stage.card.get(key)) or mapping(stage.numbers.get(key))


def _summary(stage: StageFolder) -> str:
    count = number(stage.card, "samples") or number(stage.numbers, "samples")
    tokens = number(stage.card, "mean_tokens") or number(stage.numbers, "mean_tokens")
    said = (
        []
        if count is None
        else [f"{count:,.0f} samples" + (f" of {short(tokens)} tokens on average" if tokens else "")]
    )
    old, new = (number(stage.numbers, f"language_consistency{end}") for end in ("_before", ""))
    if old is not None and new is not None:
        said.append(f"language consistency {share(old)} as sampled, {share(new)} as kept")
    for name, key in (("kept", "kept"), ("review", "review"), ("languages", "languages")):
        if told := _told(stage, key):
            said.append(f"{name}: {html.cell(told)}")
    if removed := mapping(stage.card.get("removed")) or mapping(stage.numbers.get("dropped")):
        said.append(f"left out after the checks: {html.cell(_plain(removed))}")
    return html.paragraph("; ".join(said) + "." if said else "")


def _plain(counts: Row) -> Mapping[str, object]:
    return {str(key).replace("_", " "): value for key, value in counts.items()}


def _yields(stage: StageFolder) -> str:
    """Completions left after each check, a column a route, with the share that each check let pass."""
    routes = {
        str(name): mapping(mapping(found).get("left")) for name, found in mapping(stage.card.get("yields")).items()
    }
    routes = {name: left for name, left in routes.items() if left}
    if not routes:
        return ""
    checks = list(dict.fromkeys(str(check) for left in routes.values() for check in left))
    heads = [head for name in routes for head in (name, "passed", "of all")]
    rows = []
    for check in checks:
        cells = [text for left in routes.values() for text in _passed(left, check)]
        rows.append(html.GridRow(name=check.replace("_", " "), cells=cells))
    bars = [3 * at + 2 for at in range(len(routes))]
    text = (
        "Completions left after each check, the share of what came to it that it let pass, and what is left of all "
        "that were sampled; three columns a route."
    )
    return html.grid(heads, rows, bars=bars) + html.paragraph(text, "caption")


def _passed(left: Row, check: str) -> tuple[str, str, str]:
    names, count = list(left), number(left, check)
    if count is None:
        return "–", "", ""
    before = {name: earlier for earlier, name in pairwise(names)}.get(check)
    came, all_of_them = number(left, before) if before else None, number(left, names[0])
    return (
        f"{count:,.0f}",
        share(count / came, 2) if came else "",
        f"{100 * count / all_of_them:.0f}%" if all_of_them else "",
    )


def _domains(stage: StageFolder) -> str:
    found = {str(name): row for name, row in mapping(stage.card.get("domains")).items() if isinstance(row, Mapping)}
    if not found:
        return ""
    rows = [html.GridRow(name=name, cells=_domain(row)) for name, row in found.items()]
    rows.append(html.GridRow(name="total", cells=_domain(stage.card)))
    return html.grid(("samples", "mean tokens", "rounds"), rows, total=True) + html.paragraph(
        "Samples by domain, as the paper's table 5.", "caption"
    )


def _domain(row: Row) -> list[str]:
    count, tokens, rounds = (number(row, key) for key in ("samples", "mean_tokens", "rounds"))
    return [
        "–" if count is None else f"{count:,.0f}",
        "–" if tokens is None else f"{tokens:,.1f}",
        "" if rounds is None else f"{rounds:.1f}",
    ]


def _paper() -> str:
    rows = [
        html.GridRow(name=name, cells=[f"{n:,}", f"{tokens:,.1f}", f"{rounds:.1f}"])
        for name, (n, tokens, rounds) in paper.DOMAINS.items()
    ]
    text = "The paper's 800,000 samples (v2, table 5): shape, not size."
    return html.grid(("samples", "mean tokens", "rounds"), rows, total=True) + html.paragraph(text, "caption")


# ---- samples --------------------------------------------------------------------------------------------------------


def _examples(stage: StageFolder) -> str:
    """The first sample of each route, then the next ones: not chosen for what they say."""
    rows = list(islice(stage.samples(), LOOKED_AT))
    routes: dict[str, Row] = {}
    for row in rows:
        routes.setdefault(str(mapping(row.get("provenance")).get("route", "")), row)
    chosen = list(routes.values())[:EXAMPLES]
    chosen += [row for row in rows if not any(row is other for other in chosen)][: EXAMPLES - len(chosen)]
    if not chosen:
        return ""
    text = "The first sample of each route, as it was sampled and as it is learnt; none chosen."
    return html.paragraph(text) + "".join(map(_example, chosen))


def _example(row: Row) -> str:
    provenance = mapping(row.get("provenance"))
    listed = provenance.get("edits")
    edits = [edit for edit in listed if isinstance(edit, Mapping)] if isinstance(listed, list) else []
    where = {key: provenance[key] for key in ("route", "stage", "version", "kind", "review") if provenance.get(key)}
    told = html.cell(where) + ("; edits: " + "; ".join(map(_edit, edits)) if edits else "")
    before, after = str(provenance.get("completion") or ""), str(row["response"])
    sides = [("as sampled", before), ("as learnt", after)] if before and before != after else [("as learnt", after)]
    shown = "".join(html.text_side(name, text) for name, text in sides)
    prompt = f'<div class="prompt"><span class="text">{html.escape(str(row.get("prompt", "")))}</span>'
    kind = "sides" if len(sides) == 2 else "sides one"
    return f'<div class="sample">{prompt}{html.paragraph(told, "caption")}</div><div class="{kind}">{shown}</div></div>'


def _edit(edit: Row) -> str:
    detail = f" ({edit['detail']})" if edit.get("detail") else ""
    return f"{edit.get('what', 'changed')} by {edit.get('by', 'someone')}{detail}"
