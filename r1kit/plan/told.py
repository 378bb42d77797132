"""What ``r1 plan --simulate`` is asked, and what it says."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from r1kit.contracts import Recipe
from r1kit.errors import InputError
from r1kit.loops.settings import RL
from r1kit.plan.cost import Plan
from r1kit.plan.pace import Lengths, lengths_of_run, read_pace
from r1kit.plan.scenarios import ASSUMED, HOST_LINK, LINK, Scenario, simulated, stage_of
from r1kit.plan.shape import Shape
from r1kit.plan.sizes import sizes_of

__all__ = ["Asked", "simulation"]

LAGS = "0,1,2,4"
"""Bounds of staleness that are simulated where none are asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Options of the command line."""

    recipe: str
    overrides: Sequence[str] = ()
    stage: str = ""
    lags: str = ""
    pace: Path | None = None
    lengths: str = ""


def simulation(recipe: Recipe, shape: Shape, where: Plan, kind: str, asked: Asked) -> tuple[str, dict[str, Any]]:
    """A table for a person, and the same as JSON.

    Raises:
        InputError: an option that names no stage, no run, no pace, or no bound.
    """
    if kind == "cpu" and asked.pace is None:
        given = shlex.join([asked.recipe, *(word for key in asked.overrides for word in ("--set", key))])
        raise InputError(
            f"--simulate on cores needs measured seconds: r1 doctor --pace {given} --json pace.json, then "
            f"r1 plan {given} --simulate --pace pace.json"
        )
    stage, config = stage_of(recipe, asked.stage)
    longest = config.sampling_at(0).max_tokens
    lengths = (
        lengths_of_run(asked.lengths, longest)
        if asked.lengths
        else Lengths(longest=longest, mean=where.mean_share * longest)
    )
    found = simulated(
        recipe, stage, shape, where, lags=_lags(asked.lags or LAGS), pace=read_pace(asked.pace) if asked.pace else None,
        lengths=lengths, prompt_tokens=sizes_of(recipe, stage, shape, where.mean_share).prompt, shared=kind == "cpu",
    )  # fmt: skip
    return _spelled(recipe, stage, config, where, kind, found, asked), _table(recipe, stage, config, where, kind, found)


def _lags(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise InputError(f"--lags {text!r}: write bounds of staleness with commas, for example 0,1,4")
    return [int(part) for part in parts]


def _spelled(
    recipe: Recipe, stage: str, config: RL, where: Plan, kind: str, found: list[Scenario], asked: Asked
) -> str:
    lines = [
        f"{recipe.name}, {stage}: {config.prompts_per_step} prompts x {config.sampling.n} a step, on {where.devices} x "
        f"{kind}",
        "",
        f"{'':14}{'engines':>8}{'ranks':>7}{'step s':>10}{'tokens/s':>10}{'engines idle':>14}{'ranks idle':>12}"
        f"{'lag':>6}{'device hours':>14}",
    ]
    for one in found:
        seen = one.outcome
        lines.append(
            f"{one.name:14}{one.layout.engines or 'ranks':>8}{one.layout.ranks:>7}{seen.step_seconds:>10.4g}"
            f"{seen.tokens_per_second:>10.4g}{seen.engines_idle:>14.0%}{seen.learners_idle:>12.0%}{seen.lag:>6.1f}"
            f"{_hours(one, config, where):>14.4g}"
        )
    drawn = f"lengths as {asked.lengths} drew them" if asked.lengths else (
        f"lengths log-normal around {where.mean_share:.0%} of max_tokens, cut there"
    )  # fmt: skip
    told = [f"seconds as measured: {asked.pace}"] if asked.pace else [
        line.format(link=LINK / 1e9, host=HOST_LINK / 1e9) for line in ASSUMED
    ]  # fmt: skip
    told.append(f"device hours of {config.steps} steps; evaluations and checkpoints are left out")
    return "\n".join([*lines, "", "Assumed:", *(f"- {line}" for line in [drawn, *told])])


def _hours(one: Scenario, config: RL, where: Plan) -> float:
    return one.outcome.step_seconds * config.steps * where.devices / 3600


def _table(recipe: Recipe, stage: str, config: RL, where: Plan, kind: str, found: list[Scenario]) -> dict[str, Any]:
    return {
        "recipe": recipe.name,
        "stage": stage,
        "device": kind,
        "devices": where.devices,
        "scenarios": [
            {
                "name": one.name,
                **asdict(one.layout),
                **asdict(one.outcome),
                "tokens_per_second": one.outcome.tokens_per_second,
                "device_hours": _hours(one, config, where),
            }
            for one in found
        ],
    }
