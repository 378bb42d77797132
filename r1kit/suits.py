"""Whether engine and learner suit a recipe's models, as far as the models are known before anything loads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from r1kit.backends.vllm_package import check_vllm
from r1kit.checkpoint.headers import read_headers
from r1kit.checkpoint.source import check_model, local_folder
from r1kit.cluster.settings import FSDP, VLLM, Local
from r1kit.contracts import BASE, Model, Recipe
from r1kit.errors import InputError
from r1kit.model.families import FAMILIES, unsupported
from r1kit.plan.known import is_counted, known_config, shape_of_config
from r1kit.stages import STAGES
from r1kit.vllm.served import check_servers

__all__ = ["check_engine", "check_experts", "experts_of", "predicts_further", "trained_models"]

HUB_NAMES = {
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "num_kv_heads": "num_key_value_heads",
}
"""Of a fresh model's shape, what a hub config calls otherwise."""
AHEAD = "deepseek_v3"
"""The family with a layer that predicts a token further."""


def check_engine(recipe: Recipe) -> list[str]:
    """What an engine needs: a model that it runs, and that can draft or replay; of other makers the package here, or
    servers that serve the recipe's model."""
    own = recipe.engine.settings
    for where, model in _sampled(recipe):
        if recipe.engine.kind in ("local", "transformers"):
            _check_runs(recipe.engine.kind, where, model)
        if isinstance(own, Local) and ".students." not in where:  # whose engine neither drafts nor replays
            _check_local(own, where, model)
    if recipe.engine.kind != "vllm":
        return []
    if not recipe.engine.settings.address:
        check_vllm()
        return []
    if recipe.cluster.engines:
        raise InputError(
            f"engine.address names servers that run already, and cluster.engines = {recipe.cluster.engines} would "
            "start others: give one of the two"
        )
    shape = recipe.model.shape
    config = {HUB_NAMES.get(each.name, each.name): getattr(shape, each.name) for each in fields(shape)}
    if recipe.model.name:
        check_model(recipe.model.name)
        folder = local_folder(recipe.model.name)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8")) if folder else {}
    return check_servers(recipe.engine.settings, config)


def _sampled(recipe: Recipe) -> Iterator[tuple[str, Model]]:
    """(where it stands, model) of every one that the recipe's engine runs."""
    yield "model", recipe.model
    for stage, config in recipe.stages.items():
        for name, student in getattr(config, "students", {}).items():
            yield f"stages.{stage}.students.{name}.model", student.model
        if recipe.kinds[stage] in STAGES:
            named = (name for name in config.model_sources if name != BASE and name not in recipe.stages)
            yield from ((f"stages.{stage}", Model(name=name)) for name in named)


def _check_runs(kind: str, where: str, model: Model) -> None:
    decodes, told = _decodes(model), model.name or f"a fresh {model.family}"
    if kind == "transformers" and decodes:
        raise InputError(
            f'engine = "transformers" is for what the local engine cannot run, and that runs {told} ({where}); set '
            f'engine = "local", or "auto", which takes what runs each model'
        )
    if kind == "local" and decodes is False:
        raise InputError(
            f'engine = "local" cannot run {told} ({where}); set engine = "transformers", or "auto", which takes what '
            f"runs each model"
        )


def _check_local(own: Local, where: str, model: Model) -> None:
    told = f"{model.name or f'a fresh {model.family}'} ({where})"
    if own.replay and (own.draft or experts_of(model) == 0):
        why = f"; {told} has none" if not own.draft else ""
        raise InputError(
            f"engine.replay is for a model with experts (family deepseek_v3), and not beside engine.draft{why}: drop "
            f"{'one' if own.draft else 'it'}"
        )
    if own.draft and predicts_further(model) is False:
        raise InputError(
            f"engine.draft is for a model with a layer that predicts a token further, and {told} has none: "
            + ("drop it" if model.name else "set model.mtp_layers = 1 (family deepseek_v3), or drop it")
        )


def check_experts(recipe: Recipe) -> None:
    """Whether experts of the recipe's model can be put on devices of their own, as far as its shape is known. Students'
    are where their other weights are."""
    learner, engine = recipe.learner.settings, recipe.engine.settings
    if not (getattr(learner, "expert_parallel", 1) > 1 or getattr(engine, "expert_parallel", False)):
        return
    experts = experts_of(recipe.model)
    if isinstance(learner, FSDP) and experts is not None:
        learner.check_experts({experts} if experts else ())
    if isinstance(engine, VLLM) and engine.expert_parallel and experts == 0:
        raise InputError(f"engine.expert_parallel = true: {recipe.model.name or 'the model'} has no experts; drop it")


# ---- what is known of a model ---------------------------------------------------------------------------------------


def experts_of(model: Model) -> int | None:
    """In a layer; None where nothing tells before the model is here."""
    if not model.name:
        return int(getattr(model.shape, "n_routed_experts", 0))
    found = _config(model.name)
    if found is None or not is_counted(found):
        return None
    experts = shape_of_config(found, model.name).experts
    return experts.number if experts else 0


def predicts_further(model: Model) -> bool | None:
    """Whether it has a layer that predicts a token further; None where nothing tells before the model is here."""
    if not model.name:
        return bool(getattr(model.shape, "mtp_layers", 0))
    found = _config(model.name)
    if found is None or found.get("model_type") != AHEAD:
        return None if found is None else False
    if known_config(model.name) is not None or (folder := local_folder(model.name)) is None:
        return None
    last = f"model.layers.{found.get('num_hidden_layers')}."
    return any(name.startswith(last) for name in read_headers(folder))


def _decodes(model: Model) -> bool | None:
    """Whether this package's own decoder runs it; None where nothing tells before the model is here."""
    if not model.name:
        return True
    found = _config(model.name)
    if found is None or found.get("model_type") not in FAMILIES:
        return None if found is None else False
    if known_config(model.name) is not None or (folder := local_folder(model.name)) is None:
        return None
    from r1kit.checkpoint.hub import read_config

    return not unsupported(read_config(folder))


def _config(name: str) -> Mapping[str, Any] | None:
    """The keys of its config.json; None where nothing tells them."""
    found = known_config(name)
    if found is None and (folder := local_folder(name)):
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return found


def trained_models(recipe: Recipe, stage: str) -> tuple[Model, ...]:
    """What a stage trains, back to where its line of models begins; empty where a stage of the user's own is on it."""
    config = recipe.stages[stage]
    if students := getattr(config, "students", None):
        return tuple(student.model for student in students.values())
    while (start := getattr(config, "start", BASE)) in recipe.stages:
        if recipe.kinds[start] not in STAGES:
            return ()
        config = recipe.stages[start]
        if students := getattr(config, "students", None):  # the first is the stage's own checkpoint
            return (next(iter(students.values())).model,)
    return (recipe.model,)
