"""Models that only sample: a stage of the run or any model by name, each loaded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from r1kit.backends.backend import backend_of
from r1kit.factory.collection import Collection
from r1kit.factory.judge import GenerativeJudge
from r1kit.records import Prompt
from r1kit.rollout.engine import Engine
from r1kit.text.seen import in_tags, with_opening
from r1kit.text.template import suited
from r1kit.update.settings import DtypeSetting
from r1kit.workspace import Workspace

__all__ = ["Sampler", "generative_judge", "open_samplers", "origin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    name: str
    """Stage or model, as provenance names it."""
    version: int
    """Policy version: the last step of the stage that trained it; 0 for a model by name."""
    engine: Engine
    encode: Callable[..., Sequence[int]]
    """Token ids of a prompt that asks a text, the recipe's template applied; a second argument is what stands before it
    in a chat."""
    count: Callable[[str], int]
    """Tokens of a response."""
    opens: bool = False
    """Its prompts end in ``<think>``."""
    parameters: int = 0
    """How many it has, for what its tokens cost."""

    def render(self, prompt: Prompt, asked: str = "") -> Sequence[int]:
        """Token ids of a task's prompt; ``asked``: in place of its question."""
        return self.encode(asked or prompt.question, *([prompt.history] if prompt.history else []))

    def read(self, text: str) -> str:
        """A completion with its thinking in tags, also where the prompt wrote the first."""
        return with_opening(text) if self.opens else in_tags(text)


@contextmanager
def open_samplers(
    names: Sequence[str], workspace: Workspace, dtype: DtypeSetting, rows_in_flight: int
) -> Iterator[dict[str, Sampler]]:
    """By the name as given; empty names are left out."""
    with ExitStack() as stack:
        opened = {}
        for name in dict.fromkeys(filter(None, names)):
            opened[name] = _open(name, workspace, dtype, rows_in_flight)
            stack.callback(opened[name].engine.close)
        yield opened


def generative_judge(config: Collection, samplers: Mapping[str, Sampler]) -> GenerativeJudge | None:
    """The judge of the tasks that no rule can check, if there are any."""
    if not config.judge:
        return None
    sampler = samplers[config.judge]
    return GenerativeJudge(sampler.engine, sampler.encode, config.judge_sampling, read=sampler.read)


def origin(name: str, workspace: Workspace) -> tuple[str, str]:
    """(model to load, what to call it) of a stage of the run, ``base``, or a model by name."""
    return workspace.start(name) if _is_own(name, workspace) else (name, name)


def _is_own(name: str, workspace: Workspace) -> bool:
    return name == "base" or name in workspace.recipe.stages


def _open(name: str, workspace: Workspace, dtype: DtypeSetting, rows_in_flight: int) -> Sampler:
    path, called = origin(name, workspace)
    backend = backend_of(workspace.recipe, workspace.ranks)
    loaded = backend.load(path, dtype)
    if not _is_own(name, workspace):
        loaded = replace(loaded, template=suited(loaded.template, loaded.tokenizer))
    return Sampler(
        name=called,
        version=_version(called, workspace),
        engine=backend.open_engine(loaded, dtype=dtype, max_rows=rows_in_flight),
        encode=loaded.encode,
        count=loaded.count,
        opens=loaded.opens_think,
        parameters=loaded.parameters,
    )


def _version(stage: str, workspace: Workspace) -> int:
    """Last step in the stage's metrics."""
    if stage not in workspace.checkpoints:
        return 0
    lines = workspace.read("metrics", stage)
    return int(lines[-1]["step"]) if lines else 0
