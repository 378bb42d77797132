"""The sections of the page, in the order a reader wants them; each is empty where the run has nothing for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from r1kit.report import figures, html
from r1kit.report.findings import (
    Comparison,
    compare,
    cons_above_avg,
    curves,
    duration,
    gist,
    main_curves,
    progress,
    table,
)
from r1kit.report.lineage import lineage_svg, nodes
from r1kit.report.run_folder import Row, RunFolder, StageFolder, number
from r1kit.report.samples import pairs

__all__ = ["build"]

PANELS: Sequence[tuple[str, str, Mapping[str, str], bool]] = (
    (
        "Reward and its parts",
        "mean over the step's samples; the reward is their weighted sum",
        {"reward": "reward", "accuracy": "accuracy", "format": "format", "language": "language"},
        False,
    ),
    ("Entropy", "of the policy, nats a token; near 0 it explores no more", {"entropy": "entropy"}, False),
    ("KL to the reference", "k3 estimate, nats a token", {"kl": "KL"}, False),
    ("Clip share", "tokens whose ratio was clipped", {"clip_share": "clip share"}, False),
    ("Flat groups", "all answers equally good or bad: no gradient", {"flat_group_share": "flat groups"}, True),
    (
        "Cut, ungradable, timed out",
        "shares of the samples",
        {"truncated_share": "cut", "ungradable_share": "ungradable", "timeout_share": "timed out"},
        False,
    ),
    (
        "Sampler–learner gap",
        "between the two log-probs of a token, nats",
        {"sampler_gap": "sampler–learner gap"},
        False,
    ),
    ("Largest ratio", "of new to old probability of a token", {"ratio_max": "largest ratio"}, False),
    ("Gradient norm", "before clipping", {"grad_norm": "gradient norm"}, False),
    ("Loss", "its value says little in RL; its jumps do", {"loss": "loss"}, False),
    ("Learning rate", "", {"lr": "learning rate"}, False),
    ("Tokens per second", "sampled and learned, the whole step", {"tokens_per_second": "tokens/s"}, False),
)
TIMES = ("sample_seconds", "score_seconds", "update_seconds")
ELSEWHERE = {"step", "seconds", "response_tokens", "tokens", "ratio", *TIMES}
SHOWN_PAIRS, FOLDED_PAIRS = 5, 15


def build(run: RunFolder) -> list[tuple[str, str, str]]:
    """Every section as (anchor, title for the table of contents, HTML), the empty ones left out."""
    stage = run.headline
    found: list[tuple[str, str, str]] = []
    learned = [stage] if stage else []
    learned += [other for other in run.stages if other is not stage and (other.is_rl or compare(other))]
    for item in learned:
        suffix = "" if item is stage else f"-{item.name}"
        title = "" if len(learned) == 1 else f"{item.title}: "
        for name, what, body in _of_stage(run, item):
            heading = title + what if title else what[:1].upper() + what[1:]
            found.append((name + suffix, heading, body))
    found.append(("pretraining", "Pretraining and the base gate", _pretraining(run)))
    found.append(("lineage", "Lineage", _lineage(run)))
    found.append(("settings", "Settings", _settings(run)))
    found.append(("machine", "Versions and hardware", _machine(run)))
    return [(name, title, html.section(name, title, body)) for name, title, body in found if body]


def _of_stage(run: RunFolder, stage: StageFolder) -> list[tuple[str, str, str]]:
    names = side_names(run, stage)
    found = compare(stage)
    return [
        ("comparison", "before and after", _comparison(found, names)),
        ("accuracy", "accuracy over steps", _accuracy(stage)),
        ("length", "response length", _length(stage) + _budget(found, names)),
        ("behaviour", "what the chains do", _behaviour(found, names)),
        ("samples", "samples", _samples(stage, found, names)),
        ("aha", "aha candidates", _aha(stage, found)),
        ("health", "training health", _health(stage)),
    ]


def side_names(run: RunFolder, stage: StageFolder) -> tuple[str, str]:
    """Column names of before and after: ``base`` and ``R1-Zero`` (with its step while it is unfinished)."""
    before = "base" if stage.name == "r1_zero" else "before"
    return before, stage.title if stage.done else f"{stage.title}, {progress(run, stage)}"


def _protocol(comparison: Comparison) -> str:
    """Which problems, how many samples, and what a bracket is."""
    row, curve = comparison.after, comparison.curve
    problems, clusters = number(row, "problems"), number(row, "clusters")
    counted = f"{problems:.0f} held-out problems" if problems else "held-out problems"
    if clusters and clusters != problems:
        counted += f" in {clusters:.0f} clusters"
    split = f" of the {curve.split} split" if curve.split else ""
    chosen = " Settings may have been chosen on this split." if curve.split == "dev" else ""
    return (
        f"{curve.task}: {counted}{split}, {curve.k} samples each. Brackets are 95% intervals over clusters of "
        f"problems; they say nothing of other seeds.{chosen}"
    )


def _comparison(found: Sequence[Comparison], names: tuple[str, str]) -> str:
    parts = []
    for comparison in found:
        heading = f"<h3>{html.escape(comparison.curve.task)}</h3>" if len(found) > 1 else ""
        parts.append(heading + html.table(table(comparison), names))
        parts.append(html.paragraph(_protocol(comparison), "caption") + html.paragraph(gist(comparison)))
    return "".join(parts)


def _accuracy(stage: StageFolder) -> str:
    drawn = main_curves(stage)
    if not any(len(curve.rows) > 1 for curve in drawn):
        return ""
    tests = [curve for curve in curves(stage) if curve.split == "test" and curve not in drawn]
    figure = figures.accuracy_over_steps(drawn, tests)
    said = []
    for curve in drawn:
        above, both = cons_above_avg(curve)
        if both:
            of = f" on {curve.task}" if len(drawn) > 1 else ""
            said.append(
                f"The majority beats the average at {'all' if above == both else above} of {both} evaluations{of}."
            )
    splits = " and ".join(dict.fromkeys(curve.split for curve in drawn if curve.split))
    where = f" on the {splits} split" if splits else " on held-out problems"
    points = " Open diamonds: the test split." if tests else ""
    text = (
        f"Mean accuracy of k samples (avg@k) and accuracy of their majority answer (cons@k){where}, with 95% "
        f"intervals. {' '.join(said)}{points} Step 0 is the model before RL. The paper's figure 2 is this for "
        "DeepSeek-R1-Zero on AIME 2024: the mean of 16 samples climbs from 15.6% to 71.0% (77.9% in the "
        "Nature version), 86.7% by majority."
    )
    return html.figure(figure, html.caption("Accuracy during reinforcement learning.", text))


def _length(stage: StageFolder) -> str:
    drawn = main_curves(stage)
    figure = figures.length_over_steps(stage.metrics, drawn)
    text = (
        "Mean tokens in a response on the training problems, and in the evaluations. Nothing rewards length. The "
        "paper's figure 3 is this for DeepSeek-R1-Zero: from hundreds to thousands of tokens over some 8,000 steps, "
        "on its training set."
    )
    return html.figure(figure, html.caption("Response length during reinforcement learning.", text))


def _budget(found: Sequence[Comparison], names: tuple[str, str]) -> str:
    text = (
        "A response counts if it is right and at most so many tokens long. Where the curve still rises, longer chains "
        "pay for their length; where it is flat, they are padding. The paper has no such figure."
    )
    return html.figure(figures.accuracy_by_budget(found, names), html.caption("Accuracy under a token budget.", text))


def _behaviour(found: Sequence[Comparison], names: tuple[str, str]) -> str:
    parts = []
    for comparison in found:
        of = f" ({comparison.curve.task})" if len(found) > 1 else ""
        tries = (
            "Accuracy (in whatever form) of the responses that make so many attempts. A model that "
            "stops once it has found one stays high; hover for the number of responses behind a bar. The paper has no "
            "such figure."
        )
        words = (
            "How often each reflective word appears in a response. The paper (appendix C, second version) counts "
            "wait, mistake, however, but, retry, error, verify, wrong, evaluate, check: they rise five- to sevenfold."
        )
        left = figures.accuracy_by_tries(comparison, names)
        right = figures.reflection_words(comparison, names)
        parts.append(html.figure(left, html.caption(f"Accuracy by number of attempts{of}.", tries)))
        parts.append(html.figure(right, html.caption(f"Reflective words{of}.", words)))
    return f'<div class="pair2">{"".join(parts)}</div>' if any(parts) else ""


def _words(found: Sequence[Comparison]) -> list[str]:
    """Reflective words that the evaluations count."""
    counted = (row.get("reflection_words") for item in found for row in (item.before, item.after))
    return list(dict.fromkeys(str(word) for words in counted if isinstance(words, Mapping) for word in words))


def _samples(stage: StageFolder, found: Sequence[Comparison], names: tuple[str, str]) -> str:
    held, words = pairs(stage), _words(found)
    if not held:
        return ""
    what = (
        "The same prompts before and after: the first sample of each prompt, in the order of the run, none chosen."
        if held[0].same_prompt
        else "No prompt was sampled at both ends; these are the first samples of the first and of the last logged step."
    )
    shown = [
        html.sample(pair.before, pair.after, names, words, same_prompt=pair.same_prompt)
        for pair in held[: SHOWN_PAIRS + FOLDED_PAIRS]
    ]
    more = "".join(shown[SHOWN_PAIRS:])
    folded = f"<details><summary>{len(shown) - SHOWN_PAIRS} more</summary>{more}</details>" if more else ""
    return html.paragraph(what) + "".join(shown[:SHOWN_PAIRS]) + folded


def _aha(stage: StageFolder, found: Sequence[Comparison]) -> str:
    if not stage.aha:
        return ""
    text = (
        "Chains that stop, doubt and turn, found by rule; whether one is an insight is for the reader. The paper's is "
        "an intermediate checkpoint that interrupts its algebra with an aha moment and starts again (table 3)."
    )
    words = _words(found)
    return html.paragraph(text) + "".join(html.aha(row, words) for row in stage.aha[:8])


def _health(stage: StageFolder) -> str:
    rows = stage.metrics
    if len(rows) < 2 or not stage.is_rl:
        return ""
    known = {key for _, _, keys, _ in PANELS for key in keys} | ELSEWHERE
    others = [key for key in dict.fromkeys(key for row in rows for key in row) if key not in known]
    spare = [(key.replace("_", " ").capitalize(), "", {key: key}, False) for key in others]
    panels = [
        html.figure(figures.small(rows, keys, shares=shares), html.caption(f"{title}{':' if text else ''}", text))
        for title, text, keys, shares in (*PANELS, *spare)
    ]
    panels.append(
        html.figure(figures.time_split(rows), html.caption("Seconds of a step:", "sampling, scoring, updating"))
    )
    flat = _unchanged(rows)
    said = f"Unchanged at every step: {flat}." if flat else ""
    intro = "Pale lines are single steps, strong ones their running mean; the x axis is the RL step."
    return html.paragraph(intro) + f'<div class="grid">{"".join(panels)}</div>' + html.paragraph(said, "caption")


def _unchanged(rows: Sequence[Row]) -> str:
    """``KL 0, clip share 0``: fields that never move and so have no line."""
    names = {key: name for _, _, keys, _ in PANELS for key, name in keys.items()}
    held = {name: {number(row, key) for row in rows} for key, name in names.items()}
    flat = {name: values for name, values in held.items() if len(values) == 1 and None not in values}
    return ", ".join(f"{name} {html.cell(values.pop())}" for name, values in flat.items())


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


def _lineage(run: RunFolder) -> str:
    drawn = lineage_svg(nodes(run))
    total = sum(stage.seconds or 0.0 for stage in run.stages)
    text = f"Which stage fed which, what each left and how long it took; {duration(total)} in all."
    return f"<figure>{drawn}<figcaption>{html.escape(text)}</figcaption></figure>" if drawn else ""


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
