"""What a MODEL argument means: which folder, and which recipe says how it is prompted and judged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from r1kit.contracts import Recipe
from r1kit.errors import InputError, nearest
from r1kit.model.template import Template
from r1kit.nano.countdown import CountdownConfig
from r1kit.nano.general import GeneralConfig
from r1kit.recipe import load_recipe
from r1kit.records import Sampling
from r1kit.reward.settings import RewardConfig
from r1kit.tasks import TaskConfig
from r1kit.tasks.code import GENERATORS, CodeConfig
from r1kit.tasks.jsonl import JsonlConfig
from r1kit.tasks.reasoning_gym import ReasoningGymConfig

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Subject", "longest_completion", "named_task", "open_subject", "split_stage"]

MAX_TOKENS = 1024
"""Longest completion of a model that no recipe speaks about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model and how it is talked to."""

    name: str
    """As the user wrote it."""
    recipe: Recipe
    """Of its run, or the one that was named, or one without stages; its template is the one to prompt with."""
    reward: RewardConfig
    sampling: Sampling
    """Length and stop strings of its stage."""


def split_stage(model: str) -> tuple[Path, str] | None:
    """``DIR:STAGE`` -> (run folder, stage); None for every other kind of name."""
    run, colon, stage = model.rpartition(":")
    folder = Path(run).expanduser()
    if not colon or run == "pypi" or Path(model).exists() or not (folder / "recipe.toml").is_file():
        return None
    return folder, stage


def open_subject(model: str, recipe: str = "", template: str = "", suffix: str = "", answer_style: str = "") -> Subject:
    """Settings of a model: its run's, else those of the last stage of ``recipe``, else the defaults.

    Raises:
        InputError: an unknown recipe, template or answer style.
    """
    stage = split_stage(model)
    if stage and not recipe:
        found = load_recipe(str(stage[0] / "recipe.toml"))
        config = found.stages.get(stage[1].partition("/")[0])
    elif recipe:
        found = load_recipe(recipe)
        config = list(found.stages.values())[-1]
    else:
        found, config = Recipe(name="none"), None
    reward, sampling = _judging(config)
    if answer_style:
        reward = replace(reward, answer_style=_answer_style(answer_style))
    return Subject(
        name=model,
        recipe=replace(found, ranks=1, model=replace(found.model, template=_template(found, template, suffix))),
        reward=reward,
        sampling=sampling,
    )


def _judging(config: Any) -> tuple[RewardConfig, Sampling]:
    """How a stage reads an answer, and how long it lets one be; the defaults where no policy of it answers."""
    from r1kit.stages.distill import Config as Distill
    from r1kit.stages.reward_models import Config as RewardModels

    if config is None or isinstance(config, RewardModels):
        return RewardConfig(), Sampling(max_tokens=MAX_TOKENS)
    own = config.rl if isinstance(config, Distill) else config
    longest = config.lengths.get("evaluation.max_tokens") or own.sampling.max_tokens
    return own.reward, replace(own.sampling, max_tokens=longest)


def longest_completion(sampling: Sampling, positions: int, prompts: Iterable[Sequence[int]]) -> int:
    """Tokens of a completion where the user names no number: the subject's own, or what the model's positions leave."""
    return max(1, min(sampling.max_tokens, positions - max(map(len, prompts), default=0)))


def _template(recipe: Recipe, name: str, suffix: str) -> Template:
    template = Template(name=name) if name else recipe.model.template
    return replace(template, suffix=suffix) if suffix else template


def _answer_style(name: str) -> Any:
    from r1kit.reward.extract import ANSWER_STYLES

    if name not in ANSWER_STYLES:
        raise InputError(
            f"answer style {name!r} is unknown; styles are {', '.join(ANSWER_STYLES)}.{nearest(name, ANSWER_STYLES)}"
        )
    return name


def named_task(name: str, known: Mapping[str, TaskConfig]) -> tuple[str, TaskConfig]:
    """(name, settings) of a task: a recipe's own, ``countdown``, ``general``, ``code/list_ops``,
    ``code/FORMAT/FILE.jsonl``, ``reasoning_gym/NAME`` or a JSONL file.

    A file is judged whole: all its lines are the test split.

    Raises:
        InputError: none of these; names the nearest.
    """
    if name in known:
        return name, known[name]
    kind, _, generator = name.partition("/")
    if kind == "code" and generator:
        return _code_task(generator)
    if kind == "reasoning_gym" and generator:
        return name, ReasoningGymConfig(generator=generator)
    if name == "countdown":
        return name, CountdownConfig()
    if name == "general":
        return name, GeneralConfig()
    path = Path(name).expanduser()
    if path.is_file() or path.suffix == ".jsonl":
        return path.stem, JsonlConfig(path=str(path), test_path=str(path))
    allowed = dict.fromkeys((*known, "countdown", "general", "code/list_ops"))
    spelled = ", ".join([*allowed, "code/FORMAT/FILE.jsonl", "reasoning_gym/GENERATOR or a JSONL file"])
    raise InputError(f"task {name!r} is unknown; a task is {spelled}.{nearest(name, allowed)}")


def _code_task(generator: str) -> tuple[str, TaskConfig]:
    form, _, path = generator.partition("/")
    if form != "list_ops" and form in GENERATORS and not path:
        raise InputError(f"code/{form} reads a file; write code/{form}/FILE.jsonl")
    name = Path(path).stem if path else "code"
    return name, CodeConfig(generator=cast(Any, form), path=path, test_path=path)
