"""What the page says of one stage: before and after, curves, behaviour, samples, training health."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from r1kit.report import figures, html
from r1kit.report.findings import Comparison, Curve, compare, cons_above_avg, curves, gist, main_curves, progress, table
from r1kit.report.run_folder import Row, RunFolder, StageFolder, number
from r1kit.report.samples import pairs

__all__ = ["AHA", "accuracy", "aha", "health", "length", "of_stage", "side_names", "words"]

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
_FIGURE_2 = {
    "r1_zero": "The paper's figure 2 is this for DeepSeek-R1-Zero on AIME 2024: the mean of 16 samples climbs from "
    "15.6% to 71.0% (77.9% in the Nature version), 86.7% by majority."
}
_FIGURE_3 = {
    "r1_zero": "The paper's figure 3 is this for DeepSeek-R1-Zero: from hundreds to thousands of tokens over some "
    "8,000 steps, on its training set."
}
"""What the paper shows for a stage; it has no such figures of its other RL stages."""
SHOWN_PAIRS, FOLDED_PAIRS = 5, 15
AHA = (
    "Chains that stop, doubt and turn, found by rule; whether one is an insight is for the reader. The paper's is an "
    "intermediate checkpoint that interrupts its algebra with an aha moment and starts again (table 3)."
)


def of_stage(run: RunFolder, stage: StageFolder) -> list[tuple[str, str, str]]:
    """Every section of one stage as (anchor, title, HTML), in order; what the stage has nothing for is empty."""
    names = side_names(run, stage)
    found = compare(stage)
    return [
        ("comparison", "before and after", _comparison(found, names)),
        ("accuracy", "accuracy over steps", accuracy(stage)),
        ("length", "response length", length(stage) + _budget(found, names)),
        ("behaviour", "what the chains do", _behaviour(found, names)),
        ("samples", "samples", _samples(stage, found, names)),
        ("aha", "aha candidates", html.paragraph(AHA) + aha(stage, found) if stage.aha else ""),
        ("health", "training health", health(stage)),
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


def accuracy(stage: StageFolder, leave_out: Sequence[str] = ()) -> str:
    """The paper's figure 2 for an RL stage, without the tasks that it leaves out; nothing without two evaluations."""
    drawn = [curve for curve in main_curves(stage) if curve.task not in leave_out]
    if not any(len(curve.rows) > 1 for curve in drawn):
        return ""
    found = [curve for curve in curves(stage) if curve.task not in leave_out]
    tests = [curve for curve in found if curve.split == "test" and curve not in drawn]
    figure = figures.accuracy_over_steps(drawn, tests)
    splits = " and ".join(dict.fromkeys(curve.split for curve in drawn if curve.split))
    where = f" on the {splits} split" if splits else " on held-out problems"
    points = " Open diamonds: the test split." if tests else ""
    text = (
        f"Mean accuracy of k samples (avg@k) and accuracy of their majority answer (cons@k){where}, with 95% "
        f"intervals. {_majority(drawn)}{points} Step 0 is the model before RL. {_FIGURE_2.get(stage.name, '')}"
    )
    return html.figure(figure, html.caption(_titled("Accuracy during reinforcement learning", stage), text))


def _majority(drawn: Sequence[Curve]) -> str:
    """At how many of its evaluations each task's majority beats the average."""
    said = []
    for curve in drawn:
        above, both = cons_above_avg(curve)
        if both:
            of = f" on {curve.task}" if len(drawn) > 1 else ""
            said.append(
                f"The majority beats the average at {'all' if above == both else above} of {both} evaluations{of}."
            )
    return " ".join(said)


def length(stage: StageFolder) -> str:
    """The paper's figure 3 for an RL stage."""
    drawn = main_curves(stage)
    figure = figures.length_over_steps(stage.metrics, drawn)
    text = (
        "Mean tokens in a response on the training problems, and in the evaluations. Nothing rewards length. "
        + _FIGURE_3.get(stage.name, "")
    )
    return html.figure(figure, html.caption(_titled("Response length during reinforcement learning", stage), text))


def _titled(text: str, stage: StageFolder) -> str:
    return f"{text}." if stage.name == "r1_zero" else f"{text}, {stage.title}."


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


def words(found: Sequence[Comparison]) -> list[str]:
    """Reflective words that the evaluations count."""
    counted = (row.get("reflection_words") for item in found for row in (item.before, item.after))
    return list(dict.fromkeys(str(word) for words in counted if isinstance(words, Mapping) for word in words))


def _samples(stage: StageFolder, found: Sequence[Comparison], names: tuple[str, str]) -> str:
    held, marked = pairs(stage), words(found)
    if not held:
        return ""
    what = (
        "The same prompts before and after: the first sample of each prompt, in the order of the run, none chosen."
        if held[0].same_prompt
        else "No prompt was sampled at both ends; these are the first samples of the first and of the last logged step."
    )
    shown = [
        html.sample(pair.before, pair.after, names, marked, same_prompt=pair.same_prompt)
        for pair in held[: SHOWN_PAIRS + FOLDED_PAIRS]
    ]
    more = "".join(shown[SHOWN_PAIRS:])
    folded = f"<details><summary>{len(shown) - SHOWN_PAIRS} more</summary>{more}</details>" if more else ""
    return html.paragraph(what) + "".join(shown[:SHOWN_PAIRS]) + folded


def aha(stage: StageFolder, found: Sequence[Comparison]) -> str:
    """Candidates for the paper's aha moment, to read; ``AHA`` says what they are."""
    marked = words(found)
    return "".join(html.aha(row, marked) for row in stage.aha[:8])


def health(stage: StageFolder) -> str:
    """Small panels of everything that the RL steps logged."""
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
