"""The gate before RL: is the base good enough to be lifted by rewards alone? (docs/LOG.md: what failed without it.)

RL amplifies what the base sometimes does right. A base that cannot calculate, cannot tell a hit from a miss, or guesses
as well as it searches is driven to short guesses; one whose groups are all wrong gives no gradient. The gate warns; it
does not stop a run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from r1kit.evals.numbers import (
    Diagnostics,
    Outcomes,
    accuracy_by_tries,
    answers_right,
    correct_given,
    diagnostic,
    mean_diagnostics,
    outcomes,
)
from r1kit.records import Group, Score
from r1kit.tasks.task import Claims

if TYPE_CHECKING:
    from r1kit.evals.evaluator import Evaluation
    from r1kit.workspace import Workspace

__all__ = ["HOLLOW_CLAIM", "STYLES", "Gate", "GateConfig", "StyleRow", "base_gate", "write_gate"]

Floats = NDArray[np.float64]

STYLES = (("terse", 0, 0), ("short", 1, 1), ("few", 2, 3), ("long", 4, np.inf))
"""Style, fewest and most tries: how the corpus wrote it, read off the chain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateConfig:
    """Thresholds below which RL was seen to fail. They warn; none stops a run."""

    mixed_groups: float = 0.10
    """Least share of groups with right and wrong completions: all others have no advantage and teach nothing."""
    format_reach: float = 0.10
    """Least share of groups in which some completion has the form: a form never sampled cannot be reinforced."""
    truncated: float = 0.50
    """Most completions that may be cut at their longest: RL then teaches to be short before it teaches to be right."""
    valid_answers: float = 0.60
    """Least share of answers that keep the task's rules. Bases at .41 to .55 could not calculate, and RL then learns
    tags only; those at .76 and more were lifted."""
    correct_given_claim: float = 0.50
    """Least P(correct | the chain claims a hit). At .1 (chance) and .22 'yes' meant nothing and search did not pay; at
    .63 to .90 it did."""
    terse_ratio: float = 0.5
    """Most that guessing (no tries) may reach, relative to long chains: where guessing nearly matched searching (.14
    against .15 to .2) RL chose guessing."""
    least_long: float = 0.02
    """Least share of long chains (4 tries and more) in the samples: RL amplifies them, it does not invent them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleRow:
    """One line of the table."""

    style: str
    tries: str
    """Range of tries that counts as this style, for example ``2-3`` or ``4+``."""
    share: float
    """Of all completions whose tries are known."""
    accuracy: float | None
    """Answers that are right, whatever their form; None if no completion has this style."""
    tokens: float | None
    """Mean length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What the base can do, and what speaks against starting RL from it."""

    task: str
    styles: tuple[StyleRow, ...]
    """Empty for a task that does not count tries."""
    by_tries: dict[str, Any]
    measures: dict[str, float | None]
    """``mixed_groups_share``, ``all_wrong_share``, ``all_right_share``, ``format_reach``, ``accuracy``, and where the
    task has them the diagnostic of valid answers and ``correct_given_claim``. None: undefined."""
    warnings: tuple[str, ...]
    """One sentence each; empty: nothing speaks against RL."""

    @property
    def passed(self) -> bool:
        return not self.warnings

    def as_json(self) -> dict[str, Any]:
        """For ``result.json`` and the report."""
        return {
            "task": self.task,
            "passed": self.passed,
            "styles": [asdict(row) for row in self.styles],
            "by_tries": self.by_tries,
            "measures": self.measures,
            "warnings": list(self.warnings),
        }


def base_gate(
    groups: Sequence[Group],
    scores: Sequence[Sequence[Score]],
    diagnostics: Diagnostics | None = None,
    config: GateConfig | None = None,
    claims: Claims | None = None,
    named: bool = False,
) -> Gate:
    """What an evaluation says of a base (one task, k completions a problem, in-loop sampling).

    The part about tries, numbers and claims needs the task's diagnostics and is left out without them.

    Args:
        groups: of the evaluation.
        scores: theirs.
        diagnostics: theirs, or None.
        config: thresholds.
        claims: what the task's diagnostics are called.
        named: the base is somebody else's model, which is not to be trained longer: the cures are other ones.

    Raises:
        R1Error: scores do not match the groups one to one.
    """
    config, claims = config or GateConfig(), claims or Claims()
    arrays = outcomes(groups, scores)
    told: Diagnostics = diagnostics if diagnostics is not None else [[{} for _ in row] for row in scores]
    answered, tries = answers_right(arrays.right, told), diagnostic(told, claims.tries)
    styles = _styles(np.nan_to_num(answered), tries, arrays.length)
    measures = _generic(arrays)
    means = mean_diagnostics(told)
    if claims.valid in means:
        measures[claims.valid] = means[claims.valid]
    if claims.hit in means:
        measures["correct_given_claim"] = correct_given(answered, diagnostic(told, claims.hit))
    return Gate(
        task=groups[0].prompt.task,
        styles=styles,
        by_tries=accuracy_by_tries(np.nan_to_num(answered), tries),
        measures=measures,
        warnings=tuple(_warnings(measures, {row.style: row for row in styles}, config, claims, named)),
    )


def _generic(arrays: Outcomes) -> dict[str, float | None]:
    passed, formed = arrays.right.mean(axis=1), arrays.formed
    return {
        "accuracy": float(passed.mean()),
        "mixed_groups_share": float(((passed > 0) & (passed < 1)).mean()),
        "all_wrong_share": float((passed == 0).mean()),
        "all_right_share": float((passed == 1).mean()),
        "format_rate": float(formed.mean()),
        "format_reach": float(formed.max(axis=1).mean()),
        "truncated_share": float(arrays.truncated.mean()),
    }


def _styles(right: Floats, tries: Floats, length: Floats) -> tuple[StyleRow, ...]:
    known = int((~np.isnan(tries)).sum())
    if known == 0:
        return ()
    rows = []
    for style, fewest, most in STYLES:
        inside = (tries >= fewest) & (tries <= most)
        rows.append(
            StyleRow(
                style=style,
                tries=f"{fewest}+" if most == np.inf else str(fewest) if fewest == most else f"{fewest}-{most:g}",
                share=float(inside.sum() / known),
                accuracy=float(right[inside].mean()) if inside.any() else None,
                tokens=float(length[inside].mean()) if inside.any() else None,
            )
        )
    return tuple(rows)


def _warnings(
    measures: dict[str, float | None], styles: dict[str, StyleRow], config: GateConfig, claims: Claims, named: bool
) -> list[str]:
    return [
        *_generic_warnings(measures, config, named),
        *_reasoning_warnings(measures, config, claims),
        *_style_warnings(styles, config),
    ]


HOLLOW_CLAIM = "a chain that claims a hit is right in only"
"""How the warning begins that is about ``correct_given_claim``."""
HARDER = "the task is too easy for this base: make it harder"
LONGER = "train the base longer or make the task easier"
ASK_OTHERWISE = (
    "ask as the model is used to being asked (model.template), make the task easier, or teach it a few good samples "
    "first (stages cold_start and cold_start_sft)"
)
SHOW_TAGS = "show the tags in the corpus or the prompt, or pay them one by one (format_partial)"
ASK_FORM = (
    "say in model.template.suffix how to answer, read answers as the model writes them (reward.format_style, "
    "reward.answer_style), or pay the tags one by one (reward.format_partial)"
)


def _generic_warnings(measures: dict[str, float | None], config: GateConfig, named: bool) -> list[str]:
    warnings = []
    mixed, reach, cut = (measures[name] or 0.0 for name in ("mixed_groups_share", "format_reach", "truncated_share"))
    wrong = measures["all_wrong_share"] or 0.0
    if cut > config.truncated:
        warnings.append(
            f"{cut:.0%} of completions are cut at their longest (wanted: {config.truncated:.0%} at most), so what they "
            f"would have answered earns nothing; raise sampling.max_tokens, or ask for shorter answers"
        )
    if mixed < config.mixed_groups:
        cure = HARDER if wrong < 0.5 else ASK_OTHERWISE if named else LONGER
        warnings.append(
            f"only {mixed:.0%} of groups have both right and wrong completions (wanted: {config.mixed_groups:.0%}; "
            f"{wrong:.0%} are all wrong), so most groups teach nothing; {cure}"
        )
    if reach < config.format_reach:
        warnings.append(
            f"the asked form occurs in only {reach:.0%} of groups (wanted: {config.format_reach:.0%}), so RL has "
            f"nothing to reinforce; {ASK_FORM if named else SHOW_TAGS}"
        )
    return warnings


def _reasoning_warnings(measures: dict[str, float | None], config: GateConfig, claims: Claims) -> list[str]:
    warnings = []
    valid, told = measures.get(claims.valid), measures.get("correct_given_claim")
    if valid is not None and valid < config.valid_answers:
        warnings.append(
            f"only {valid:.0%} of answers {claims.keeping} (wanted: {config.valid_answers:.0%}): the base "
            "has not learnt the task's rules, and RL would learn the tags alone; train it longer, in smaller batches"
        )
    if told is not None and told < config.correct_given_claim:
        warnings.append(
            f"{HOLLOW_CLAIM} {told:.0%} of cases (wanted: {config.correct_given_claim:.0%}"
            "): the base cannot tell a hit from a miss, so searching does not pay; train it longer"
        )
    if "correct_given_claim" in measures and told is None:
        warnings.append("no chain claims a hit, so searching cannot pay; train the base longer")
    return warnings


def _style_warnings(styles: dict[str, StyleRow], config: GateConfig) -> list[str]:
    if not styles:
        return []
    terse, long = styles["terse"], styles["long"]
    if long.accuracy is None or long.share < config.least_long:
        return [
            f"only {long.share:.1%} of chains make 4 tries or more (wanted: {config.least_long:.0%}): RL amplifies "
            "long chains and does not invent them; put more long documents into the corpus"
        ]
    if terse.accuracy is not None and terse.accuracy > config.terse_ratio * long.accuracy:
        return [
            f"guessing without a try is right in {terse.accuracy:.0%} of cases, chains of 4 tries and more in "
            f"{long.accuracy:.0%} (guessing should reach at most {config.terse_ratio:g} of that): RL would choose "
            "guessing; make terse documents guess at random, or train the base longer"
        ]
    return []


def write_gate(found: Mapping[str, Evaluation], workspace: Workspace) -> None:
    """The tables of every task that was evaluated into ``gate.json`` of the stage; the warnings to the user, each once
    in a run."""
    recipe = workspace.recipe
    gates = [
        base_gate(
            one.groups, one.scores, one.diagnostics, claims=recipe.task(name).claims, named=bool(recipe.model.name)
        )
        for name, one in found.items()
        if recipe.task(name).graded
    ]
    workspace.write("gate.json", [gate.as_json() for gate in gates])
    told = _told_before(workspace)
    for gate in gates:
        for warning in gate.warnings:
            if (gate.task, _without_numbers(warning)) not in told:
                workspace.say(f"warning: {workspace.stage}, {gate.task}: {warning}")


def _told_before(workspace: Workspace) -> set[tuple[str, str]]:
    """Task and warning of every gate of an earlier stage, which looked at the same base; a part has one of its own."""
    earlier = takewhile(lambda stage: stage != workspace.stage, workspace.recipe.stages if not workspace.name else ())
    told = set()
    for stage in earlier:
        with suppress(OSError, ValueError, KeyError, TypeError):  # there is none, or it is damaged: told once more
            gates = json.loads((workspace.folder_of(stage) / "gate.json").read_text(encoding="utf-8"))
            told |= {(gate["task"], _without_numbers(warning)) for gate in gates for warning in gate["warnings"]}
    return told


def _without_numbers(warning: str) -> str:
    """What two samples of one base have in common."""
    return re.sub(r"[0-9.]+%?", "", warning)
