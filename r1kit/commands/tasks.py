"""``r1 tasks``: where prompts come from, and some of them with their reference answers."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from r1kit.errors import InputError

__all__ = ["tasks"]

KINDS = (
    ("countdown", "make a target from a few numbers; has a corpus to pretrain on"),
    ("general", "greetings, requests, lists, facts, what must be refused; has a corpus to pretrain on"),
    ("code/list_ops", "a sentence of list steps as one line of Python, judged by running it; has a corpus"),
    (
        "code/FORMAT/FILE.jsonl",
        "a JSONL file in the format humaneval, mbpp, stdio or bugfix, judged by running programs",
    ),
    ("reasoning_gym/NAME", "any reasoning-gym generator, scored by its own rule; r1 tasks reasoning_gym lists them"),
    ("verifiers/NAME", "a single-turn environment of the verifiers package: its data set, its parser, its rubric"),
    ("FILE.py:NAME", "your own: a class with train, held_out and grade, or a function that yields prompts"),
    ("FILE.jsonl", 'lines of {"prompt": ..., "answer": ...}, judged as mathematics or by equality'),
)


def tasks(
    name: Annotated[str, typer.Argument(help="A task by name; without one the kinds are listed.")] = "",
    show: Annotated[int, typer.Option(min=0, help="Problems to show.")] = 3,
    split: Annotated[Literal["dev", "test", "train"], typer.Option()] = "test",
    recipe: Annotated[str, typer.Option(help="Take the task of that name from this recipe.")] = "",
) -> None:
    """List tasks, or show a task's settings and problems with a reference answer."""
    if name == "reasoning_gym":
        _list_generators()
    elif name or recipe:
        _show(name, show, split, recipe)
    else:
        width = max(len(kind) for kind, _ in KINDS)
        for kind, what in KINDS:
            typer.echo(f"{kind.ljust(width)}  {what}")


def _list_generators() -> None:
    from reasoning_gym.factory import DATASETS

    typer.echo(f"{len(DATASETS)} generators; write reasoning_gym/NAME:")
    typer.echo("\n".join(sorted(DATASETS)))


def _show(name: str, show: int, split: Literal["dev", "test", "train"], recipe: str) -> None:
    from r1kit.commands.arguments import named_task
    from r1kit.contracts import Recipe
    from r1kit.recipe import load_recipe
    from r1kit.structure import plain
    from r1kit.tasks import settings

    found = load_recipe(recipe) if recipe else Recipe(name="none")
    if not name:
        raise InputError(f"name a task of recipe {recipe!r}: {', '.join(found.tasks) or 'it has none'}")
    named = named_task(name, found)
    task = named.build()
    typer.echo(f"{named.name}: kind {named.spec.kind}")
    for key, value in plain(settings(named.name, *named.spec)).items():
        typer.echo(f"  {key} = {value!r}")
    prompts = [task.train(index) for index in range(show)] if split == "train" else task.held_out(split, show or 1)
    for prompt in prompts[:show]:
        typer.echo(f"\n{prompt.id}\n  question: {_indented(prompt.question)}")
        typer.echo(f"  answer:   {_indented(prompt.answer) if prompt.answer is not None else 'judged by rule only'}")


def _indented(text: str) -> str:
    return text.replace("\n", "\n            ")
