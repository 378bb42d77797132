"""``r1 plan``: what a recipe costs, from the recipe alone; nothing is loaded and nothing is fetched."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from r1kit.commands.devices import DEVICES
from r1kit.errors import InputError, nearest

if TYPE_CHECKING:
    from r1kit.commands.cost import Lengths, Plan, Work
    from r1kit.commands.shape import Shape
    from r1kit.recipe import Model, Recipe
    from r1kit.tasks import Task

__all__ = ["plan", "shape_of"]

CHARACTERS_A_TOKEN = 3.5
"""Of English text under a large vocabulary."""
CHAT_TOKENS = 25
"""What a chat template adds."""
LOOKED_AT = 16
"""Prompts and documents whose length is looked at."""


def plan(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name or a TOML path.")],
    gpus: Annotated[int, typer.Option(min=0, help="GPUs, or cores for --gpu cpu.")] = 0,
    gpu: Annotated[str, typer.Option(help=f"{', '.join(DEVICES)}; default: cpu, or h100 with --gpus.")] = "",
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE")] = None,
    config: Annotated[Path | None, typer.Option(help="config.json of a model that is not on this machine.")] = None,
    vocab: Annotated[int, typer.Option(min=0, help="Vocabulary, where the shape comes from model.* keys.")] = 0,
    mfu: Annotated[float, typer.Option(min=0.001, max=1.0, help="Share of peak that matrix products reach.")] = 0.35,
    mbu: Annotated[float, typer.Option(min=0.001, max=1.0, help="Share of bandwidth that sampling reaches.")] = 0.5,
    mean_length: Annotated[float, typer.Option(min=0.01, max=1.0, help="Mean response / max_tokens.")] = 0.5,
    price: Annotated[float | None, typer.Option(min=0.0, help="USD an hour and device.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE")] = None,
) -> None:
    """Tokens, FLOPs, memory per device, hours and cost of each stage, before anything runs."""
    from r1kit.commands.cost import Plan, plan_stage
    from r1kit.commands.output import check_writable, write_json
    from r1kit.launcher import cores
    from r1kit.recipe import load_recipe

    check_writable(json_file)
    kind = (gpu or ("h100" if gpus else "cpu")).lower()
    if kind not in DEVICES:
        raise InputError(f"--gpu {gpu}: known are {', '.join(DEVICES)}.{nearest(kind, DEVICES)}")
    device = DEVICES[kind] if price is None else replace(DEVICES[kind], price=price)
    devices = gpus or (cores() if kind == "cpu" else 1)
    found = load_recipe(recipe, overrides or [])
    shape = shape_of(found, config, vocab)
    where = Plan(device=device, devices=devices, mfu=mfu, mbu=mbu, mean_share=mean_length)
    works = {
        name: plan_stage(stage, shape, _lengths(found, name, stage), where) for name, stage in found.stages.items()
    }  # fmt: skip
    typer.echo(_spelled(found, shape, works, where, kind))
    if json_file:
        write_json(json_file, _as_json(found, shape, works, where, kind))


def shape_of(recipe: Recipe, config: Path | None = None, vocab: int = 0) -> Shape:
    """The model's shape: a config.json, the recipe's ``model.*`` keys, or the model's folder where it is here."""
    from r1kit.commands.shape import shape_of_fresh, shape_of_hub
    from r1kit.model.source import local_folder
    from r1kit.tasks import build_corpus

    model = recipe.model
    if config:
        return shape_of_hub(config)
    if not model.name:
        corpus = recipe.stages["pretrain"].corpus
        return shape_of_fresh(model, len(build_corpus(corpus).vocabulary()) + SPECIAL_WORDS)
    if _has_shape(model):
        if not vocab:
            raise InputError("the model.* keys do not say the vocabulary; add --vocab N")
        return shape_of_fresh(model, vocab)
    if folder := local_folder(model.name):
        return shape_of_hub(folder / "config.json")
    raise InputError(
        f"{model.name} is not on this machine, so its shape is not known; give --config FILE (its config.json), or "
        "--set model.hidden_size=... model.intermediate_size, num_layers, num_heads, num_kv_heads and --vocab"
    )


SPECIAL_WORDS = 8
"""Special tokens and tags that every fresh tokenizer starts with."""


def _has_shape(model: Model) -> bool:
    fresh = type(model)()
    return (model.hidden_size, model.num_layers) != (fresh.hidden_size, fresh.num_layers)


def _lengths(recipe: Recipe, stage: str, config: Any) -> Lengths:
    """Looked up in the tasks and the corpus themselves."""
    from r1kit.commands.cost import Lengths
    from r1kit.tasks import build_corpus, build_task

    tasks = {name: build_task(name, recipe.tasks[name]) for name in recipe.tasks_of(stage)}
    prompts = [task.train(index).question for task in tasks.values() for index in range(LOOKED_AT)]
    fresh, document = not recipe.model.name, 0.0
    if fresh:
        corpus = build_corpus(recipe.stages["pretrain"].corpus)
        document = _mean([len(corpus.document(index).split()) + 2 for index in range(LOOKED_AT)])
    judged = config.evaluation.tasks or tasks
    return Lengths(
        prompt=_mean([_tokens(prompt, fresh) for prompt in prompts]) + _template_tokens(recipe, fresh),
        document=document,
        problems=sum(_problems(tasks[name], config) for name in judged if name in tasks),
    )


def _problems(task: Task, config: Any) -> int:
    return len(task.held_out(config.evaluation.split, config.evaluation.limit))


def _template_tokens(recipe: Recipe, fresh: bool) -> float:
    from r1kit.model.template import NAMED

    template = recipe.model.template
    extra = _tokens(template.system + template.suffix + template.prefill, fresh)
    text = NAMED.get(template.name, template.name).replace("{question}", "")
    return extra + (CHAT_TOKENS if template.name == "chat" else _tokens(text, fresh))


def _tokens(text: str, words: bool) -> float:
    return float(len(text.split())) if words else len(text) / CHARACTERS_A_TOKEN


def _mean(values: list[float] | list[int]) -> float:
    return sum(values) / len(values) if values else 0.0


def _spelled(recipe: Recipe, shape: Shape, works: dict[str, Work | None], where: Plan, kind: str) -> str:
    from r1kit.commands.cost import ASSUMPTIONS

    lines = [
        f"{recipe.name}: {_short(shape.weights)} weights, {shape.layers} layers, width {shape.hidden}, "
        f"vocabulary {shape.vocab}; on {where.devices} x {kind}",
        "",
        f"{'stage':14}{'trained':>10}{'sampled':>10}{'FLOPs':>10}{'memory':>10}{'hours':>9}{'USD':>9}",
    ]
    for name, work in works.items():
        if work is None:
            lines.append(f"{name:14}nothing is planned for this kind of stage")
            continue
        lines.append(
            f"{name:14}{_short(work.trained_tokens):>10}{_short(work.sampled_tokens):>10}{work.flops:>10.1e}"
            f"{_short(work.memory) + 'B':>10}{work.seconds / 3600:>9.3g}{_cost(work, where):>9.3g}"
        )
    done = [work for work in works.values() if work]
    lines.append(
        f"{'total':14}{_short(sum(work.trained_tokens for work in done)):>10}"
        f"{_short(sum(work.sampled_tokens for work in done)):>10}{sum(work.flops for work in done):>10.1e}"
        f"{_short(max((work.memory for work in done), default=0)) + 'B':>10}"
        f"{sum(work.seconds for work in done) / 3600:>9.3g}{sum(_cost(work, where) for work in done):>9.3g}"
    )
    memory = max((work.memory for work in done), default=0)
    if where.device.memory and memory > 0.9 * where.device.memory:
        lines.append(
            f"does not fit: {_short(memory)}B on a device of {_short(where.device.memory)}B; lower rows_in_flight or "
            "micro_batch_tokens, or take a smaller model"
        )
    spelled = [line.format(mfu=where.mfu, mbu=where.mbu, mean=where.mean_share) for line in ASSUMPTIONS]
    priced = f"a device costs {where.device.price:g} USD an hour (a rough rental price; --price sets yours)"
    return "\n".join([*lines, "", "Assumed, not measured:", *(f"- {line}" for line in [*spelled, priced])])


def _cost(work: Work, where: Plan) -> float:
    return work.seconds / 3600 * where.devices * where.device.price


def _short(value: float) -> str:
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.1f}{letter}"
    return f"{value:.0f}"


def _as_json(recipe: Recipe, shape: Shape, works: dict[str, Work | None], where: Plan, kind: str) -> dict[str, Any]:
    done = [work for work in works.values() if work]
    return {
        "recipe": recipe.name,
        "device": kind,
        "devices": where.devices,
        "weights": shape.weights,
        "stages": {name: asdict(work) | {"usd": _cost(work, where)} if work else None for name, work in works.items()},
        "hours": sum(work.seconds for work in done) / 3600,
        "usd": sum(_cost(work, where) for work in done),
        "assumptions": {"mfu": where.mfu, "mbu": where.mbu, "mean_length": where.mean_share},
    }
