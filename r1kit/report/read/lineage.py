"""The stages of a run as a graph: which fed which, what each left, how long it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.stage_folder import StageFolder
from r1kit.report.read.values import mapping, number
from r1kit.report.read.wording import duration
from r1kit.stages import STAGES

__all__ = ["Node", "lineage", "what_it_left"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A stage, or a model from outside that a stage started from."""

    name: str
    """Stage name, or model name."""
    title: str
    feeds_on: tuple[str, ...]
    """Names of the nodes it started from."""
    sources: tuple[str, ...]
    """Their titles."""
    outside: bool
    """A model that this run did not make."""
    done: bool
    left: str
    """What it left, in a few words."""
    state: str
    """How long it took, or how far it is."""


def lineage(run: RunFolder) -> list[Node]:
    """The planned stages, in order, after the models from outside that they start from."""
    inputs = {name: _inputs(run, name) for name in run.planned}
    outside = dict.fromkeys(name for names in inputs.values() for name in names if name not in inputs)
    found = [
        Node(name=name, title=name, feeds_on=(), sources=(), outside=True, done=True, left="", state="from outside")
        for name in outside
    ]
    return found + [_node(run, name, names) for name, names in inputs.items()]


def _node(run: RunFolder, name: str, inputs: tuple[str, ...]) -> Node:
    stage = run.stage(name)
    done = stage is not None and stage.done
    seconds = number(mapping(run.lineage.get(name)), "seconds")
    if seconds is None and stage is not None:
        seconds = stage.seconds
    spent = "" if seconds is None else duration(seconds)
    return Node(
        name=name,
        title=run.title(name),
        feeds_on=inputs,
        sources=tuple(run.title(name) if name in run.planned else name for name in inputs),
        outside=False,
        done=done,
        left=what_it_left(run, stage, inputs) if done and stage else "",
        state=spent if done else "not run yet" if stage is None else f"unfinished, {spent}" if spent else "unfinished",
    )


def _inputs(run: RunFolder, name: str) -> tuple[str, ...]:
    """What the manifest (or the result) says the stage started from."""
    stage = run.stage(name)
    listed = mapping(run.lineage.get(name)).get("inputs")
    if not isinstance(listed, list) and stage is not None:
        listed = stage.result.get("inputs")
    if not isinstance(listed, list):
        return ()
    return tuple(dict.fromkeys(str(item) for item in listed if item and item != name))


def what_it_left(run: RunFolder, stage: StageFolder, inputs: Sequence[str]) -> str:
    """What a done stage left: samples, reward models, students, a table, or a model."""
    if (samples := number(stage.numbers, "samples")) is not None:
        return f"{samples:,.0f} samples"
    kind = run.kind(stage.name)
    facts = STAGES.get(kind)
    if facts is None:
        return "a model" if stage.result.get("checkpoint") else ""
    if facts.leaves == "reward models":
        return ", ".join(str(name) for name in stage.numbers)
    if facts.leaves == "a table":
        return f"evaluates {len(inputs)} checkpoints"
    if kind == "distill":
        return f"{sum(name != 'teacher' for name in stage.numbers)} students"
    return f"a model: {run.alias(stage.name)}" if facts.alias else ""
