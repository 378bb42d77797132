"""The data card: counts, mean tokens and rounds a domain (R1 paper v2, table 5), yields of the filters, provenance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from r1kit.records import Sample

__all__ = ["card", "card_markdown"]

EXAMPLES = 3
"""Samples shown in full in the Markdown card."""


def card(
    stage: str,
    samples: Sequence[Sample],
    tokens: Mapping[str, int],
    yields: Mapping[str, Mapping[str, int]],
    settings: Mapping[str, Any],
    removed: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The card as JSON values.

    Args:
        stage: that made the samples.
        samples: the final ones.
        tokens: response tokens by sample id.
        yields: by route: name of a check -> completions left after it, in the order of the checks.
        settings: of the stage, for the record.
        removed: what was dropped after the filters, by reason.
    """
    domains: dict[str, list[Sample]] = {}
    for sample in samples:
        domains.setdefault(sample.domain, []).append(sample)
    return {
        "stage": stage,
        "samples": len(samples),
        "mean_tokens": _mean_tokens(samples, tokens),
        "domains": {name: _domain(found, tokens) for name, found in sorted(domains.items())},
        "languages": dict(sorted(Counter(sample.language for sample in samples).items())),
        "yields": {route: {"left": dict(left), "share": _shares(left)} for route, left in yields.items()},
        "removed": dict(removed or {}),
        "provenance": _provenance(samples),
        "settings": dict(settings),
    }


def _domain(samples: Sequence[Sample], tokens: Mapping[str, int]) -> dict[str, Any]:
    kinds = Counter(str(kind) for sample in samples if (kind := sample.provenance.get("kind")))
    found = {"samples": len(samples), "mean_tokens": _mean_tokens(samples, tokens), "rounds": 1.0}
    return {**found, "kinds": dict(sorted(kinds.items()))} if kinds else found


def _mean_tokens(samples: Sequence[Sample], tokens: Mapping[str, int]) -> float:
    return round(sum(tokens[sample.id] for sample in samples) / len(samples), 1) if samples else 0.0


def _shares(left: Mapping[str, int]) -> dict[str, float]:
    """Of each check: the share of what came to it that it let pass."""
    names = list(left)
    return {name: round(left[name] / left[before], 4) if left[before] else 0.0 for before, name in pairwise(names)}


def _provenance(samples: Sequence[Sample]) -> dict[str, dict[str, int]]:
    told = {}
    for key in ("route", "stage", "version", "review"):
        counts = Counter(str(sample.provenance[key]) for sample in samples if sample.provenance.get(key, "") != "")
        if counts:
            told[key] = dict(sorted(counts.items()))
    edits = Counter(f"{edit['what']} by {edit['by']}" for sample in samples for edit in sample.provenance["edits"])
    return {**told, "edits": dict(sorted(edits.items()))} if edits else told


def card_markdown(told: Mapping[str, Any], samples: Sequence[Sample]) -> str:
    """The card for a person to read."""
    lines = [
        f"# Data card: {told['stage']}",
        "",
        f"{told['samples']} samples, {told['mean_tokens']} tokens on average.",
    ]
    lines += ["", "| domain | samples | mean tokens | rounds |", "|---|---|---|---|"]
    lines += [f"| {n} | {d['samples']} | {d['mean_tokens']} | {d['rounds']} |" for n, d in told["domains"].items()]
    lines += [f"| total | {told['samples']} | {told['mean_tokens']} | |"]
    lines += ["", f"Languages: {_counts(told['languages'])}.", "", "## Yields", ""]
    lines += ["Completions left after each check, and the share of what came to it that it let pass.", ""]
    for route, found in told["yields"].items():
        lines += [f"### {route}", "", "| check | left | passed |", "|---|---|---|"]
        lines += [f"| {n} | {left} | {found['share'].get(n, '')} |" for n, left in found["left"].items()] + [""]
    if told["removed"]:
        lines += [f"Dropped after that: {_counts(told['removed'])}.", ""]
    if told.get("rejections"):
        lines += [f"Rejected by people: {_counts(told['rejections'])}.", ""]
    if (found := told.get("agreement")) and found["items"]:
        kappa = "none" if found["kappa"] is None else f"{found['kappa']:.2f}"
        lines += [f"Two people decided {found['items']}, and agreed on {found['share']:.0%} (kappa {kappa}).", ""]
    lines += ["## Provenance", ""] + [f"- {key}: {_counts(found)}" for key, found in told["provenance"].items()]
    lines += ["", "## Examples", ""]
    for sample in samples[:EXAMPLES]:
        lines += [f"`{sample.id}`", "", "```", f"{sample.prompt}", "", f"{sample.response}", "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def _counts(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
