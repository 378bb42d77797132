"""What the arguments MODEL and TASK of a command mean, and the model loaded.

A MODEL is a folder, and a recipe that says how it is prompted and judged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from r1kit.checkpoint.source import check_folder
from r1kit.contracts import Recipe
from r1kit.errors import InputError, nearest
from r1kit.files import check_text, is_there
from r1kit.recipe import load_recipe, put_setting, with_texts
from r1kit.records import Sampling
from r1kit.registry import is_reference, split_reference
from r1kit.reward.settings import RewardConfig
from r1kit.structure import plain
from r1kit.tasks import KINDS, Spec, build, settings
from r1kit.tasks.source_name import is_source, named_source, task_of_source
from r1kit.text.template import Template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from r1kit.rollout.engine import Engine
    from r1kit.tasks.task import Task

__all__ = [
    "NamedTask", "Opened", "Subject", "longest_completion", "named_task", "open_model", "open_subject", "split_stage",
]  # fmt: skip

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


BY_ITSELF = ("countdown", "general", "code/list_ops", "structured/forms", "turns")
"""Kinds that need no setting."""
BY_FILE = ("structured", "swe")
"""Kinds that read one layout: ``KIND/FILE.jsonl``."""


class NamedTask(NamedTuple):
    name: str
    spec: Spec

    def build(self) -> Task:
        return build(self.name, *self.spec)


def split_stage(model: str) -> tuple[Path, str] | None:
    """``DIR:STAGE`` -> (run folder, stage); None for every other kind of name."""
    run, colon, stage = model.rpartition(":")
    folder = Path(run).expanduser()
    if not colon or run == "pypi" or is_there(Path(model)) or not (folder / "recipe.toml").is_file():
        return None
    return folder, stage


def open_subject(model: str, recipe: str = "", template: str = "", suffix: str = "", answer_style: str = "") -> Subject:
    """Settings of a model: its run's, or those of ``recipe``, of its stage of that name or else of the last that judges
    answers; without either the defaults.

    Raises:
        InputError: an unknown recipe, template or answer style.
    """
    for option, text in {"--template": template, "--suffix": suffix}.items():
        check_text(text, option)
    stage, folder = split_stage(model), Path(model).expanduser()
    if model and (folder / "recipe.toml").is_file():
        check_folder(folder)  # a run in place of one of its stages is told as that, not by a task that is missing
    if stage and not recipe:
        found = load_recipe(str(stage[0] / "recipe.toml"))
        config = found.stages.get(stage[1].partition("/")[0])
    elif recipe:
        found = load_recipe(recipe)
        own = stage[1].partition("/")[0] if stage else ""
        config = found.stages.get(own) or next(filter(_judges, list(found.stages.values())[::-1]), None)
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

    own = config.rl if isinstance(config, Distill) else config
    if not _judges(own):
        return RewardConfig(), Sampling(max_tokens=MAX_TOKENS)
    longest = config.lengths.get("evaluation.max_tokens") or own.sampling.max_tokens
    return own.reward, replace(own.sampling, max_tokens=longest)


def _judges(config: Any) -> bool:
    reward, sampling = getattr(config, "reward", None), getattr(config, "sampling", None)
    return isinstance(reward, RewardConfig) and isinstance(sampling, Sampling)


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


def named_task(name: str, recipe: Recipe, overrides: Sequence[str] = ()) -> NamedTask:
    """A task by name, with ``KEY=VALUE`` settings of its own in place of what it has; see ``_named``."""
    check_text(name, f"task {name!r}")
    named = _named(name, recipe)
    table = dict(plain(named.spec.table))
    written = {f"tasks.{named.name}.{key}": place for key, place in (put_setting(table, each) for each in overrides)}
    if written:
        with_texts(table, written, lambda: settings(named.name, named.spec.kind, table))
    return NamedTask(named.name, Spec(named.spec.kind, table))


def _named(name: str, recipe: Recipe) -> NamedTask:
    """A task by name: a recipe's own, a kind (``countdown``, ``code/list_ops``, ``reasoning_gym/NAME``,
    ``verifiers/NAME``), ``code/FORMAT/FILE.jsonl``, ``structured/FILE.jsonl``, ``benchmark/SOURCE``, ``FILE.py:NAME``,
    or a file, a folder or a hub data set, see ``tasks/source_name``.

    A file is judged whole: all its lines are the test split.

    Raises:
        InputError: none of these; names the nearest.
        MissingError: a package or the network is needed that is not here.
    """
    if name in recipe.tasks:
        return NamedTask(name, recipe.spec(name))
    family, _, rest = name.partition("/")
    form, _, path = rest.partition("/")
    if f"code/{form}" in KINDS and family == "code" and path:
        return NamedTask(Path(path).stem, Spec(f"code/{form}", {"path": path, "test_path": path}))
    if family in BY_FILE and rest and name not in KINDS:
        return NamedTask(Path(rest).stem, Spec(family, {"path": rest, "test_path": rest}))
    if family == "benchmark" and rest:
        kind, source = (f"benchmark/{form}", path) if path and f"benchmark/{form}" in KINDS else ("benchmark", rest)
        called, table = named_source(source)
        return NamedTask(called, Spec(kind, table))
    if is_reference(name):
        return NamedTask(split_reference(name)[1], Spec(name, {}))
    if name == "code/list_ops":
        return NamedTask("code", Spec(name, {}))
    if name in BY_ITSELF or (family == "code" and name in KINDS):
        if name not in BY_ITSELF:
            raise InputError(f"{name} reads a file; write {name}/FILE.jsonl")
        return NamedTask(name, Spec(name, {}))
    if f"{family}/NAME" in KINDS and rest:
        return NamedTask(name, Spec(name, {}))
    if is_source(name):
        called, kind, table = task_of_source(name)
        return NamedTask(called, Spec(kind, table))
    allowed = [*recipe.tasks, *BY_ITSELF]
    raise InputError(
        f"task {name!r} is unknown; a task is {', '.join(dict.fromkeys(allowed))}, code/FORMAT/FILE.jsonl, "
        f"structured/FILE.jsonl, swe/FILE.jsonl, benchmark/SOURCE, reasoning_gym/GENERATOR, verifiers/ENVIRONMENT, "
        f"FILE.py:NAME, a file or folder of rows, or a hub data set as OWNER/NAME.{nearest(name, allowed)}"
    )


# ---- loaded ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    engine: Engine
    encode: Callable[[str], Sequence[int]]
    """A question in the subject's template -> token ids."""
    positions: int
    """Most tokens of a prompt and its completion."""
    folder: Path
    """Of the weights."""


def open_model(subject: Subject, rows: int) -> Opened:
    """On all cores or the GPU, for ``rows`` completions side by side."""
    import torch

    from r1kit.backends.backend import backend_of
    from r1kit.cluster.cores import cores

    torch.set_num_threads(cores())
    backend = backend_of(subject.recipe)
    loaded = backend.load(subject.name)
    assert loaded.folder is not None
    return Opened(
        engine=backend.open_engine(loaded, dtype="auto", max_rows=rows),
        encode=loaded.encode,
        positions=loaded.positions,
        folder=loaded.folder,
    )
