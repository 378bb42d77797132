"""What a notebook does: run a recipe, sample from a model, score, update it, read a run folder.

All of it is one process on one device; ``r1 run`` starts one process a rank. Names are re-exported by ``import r1kit``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1kit.backends.backend import Backend, backend_of
from r1kit.backends.models import LoadedModel
from r1kit.backends.verifiers import open_verifier
from r1kit.checkpoint.source import local_folder
from r1kit.commands.arguments import open_subject
from r1kit.contracts import Recipe
from r1kit.errors import InputError, nearest
from r1kit.launcher import run_here
from r1kit.loops.own import loss_of as policy_loss
from r1kit.recipe import load_recipe
from r1kit.records import Group, Prompt, Sampling, Score
from r1kit.report.draw.ascii import tell
from r1kit.report.read.run_folder import RunFolder
from r1kit.rollout.engine import Engine
from r1kit.rollout.sample import sample_groups
from r1kit.rollout.streams import stream_seed
from r1kit.tasks import build
from r1kit.tasks.task import Task
from r1kit.text.light_tokenizer import prompts_open
from r1kit.update.learner import Learner
from r1kit.update.settings import OptimiserSettings

__all__ = ["OpenModel", "load_recipe", "open_model", "open_run", "open_task", "policy_loss", "run", "score"]


def run(
    recipe: Recipe | str, out: str | Path | None = None, until: str = "", say: Callable[[str], None] = tell
) -> RunFolder:
    """Run a recipe's stages that are not done yet, up to and including ``until``; the run folder, to read.

    Args:
        recipe: from ``load_recipe``, or what it takes.
        out: the run folder; default ``runs/NAME``. A finished or killed run there goes on where it stopped.

    Raises:
        R1Error: as ``r1 run`` does, with the same line.
    """
    resolved = load_recipe(recipe) if isinstance(recipe, str) else recipe
    folder = Path(out) if out else Path("runs") / resolved.name
    run_here(resolved, folder, until, say)
    return RunFolder(folder)


def open_run(folder: str | Path) -> RunFolder:
    """A run folder: its stages, their metrics, evaluations, samples and results, as they stand on disk now."""
    return RunFolder(Path(folder))


def open_task(kind: str, name: str = "", **settings: Any) -> Task:
    """A task by its kind, ours or ``FILE.py:NAME``, with the settings that a recipe's table would hold."""
    return build(name or kind, kind, settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenModel:
    """A model with an engine; ``with`` or ``close`` gives its memory back."""

    loaded: LoadedModel
    engine: Engine
    backend: Backend

    def sample(
        self, prompts: Sequence[Prompt | str], *, n: int = 4, max_tokens: int = 256, temperature: float = 1.0,
        top_p: float = 1.0, stop: Sequence[str] = (), seed: int = 0,
    ) -> list[Group]:  # fmt: skip
        """``n`` completions for each prompt or question, in order. The same seed gives the same completions."""
        asked = [prompt if isinstance(prompt, Prompt) else _prompt(prompt) for prompt in prompts]
        sampling = Sampling(n=n, max_tokens=max_tokens, temperature=temperature, top_p=top_p, stop=tuple(stop))
        return sample_groups(
            self.engine, asked, self.loaded.render, sampling, lambda place: stream_seed(seed, "sample", place)
        )

    def open_learner(self, optimiser: OptimiserSettings | None = None, token_budget: int = 8192) -> Learner:
        """A learner that takes the model over; ``learner.publish(model.engine, version)`` lets the engine sample from
        what it has learnt."""
        return self.backend.open_learner(self.loaded, optimiser or OptimiserSettings(), token_budget=token_budget)

    def close(self) -> None:
        self.engine.close()

    def __enter__(self) -> OpenModel:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def open_model(name: str, rows: int = 256) -> OpenModel:
    """A model and an engine for it: ``DIR:STAGE``, a hub-format folder, a hub name, a GGUF file or ``pypi:PACKAGE``.

    Args:
        name: a run's stage brings its run's prompt template.
        rows: completions that decode side by side: bounds memory.
    """
    backend = backend_of(open_subject(name).recipe)
    loaded = backend.load(name)
    return OpenModel(loaded=loaded, engine=backend.open_engine(loaded, max_rows=rows), backend=backend)


def score(groups: Sequence[Group], recipe: Recipe, stage: str) -> list[list[Score]]:
    """What an RL stage of the recipe would pay each completion by its rules, judged in a process of its own.

    Raises:
        InputError: the recipe has no such stage, or it pays nothing; a group is of a task that the recipe has not.
    """
    if stage not in recipe.stages or not hasattr(recipe.stages[stage], "reward"):
        paying = [name for name, config in recipe.stages.items() if hasattr(config, "reward")]
        raise InputError(f"stage {stage!r} pays nothing; those that do: {', '.join(paying)}.{nearest(stage, paying)}")
    config = recipe.stages[stage]
    tasks = dict.fromkeys(group.prompt.task for group in groups)
    for task in tasks:
        if task not in recipe.tasks:
            whose = (
                f"a prompt is of task {task!r}, which" if task else "a question that was asked as a text is of no task:"
            )
            raise InputError(
                f"{whose} the recipe does not have; its tasks: {', '.join(recipe.tasks)}. Take its prompts, as "
                f"recipe.task(NAME).train(0), or name yours as it does: open_task(KIND, NAME), Prompt(task=NAME, ...)."
                f"{nearest(task, recipe.tasks)}"
            )
    folder = local_folder(recipe.model.name) if recipe.model.name else None
    opens = folder is not None and prompts_open(folder, recipe.model.template)
    with open_verifier(tasks, recipe, config.reward, opens=opens) as verifier:
        return verifier.score_groups(groups)


def _prompt(question: str) -> Prompt:
    return Prompt(id=hashlib.blake2b(question.encode(), digest_size=6).hexdigest(), task="", question=question)
