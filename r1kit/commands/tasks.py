"""``r1 tasks``: where prompts come from, and some of them with their reference answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from r1kit.errors import InputError

if TYPE_CHECKING:
    from r1kit.records import Message
    from r1kit.tasks.data import DataConfig

__all__ = ["tasks"]

KINDS = (
    ("countdown", "make a target from a few numbers; has a corpus to pretrain on"),
    ("turns", "two turns of countdown: the second question means nothing without the first and its answer"),
    ("general", "greetings, requests, lists, facts, what must be refused; has a corpus to pretrain on"),
    ("code/list_ops", "a sentence of list steps as one line of Python, judged by running it; has a corpus"),
    (
        "code/FORMAT/FILE.jsonl",
        "problems in any layout of the field (auto), or in one: humaneval, mbpp, stdio, apps, livecodebench ...",
    ),
    ("swe/FILE.jsonl", "repositories with failing tests, mended by edits; judged by running all tests"),
    ("structured/FILE.jsonl", "prompts to answer with JSON, each with the schema that checks it"),
    ("structured/forms", "the nano world's: two numbers and what is wanted of them, as JSON; has a corpus"),
    ("reasoning_gym/NAME", "any reasoning-gym generator, scored by its own rule; r1 tasks reasoning_gym lists them"),
    ("verifiers/NAME", "a single-turn environment of the verifiers package: its data set, its parser, its rubric"),
    ("benchmark/SOURCE", "AIME, MATH-500, GPQA, MMLU-Pro, HumanEval, LiveCodeBench rows, asked as the paper does"),
    ("FILE, FOLDER, OWNER/NAME", "rows in any common layout: JSONL, CSV, parquet, a hub data set (:SUBSET:SPLIT)"),
    ("FILE.py:NAME", "your own: a class with train, held_out and grade, or a function that yields prompts"),
)

SHOWN = ("question", "response", "chosen", "rejected", "label", "text", "language")
"""Of a row without a reference answer."""


def tasks(
    name: Annotated[str, typer.Argument(help="A task by name; without one the kinds are listed.")] = "",
    show: Annotated[int, typer.Option(min=0, help="Problems to show.")] = 3,
    split: Annotated[Literal["dev", "test", "train"], typer.Option()] = "test",
    recipe: Annotated[str, typer.Option(help="Take the task of that name from this recipe.")] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the task: columns.answer=gold.")
    ] = None,
) -> None:
    """List tasks, or show a task's settings and problems with a reference answer."""
    if name == "reasoning_gym":
        _list_generators()
    elif name or recipe:
        _show(name, show, split, recipe, set_ or [])
    else:
        width = max(len(kind) for kind, _ in KINDS)
        for kind, what in KINDS:
            typer.echo(f"{kind.ljust(width)}  {what}")


def _list_generators() -> None:
    from reasoning_gym.factory import DATASETS

    typer.echo(f"{len(DATASETS)} generators; write reasoning_gym/NAME:")
    typer.echo("\n".join(sorted(DATASETS)))


def _show(name: str, show: int, split: Literal["dev", "test", "train"], recipe: str, overrides: list[str]) -> None:
    from r1kit.commands.arguments import named_task
    from r1kit.contracts import Recipe
    from r1kit.recipe import load_recipe
    from r1kit.structure import plain
    from r1kit.tasks import settings
    from r1kit.tasks.benchmark.task import BenchmarkConfig
    from r1kit.tasks.code.config import CodeConfig
    from r1kit.tasks.data import DataConfig
    from r1kit.tasks.source_name import changed

    found = load_recipe(recipe) if recipe else Recipe(name="none")
    if not name:
        raise InputError(f"name a task of recipe {recipe!r}: {', '.join(found.tasks) or 'it has none'}")
    named = named_task(name, found, overrides)
    typer.echo(f"{named.name}: kind {named.spec.kind}")
    if named.spec.kind == "data" and _show_rows(settings(named.name, *named.spec), show):
        return
    task = named.build()
    config = settings(named.name, *named.spec)
    for key, value in (
        changed(config) if isinstance(config, (BenchmarkConfig, DataConfig, CodeConfig)) else plain(config)
    ).items():
        typer.echo(f"  {key} = {value!r}")
    typer.echo("".join(f"  {line}\n" for line in task.about()), nl=False)
    if split == "train":
        prompts = [task.train(index) for index in range(min(show, len(task.listed()) or show))]
    else:
        prompts = task.held_out(split, show or 1)
    for prompt in prompts[:show]:
        judged = "none" if getattr(task, "rule", "") == "none" else "judged by rule only"
        answer = prompt.reference if prompt.answer is not None else judged
        _echo_row(prompt.id, [*_turns(prompt.history), ("question", prompt.question), ("answer", answer)])
        if len(task.languages) > 1:
            _echo_row("", [("language", prompt.language)])


def _show_rows(config: DataConfig, show: int) -> bool:
    """Show rows that have no reference answer, as what stages other than RL learn from; False for those that have."""
    from r1kit.data.layouts import not_a_task, read_examples

    examples = read_examples(config.path, "prompts" if config.rule == "none" else None, config.reading)
    if examples.layout.wanted == "answers" or config.rule == "none":
        return False
    typer.echo("".join(f"  {line}\n" for line in examples.layout.said()), nl=False)
    if reason := not_a_task(examples.layout, config.reading):
        typer.echo(f"  no task: {reason}")
    count = 0
    for count, example in enumerate(examples, start=1):
        if count <= show:
            values = [(role, getattr(example, role)) for role in SHOWN]
            shown = [(role, value) for role, value in values if value != ""]
            _echo_row(example.where, [*_turns(example.before), *shown])
    skipped = f"; {examples.rows.skipped}" if examples.rows.skipped.count else ""
    typer.echo(f"\n{count} row{'s' * (count != 1)} in {examples.rows.where}{skipped}")
    return True


def _turns(messages: Iterable[Message] | None) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in messages or ()]


def _echo_row(name: str, values: Iterable[tuple[str, object]]) -> None:
    typer.echo(f"\n{name}" if name else "", nl=bool(name))
    for role, value in values:
        if value is not None:
            text = str(value).replace("\n", "\n            ")
            typer.echo(f"  {role + ':':9} {text}")
