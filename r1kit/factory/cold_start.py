"""The work of the cold-start stage: sample by every route, wait for the review, publish."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from r1kit.factory.collect import collect, collected
from r1kit.factory.collection import Plan
from r1kit.factory.decontaminate import EvaluationPrompts
from r1kit.factory.examples import few_shot_question, worked_examples
from r1kit.factory.general import general_samples
from r1kit.factory.harvest import Route, open_harvester
from r1kit.factory.publish import apart_from, held_out_prompts, nothing_left, publish, token_counter
from r1kit.factory.refine import EngineRefiner, Refiner, is_model, rule_refiner
from r1kit.factory.review import accepted, statuses
from r1kit.factory.review_wait import outcome, queue_up, told_of_people
from r1kit.factory.samplers import Sampler
from r1kit.factory.select import Candidate, select
from r1kit.workspace import Workspace

if TYPE_CHECKING:
    from r1kit.factory.cold_start_settings import ColdStart

__all__ = ["finish", "queue", "sample"]


def sample(config: ColdStart, workspace: Workspace) -> None:
    """Every route's completions, judged, filtered, refined, into ``candidates.jsonl``."""
    recipe, asked = workspace.recipe, config.asked(workspace.recipe)
    refiner = config.refiner if is_model(config.refiner) else ""
    other = config.model or config.source
    needed = [config.source if route == "r1_zero" else other for route, count in config.routes.items() if count]
    with open_harvester(config, workspace, [*needed, refiner]) as (plain, samplers):
        harvester = replace(
            plain,
            refiner=_refiner(config, samplers),
            refiner_parameters=samplers[refiner].parameters if refiner else 0,
            form=config.form,
            after=config.refined,
        )
        routes = _routes(config, workspace, samplers)
        plan = Plan(
            tasks=recipe.built(asked),
            routes=config.routes,
            per_step=config.prompts_per_step,
            seed=workspace.seed,
        )
        collect(plan, lambda route, share: harvester.harvest(routes[route], share), workspace)


def _routes(config: ColdStart, workspace: Workspace, samplers: Mapping[str, Sampler]) -> dict[str, Route]:
    found = {}
    other = config.model or config.source
    if config.routes.get("r1_zero"):
        found["r1_zero"] = Route(name="r1_zero", sampler=samplers[config.source])
    if config.routes.get("direct"):
        prefix, suffix = config.direct.prefix, config.direct.suffix
        found["direct"] = Route(
            name="direct", sampler=samplers[other], ask=lambda prompt: prefix + prompt.question + suffix
        )
    if config.routes.get("few_shot"):
        tasks = workspace.recipe.built(config.asked(workspace.recipe))
        examples = worked_examples(config.few_shot, tasks, workspace.seed)
        found["few_shot"] = Route(
            name="few_shot", sampler=samplers[other], ask=partial(few_shot_question, config.few_shot, examples)
        )
    return found


def _refiner(config: ColdStart, samplers: Mapping[str, Sampler]) -> Refiner:
    if not is_model(config.refiner):
        return rule_refiner(config.refiner)
    sampler = samplers[config.refiner]
    return EngineRefiner(
        engine=sampler.engine,
        encode=sampler.encode,
        sampling=config.refiner_sampling,
        name=sampler.name,
        read=sampler.read,
    )


def queue(config: ColdStart, workspace: Workspace) -> None:
    """Select what people are to decide on, and make the queue. Rank 0 only."""
    evaluation = held_out_prompts(config.uses(workspace.recipe), config.decontaminate, workspace)
    queue_up(config, workspace, lambda: _selected(config, workspace, evaluation)[0])


def _selected(
    config: ColdStart, workspace: Workspace, evaluation: EvaluationPrompts | None
) -> tuple[list[Candidate], dict[str, int]]:
    """What is left of all that was sampled, and what was dropped, by reason."""
    return select(collected(workspace), config.keep, config.limit, workspace.seed, evaluation)


def finish(config: ColdStart, workspace: Workspace) -> dict[str, Any]:
    """Select, take what was decided, publish. Rank 0 only.

    Raises:
        InputError: a hand edit broke the queue, or no sample is left.
    """
    evaluation = held_out_prompts(config.uses(workspace.recipe), config.decontaminate, workspace)
    candidates, dropped = _selected(config, workspace, evaluation)
    queue_up(config, workspace, lambda: candidates)
    items = outcome(config, workspace)
    reviewed, counts = accepted(items), statuses(items)
    dropped |= {"rejected": counts.get("rejected", 0), "undecided": counts.get("pending", 0)}
    general = general_samples(config.general, workspace.recipe.built(config.general.tasks), workspace.seed)
    clean = apart_from(evaluation, general)
    dropped |= {"general_contaminated": len(general) - len(clean)}
    if not reviewed and not clean:
        raise nothing_left(workspace, dropped)
    count = token_counter(config.source, workspace)
    dropped = {reason: number for reason, number in dropped.items() if number}
    people = told_of_people(items) if config.review == "human" else {}
    metrics = publish(workspace, [*reviewed, *clean], candidates, dropped, count, config, people)
    return {**metrics, "review": counts}
