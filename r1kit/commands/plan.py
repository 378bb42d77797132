"""``r1 plan``: what a recipe costs, from the recipe alone; nothing is loaded and nothing is fetched."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from r1kit.commands.options import JsonFile, Overrides, RecipeName
from r1kit.errors import InputError, nearest
from r1kit.plan.devices import DEVICES
from r1kit.registry import short

if TYPE_CHECKING:
    from r1kit.contracts import Recipe
    from r1kit.plan.cost import Plan, Work
    from r1kit.plan.shape import Shape

__all__ = ["plan"]


def plan(
    recipe: RecipeName,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs, or cores for --gpu cpu.")] = 0,
    gpu: Annotated[str, typer.Option(help=f"{', '.join(DEVICES)}; default: cpu, or h100 with --gpus.")] = "",
    overrides: Overrides = None,
    config: Annotated[Path | None, typer.Option(help="config.json of a model that is not on this machine.")] = None,
    vocab: Annotated[int, typer.Option(min=0, help="Vocabulary, where the shape comes from model.* keys.")] = 0,
    mfu: Annotated[float, typer.Option(min=0.001, max=1.0, help="Share of peak that matrix products reach.")] = 0.35,
    mbu: Annotated[float, typer.Option(min=0.001, max=1.0, help="Share of bandwidth that sampling reaches.")] = 0.5,
    mean_length: Annotated[float, typer.Option(min=0.01, max=1.0, help="Mean response / max_tokens.")] = 0.5,
    price: Annotated[float | None, typer.Option(min=0.0, max=1e6, help="USD an hour and device.")] = None,
    simulate: Annotated[bool, typer.Option("--simulate", help="Steps of an RL stage, in turn and ahead.")] = False,
    stage: Annotated[str, typer.Option(help="RL stage to simulate; default: the first.")] = "",
    lags: Annotated[str, typer.Option(help="Bounds of staleness to simulate; default: 0,1,2,4.")] = "",
    pace: Annotated[Path | None, typer.Option(help="To simulate: from r1 doctor --pace RECIPE --json FILE.")] = None,
    lengths: Annotated[str, typer.Option(help="To simulate: DIR:STAGE of a run, to draw lengths from.")] = "",
    json_file: JsonFile = None,
) -> None:
    """Tokens, FLOPs, memory per device, hours and cost of each stage, before anything runs.

    With --simulate: who waits for whom in a step of an RL stage, for several bounds of staleness.
    """
    from r1kit.backends.processor import auto_dtype
    from r1kit.cluster.cores import cores
    from r1kit.cluster.settings import FSDP
    from r1kit.files import check_writable, write_json
    from r1kit.plan.cost import Plan, shared_out
    from r1kit.plan.planner import plan_recipe, shape_of
    from r1kit.plan.told import Asked, simulation
    from r1kit.recipe import load_recipe
    from r1kit.update.settings import settled

    check_writable(json_file)
    for option, value in (("stage", stage), ("lags", lags), ("pace", pace), ("lengths", lengths)):
        if value and not simulate:
            raise InputError(f"--{option} is what --simulate reads: add --simulate, or leave it out")
    kind = (gpu or ("h100" if gpus else "cpu")).lower()
    if kind not in DEVICES:
        raise InputError(f"--gpu {gpu}: known are {', '.join(DEVICES)}.{nearest(kind, DEVICES)}")
    device = DEVICES[kind] if price is None else replace(DEVICES[kind], price=price)
    devices = gpus or (cores() if kind == "cpu" else 1)
    found = load_recipe(recipe, overrides or [])
    if kind == "cpu":
        found = settled(found, auto_dtype("cpu") or "bfloat16")
    shape = shape_of(found, config, vocab)
    if isinstance(found.learner.settings, FSDP):
        found.learner.settings.check_experts({shape.experts.number} if shape.experts else ())
    sharing = shared_out(found.learner, found.cluster, devices)
    where = Plan(device=device, devices=devices, mfu=mfu, mbu=mbu, mean_share=mean_length, **sharing)
    if simulate:
        asked = Asked(recipe=recipe, overrides=overrides or (), stage=stage, lags=lags, pace=pace, lengths=lengths)
        told, table = simulation(found, shape, where, kind, asked)
        typer.echo(told)
        if json_file:
            write_json(json_file, table)
        return
    works = plan_recipe(found, shape, where)
    typer.echo(_spelled(found, shape, works, where, kind))
    if json_file:
        write_json(json_file, _as_json(found, shape, works, where, kind))


def _spelled(recipe: Recipe, shape: Shape, works: dict[str, Work | None], where: Plan, kind: str) -> str:
    from r1kit.plan.cost import ASSUMPTIONS

    total = _total(works)
    width = max(map(len, (*works, "total"))) + 2
    lines = [
        f"{recipe.name}: {_short(shape.parameters)} parameters{_activated(shape)}, {shape.layers} layers, "
        f"width {shape.hidden}, vocabulary {shape.vocab}; on {where.devices} x {kind}",
        "",
        f"{'stage':{width}}{'trained':>9}{'sampled':>9}{'FLOPs':>9}{'memory':>9}{'hours':>9}{'USD':>9}",
    ]
    lines[1:1] = [*_held(recipe, shape, where), *_travels(recipe, shape, where), *_waiting(recipe, shape, where)]
    for name, work in {**works, "total": total}.items():
        if work is None:
            lines.append(f"{name:{width}}  not planned: {short(recipe.kinds[name])} brings no formula")
            continue
        lines.append(
            f"{name:{width}}{_short(work.trained_tokens):>9}{_short(work.sampled_tokens):>9}{work.flops:>9.1e}"
            f"{_short(work.memory) + 'B':>9}{work.seconds / 3600:>9.3g}{_cost(work, where):>9.3g}"
        )
    memory = total.memory
    if where.device.memory and memory > 0.9 * where.device.memory:
        lines.append(
            f"does not fit: {_short(memory)}B on a device of {_short(where.device.memory)}B; {_remedies(where)}"
        )
    shards, engine = (
        "every device" if n == 1 else f"{n} devices together" for n in (where.shards, where.engine_devices)
    )
    held = {"shards": shards, "engine": engine}
    spelled = [line.format(mfu=where.mfu, mbu=where.mbu, mean=where.mean_share, **held) for line in ASSUMPTIONS]
    priced = f"a device costs {where.device.price:g} USD an hour (a rough rental price; --price sets yours)"
    return "\n".join([*lines, "", "Assumed, not measured:", *(f"- {line}" for line in [*spelled, priced])])


def _remedies(where: Plan) -> str:
    """What takes less memory, what takes most off first; ``docs/memory.md`` has more."""
    alone = where.devices > 1 and where.shards == 1
    shared = (
        f'set learner = "fsdp", which shares weights and optimiser over the {where.devices} devices; ' if alone else ""
    )
    return (
        f"{shared}lower micro_batch_tokens or rows_in_flight, train an adapter (lora = {{ rank = 16 }}), or take a "
        f"smaller model (docs/memory.md)"
    )


def _activated(shape: Shape) -> str:
    of = shape.experts
    return f" ({_short(shape.matrix_parameters)} for a token: {of.used} of {of.number} experts)" if of else ""


def _held(recipe: Recipe, shape: Shape, where: Plan) -> list[str]:
    """What an engine holds of a model with experts or latent attention."""
    from r1kit.plan.cost import width_of

    if shape.experts is None or shape.latent is None:
        return []
    width, devices = width_of(recipe.dtype), where.engine_devices
    rest = shape.parameters - shape.expert_parameters
    each = -(-shape.experts.number // devices)
    cache, heads = shape.cache_bytes(width), shape.layers * shape.head_numbers * width
    return [
        f"an engine of {devices} devices holds {_short(shape.parameters * width)}B of weights: "
        f"{_short(shape.expert_parameters * width)}B of routed experts, {each} a layer on a device, and "
        f"{_short(rest * width)}B besides",
        f"a token leaves {_short(cache)}B in the cache, {heads / cache:.0f} times less than keys and values of all "
        f"heads ({_short(heads)}B)",
    ]


def _travels(recipe: Recipe, shape: Shape, where: Plan) -> list[str]:
    """Of a learner with experts on their ranks: what a rank keeps of them, and what crosses in place of weights."""
    from r1kit.plan.cost import gather_bytes, travel_bytes, width_of

    if shape.experts is None or where.expert_parallel == 1:
        return []
    width, number = width_of(recipe.dtype), shape.experts.number // where.expert_parallel
    travels, gathered = travel_bytes(shape, where, width), gather_bytes(shape, width)
    return [
        f"a rank of the learner has {number} of a layer's {shape.experts.number} experts whole, in float32 "
        f"{_short(4 * shape.expert_parameters / where.expert_parallel)}B",
        f"a token learnt sends {_short(travels)}B to experts of other ranks and back; to gather all experts is "
        f"{_short(gathered)}B a micro-batch, as much as {_short(gathered / travels)} tokens send",
    ]


def _waiting(recipe: Recipe, shape: Shape, where: Plan) -> list[str]:
    """What a sharded learner leaves in the host's memory."""
    from r1kit.plan.cost import host_bytes

    if where.offload == "none":
        return []
    found = [
        host_bytes(config.optimiser, shape, where, reference=getattr(getattr(config, "loss", None), "kl_weight", 0) > 0)
        for config in recipe.stages.values()
        if hasattr(config, "optimiser")
    ]
    return [f"a rank of the learner leaves {_short(max(found))}B in the host's memory"] if found else []


def _cost(work: Work, where: Plan) -> float:
    return work.seconds / 3600 * where.devices * where.device.price


def _short(value: float) -> str:
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.1f}{letter}"
    return f"{value:.0f}"


def _total(works: dict[str, Work | None]) -> Work:
    from r1kit.plan.cost import NOTHING

    return sum((work for work in works.values() if work is not None), start=NOTHING)


def _as_json(recipe: Recipe, shape: Shape, works: dict[str, Work | None], where: Plan, kind: str) -> dict[str, Any]:
    total = _total(works)
    return {
        "recipe": recipe.name,
        "device": kind,
        "devices": where.devices,
        "parameters": shape.parameters,
        "parameters_a_token": shape.matrix_parameters,
        "stages": {name: asdict(work) | {"usd": _cost(work, where)} if work else None for name, work in works.items()},
        "hours": total.seconds / 3600,
        "usd": _cost(total, where),
        "assumptions": {"mfu": where.mfu, "mbu": where.mbu, "mean_length": where.mean_share},
    }
