"""The work of the rejection-sampling stage: sample and sift, mix with other data, publish."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from r1kit.factory.collect import collect, collected
from r1kit.factory.collection import Plan
from r1kit.factory.general import general_samples
from r1kit.factory.harvest import Route, open_harvester
from r1kit.factory.mixture import mix
from r1kit.factory.publish import apart_from, held_out_prompts, nothing_left, publish, token_counter
from r1kit.factory.select import select
from r1kit.workspace import Workspace

if TYPE_CHECKING:
    from r1kit.factory.rejection_sampling_settings import RejectionSampling

__all__ = ["finish", "sample"]

ROUTE = "rejection"


def sample(config: RejectionSampling, workspace: Workspace) -> None:
    """The policy's right and readable completions into ``candidates.jsonl``."""
    recipe, asked = workspace.recipe, config.asked(workspace.recipe)
    with open_harvester(config, workspace, [config.start]) as (harvester, samplers):
        route = Route(name=ROUTE, sampler=samplers[config.start])
        plan = Plan(
            tasks=recipe.built(asked),
            routes={ROUTE: config.prompts},
            per_step=config.prompts_per_step,
            seed=workspace.seed,
        )
        collect(plan, lambda _, share: harvester.harvest(route, share), workspace)


def finish(config: RejectionSampling, workspace: Workspace) -> dict[str, Any]:
    """Select, decontaminate, mix, publish: a pure function of the logs and the settings. Rank 0 only.

    Raises:
        InputError: nothing is left, the weights sum to nothing, or another source of samples is broken.
    """
    where = f"stages.{workspace.stage}.weights"
    evaluation = held_out_prompts(config.uses(workspace.recipe), config.decontaminate, workspace)
    candidates, dropped = select(collected(workspace), config.keep, config.limit, workspace.seed, evaluation)
    general = general_samples(config.general, workspace.recipe.built(config.general.tasks), workspace.seed)
    clean = apart_from(evaluation, general)
    pool = [*(candidate.sample for candidate in candidates), *clean]
    dropped |= {"general_contaminated": len(general) - len(clean)}
    if not pool:
        raise nothing_left(workspace, dropped)
    samples = mix(pool, config.weights, workspace.seed, where, config.size)
    dropped |= {"by_weights": len(pool) - len(samples)}
    dropped = {reason: number for reason, number in dropped.items() if number}
    return publish(workspace, samples, candidates, dropped, token_counter(config.start, workspace), config)
