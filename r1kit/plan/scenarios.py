"""An RL stage of a recipe as scenarios to simulate: in turn, and ahead of the learner by several bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from r1kit.contracts import Recipe
from r1kit.errors import InputError, nearest
from r1kit.loops.settings import RL
from r1kit.plan.cost import Plan, width_of
from r1kit.plan.pace import Lengths, Pace, pace_of_devices
from r1kit.plan.shape import Shape
from r1kit.plan.simulate import Layout, Load, Outcome, simulate

__all__ = ["ASSUMED", "HOST_LINK", "LINK", "Scenario", "simulated", "stage_of"]

LINK, HOST_LINK = 50e9, 25e9
"""Bytes a second of weights into one engine (a 400 Gbit/s network card), and between a device and its host's memory."""
SHARES = (1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4)
"""Of the devices that sample, where the recipe does not say how many engines there are: the fastest is taken."""
ASSUMED = (
    "a token step takes as long as reading weights, reading the cache and multiplying together; launches of kernels, "
    "which bound small models, and collectives cost nothing",
    "engines decode continuously; a rank's update takes its share of the tokens",
    "weights reach every engine at {link:.0f} GB/s at once; devices that engine and rank share swap at {host:.0f} GB/s",
)
"""Printed with every simulation that is reckoned from makers' numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    name: str
    layout: Layout
    outcome: Outcome


def stage_of(recipe: Recipe, name: str) -> tuple[str, RL]:
    """The RL stage of a name; empty: the first one.

    Raises:
        InputError: there is none, or the name is another kind's.
    """
    found = {stage: config for stage, config in recipe.stages.items() if isinstance(config, RL)}
    if not found:
        raise InputError(f"recipe {recipe.name!r} has no RL stage to simulate")
    if name and name not in found:
        raise InputError(f"--stage {name}: RL stages are {', '.join(found)}.{nearest(name, found)}")
    name = name or next(iter(found))
    return name, found[name]


def simulated(
    recipe: Recipe, stage: str, shape: Shape, where: Plan, *, lags: Sequence[int], pace: Pace | None, lengths: Lengths,
    prompt_tokens: float, shared: bool,
) -> list[Scenario]:  # fmt: skip
    """Each bound of ``lags``, from the same draws of lengths; 0 is in turn.

    Args:
        recipe: its ``cluster.engines`` say how many engines sample ahead; 0: one on cores, the fastest split on GPUs.
        stage: an RL stage.
        shape: of its model.
        where: devices, or cores where they are ``shared``.
        lags: bounds of staleness.
        pace: as measured; None: reckoned from the devices.
        lengths: of completions.
        prompt_tokens: mean, template applied.
        shared: all processes share the cores of one machine.
    """
    config: RL = recipe.stages[stage]
    width = width_of(config.dtype)
    load = Load(
        prompts=config.prompts_per_step, n=config.sampling.n, prompt_tokens=prompt_tokens,
        rows_in_flight=config.rows_in_flight, minibatches=config.minibatches, passes=config.passes,
        over_update=config.over_update, order=config.order,
    )  # fmt: skip
    unit = 1 if shared else max(1, round(recipe.cluster.engine_needs.gpus))
    if not shared and (where.devices < unit or where.devices % unit):
        raise InputError(f"--gpus {where.devices}: not a multiple of cluster.engine_needs.gpus = {unit}")
    given = pace or pace_of_devices(shape, where, width, engine_devices=unit, rank_devices=unit, link=LINK)
    weights = shape.parameters * width
    swap = 0.0 if shared else 2 * (weights + 16.0 * shape.parameters) / (where.devices * HOST_LINK)

    def run(name: str, lag: int, layout: Layout) -> Scenario:
        outcome = simulate(given, replace(load, max_lag=lag), layout, lengths, steps=12 + 4 * lag, seed=recipe.seed)
        return Scenario(name=name, layout=layout, outcome=outcome)

    found = []
    for lag in lags:
        named = "in turn" if lag == 0 else f"ahead by {lag}"
        tried = [run(named, lag, layout) for layout in _layouts(recipe, config, where, unit, lag, shared, swap)]
        found.append(min(tried, key=lambda one: one.outcome.step_seconds))
    return found


def _layouts(recipe: Recipe, config: RL, where: Plan, unit: int, lag: int, shared: bool, swap: float) -> list[Layout]:
    """What to try for a bound."""
    engines = recipe.cluster.engines
    if shared:
        ranks = recipe.ranks or max(1, where.devices - (engines or 1) * (lag > 0))
        engines = engines or int(lag > 0)
        verifiers = recipe.cluster.verifiers or ranks * (config.verifier_workers or 1)
        return [Layout(ranks=ranks, engines=engines, verifiers=verifiers, cores=where.devices)]
    units = where.devices // unit
    if lag == 0 and not engines:
        return [Layout(ranks=units, swap=swap)]
    if units < 2:
        raise InputError(f"--gpus {where.devices}: sampling ahead needs devices for engines and for ranks, 2 x {unit}")
    counts = [engines] if engines else sorted({min(units - 1, max(1, round(units * share))) for share in SHARES})
    if counts[0] >= units:
        raise InputError(f"cluster.engines = {engines} of {unit} devices leave none of {where.devices} to learn on")
    return [Layout(ranks=units - count, engines=count) for count in counts]
