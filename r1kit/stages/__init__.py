"""The paper, one file a stage. Each has a frozen ``Config`` and ``run(config, workspace) -> StageResult``.

A stage's module imports neither torch nor transformers at its top, so that ``r1 check`` answers at once. A stage of the
user's own is a class in a file: its fields are the settings, its method ``run(workspace)`` does the work.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial, wraps
from pathlib import Path
from types import ModuleType, new_class
from typing import Any, get_args

from r1kit.contracts import Leaves, Stage, StageConfig
from r1kit.errors import InputError, R1Error
from r1kit.records import StageResult
from r1kit.registry import find as find_reference
from r1kit.registry import short
from r1kit.users_code import blame

__all__ = ["STAGES", "find", "load"]


def load(kind: str) -> ModuleType:
    """The module of a kind in ``STAGES``."""
    return importlib.import_module(f"r1kit.stages.{kind}")


def _parts(kind: str) -> tuple[type, Callable[[Any, Any], StageResult]]:
    module = load(kind)
    return module.Config, module.run


def _ours(kind: str, heading: str, title: str, *, alias: str = "", leaves: Leaves = "a model") -> Stage:
    compared = bool(alias) and kind != "pretrain"  # which is the base, whatever it is called
    load = partial(_parts, kind)
    return Stage(title=title, heading=heading, alias=alias, leaves=leaves, compared=compared, load=load)


STAGES: dict[str, Stage] = {
    "pretrain": _ours("pretrain", "Pretraining", "A base model by language modelling on a corpus", alias="base"),
    "r1_zero": _ours(
        "r1_zero", "R1-Zero", "R1-Zero: GRPO straight on the base model, rule rewards only", alias="R1-Zero"
    ),
    "cold_start": _ours(
        "cold_start",
        "Cold start",
        "A few readable samples of long reasoning: few-shot, direct, R1-Zero's outputs rewritten",
        leaves="samples",
    ),
    "cold_start_sft": _ours(
        "cold_start_sft", "Cold-start SFT", "Dev1: the base learns the cold-start samples", alias="Dev1"
    ),
    "reasoning_rl": _ours(
        "reasoning_rl", "Reasoning RL", "Dev2: GRPO on reasoning with the language-consistency reward", alias="Dev2"
    ),
    "rejection_sampling": _ours(
        "rejection_sampling",
        "Rejection sampling",
        "A data factory: right and readable samples of the policy, other data mixed in",
        leaves="samples",
    ),
    "sft": _ours("sft", "SFT", "Dev3: the base learns the mixture of reasoning and other samples", alias="Dev3"),
    "reward_models": _ours(
        "reward_models",
        "Reward models",
        "What pleases and what is safe, learnt from pairs and labels",
        leaves="reward models",
    ),
    "all_scenarios_rl": _ours(
        "all_scenarios_rl", "All-scenarios RL", "R1: RL for all scenarios, rules and reward models", alias="R1"
    ),
    "distill": _ours("distill", "Distillation", "Students by SFT alone, beside RL on a student at equal compute"),
    "ppo": _ours("ppo", "PPO", "PPO: a value model in the place of GRPO's group", alias="PPO"),
    "mcts": _ours("mcts", "Tree search", "MCTS: search over steps with a value model, and learning what it found"),
    "prm": _ours(
        "prm",
        "Process rewards",
        "Steps labelled by rollouts, a reward model of steps, best of N and RL by it: what did not work",
    ),
    "probe": _ours(
        "probe",
        "Drafts and replay",
        "Of each checkpoint: drafts that hit, and the gap between engine and learner with and without routing replay",
        leaves="a table",
    ),
    "evaluate": _ours(
        "evaluate", "Evaluation", "Every checkpoint on every benchmark: the stage table", leaves="a table"
    ),
}
"""Every kind of ours, in the paper's order."""


def find(kind: str, name: str) -> Stage:
    """What is known of the kind that stage ``name`` of a recipe is.

    Raises:
        InputError: there is no such kind, or the user's class is not a stage.
    """
    if kind in STAGES:
        return STAGES[kind]
    where = "" if kind == name else f"stages.{name}.kind"
    return _of_user(find_reference(kind, dict.fromkeys(STAGES, ""), "stage", where), kind)


def _of_user(cls: Any, kind: str) -> Stage:
    run = getattr(cls, "run", None)
    if not inspect.isclass(cls) or not callable(run) or list(inspect.signature(run).parameters)[1:] != ["workspace"]:
        raise InputError(f"{short(kind)} is not a stage: write a class with a method run(self, workspace)")
    if not dataclasses.is_dataclass(cls):
        cls = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    if StageConfig not in cls.__mro__:
        cls = new_class(cls.__name__, (cls, StageConfig), {}, lambda space: space.update(__module__=cls.__module__))
    cls = _told(cls, kind)
    title = (inspect.getdoc(run) or inspect.getdoc(cls) or short(kind)).splitlines()[0]
    leaves: Any = getattr(cls, "leaves", "a model")
    if leaves not in get_args(Leaves):
        raise InputError(f"{short(kind)}.leaves = {leaves!r}: allowed are {', '.join(map(repr, get_args(Leaves)))}")
    return Stage(title=title, leaves=leaves, compared=leaves == "a model", load=lambda: (cls, _run))


_NAMES = ("inputs", "model_sources", "data_sources", "files", "uses", "splits")
"""Members that give names."""
_HOOKS = (*_NAMES, "lengths", "resolved", "check", "plan", "__post_init__")


def _told(cls: Any, kind: str) -> Any:
    """The class with what its own members raise told as the line of the user's file."""
    own = {name: found for name in _HOOKS if (found := inspect.getattr_static(cls, name, None)) is not None}
    mine = {name: found for name, found in own.items() if found is not inspect.getattr_static(StageConfig, name, None)}
    space: dict[str, Any] = {"__module__": cls.__module__, "__doc__": cls.__doc__}
    for name, found in mine.items():
        if isinstance(found, property) and found.fget:
            space[name] = property(_calling(found.fget, kind, name))
        elif inspect.isfunction(found):
            space[name] = _calling(found, kind, name)
    return new_class(cls.__name__, (cls,), {}, lambda into: into.update(space))


def _calling(member: Callable[..., Any], kind: str, name: str) -> Callable[..., Any]:
    @wraps(member)
    def call(*arguments: Any, **more: Any) -> Any:
        try:
            found = member(*arguments, **more)
        except (Exception, SystemExit) as error:
            if isinstance(error, R1Error):
                raise
            raise InputError(f"{short(kind)}.{name}: {blame(error, _folder(member))}") from error
        if name in _NAMES and (isinstance(found, (str, Mapping)) or not isinstance(found, Iterable)):
            raise InputError(f"{short(kind)}.{name} gave {found!r}; it gives a tuple of names")
        return found

    return call


def _folder(member: Callable[..., Any]) -> Path:
    return Path(inspect.getfile(member)).parent


def _run(config: Any, workspace: Any) -> StageResult:
    """A user's stage gives a ``StageResult``, or its metrics alone, or nothing. It may log where it likes.

    Raises:
        R1Error: what it raised, with the line of the user's file.
    """
    workspace.begin()
    try:
        found = config.run(workspace)
    except (Exception, SystemExit) as error:
        if isinstance(error, R1Error):
            raise
        raise R1Error(f"{workspace.stage}: {blame(error, _folder(type(config).run))}") from error
    result = found if isinstance(found, StageResult) else StageResult(metrics=found or {})
    if result.checkpoint is not None and not (workspace.run / result.checkpoint).is_dir():
        raise R1Error(
            f"{workspace.stage}: its run gave checkpoint = {str(result.checkpoint)!r}, which is no folder in "
            f"{workspace.run}; save the model there, and give its path from the run's folder"
        )
    return dataclasses.replace(result, metrics=_unboxed(result.metrics))


def _unboxed(value: Any) -> Any:
    """Numbers of numpy's and torch's as Python's, wherever they stand."""
    if isinstance(value, Mapping):
        return {key: _unboxed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_unboxed(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") and hasattr(value, "shape") else value
