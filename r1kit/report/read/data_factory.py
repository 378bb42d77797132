"""The stages that make samples: yields of their checks, samples by domain, some samples with what was done to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.stage_folder import StageFolder
from r1kit.report.read.values import Row, mapping, number, objects

__all__ = ["Example", "MadeSamples", "Yield", "made_samples"]

COUNTS = ("kept", "review", "rejections", "languages")
EXAMPLES = 3
"""Samples shown a stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Yield:
    """Completions left after a check on one route."""

    count: float | None
    passed: float | None = None
    """Share of what came to the check."""
    of_all: float | None = None
    """Share of what was sampled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    prompt: str
    before: str
    """The completion as it was sampled; empty where it is learnt as it was."""
    after: str
    """The response as it is learnt."""
    origin: Mapping[str, object]
    """Route, stage and version that it came from."""
    edits: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeSamples:
    title: str
    total: Row
    """``samples`` and ``mean_tokens`` of all."""
    domains: Mapping[str, Row]
    """Domain -> ``samples``, ``mean_tokens``, ``rounds``."""
    consistency: tuple[float, float] | None
    """Language consistency as sampled and as kept."""
    counts: Mapping[str, Row]
    """``kept`` by route, ``review`` by status, ``rejections`` by reason, ``languages``."""
    dropped: Mapping[str, object]
    """Left out after the checks, by reason."""
    checks: Mapping[str, Mapping[str, Yield]] = field(default_factory=dict)
    """Check -> route -> what it left."""
    routes: Sequence[str] = ()
    examples: Sequence[Example] = ()


def made_samples(run: RunFolder) -> list[MadeSamples]:
    """Every stage that made samples."""
    return [_made(run, stage) for stage in run.stages if stage.card or number(stage.numbers, "samples") is not None]


def _made(run: RunFolder, stage: StageFolder) -> MadeSamples:
    card, numbers = stage.card, stage.numbers
    old, new = (number(numbers, f"language_consistency{end}") for end in ("_before", ""))
    routes = {str(name): mapping(mapping(row).get("left")) for name, row in mapping(card.get("yields")).items()}
    routes = {name: left for name, left in routes.items() if left}
    checks = dict.fromkeys(str(check) for left in routes.values() for check in left)
    domains = {str(name): row for name, row in mapping(card.get("domains")).items() if isinstance(row, Mapping)}
    dropped = mapping(card.get("removed")) or mapping(numbers.get("dropped"))
    return MadeSamples(
        title=run.title(stage.name),
        total=card if number(card, "samples") else numbers,
        domains=domains,
        consistency=None if old is None or new is None else (old, new),
        counts={key: mapping(card.get(key)) or mapping(numbers.get(key)) for key in COUNTS},
        dropped={str(key).replace("_", " "): value for key, value in dropped.items()},
        checks={check: {name: _yield(left, check) for name, left in routes.items()} for check in checks},
        routes=list(routes),
        examples=_examples(stage),
    )


def _yield(left: Row, check: str) -> Yield:
    names, count = list(left), number(left, check)
    if count is None:
        return Yield(count=None)
    before = {name: earlier for earlier, name in pairwise(names)}.get(check)
    came, sampled = number(left, before) if before else None, number(left, names[0])
    return Yield(count=count, passed=count / came if came else None, of_all=count / sampled if sampled else None)


def _examples(stage: StageFolder) -> list[Example]:
    """The first sample of each route, then the next ones: not chosen for what they say."""
    rows = stage.samples
    routes: dict[str, Row] = {}
    for row in rows:
        routes.setdefault(str(mapping(row.get("provenance")).get("route", "")), row)
    chosen = list(routes.values())[:EXAMPLES]
    chosen += [row for row in rows if not any(row is other for other in chosen)][: EXAMPLES - len(chosen)]
    return [_example(row) for row in chosen]


def _example(row: Row) -> Example:
    provenance = mapping(row.get("provenance"))
    before, after = str(provenance.get("completion") or ""), str(row["response"])
    return Example(
        prompt=str(row.get("prompt", "")),
        before="" if before == after else before,
        after=after,
        origin={key: provenance[key] for key in ("route", "stage", "version", "kind", "review") if provenance.get(key)},
        edits=[_edit(edit) for edit in objects(provenance.get("edits"))],
    )


def _edit(edit: Row) -> str:
    detail = f" ({edit['detail']})" if edit.get("detail") else ""
    return f"{edit.get('what', 'changed')} by {edit.get('by', 'someone')}{detail}"
