"""What a recipe is once it is read: its model, its tasks, its stages, and the contract of a stage's settings.

A stage's kind is a file in ``r1kit/stages`` or a class of the user's own; a recipe gives it any name, any number
of times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Protocol

from r1kit.cluster.settings import FSDP, VLLM, Cluster, EngineChoice, LearnerChoice
from r1kit.data.settings import Reading
from r1kit.errors import InputError, nearest
from r1kit.model.families import Shape, fresh_family
from r1kit.structure import NotText, plain, structure
from r1kit.tasks import Spec, build
from r1kit.tasks.task import Split, Task
from r1kit.text.template import Template

__all__ = ["BASE", "Leaves", "Model", "Recipe", "Stage", "StageConfig", "StartsFrom"]

BASE = "base"
"""What a stage writes to start from the base model: what the first stage of kind ``pretrain`` leaves, or ``model.name``
where there is none."""

Leaves = Literal["a model", "samples", "reward models", "a table", "nothing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A kind of stage: what the recipe, the plan, ``r1 status`` and the report know of it."""

    title: str
    """What it does, in one line."""
    heading: str = ""
    """What a page calls a stage of this kind; empty: by its own name."""
    alias: str = ""
    """What the paper calls the model it leaves: R1-Zero, Dev1 ..."""
    leaves: Leaves = "a model"
    compared: bool = False
    """Whether its model is a column of the stage table, where ``evaluate`` does not say which are."""
    load: Callable[[], tuple[type, Callable[[Any, Any], Any]]]
    """Gives (class of its settings, ``run(settings, workspace)``); imports nothing heavy."""


class StageConfig(Protocol):
    """What a stage's settings tell the recipe. Each has a default, so a stage writes down only what it needs."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Earlier stages that it takes in."""
        return ()

    @property
    def model_sources(self) -> tuple[str, ...]:
        """Earlier stages that it takes in for their models, or models by name: either will do."""
        return ()

    @property
    def data_sources(self) -> tuple[tuple[str, Reading], ...]:
        """What it learns from, and how rows of it are read: an earlier stage, whose samples it takes in, or a file, a
        folder or a data set, whose content is part of what decides its result."""
        return ()

    @property
    def files(self) -> tuple[str, ...]:
        """Files that it reads; their content is part of what decides its result."""
        return ()

    def uses(self, recipe: Recipe) -> tuple[str, ...]:
        """Tasks that it trains on or is judged by."""
        return ()

    @property
    def splits(self) -> tuple[Split, ...]:
        """Held-out splits that it looks at."""
        return ()

    @property
    def lengths(self) -> Mapping[str, int]:
        """Longest completion, in tokens, by the name of the setting: each must fit after the longest prompt."""
        return {}

    def resolved(self, stage: str, recipe: Recipe) -> Any:
        """These settings with what follows from the recipe's other stages filled in."""
        return self

    def check(self, stage: str, recipe: Recipe) -> None:
        """Raise InputError for a setting that could not work, before anything loads."""


class StartsFrom(StageConfig):
    """A stage that takes in one earlier stage, whose model it starts from."""

    start: str

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.start,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What the first stage starts from: a name, or the shape of a fresh model that ``pretrain`` trains.

    In a recipe's table the keys of the shape stand beside the others; which there are is the family's own.
    """

    name: str = ""
    """Hub name, hub-format folder, GGUF file or ``pypi:PACKAGE``; empty: a fresh model of the shape below."""
    family: str = "llama"
    """``llama``, ``qwen2``, ``qwen3`` or ``deepseek_v3``, see ``model.families``."""
    shape: Shape = field(default_factory=lambda: fresh_family("llama", "model").shape())
    template: Template = field(default_factory=Template)
    """How a question becomes a prompt, in every stage."""

    @property
    def max_positions(self) -> int:
        """Most tokens of a prompt and its completion."""
        return self.shape.max_positions

    @classmethod
    def from_table(cls, table: Mapping[str, Any], where: str) -> Model:
        """A recipe's table, in which the keys of the shape stand beside the others.

        Raises:
            InputError: an unknown family, or a key that the family has not.
        """
        family = str(table.get("family", "llama"))
        kind = fresh_family(family, where).shape
        own = ("name", "family", "template")
        known = (*own, *(each.name for each in fields(kind)))
        for key in table:
            if key not in known:
                raise InputError(
                    f"{where}: unknown key {key!r}; known keys of family {family} are {', '.join(known)}."
                    f"{nearest(key, known)}"
                )
        name, template = table.get("name", ""), table.get("template", {})
        if not isinstance(name, str):
            raise NotText(f"{where}.name", name)
        if not isinstance(template, Mapping):
            raise InputError(f"{where}.template = {template!r}: expected a table")
        return cls(
            name=name,
            family=family,
            shape=structure(kind, {key: value for key, value in table.items() if key not in own}, where),
            template=structure(Template, template, f"{where}.template"),
        )

    def as_table(self) -> dict[str, Any]:
        """What ``from_table`` reads."""
        return {"name": self.name, "family": self.family, **plain(self.shape), "template": self.template}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    name: str
    summary: str = ""
    """One line for ``r1 recipes``."""
    hardware: str = ""
    time: str = ""
    expect: str = ""
    """The result to expect, as measured."""
    seed: int = 1
    ranks: int = 0
    """Processes that sample and learn side by side; 0: one a GPU, or one a core where there is none (at most 8)."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    engine: EngineChoice = field(default_factory=EngineChoice)
    """What samples: ``local``, ``transformers``, ``vllm``, one of your own as FILE.py:NAME, or ``auto``: what runs the
    model. A table says more: ``{kind = "vllm", address = ["http://..."]}``."""
    learner: LearnerChoice = field(default_factory=LearnerChoice)
    """What trains: ``local``, the whole model on every rank, ``fsdp``, the model shared out over the ranks, one of your
    own as FILE.py:NAME, or ``auto``: the local one. A table says more: ``{kind = "fsdp", offload = "optimiser"}``."""
    cluster: Cluster = field(default_factory=Cluster)
    """Processes beside the learner's ranks, and when a host counts as lost."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the matrix products of every stage that does not say itself; ``auto``: bfloat16 where the device multiplies it
    in hardware and faster than float32, else float32."""
    keep_state: bool = True
    """Whether a stage that can go on with more steps (``growth.GROWS``) keeps its last state when it is done: weights
    and optimiser, for AdamW three times the model in float32."""
    trackers: Mapping[str, Any] = field(default_factory=dict)
    """Programs that keep and draw the run's numbers, each with its settings: ``tensorboard``, ``trackio``, ``wandb``,
    ``mlflow`` or one of your own as FILE.py:NAME. No part of any stage's result."""
    model: Model = field(default_factory=Model)
    tasks: Mapping[str, Any] = field(default_factory=dict)
    """Settings of each task by name (see ``r1 tasks``)."""
    stages: Mapping[str, Any] = field(default_factory=dict)
    """Settings of each stage by name, in the order they run; each keeps to ``StageConfig``."""
    task_kinds: Mapping[str, str] = field(default_factory=dict)
    """Task -> its kind, as the recipe names it."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """Stage -> its kind, as the recipe names it."""
    about: Mapping[str, Stage] = field(default_factory=dict, compare=False, repr=False)
    """Stage -> what is known of its kind."""

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise InputError("name is empty; a recipe's name is a word, and its runs go to runs/NAME")
        if self.ranks < 0:
            raise InputError(f"ranks = {self.ranks}: must be at least 1, or 0 for one a core or GPU")
        self.cluster.check()
        if isinstance(self.learner.settings, FSDP):
            self.learner.settings.check(self.ranks)
        if isinstance(self.engine.settings, VLLM):
            self.engine.settings.check(self.ranks, self.cluster)
        if not 0 <= self.seed < 2**63:
            raise InputError(f"seed = {self.seed}: must be from 0 to 2^63 - 1")

    @property
    def base_stage(self) -> str:
        """The stage whose model is the base; empty where the base is ``model.name``."""
        return next((name for name, kind in self.kinds.items() if kind == "pretrain"), "")

    def inputs(self, stage: str) -> tuple[str, ...]:
        """Earlier stages that a stage takes in, each once; ``base`` is the base's stage, or nothing without one."""
        config = self.stages[stage]
        data = (source for source, _ in config.data_sources)
        sources = (*config.inputs, *config.model_sources, *data)
        named = (self.base_stage if source == BASE else source for source in sources)
        return tuple(dict.fromkeys(source for source in named if source in self.stages))

    def earlier(self, stage: str) -> tuple[str, ...]:
        """Stages before a stage, in order."""
        names = tuple(self.stages)
        return names[: names.index(stage)]

    def tasks_of(self, stage: str) -> tuple[str, ...]:
        """Tasks that a stage trains on or is judged by, each once."""
        return tuple(dict.fromkeys(self.stages[stage].uses(self)))

    def task(self, name: str) -> Task:
        """One of the tasks, built. Raises InputError for a file that is missing or broken."""
        return build(name, self.task_kinds[name], self.tasks[name])

    def spec(self, name: str) -> Spec:
        """One of the tasks in plain values, as a verifier process is sent it."""
        return Spec(self.task_kinds[name], plain(self.tasks[name]))

    def built(self, names: Iterable[str]) -> dict[str, Task]:
        """Those of the tasks that the recipe has."""
        return {name: self.task(name) for name in dict.fromkeys(names) if name in self.tasks}

    def leaves(self, stage: str) -> Leaves:
        """What a stage leaves behind; ``base``, and what is no stage, is a model."""
        return self.about[stage].leaves if stage in self.about else "a model"
