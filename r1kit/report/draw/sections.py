"""The page of a run: its sections, in the order a reader wants them, from the templates.

A content security policy allows exactly two scripts, by their hash: plotly's and the page's own. Text from the run is
escaped as well, so a completion can neither run nor load anything.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from types import SimpleNamespace
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from r1kit.report.draw import chain_figures, figures
from r1kit.report.draw.filters import FILTERS, visible
from r1kit.report.read import paper
from r1kit.report.read.run_view import RunView

__all__ = ["Section", "draw_page", "plotly_script", "sections"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    anchor: str
    title: str
    body: Markup


DOCTOR = (("doctor", "What looks ill", "doctor.illnesses"),)
"""First of every page; it is there only if something was found."""
CHAIN = (
    ("stages", "What each stage bought", "stage_table.tables"),
    ("lineage", "Lineage", "run.lineage"),
    ("accuracy", "Accuracy over steps", "stage.accuracies"),
    ("length", "Response length", "stage.lengths"),
    ("ladder", "The ladder of code", "stage.ladders"),
    ("rivals", "From one start, side by side", "rivals.section"),
    ("language", "Language consistency", "rewards.language"),
    ("through", "The same prompts along the chain", "stage_table.through"),
    ("factory", "The data factory", "factory.section"),
    ("reward-models", "Reward models", "rewards.models"),
    ("gold", "Reward models against gold", "rewards.gold"),
    ("distillation", "Distilling against RL", "students.section"),
    ("process-rewards", "Process rewards", "process.section"),
    ("tree-search", "Tree search", "search.section"),
    ("aha", "Aha candidates", "stage.aha_of_all"),
    ("probes", "Drafts, and engine against learner", "probes.section"),
    ("cost", "What it cost", "run.costs"),
)
"""Sections of a run that goes beyond R1-Zero: anchor, title, template and macro."""
STAGE = (
    ("comparison", "before and after", "stage.comparison"),
    ("accuracy", "accuracy over steps", "stage.accuracy"),
    ("length", "response length", "stage.length_and_budget"),
    ("behaviour", "what the chains do", "stage.behaviour"),
    ("samples", "samples", "stage.samples"),
    ("aha", "aha candidates", "stage.aha"),
    ("health", "training health", "stage.health"),
)
"""Sections of each stage of a run of R1-Zero alone."""
END = (
    ("pretraining", "Pretraining and the base gate", "run.pretraining"),
    ("lineage", "Lineage", "run.lineage"),
    ("settings", "Settings", "run.settings"),
    ("machine", "Versions and hardware", "run.machine"),
)


ROOMS = (figures, chain_figures)
"""Whose figures templates draw."""


@lru_cache
def _environment() -> Environment:
    """Whatever is put into a template is escaped, and its control characters are spelled out."""
    found = Environment(
        loader=PackageLoader("r1kit.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.do"],
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    found.filters.update(FILTERS)
    drawn = SimpleNamespace(**{name: getattr(room, name) for room in ROOMS for name in room.__all__})
    found.globals.update(figures=drawn, paper=paper)
    return found


def _macro(name: str, *arguments: Any) -> Markup:
    """``stage.comparison``: macro ``comparison`` of ``stage.html.j2``, called."""
    template, _, macro = name.partition(".")
    body: str = getattr(_environment().get_template(f"{template}.html.j2").module, macro)(*arguments)
    return Markup(body.strip())


def sections(run: RunView) -> list[Section]:
    """Every section that the run has something for."""
    return [section for section in _all_sections(run) if section.body]


def _all_sections(run: RunView) -> Iterator[Section]:
    yield from _of_run(run, DOCTOR)
    if run.is_chain:
        yield from _of_run(run, CHAIN)
        for stage in run.learned:
            yield Section(anchor=stage.name, title=f"{stage.title} in detail", body=_macro("stage.detail", stage))
        for plain in run.plain:
            yield Section(anchor=f"stage-{plain.name}", title=plain.title, body=_macro("run.plain", plain))
    else:
        yield from _of_stages(run)
        yield from _of_run(run, CHAIN[-1:])
    yield from _of_run(run, [one for one in END if not (run.is_chain and one[0] == "lineage")])


def _of_run(run: RunView, listed: Any) -> Iterator[Section]:
    for anchor, title, macro in listed:
        yield Section(anchor=anchor, title=title, body=_macro(macro, run))


def _of_stages(run: RunView) -> Iterator[Section]:
    """Those of the stage that the page is about first; the others' anchors carry their name."""
    for stage in run.learned:
        suffix = "" if stage.name == run.headline else f"-{stage.name}"
        for anchor, what, macro in STAGE:
            title = f"{stage.title}: {what}" if len(run.learned) > 1 else what[:1].upper() + what[1:]
            yield Section(anchor=anchor + suffix, title=title, body=_macro(macro, stage))


def draw_page(run: RunView) -> str:
    """The whole page as text."""
    package = files("r1kit.report")
    script = (package / "report.js").read_text(encoding="utf-8")
    style = (package / "report.css").read_text(encoding="utf-8")
    scripts = (plotly_script(), script)
    context: Mapping[str, Any] = {
        "run": run,
        "sections": sections(run),
        "policy": _policy(scripts),
        "style": Markup(style),
        "scripts": [Markup(text) for text in scripts],
    }
    return _environment().get_template("page.html.j2").render(context)


@lru_cache
def plotly_script() -> str:
    """Plotly's basic bundle, which the live pages are served, too: lines, bars and pies, a quarter of the whole."""
    return (files("r1kit") / "web" / "static" / "vendor" / "plotly-basic.min.js").read_text(encoding="utf-8")


def _policy(scripts: tuple[str, ...]) -> str:
    """No network at all; only these scripts run."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{found}'" for found in hashes)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
