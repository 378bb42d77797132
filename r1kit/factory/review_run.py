"""Which of a run's stages has a queue for people, and what is known of that stage."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from r1kit.contracts import Recipe
from r1kit.errors import InputError, MissingError, R1Error, first_line, nearest
from r1kit.factory.cold_start_settings import ColdStart
from r1kit.factory.review import Item
from r1kit.factory.review_file import QUEUE, ReviewFile
from r1kit.factory.review_rules import Rules
from r1kit.recipe import load_recipe

__all__ = ["Reviewed", "open_queue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """A stage and its queue."""

    run: Path
    stage: str
    file: ReviewFile
    recipe: Recipe | None = None
    """None where this version cannot read it; then nothing is judged."""
    rules: Rules | None = None
    told: str = ""
    """Why there are no rules."""

    @property
    def config(self) -> ColdStart | None:
        found = self.recipe.stages.get(self.stage) if self.recipe else None
        return found if isinstance(found, ColdStart) else None

    @property
    def is_done(self) -> bool:
        return (self.file.path.parent / "result.json").is_file()

    def standing(self, items: list[Item]) -> str:
        """What comes of the decisions, in a line: whether the stage waits for them, or has ended without."""
        config, total, decided = self.config, len(items), sum(not item.open for item in items)
        if config is None:
            return self.told
        people = f"{self.stage}.review=human"
        anew = _run_anew(self.run)
        if self.is_done and config.review == "automatic":
            return f"{self.stage} accepted all by itself. For your decisions to count: {anew} --set {people}"
        if self.is_done and decided < total:
            return f"{self.stage} is done. For more decisions to count: {anew} --set {self.stage}.review_least=N"
        if self.is_done:
            return f"{self.stage} is done."
        if config.review == "automatic":
            return (
                f"{self.stage} will accept all by itself. For people to decide: {anew} --set {self.stage}.review=human"
            )
        asked = min(config.review_least or total, total)
        if decided < asked:
            return f"{self.stage} waits for {asked - decided} of {asked} decisions."
        return "Enough is decided: the run goes on" + (" by itself." if config.review_wait else f" with {anew}")


def open_queue(run: Path, stage: str = "") -> Reviewed:
    """The queue of a run, or the one of a stage where there are several.

    Raises:
        InputError: the folder is no run, the stage has no queue, or one has to be chosen.
        MissingError: no stage has come so far; the line says which makes one, and how.
    """
    if not run.is_dir():
        raise InputError(f"no run folder at '{run}'; give the folder that 'r1 run --out DIR' wrote")
    if not (run / "recipe.toml").is_file() and not (run / "manifest.json").is_file():
        raise InputError(f"'{run}' is no run folder: it holds no recipe.toml; give the folder that 'r1 run' wrote")
    found = {_stage_of(path): path for path in sorted(run.glob(f"[0-9][0-9]_*/{QUEUE}")) if "." not in path.parent.name}
    recipe, told = _recipe(run)
    if stage and stage not in found:
        named = [*found, *(recipe.stages if recipe else ())]
        if stage not in named:
            raise InputError(f"{run} has no stage {stage!r}; stages with a queue: {', '.join(found) or 'none yet'}."
                             f"{nearest(stage, named)}")  # fmt: skip
        raise _none_yet(run, recipe, told, stage)
    if not found:
        raise _none_yet(run, recipe, told)
    if len(found) > 1 and not stage:
        raise InputError(f"{run} has several queues: {', '.join(found)}; choose one with --stage {next(iter(found))}")
    stage = stage or next(iter(found))
    config = recipe.stages.get(stage) if recipe else None
    rules = Rules(recipe, config, _seed(run, recipe)) if recipe and isinstance(config, ColdStart) else None
    told = told or ("" if rules else f"{stage} is no stage of kind cold_start: its rules are not known")
    return Reviewed(run=run, stage=stage, file=ReviewFile(found[stage]), recipe=recipe, rules=rules, told=told)


def _stage_of(path: Path) -> str:
    return path.parent.name.partition("_")[2]


def _recipe(run: Path) -> tuple[Recipe | None, str]:
    try:
        return load_recipe(str(run / "recipe.toml")), ""
    except (R1Error, OSError) as error:
        return None, f"its recipe cannot be read, so edits are not checked: {first_line(error)}"


def _seed(run: Path, recipe: Recipe) -> int:
    """The run's, as it sampled with."""
    try:
        return int(json.loads((run / "manifest.json").read_text(encoding="utf-8"))["seed"])
    except (OSError, ValueError, KeyError, TypeError):
        return recipe.seed


def _none_yet(run: Path, recipe: Recipe | None, told: str, stage: str = "") -> R1Error:
    kinds = recipe.kinds if recipe else {}
    makers = [name for name, kind in kinds.items() if kind == "cold_start"]
    if stage and kinds.get(stage) != "cold_start":
        kind = kinds.get(stage, "")
        return InputError(f"{stage} has no queue, and a stage of kind {kind} makes none; cold_start does")
    if not makers:
        why = told or f"recipe {recipe.name if recipe else ''!r} has no stage of kind cold_start, which makes one"
        return InputError(f"{run} has no queue to review: {why}")
    first = stage or makers[0]
    return MissingError(
        f"{run} has no queue to review yet: stage {first} makes it, once it has sampled; "
        f"{_run_anew(run)} --set {first}.review=human --until {first}"
    )


def _run_anew(run: Path) -> str:
    return f"r1 run {quote(str(run / 'recipe.toml'))} --out {quote(str(run))}"
